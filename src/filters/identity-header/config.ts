import { faultKinds } from '../../base/fault.ts';
import { EXPRESSION_CHARS_MAX } from '../../base/limits.ts';
import { checkBeside, declareFilter } from '../../filter/declaration.ts';
import { durationField, FieldName } from '../../filter/fields.ts';
import { secretRef } from '../../filter/references.ts';
import { type Static, Type } from '../../schema/schema.ts';

const strict = { additionalProperties: false };

const Token = Type.Object(
  {
    header: { ...FieldName, default: 'x-identity', description: 'Header that upstreams get the token in.' },
    key: secretRef({
      description:
        'Private key, PKCS#8 in PEM: EC P-256 (ES256), Ed25519 (EdDSA) or RSA of 2048 bits and more (RS256).',
    }),
    kid: Type.Optional(
      Type.String({ minLength: 1, maxLength: 256, description: 'Id of the key. Default: its thumbprint (RFC 7638).' }),
    ),
    issuer: Type.String({ minLength: 1, maxLength: 1024, description: 'Claim `iss`: this gateway.' }),
    audience: Type.Array(Type.String({ minLength: 1, maxLength: 1024 }), {
      minItems: 1,
      maxItems: 16,
      description: 'Claim `aud`: the services that are to believe it.',
    }),
    lifetime: durationField({
      default: '60s',
      description: 'How long a token is good, 10s to 1h. Upstreams get one of which a quarter at least is left.',
    }),
    claims: Type.Array(Type.String({ minLength: 1, maxLength: 256 }), {
      maxItems: 32,
      uniqueItems: true,
      default: [],
      description: 'Claims of the token of the client that are passed on, inside `claims`.',
    }),
    jwksPath: Type.Optional(
      Type.String({
        maxLength: 1024,
        pattern: '^/[^\\s?#]*$',
        expected: 'a path such as "/.well-known/jwks.json"',
        description: 'Path at which GET is answered with the public keys, on rules of this filter that let it in.',
      }),
    ),
    alsoPublished: Type.Array(
      secretRef({ description: 'Another private key, whose public part stands in the key set too.' }),
      { maxItems: 4, default: [], description: 'Keys of before or of next: so that a rotation finds upstreams ready.' },
    ),
  },
  { ...strict, description: 'A signed token (JWS) that says who is asking.' },
);
export type Token = Static<typeof Token>;

export const IdentityHeaderConfig = Type.Object(
  {
    token: Type.Optional(Token),
    headers: Type.Array(
      Type.Object(
        {
          name: FieldName,
          value: Type.String({
            minLength: 1,
            maxLength: EXPRESSION_CHARS_MAX,
            description: 'Expression that comes to a text: `consumer.name`. Where it has no value there is no header.',
          }),
        },
        strict,
      ),
      { maxItems: 32, default: [], uniqueBy: ['name'], description: 'Plain headers.' },
    ),
  },
  {
    ...strict,
    description: 'Tells upstreams who is asking, in a signed token or in plain headers. Clients cannot send either.',
  },
);
export type IdentityHeaderConfig = Static<typeof IdentityHeaderConfig>;

export const IDENTITY_HEADER_FAULTS = faultKinds({
  'identity-header.too-large': {
    blame: 'gateway',
    retry: 'never',
    status: 500,
    grpc: 13,
    title: 'The gateway cannot pass on who is asking',
    advice:
      'The token for upstreams would be longer than 8 KiB: pass on fewer claims, or have fewer groups and scopes.',
  },
});

export const identityHeader = declareFilter({
  name: 'identityHeader',
  phase: 'transform',
  config: IdentityHeaderConfig,
  composition: 'closest',
  decides: 'no',
  faults: IDENTITY_HEADER_FAULTS,
  events: {
    signed: 'Tokens that were signed.',
    header_dropped: 'Values that were not passed on: they are no header values.',
  },
  explain: ({ token, headers }) => [
    ...(token === undefined ? [] : [`${token.header}: signed by ${token.issuer} for ${token.audience.join(', ')}`]),
    ...headers.map(({ name, value }) => `${name}: ${value}`),
  ],
  check: checkBeside<IdentityHeaderConfig>(import.meta.url),
  load: async () => (await import('./filter.ts')).code,
});
