import {
  annotations,
  groupName,
  kindName,
  LocalObjectReference,
  objectName,
  preciseHostname,
  sectionName,
  SubjectAltName,
} from '../fields.ts';
import { type Static, Type } from '../../schema/schema.ts';

const strict = { additionalProperties: false };

export const BackendTLSPolicySpec = Type.Object(
  {
    targetRefs: Type.Array(
      Type.Object(
        {
          group: groupName({ description: 'API group of the target; "" for a Service.' }),
          kind: kindName({ description: 'Kind of the target: Service.' }),
          name: objectName({ description: 'Name of the target, in the same namespace.' }),
          sectionName: Type.Optional(sectionName({ description: 'Only this port of the Service, by name.' })),
        },
        strict,
      ),
      { minItems: 1, maxItems: 16, description: 'Services that are reached with TLS.' },
    ),
    validation: Type.Object(
      {
        caCertificateRefs: Type.Array(LocalObjectReference, {
          maxItems: 8,
          default: [],
          description: 'ConfigMaps (or Secrets) with `ca.crt`: the certificate must be signed by one of them.',
        }),
        wellKnownCACertificates: Type.Optional(
          Type.String({
            minLength: 1,
            maxLength: 253,
            pattern: '^(?:System|[a-z0-9](?:[-a-z0-9.]*[a-z0-9])?/(?:[A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9])$',
            expected: '"System" or a name such as "example.com/roots"',
            description: '`System`: the roots of the operating system. Instead of caCertificateRefs.',
          }),
        ),
        hostname: preciseHostname({
          description: 'SNI, and the name that the certificate must carry unless subjectAltNames are given.',
        }),
        subjectAltNames: Type.Array(SubjectAltName, {
          maxItems: 5,
          default: [],
          description: 'The certificate must carry one of these instead of `hostname`.',
        }),
      },
      strict,
    ),
    options: Type.Optional(annotations({ description: 'Options of implementations.' })),
  },
  strict,
);
export type BackendTLSPolicySpec = Static<typeof BackendTLSPolicySpec>;
