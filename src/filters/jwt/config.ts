import { faultKinds } from '../../base/fault.ts';
import { ClaimConsumer, ClaimPath } from '../../filter/claims.ts';
import { checkBeside, declareFilter } from '../../filter/declaration.ts';
import { durationField, FieldName } from '../../filter/fields.ts';
import { backendRef, fileName, secretRef } from '../../filter/references.ts';
import { type Static, Type } from '../../schema/schema.ts';

const strict = { additionalProperties: false };

/** Signatures that only the issuer can make, and whoever has its public keys can check (RFC 7518, RFC 8037, RFC 9864). */
export const PUBLIC_ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;

/** Whoever can check these can make them. */
export const SECRET_ALGORITHMS = ['HS256', 'HS384', 'HS512'] as const;

export type Algorithm = (typeof PUBLIC_ALGORITHMS)[number] | (typeof SECRET_ALGORITHMS)[number];

export const Jwks = Type.Object(
  {
    uri: Type.Optional(
      Type.String({
        maxLength: 2048,
        pattern: '^https?://[^\\s#]+$',
        expected: 'an address such as "https://id.test/jwks.json"',
        description: 'Address of the key set. `http:` only for the loopback: keys must not be changed on their way.',
      }),
    ),
    backendRef: Type.Optional(
      backendRef({
        description: 'Service that has the key set, asked as routes ask it: with its TLS, pool and health.',
      }),
    ),
    path: Type.String({
      maxLength: 2048,
      pattern: '^/[^\\s#]*$',
      expected: 'a path such as "/jwks.json"',
      default: '/.well-known/jwks.json',
      description: 'Path at `backendRef`.',
    }),
    inline: Type.Optional(
      Type.Object(
        {
          keys: Type.Array(Type.Record(Type.String(), Type.Unknown()), {
            minItems: 1,
            maxItems: 100,
            description: 'Public keys (RFC 7517).',
          }),
        },
        { ...strict, description: 'The key set itself.' },
      ),
    ),
    secret: Type.Optional(secretRef({ description: 'Secret that holds the key set as JSON.' })),
    file: Type.Optional(fileName({ description: 'File that holds the key set as JSON; read again when it changes.' })),
    refresh: durationField({
      default: '5m',
      description: 'How often the set is fetched, where the answer has no Cache-Control max-age.',
    }),
    refreshMin: durationField({ default: '1m', description: 'Never fetched more often, whatever max-age says.' }),
    refreshMax: durationField({ default: '1h', description: 'Never fetched less often, whatever max-age says.' }),
    unknownKidWait: durationField({
      default: '30s',
      description:
        'A token whose key is not in the set makes it be fetched, so that a rotation is seen at once; but only so often, because anybody can make up keys.',
    }),
    staleMax: durationField({
      default: '24h',
      description: 'How long the last good set is used while the issuer cannot be asked.',
    }),
    timeout: durationField({
      default: '5s',
      description: 'Longest fetch. Requests wait as long for the first keys, then get 503.',
    }),
    bytesMax: Type.Integer({
      minimum: 1024,
      maximum: 4_194_304,
      default: 262_144,
      description: 'Longest key set; a longer one is not read.',
    }),
  },
  {
    ...strict,
    description:
      'Where the public keys are: one of `uri`, `backendRef`, `inline`, `secret`, `file`. None of them: where the issuer says, in `/.well-known/openid-configuration` (OpenID Connect Discovery) or `/.well-known/oauth-authorization-server` (RFC 8414).',
  },
);
export type Jwks = Static<typeof Jwks>;

const SecretKey = Type.Object(
  {
    secret: secretRef({ description: 'Secret that holds the key.' }),
    encoding: Type.Enum(['text', 'base64', 'base64url', 'hex'], {
      default: 'text',
      description: 'How the key is written in the Secret.',
    }),
    kid: Type.Optional(
      Type.String({ minLength: 1, maxLength: 256, description: 'Only for tokens that name this key.' }),
    ),
  },
  strict,
);
export type SecretKey = Static<typeof SecretKey>;

