import { faultKinds } from '../../base/fault.ts';
import { ConsumerName, GroupNames, Labels } from '../../filter/consumer.ts';
import { declareFilter } from '../../filter/declaration.ts';
import { fileName } from '../../filter/references.ts';
import { FILE_EVENTS } from '../../filter/shared-file.ts';
import { type Static, Type } from '../../schema/schema.ts';

const strict = { additionalProperties: false };

function names(said: { readonly pattern: string; readonly expected: string; readonly description: string }) {
  const { pattern, expected, description } = said;
  return Type.Optional(
    Type.Array(Type.String({ minLength: 1, maxLength: 2048, pattern, expected }), {
      minItems: 1,
      maxItems: 256,
      description,
    }),
  );
}

const Allowed = Type.Object(
  {
    spiffe: names({
      pattern: '^spiffe://[a-z0-9._-]{1,255}(/[A-Za-z0-9._-]+)*(/\\*)?$',
      expected: 'a SPIFFE ID such as "spiffe://shop.test/ns/a/sa/b", or "spiffe://shop.test/ns/a/*"',
      description:
        'SPIFFE IDs. `/*` at the end stands for one or more parts of the path: `spiffe://shop.test/*` is the whole trust domain.',
    }),
    dns: names({
      pattern: '^(\\*\\.)?[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*$',
      expected: 'a host name such as "client.shop.test" or "*.shop.test"',
      description: 'DNS names in the subject alternative names. `*.` at the start stands for one label.',
    }),
    uri: names({
      pattern: '^[A-Za-z][A-Za-z0-9+.-]*:[^\\s*]*\\*?$',
      expected: 'an address such as "urn:shop:a", or "urn:shop:*"',
      description: 'URIs in the subject alternative names, letter by letter. `*` at the end stands for any rest.',
    }),
    email: names({
      pattern: '^(\\*|[^\\s@*]+)@[^\\s@*]+$',
      expected: 'a mailbox such as "alice@shop.test" or "*@shop.test"',
      description: 'Mailboxes in the subject alternative names. `*` stands for anybody at the host.',
    }),
    commonName: names({
      pattern: '^.*$',
      expected: 'a name',
      description: 'Common names of the subject, letter by letter.',
    }),
    subject: names({
      pattern: '^.*=.*$',
      expected: 'a name such as "CN=client,O=Shop"',
      description: 'Whole subjects, the most specific part first (RFC 4514), letter by letter.',
    }),
    issuer: names({
      pattern: '^.*=.*$',
      expected: 'a name such as "CN=Partners CA,O=Shop"',
      description: 'Whole names of the authority that signed the certificate, as for `subject`.',
    }),
    fingerprint: names({
      pattern: '^([0-9A-Fa-f]{2}:?){31}[0-9A-Fa-f]{2}$',
      expected: 'SHA-256 as 64 hex digits, colons allowed',
      description: 'SHA-256 over the certificate.',
    }),
    consumer: Type.Optional(
      Type.Object(
        { name: ConsumerName, groups: GroupNames, labels: Labels },
        { ...strict, description: 'Whom these certificates belong to.' },
      ),
    ),
  },
  { ...strict, description: 'All that is said must hold; of each list, one.' },
);
export type Allowed = Static<typeof Allowed>;

const Crl = Type.Object(
  {
    lists: Type.Array(
      Type.Object(
        {
          file: fileName({ description: 'Revocation lists, PEM or DER; read again when they change.' }),
          ca: fileName({ description: 'Certificates of the authorities that sign them. Others are not believed.' }),
        },
        strict,
      ),
      { minItems: 1, maxItems: 16, description: 'Files of lists.' },
    ),
    scope: Type.Enum(['chain', 'client'], {
      default: 'chain',
      description:
        '`chain`: the certificate of the client and those of the authorities between it and the root, as far as `ca` has them; each needs a list of whoever issued it. `client`: only that of the client.',
    }),
    whenStale: Type.Enum(['refuse', 'accept'], {
      default: 'refuse',
      description: 'What becomes of certificates of an authority whose list is past its nextUpdate.',
    }),
    whenMissing: Type.Enum(['refuse', 'accept'], {
      default: 'refuse',
      description: 'What becomes of certificates of an authority that none of the lists is of.',
    }),
  },
  { ...strict, description: 'Certificates that were taken back (RFC 5280 section 5).' },
);
export type Crl = Static<typeof Crl>;

export const MtlsConfig = Type.Object(
  {
    allow: Type.Array(Allowed, {
      maxItems: 256,
      default: [],
      description:
        'Certificates that are let in; the first that fits counts. Empty: every one that the listener verified.',
    }),
    consumer: Type.Optional(
      Type.Enum(['commonName', 'spiffe', 'dns', 'email', 'subject'], {
        description: 'What of the certificate names the consumer, where `allow` does not.',
      }),
    ),
    crl: Type.Optional(Crl),
  },
  {
    ...strict,
    default: {},
    description:
      'Lets in who showed a client certificate that the listener verified, and says who that is. The listener asks for it: `tls.frontend` of the Gateway.',
  },
);
export type MtlsConfig = Static<typeof MtlsConfig>;

export const MTLS_FAULTS = faultKinds({
  'mtls.not-allowed': {
    blame: 'policy',
    retry: 'never',
    status: 403,
    grpc: 7,
    title: 'The client certificate is not allowed here',
    advice: 'The certificate is good, and fits none of the entries of allow. The log names its fingerprint.',
  },
  'mtls.expired': {
    blame: 'client',
    retry: 'never',
    status: 403,
    grpc: 16,
    title: 'The client certificate has expired',
    advice: 'It was good when the connection was opened. The client has to renew it, and to connect again.',
  },
  'mtls.revoked': {
    blame: 'client',
    retry: 'never',
    status: 403,
    grpc: 16,
    title: 'The client certificate was revoked',
    advice: 'It, or an authority above it, is on a revocation list. The log names its fingerprint.',
  },
  'mtls.revocation-unknown': {
    blame: 'gateway',
    retry: 'never',
    status: 503,
    grpc: 14,
    title: 'Client certificates cannot be checked at this time',
    advice:
      'There is no list of the authority of this certificate, or of one above it, or it is past its nextUpdate: bring a new one, or see crl.whenStale, crl.whenMissing and crl.scope.',
  },
});

export const mtls = declareFilter({
  name: 'mtls',
  phase: 'authenticate',
  config: MtlsConfig,
  composition: 'narrows',
  decides: 'yes',
  faults: MTLS_FAULTS,
  events: {
    refused: 'Requests that were refused for their certificate.',
    ...FILE_EVENTS,
  },
  explain: ({ allow, crl }) => [
    allow.length === 0
      ? 'any certificate that the listener verified'
      : `certificates that fit one of ${allow.length} entries`,
    ...(crl === undefined ? [] : [`and are on none of ${crl.lists.length} files of revocation lists`]),
  ],
  load: async () => (await import('./filter.ts')).code,
});
