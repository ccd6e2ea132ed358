import { duration, objectName } from '../fields.ts';
import type { Finding } from '../kind.ts';
import { finding } from '../rules.ts';
import { type Static, Type } from '../../schema/schema.ts';
import { CACertificateReference } from './backend.ts';

const strict = { additionalProperties: false };

export const AcmeIssuerSpec = Type.Object(
  {
    directory: Type.String({
      minLength: 1,
      maxLength: 2048,
      pattern: '^https://[-A-Za-z0-9._~:/?#@!$&()*+,;=%\\[\\]]+$',
      expected: 'an https:// URL',
      description: 'URL of the directory of the ACME server (RFC 8555 section 7.1.1).',
    }),
    email: Type.Optional(
      Type.String({
        minLength: 3,
        maxLength: 320,
        pattern: '^[^@,\\s]+@[^@,\\s]+$',
        expected: 'an address such as "ops@example.com"',
        description: 'Where the authority may write to when a certificate is about to end.',
      }),
    ),
    termsAgreed: Type.Boolean({
      default: false,
      description: 'You agree to the terms of service of the authority. Needed where it has some.',
    }),
    challenges: Type.Array(
      Type.Enum(['http-01', 'tls-alpn-01'], { description: 'How to prove that a host name is served here.' }),
      {
        minItems: 1,
        maxItems: 2,
        default: ['http-01', 'tls-alpn-01'],
        description: 'Ways to prove a host name, the favourite first. One that cannot be answered is passed over.',
      },
    ),
    externalAccount: Type.Optional(
      Type.Object(
        {
          keyId: Type.String({ minLength: 1, maxLength: 1024, description: 'Key identifier that the authority gave.' }),
          secretRef: Type.Object(
            { name: objectName({ description: 'Name of a Secret in the same namespace.' }) },
            { ...strict, description: 'Secret with the MAC key, in base64url as the authority gave it, in `key`.' },
          ),
        },
        { ...strict, description: 'External account binding (RFC 8555 section 7.3.4).' },
      ),
    ),
    caCertificateRefs: Type.Array(CACertificateReference, {
      maxItems: 8,
      default: [],
      description:
        'ConfigMaps or Secrets with `ca.crt`, for an ACME server of your own: its certificate must be signed by one of them.',
    }),
    keyType: Type.Enum(['ecdsa-p256', 'ecdsa-p384', 'rsa-2048', 'rsa-4096'], {
      default: 'ecdsa-p256',
      description: 'Key of the certificates. Each gets a new one.',
    }),
    renewBefore: Type.Optional(
      duration({
        description:
          'How long before its end a certificate is renewed. Default: when the authority suggests it (RFC 9773), else at two thirds of its life.',
      }),
    ),
  },
  strict,
);
export type AcmeIssuerSpec = Static<typeof AcmeIssuerSpec>;

export function acmeIssuerRules({ spec }: { readonly spec: AcmeIssuerSpec }): Finding[] {
  const findings: Finding[] = [];
  const second = spec.challenges.findIndex((challenge, i) => spec.challenges.indexOf(challenge) < i);
  if (second >= 0) {
    findings.push(
      finding(`/spec/challenges/${second}`, `Duplicate challenge "${spec.challenges[second]}": name it once`),
    );
  }
  return findings;
}
