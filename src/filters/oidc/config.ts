import { faultKinds } from '../../base/fault.ts';
import { ClaimConsumer, ClaimPath } from '../../filter/claims.ts';
import { checkBeside, declareFilter } from '../../filter/declaration.ts';
import { durationField, FieldName } from '../../filter/fields.ts';
import { secretRef } from '../../filter/references.ts';
import { type Static, Type } from '../../schema/schema.ts';

const strict = { additionalProperties: false };

const Path = {
  maxLength: 256,
  pattern: '^/(?:[A-Za-z0-9._~-]+/?)*$',
  expected: 'a path such as "/oauth2"',
};

const Provider = Type.Object(
  {
    name: Type.String({
      maxLength: 32,
      pattern: '^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$',
      expected: 'a name of lower-case letters, digits and "-"',
      description: 'Name in addresses and cookies.',
    }),
    title: Type.Optional(
      Type.String({ minLength: 1, maxLength: 80, description: 'Shown where users choose. Default: its name.' }),
    ),
    issuer: Type.String({
      maxLength: 2048,
      pattern: '^https?://[^\\s?#]+$',
      expected: 'an address such as "https://id.test"',
      description:
        'Its issuer, under which `/.well-known/openid-configuration` is found. `http:` only for the loopback: keys must not be changed on their way.',
    }),
    clientId: Type.String({ minLength: 1, maxLength: 512, description: 'As registered with the provider.' }),
    clientSecret: Type.Optional(secretRef({ description: 'Left out for a public client, which PKCE protects.' })),
    clientAuthentication: Type.Enum(['basic', 'post'], {
      default: 'basic',
      description: 'How the secret is sent: `client_secret_basic` or `client_secret_post`.',
    }),
    scopes: Type.Array(Type.String({ minLength: 1, maxLength: 256, pattern: '^[\\x21\\x23-\\x5b\\x5d-\\x7e]+$' }), {
      maxItems: 32,
      default: [],
      description: 'Asked for besides `openid`. Many providers give refresh tokens for `offline_access` only.',
    }),
    audience: Type.Optional(Type.String({ minLength: 1, maxLength: 1024, description: 'Parameter `audience`.' })),
    resources: Type.Array(Type.String({ minLength: 1, maxLength: 1024 }), {
      maxItems: 8,
      default: [],
      description: 'Parameters `resource` (RFC 8707): which services the access token is for.',
    }),
    parameters: Type.Record(Type.String({ pattern: '^[a-z_]{1,64}$' }), Type.String({ maxLength: 1024 }), {
      maxProperties: 16,
      default: {},
      description: 'More parameters of the authorization request, such as `prompt`.',
    }),
    pushedAuthorization: Type.Enum(['never', 'always'], {
      default: 'never',
      description: 'Whether the parameters are sent ahead (RFC 9126) instead of through the browser.',
    }),
    userinfo: Type.Enum(['omit', 'merge'], {
      default: 'omit',
      description: 'Whether claims of the userinfo endpoint are added, at login and at each refresh.',
    }),
    paths: Type.Array(Type.String(Path), {
      maxItems: 32,
      default: [],
      description: 'Prefixes of paths that only users of this provider may see. Other paths are for all providers.',
    }),
  },
  { ...strict, description: 'An OpenID provider.' },
);
export type ProviderConfig = Static<typeof Provider>;

export const OidcConfig = Type.Object(
  {
    providers: Type.Array(Provider, {
      minItems: 1,
      maxItems: 16,
      uniqueBy: ['name'],
      description: 'Where users log in. Of several, those of a path; else the user chooses.',
    }),
    keys: Type.Array(secretRef({ description: 'At least 32 characters, random.' }), {
      minItems: 1,
      maxItems: 8,
      description:
        'Keys of the cookies. The first seals, all open: put a new one first, and take the old one out when sessions have ended.',
    }),
    cookie: Type.Object(
      {
        name: Type.String({
          maxLength: 32,
          pattern: '^[A-Za-z0-9_-]+$',
          default: 'fw-session',
          description: 'Beginning of the names of cookies, behind `__Host-`.',
        }),
        transport: Type.Enum(['https', 'any'], {
          default: 'https',
          description: '`any`: also over plain HTTP, without `__Host-` and `Secure`. For development.',
        }),
      },
      { ...strict, default: {}, description: 'Cookies hold sessions, sealed by AES-256-GCM.' },
    ),
    base: Type.String({
      ...Path,
      default: '/oauth2',
      description:
        'Under it lie `/callback`, `/login`, `/logout` and `/backchannel-logout`. Must be a path of the rule that the policy acts on.',
    }),
    origin: Type.Optional(
      Type.String({
        maxLength: 255,
        pattern: '^https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?$',
        expected: 'an origin such as "https://shop.test"',
        description: 'How browsers see this site. Left out: the scheme and Host of the request.',
      }),
    ),
    withoutSession: Type.Enum(['login', 'absent'], {
      default: 'login',
      description:
        '`login`: pages are sent to the provider, everything else gets 401. `absent`: other methods of the policies are asked, or nobody is.',
    }),
    idle: durationField({ default: '1h', description: 'A session that was not used for so long is over.' }),
    max: durationField({ default: '24h', description: 'The longest session, from login on.' }),
    refreshAhead: durationField({
      default: '30s',
      description: 'How long before the access token runs out a new one is fetched with the refresh token.',
    }),
    clockTolerance: durationField({ default: '30s', description: 'By how much clocks of providers may differ.' }),
    timeout: durationField({ default: '5s', description: 'How long a provider may take to answer.' }),
    accessToken: Type.Enum(['drop', 'forward'], {
      default: 'drop',
      description: 'Whether upstreams get the access token, as `Authorization: Bearer`.',
    }),
    idToken: Type.Enum(['keep', 'drop'], {
      default: 'keep',
      description: 'Whether the ID token is kept in the cookie, for providers that want to see it at logout.',
    }),
    claimHeaders: Type.Array(Type.Object({ claim: ClaimPath, header: FieldName }, strict), {
      maxItems: 32,
      default: [],
      description: 'Claims that upstreams get as headers. Clients cannot send these headers.',
    }),
    consumer: Type.Optional(ClaimConsumer),
    logout: Type.Object(
      {
        returnTo: Type.String({ ...Path, default: '/', description: 'Where users come to afterwards.' }),
        provider: Type.Enum(['end', 'keep'], {
          default: 'end',
          description: 'Whether the session at the provider ends too (RP-Initiated Logout).',
        }),
        backChannel: Type.Enum(['refuse', 'accept'], {
          default: 'refuse',
          description:
            '`accept`: a provider that ends a session tells it to `/backchannel-logout` under `base` (Back-Channel Logout), and it ends here too.',
        }),
      },
      { ...strict, default: {} },
    ),
  },
  {
    ...strict,
    description: 'Users log in with OpenID Connect: authorization code, PKCE, sessions in encrypted cookies.',
  },
);
export type OidcConfig = Static<typeof OidcConfig>;