const Issuer = Type.Object(
  {
    issuer: Type.String({
      minLength: 1,
      maxLength: 1024,
      description:
        'Claim `iss` of its tokens, letter by letter. It chooses the keys, and is believed once they fit. Without `jwks` and `secretKeys` it is the address where they are found.',
    }),
    audiences: Type.Array(Type.String({ minLength: 1, maxLength: 1024 }), {
      minItems: 1,
      maxItems: 32,
      description: 'Claim `aud` must hold one of them. `*` alone takes any, and none: tokens for other services, too.',
    }),
    jwks: Type.Optional(Jwks),
    secretKeys: Type.Optional(
      Type.Array(SecretKey, {
        minItems: 1,
        maxItems: 8,
        description: 'Keys of HS256 and its like, shared with the issuer: instead of `jwks`, never beside it.',
      }),
    ),
    algorithms: Type.Optional(
      Type.Array(Type.Enum([...PUBLIC_ALGORITHMS, ...SECRET_ALGORITHMS]), {
        minItems: 1,
        maxItems: 16,
        uniqueItems: true,
        description:
          'Algorithms that are taken. Default: all asymmetric ones with `jwks`, HS256 with `secretKeys`. `none` never is.',
      }),
    ),
    clockSkew: durationField({ default: '30s', description: 'By how much clocks may differ, at most 10m.' }),
    expiry: Type.Enum(['required', 'optional'], {
      default: 'required',
      description: 'Whether a token without `exp` is refused.',
    }),
    maxAge: Type.Optional(
      durationField({
        description: 'Tokens older than that by `iat` are refused, whatever `exp` says; `iat` must be there.',
      }),
    ),
    typ: Type.Array(Type.String({ minLength: 1, maxLength: 64 }), {
      minItems: 1,
      maxItems: 16,
      default: ['JWT', 'at+jwt'],
      description:
        'Values of the header `typ` that are taken, in any case, with or without `application/`. Where `JWT` is one, it may be left out.',
    }),
    requiredClaims: Type.Array(ClaimPath, {
      maxItems: 32,
      default: [],
      description: 'Claims that must be there, whatever their value (not null).',
    }),
    claims: Type.Array(
      Type.Object(
        {
          claim: ClaimPath,
          values: Type.Array(Type.Union([Type.String({ maxLength: 1024 }), Type.Number(), Type.Boolean()]), {
            minItems: 1,
            maxItems: 64,
            description: 'The claim is one of them, or a list that holds one of them.',
          }),
        },
        strict,
      ),
      { maxItems: 32, default: [], description: 'Claims and their values. Each must hold.' },
    ),
  },
  strict,
);
export type Issuer = Static<typeof Issuer>;

const Place = Type.Object(
  {
    header: Type.Optional(FieldName),
    scheme: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 64,
        pattern: '^[A-Za-z0-9-]+$',
        expected: 'a word such as "Bearer"',
        description: 'Word before the token in the header, in any case. A header without it has no token for us.',
      }),
    ),
    query: Type.Optional(Type.String({ minLength: 1, maxLength: 128, description: 'Parameter of the query.' })),
    cookie: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 128,
        pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
        expected: 'the name of a cookie',
        description: 'Cookie.',
      }),
    ),
  },
  { ...strict, description: 'One of `header`, `query`, `cookie`.' },
);
export type Place = Static<typeof Place>;

const DpopConfig = Type.Object(
  {
    mode: Type.Enum(['accept', 'require', 'refuse'], {
      default: 'accept',
      description:
        '`accept`: tokens with and without. `require`: only tokens that are bound to a key of the client. `refuse`: such tokens are refused. In none of them is a bound token taken without its proof.',
    }),
    algorithms: Type.Array(Type.Enum([...PUBLIC_ALGORITHMS]), {
      minItems: 1,
      maxItems: 16,
      uniqueItems: true,
      default: ['ES256', 'ES384', 'EdDSA', 'Ed25519', 'PS256', 'RS256'],
      description: 'Algorithms of proofs that are taken.',
    }),
    window: durationField({
      default: '60s',
      description: 'How old a proof may be. For as long it is remembered, so that it cannot be used twice.',
    }),
    proofsMax: Type.Integer({
      minimum: 1000,
      maximum: 10_000_000,
      default: 200_000,
      description: 'Proofs that a worker remembers, some 100 bytes each. Beyond it requests with proofs get 503.',
    }),
    nonce: Type.Optional(
      Type.Object(
        {
          secret: secretRef({
            description:
              'Secret of at least 32 bytes that nonces are made with; the same on all proxies that one client may meet.',
          }),
          lifetime: durationField({
            default: '5m',
            description: 'How long a nonce may be used. Clients get a new one when half of it is over.',
          }),
        },
        {
          ...strict,
          description:
            'Proofs must hold a word of ours (RFC 9449 section 9), so that none can be made in advance. Clients without it are told one, and ask again.',
        },
      ),
    ),
    origin: Type.Optional(
      Type.String({
        maxLength: 1024,
        pattern: '^https?://[^\\s/?#@]+$',
        expected: 'an origin such as "https://api.test"',
        description:
          'What clients believe to talk to, where another proxy stands before. Default: as the request says.',
      }),
    ),
  },
  { ...strict, default: {}, description: 'Proof of possession (RFC 9449).' },
);
export type DpopConfig = Static<typeof DpopConfig>;