export const FAULTS = faultKinds({
  'oidc.login-needed': {
    blame: 'client',
    retry: 'never',
    status: 401,
    grpc: 16,
    title: 'A login is needed',
    advice: 'There is no session, or it is over. Pages are sent to the provider; what is not a page gets this answer.',
  },
  'oidc.state-unknown': {
    blame: 'client',
    retry: 'never',
    status: 400,
    grpc: 3,
    title: 'This login is not known, is over, or was used before',
    advice:
      'The browser came back without the cookie of a login that began within ten minutes, or a second time. Cookies may be blocked, or the Host differs from that of the login: see `origin`.',
  },
  'oidc.login-failed': {
    blame: 'dependency',
    retry: 'never',
    status: 400,
    grpc: 16,
    title: 'The login could not be completed',
    advice:
      'What the provider answered is not valid: issuer, nonce, signature, audience or times. The log names the check. See clockTolerance, clientId and the issuer.',
  },
  'oidc.denied': {
    blame: 'client',
    retry: 'never',
    status: 403,
    grpc: 7,
    title: 'The login was refused',
    advice: 'The user or the provider refused; the log names its error code.',
  },
  'oidc.provider-away': {
    blame: 'dependency',
    retry: 'never',
    status: 503,
    grpc: 14,
    title: 'The login is not possible at the moment',
    advice: 'The provider does not answer, or its configuration could not be read. The log names the cause.',
  },
  'oidc.insecure': {
    blame: 'gateway',
    retry: 'never',
    status: 400,
    grpc: 3,
    title: 'Logins need HTTPS',
    advice:
      'Session cookies are for HTTPS only. Behind a proxy that ends TLS, set `origin`; for development, `cookie.transport: any`.',
  },
  'oidc.logout-token': {
    blame: 'client',
    retry: 'never',
    status: 400,
    grpc: 3,
    title: 'This logout is not accepted',
    advice:
      'What came to the address for back-channel logouts is no logout token of a provider of this policy, was made for another client, is old, or was used before. The log names the check.',
  },
  'oidc.cross-site': {
    blame: 'client',
    retry: 'never',
    status: 403,
    grpc: 7,
    title: 'Another site may not log users out',
    advice: 'The request for the logout came from a page of another site.',
  },
  'oidc.session-too-large': {
    blame: 'gateway',
    retry: 'never',
    status: 500,
    grpc: 13,
    title: 'The login could not be completed',
    advice:
      'Tokens and claims are more than cookies hold. Ask for fewer scopes, set `idToken: drop`, or have the provider leave claims out.',
  },
});

export const oidc = declareFilter({
  name: 'oidc',
  phase: 'authenticate',
  config: OidcConfig,
  composition: 'narrows',
  decides: 'yes',
  faults: FAULTS,
  events: {
    login_begun: 'Browsers that were sent to a provider.',
    login_done: 'Logins that were completed.',
    login_failed: 'Logins that were not.',
    refreshed: 'Access tokens that were fetched anew.',
    refresh_failed: 'Those that could not be.',
    expired: 'Sessions that were over: idle, at their end, or ended by the provider.',
    cookie_refused: 'Cookies that could not be opened: forged, of another policy, or sealed with a key that is gone.',
    logout: 'Users who logged out.',
    logout_told: 'Logouts that providers told.',
    logout_refused: 'What came as such and was none.',
    claim_dropped: 'Claims that were not passed on: they are no header values.',
  },
  explain: ({ providers, idle, max, base }) => [
    `logs users in at ${providers.map(({ issuer }) => issuer).join(', ')}, under ${base}`,
    `sessions end after ${idle} without use, and after ${max}`,
  ],
  check: checkBeside<OidcConfig>(import.meta.url),
  load: async () => (await import('./filter.ts')).code,
});