export const JwtConfig = Type.Object(
  {
    issuers: Type.Array(Issuer, {
      minItems: 1,
      maxItems: 32,
      uniqueBy: ['issuer'],
      description: 'Who makes tokens that are taken.',
    }),
    from: Type.Array(Place, {
      minItems: 1,
      maxItems: 8,
      default: [{ header: 'authorization', scheme: 'Bearer' }],
      description: 'Where tokens are looked for. A request with tokens in two places, or two in one, is refused.',
    }),
    realm: Type.Optional(
      Type.String({
        maxLength: 128,
        pattern: '^[\\x20-\\x21\\x23-\\x5b\\x5d-\\x7e]*$',
        expected: 'text without quotes and backslashes',
        description: 'Realm in WWW-Authenticate.',
      }),
    ),
    scopes: Type.Array(
      Type.String({ minLength: 1, maxLength: 256, pattern: '^[\\x21\\x23-\\x5b\\x5d-\\x7e]+$', expected: 'a scope' }),
      { maxItems: 32, default: [], description: 'Scopes that a token must have, all of them; else 403.' },
    ),
    claimHeaders: Type.Array(
      Type.Object(
        {
          claim: ClaimPath,
          header: FieldName,
          separator: Type.String({
            minLength: 1,
            maxLength: 4,
            pattern: '^[\\x20-\\x7e]+$',
            expected: 'one to four printable characters',
            default: ',',
            description: 'Between the items of a list. A list with an item that holds it is not passed on.',
          }),
        },
        strict,
      ),
      {
        maxItems: 32,
        default: [],
        description:
          'Claims that upstreams get as headers. Clients cannot send these headers. A value that is no header value (control characters, over 4096 bytes) is not passed on.',
      },
    ),
    forward: Type.Enum(['keep', 'remove'], {
      default: 'keep',
      description: 'Whether upstreams get the token, and the proof.',
    }),
    consumer: Type.Optional(ClaimConsumer),
    dpop: DpopConfig,
    tokenBytesMax: Type.Integer({
      minimum: 256,
      maximum: 16_000,
      default: 8192,
      description: 'Longest token; a longer one is refused unread.',
    }),
    cache: Type.Object(
      {
        entriesMax: Type.Integer({
          minimum: 0,
          maximum: 1_000_000,
          default: 10_000,
          description: 'Verified tokens that a worker remembers for a rule; the one unused for longest goes first.',
        }),
        bytesMax: Type.Integer({
          minimum: 0,
          maximum: 1_073_741_824,
          default: 33_554_432,
          description: 'Bytes of these tokens together.',
        }),
        ttl: durationField({
          default: '5m',
          description: 'How long, at most until the token expires or its key goes.',
        }),
      },
      { ...strict, default: {}, description: 'A signature is verified once per token.' },
    ),
  },
  { ...strict, description: 'Takes requests with a JSON Web Token of a known issuer (RFC 7519, RFC 6750, RFC 9068).' },
);
export type JwtConfig = Static<typeof JwtConfig>;

const TITLE = 'The token is not accepted';

export const JWT_FAULTS = faultKinds({
  'jwt.invalid': {
    blame: 'client',
    retry: 'never',
    status: 401,
    grpc: 16,
    title: TITLE,
    advice:
      'The token is not well-formed, its algorithm, type or key is not one that is taken, or its signature is wrong. The log says which.',
  },
  'jwt.issuer': {
    blame: 'client',
    retry: 'never',
    status: 401,
    grpc: 16,
    title: TITLE,
    advice: 'Claim iss of the token is none of the issuers of the policy. It is compared letter by letter.',
  },
  'jwt.expired': {
    blame: 'client',
    retry: 'never',
    status: 401,
    grpc: 16,
    title: TITLE,
    advice: 'The token is past exp or maxAge. If it should not be, compare clocks: clockSkew.',
  },
  'jwt.not-yet': {
    blame: 'client',
    retry: 'never',
    status: 401,
    grpc: 16,
    title: TITLE,
    advice: 'The token is before nbf, or made in the future by iat. Compare clocks: clockSkew.',
  },
  'jwt.audience': {
    blame: 'client',
    retry: 'never',
    status: 401,
    grpc: 16,
    title: TITLE,
    advice: 'Claim aud of the token holds none of the audiences of its issuer: it was made for another service.',
  },
  'jwt.claims': {
    blame: 'client',
    retry: 'never',
    status: 401,
    grpc: 16,
    title: TITLE,
    advice: 'A claim that the policy asks for is missing, or has another value. The log names the claim.',
  },
  'jwt.binding': {
    blame: 'client',
    retry: 'never',
    status: 401,
    grpc: 16,
    title: TITLE,
    advice:
      'The token is bound to a key of the client (cnf), and came without proof of it: as Bearer instead of DPoP, or without its client certificate. Somebody else may have it.',
  },
  'jwt.proof': {
    blame: 'client',
    retry: 'never',
    status: 401,
    grpc: 16,
    title: 'The proof of possession is not accepted',
    advice:
      'The DPoP proof is missing, used before, old, made for another request or with another key. The log says which.',
  },
  'jwt.nonce': {
    blame: 'client',
    retry: 'never',
    status: 401,
    grpc: 16,
    title: 'The proof of possession needs a nonce',
    advice:
      'The DPoP proof has no nonce of this gateway, or one that is too old. The answer brings one in DPoP-Nonce, with which the client is to ask again: once for each client is how it should be.',
  },
  'jwt.proofs-full': {
    blame: 'gateway',
    retry: 'never',
    status: 503,
    grpc: 14,
    title: 'Too many proofs of possession at this time',
    advice: 'More proofs came within the window than are remembered: raise dpop.proofsMax, or shorten dpop.window.',
  },
  'jwt.scope': {
    blame: 'policy',
    retry: 'never',
    status: 403,
    grpc: 7,
    title: 'The token does not allow this',
    advice: 'The token lacks a scope that the policy asks for; WWW-Authenticate names them.',
  },
  'jwt.ambiguous': {
    blame: 'client',
    retry: 'never',
    status: 400,
    grpc: 3,
    title: 'The request has more than one token',
    advice: 'Tokens came in two places, or twice in one (RFC 6750 section 2). Two readers could choose different ones.',
  },
  'jwt.keys-unavailable': {
    blame: 'dependency',
    retry: 'never',
    status: 503,
    grpc: 14,
    title: 'Tokens cannot be checked at this time',
    advice: 'The keys of the issuer could not be fetched, and there are no last good ones. The log says why.',
  },
});

export const jwt = declareFilter({
  name: 'jwt',
  phase: 'authenticate',
  config: JwtConfig,
  composition: 'narrows',
  decides: 'yes',
  faults: JWT_FAULTS,
  events: {
    verified: 'Tokens whose signature was verified.',
    cached: 'Requests with a token that was verified before.',
    refused: 'Requests with a token that was refused.',
    keys_fetched: 'Key sets that were fetched.',
    keys_failed: 'Fetches of key sets that failed.',
    keys_asked: 'Fetches for a token whose key was not in the set.',
    proofs: 'Proofs of possession that were accepted.',
    claim_dropped: 'Claims that were not passed on: they are no header values.',
  },
  explain: ({ issuers, dpop, scopes }) => [
    ...issuers.map(({ issuer, audiences }) => `tokens of ${issuer} for ${audiences.join(', ')}`),
    ...(scopes.length > 0 ? [`with scopes ${scopes.join(' ')}`] : []),
    `DPoP: ${dpop.mode}`,
  ],
  check: checkBeside<JwtConfig>(import.meta.url),
  load: async () => (await import('./filter.ts')).code,
});
