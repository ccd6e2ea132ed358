import {
  backendObjectFields,
  BackendObjectReference,
  duration,
  headerName,
  headerValue,
  hostname,
  LocalObjectReference,
  parentRefs,
  PATH_CHARACTERS,
  portNumber,
  preciseHostname,
  sectionName,
  useDefaultGateways,
} from '../fields.ts';
import { type Static, Type } from '../../schema/schema.ts';

const strict = { additionalProperties: false };

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'] as const;

const PREFIX_ROOT = { type: 'PathPrefix', value: '/' };

const HTTPPathMatch = Type.Object(
  {
    type: Type.Enum(['Exact', 'PathPrefix', 'RegularExpression'], {
      default: 'PathPrefix',
      description: 'How the path is compared. A prefix matches whole segments: /shop takes /shop/1, not /shops.',
    }),
    value: Type.String({ maxLength: 1024, default: '/', description: 'Path, prefix or regular expression.' }),
  },
  strict,
);

/** The CRD keeps one entry per name (list type map); a second one with the same name is refused. */
export const HTTPHeaderMatch = Type.Object(
  {
    type: Type.Enum(['Exact', 'RegularExpression'], { default: 'Exact', description: 'How the value is compared.' }),
    name: headerName({ description: 'Name of the header, in any case.' }),
    value: headerValue({ description: 'Value, or regular expression.' }),
  },
  strict,
);

const HTTPQueryParamMatch = Type.Object(
  {
    type: Type.Enum(['Exact', 'RegularExpression'], { default: 'Exact', description: 'How the value is compared.' }),
    name: headerName({ description: 'Name of the query parameter; case counts.' }),
    value: Type.String({ minLength: 1, maxLength: 1024, description: 'Value, or regular expression.' }),
  },
  strict,
);

export const HTTPRouteMatch = Type.Object(
  {
    path: { ...HTTPPathMatch, default: PREFIX_ROOT },
    headers: Type.Array(HTTPHeaderMatch, {
      maxItems: 16,
      uniqueBy: ['name'],
      default: [],
      description: 'Headers that must all match.',
    }),
    queryParams: Type.Array(HTTPQueryParamMatch, {
      maxItems: 16,
      uniqueBy: ['name'],
      default: [],
      description: 'Query parameters that must all match.',
    }),
    method: Type.Optional(Type.Enum([...METHODS], { description: 'Method of the request.' })),
  },
  { ...strict, description: 'Conditions that must all hold.' },
);
export type HTTPRouteMatch = Static<typeof HTTPRouteMatch>;

const HTTPHeader = Type.Object(
  {
    name: headerName({ description: 'Name of the header, in any case.' }),
    value: headerValue({ description: 'Value of the header.' }),
  },
  strict,
);

const HTTPHeaderFilter = Type.Object(
  {
    set: Type.Array(HTTPHeader, {
      maxItems: 16,
      uniqueBy: ['name'],
      default: [],
      description: 'Headers to write over whatever is there.',
    }),
    add: Type.Array(HTTPHeader, {
      maxItems: 16,
      uniqueBy: ['name'],
      default: [],
      description: 'Headers to add; a value that is there is kept.',
    }),
    remove: Type.Array(headerName({ description: 'Name of the header, in any case.' }), {
      maxItems: 16,
      uniqueItems: true,
      default: [],
      description: 'Headers to take away.',
    }),
  },
  strict,
);
export type HTTPHeaderFilter = Static<typeof HTTPHeaderFilter>;

export const HTTPPathModifier = Type.Union([
  Type.Object(
    {
      type: Type.Literal('ReplaceFullPath', { description: 'Replace the whole path.' }),
      replaceFullPath: Type.String({ maxLength: 1024, description: 'The new path.' }),
    },
    strict,
  ),
  Type.Object(
    {
      type: Type.Literal('ReplacePrefixMatch', { description: 'Replace the prefix that matched.' }),
      replacePrefixMatch: Type.String({ maxLength: 1024, description: 'What stands in place of the matched prefix.' }),
    },
    strict,
  ),
]);
export type HTTPPathModifier = Static<typeof HTTPPathModifier>;

const HTTPRequestRedirectFilter = Type.Object(
  {
    scheme: Type.Optional(
      Type.Enum(['http', 'https'], { description: 'Scheme of the location. Default: that of the request.' }),
    ),
    hostname: Type.Optional(preciseHostname({ description: 'Host of the location. Default: that of the request.' })),
    path: Type.Optional(HTTPPathModifier),
    port: Type.Optional(
      portNumber({
        description:
          'Port of the location. Default: the well-known port of `scheme` if that is given, else the port of the listener.',
      }),
    ),
    statusCode: Type.Enum([301, 302, 303, 307, 308], { default: 302, description: 'Status of the answer.' }),
  },
  strict,
);
export type HTTPRequestRedirectFilter = Static<typeof HTTPRequestRedirectFilter>;

const HTTPURLRewriteFilter = Type.Object(
  {
    hostname: Type.Optional(preciseHostname({ description: 'Host that the backend sees.' })),
    path: Type.Optional(HTTPPathModifier),
  },
  strict,
);
export type HTTPURLRewriteFilter = Static<typeof HTTPURLRewriteFilter>;

const Fraction = Type.Object(
  {
    numerator: Type.Integer({
      minimum: 0,
      maximum: 2_147_483_647,
      description: 'Requests mirrored, out of `denominator`.',
    }),
    denominator: Type.Integer({
      minimum: 1,
      maximum: 2_147_483_647,
      default: 100,
      description: 'Out of how many requests.',
    }),
  },
  strict,
);

const HTTPRequestMirrorFilter = Type.Object(
  {
    backendRef: BackendObjectReference,
    percent: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 100, description: 'Share of the requests, in percent. Default: all.' }),
    ),
    fraction: Type.Optional(Fraction),
  },
  strict,
);
export type HTTPRequestMirrorFilter = Static<typeof HTTPRequestMirrorFilter>;

const HTTPCORSFilter = Type.Object(
  {
    allowOrigins: Type.Array(
      Type.String({
        minLength: 1,
        maxLength: 253,
        pattern: '^\\*$|^https?://(?:(?:\\*\\.)?(?:[a-zA-Z0-9-]+\\.)*[a-zA-Z0-9-]+|\\*)(?::[0-9]{1,5})?$',
        expected: 'an origin such as "https://shop.test", "https://*.shop.test" or "*"',
      }),
      { maxItems: 64, uniqueItems: true, default: [], description: 'Origins that may read answers, or `*` alone.' },
    ),
    allowCredentials: Type.Boolean({ default: false, description: 'Whether requests with credentials may be made.' }),
    allowMethods: Type.Array(Type.Enum([...METHODS, '*']), {
      maxItems: 9,
      uniqueItems: true,
      default: [],
      description: 'Methods that may be used, or `*` alone.',
    }),
    allowHeaders: Type.Array(headerName({ description: 'Name of a header, or `*`.' }), {
      maxItems: 64,
      uniqueItems: true,
      default: [],
      description: 'Request headers that may be sent, or `*` alone.',
    }),
    exposeHeaders: Type.Array(headerName({ description: 'Name of a header, or `*`.' }), {
      maxItems: 64,
      uniqueItems: true,
      default: [],
      description: 'Response headers that scripts may read.',
    }),
    maxAge: Type.Integer({
      minimum: 1,
      maximum: 2_147_483_647,
      default: 5,
      description: 'Seconds that a browser may keep the answer to a preflight.',
    }),
  },
  strict,
);
export type HTTPCORSFilter = Static<typeof HTTPCORSFilter>;

const allowedHeaders = Type.Array(Type.String(), {
  maxItems: 64,
  uniqueItems: true,
  default: [],
  description: 'Request headers that the authorization service sees.',
});

const externalAuthFields = {
  backendRef: BackendObjectReference,
  forwardBody: Type.Optional(
    Type.Object(
      {
        maxSize: Type.Integer({
          minimum: 0,
          maximum: 65_535,
          default: 0,
          description: 'Bytes of the body to send along; 0 for none.',
        }),
      },
      strict,
    ),
  ),
};

const HTTPExternalAuthFilter = Type.Union([
  Type.Object(
    {
      protocol: Type.Literal('HTTP', { description: 'The authorization service is asked by an HTTP request.' }),
      ...externalAuthFields,
      http: Type.Object(
        {
          path: Type.Optional(
            Type.String({
              maxLength: 1024,
              pattern: PATH_CHARACTERS,
              expected: 'a percent-encoded path',
              description: 'Prefix of the path that is asked for.',
            }),
          ),
          allowedHeaders,
          allowedResponseHeaders: Type.Array(Type.String(), {
            maxItems: 64,
            uniqueItems: true,
            default: [],
            description: 'Headers of its answer that are copied into the request.',
          }),
        },
        strict,
      ),
    },
    strict,
  ),
  Type.Object(
    {
      protocol: Type.Literal('GRPC', { description: 'The authorization service speaks ext_authz over gRPC.' }),
      ...externalAuthFields,
      grpc: Type.Object({ allowedHeaders }, strict),
    },
    strict,
  ),
]);

function filter<const T extends string, const F extends string, S extends Parameters<typeof Type.Optional>[0]>(
  type: T,
  field: F,
  config: S,
) {
  const literal = Type.Literal(type, { description: `The filter is in \`${field}\`.` });
  return Type.Object({ type: literal, [field]: config } as { type: typeof literal } & Record<F, S>, strict);
}

/** Filters that a GRPCRoute has, too. */
export const RequestHeaderModifier = filter('RequestHeaderModifier', 'requestHeaderModifier', HTTPHeaderFilter);
export const ResponseHeaderModifier = filter('ResponseHeaderModifier', 'responseHeaderModifier', HTTPHeaderFilter);
export const RequestMirror = filter('RequestMirror', 'requestMirror', HTTPRequestMirrorFilter);
export const ExtensionRef = filter('ExtensionRef', 'extensionRef', LocalObjectReference);

export const HTTPRouteFilter = Type.Union([
  RequestHeaderModifier,
  ResponseHeaderModifier,
  RequestMirror,
  filter('RequestRedirect', 'requestRedirect', HTTPRequestRedirectFilter),
  filter('URLRewrite', 'urlRewrite', HTTPURLRewriteFilter),
  filter('CORS', 'cors', HTTPCORSFilter),
  filter('ExternalAuth', 'externalAuth', HTTPExternalAuthFilter),
  ExtensionRef,
]);
export type HTTPRouteFilter = Static<typeof HTTPRouteFilter>;

const filters = Type.Array(HTTPRouteFilter, {
  maxItems: 16,
  default: [],
  description: 'What is done to requests and answers.',
});

/** What backendRefs of every kind of route have. */
export const backendRefFields = {
  ...backendObjectFields,
  weight: Type.Integer({
    minimum: 0,
    maximum: 1_000_000,
    default: 1,
    description: 'Share of the requests, relative to the sum of all weights of the rule.',
  }),
};

export const HTTPBackendRef = Type.Object({ ...backendRefFields, filters }, strict);
export type HTTPBackendRef = Static<typeof HTTPBackendRef>;

const HTTPRouteTimeouts = Type.Object(
  {
    request: Type.Optional(duration({ description: 'Whole exchange, as the client sees it. "0s" for none.' })),
    backendRequest: Type.Optional(duration({ description: 'One attempt at a backend. "0s" for none.' })),
  },
  strict,
);

const HTTPRouteRetry = Type.Object(
  {
    codes: Type.Array(Type.Integer({ minimum: 400, maximum: 599 }), {
      uniqueItems: true,
      maxItems: 200,
      default: [],
      description: 'Statuses of the backend that are tried again.',
    }),
    attempts: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 2_147_483_647, description: 'Attempts after the first. Default: 1.' }),
    ),
    backoff: Type.Optional(duration({ description: 'Least wait between two attempts.' })),
  },
  strict,
);

export const SessionPersistence = Type.Object(
  {
    sessionName: Type.Optional(Type.String({ maxLength: 128, description: 'Name of the cookie or header.' })),
    absoluteTimeout: Type.Optional(duration({ description: 'Longest life of a session.' })),
    type: Type.Enum(['Cookie', 'Header'], { default: 'Cookie', description: 'How the session is remembered.' }),
    cookieConfig: Type.Optional(
      Type.Object(
        {
          lifetimeType: Type.Enum(['Permanent', 'Session'], { default: 'Session', description: 'Life of the cookie.' }),
        },
        strict,
      ),
    ),
  },
  strict,
);
export type SessionPersistence = Static<typeof SessionPersistence>;

const DEFAULT_MATCHES = [{ path: PREFIX_ROOT }];

export const HTTPRouteRule = Type.Object(
  {
    name: Type.Optional(sectionName({ description: 'Name of the rule, unique in the route.' })),
    matches: Type.Array(HTTPRouteMatch, {
      maxItems: 64,
      default: DEFAULT_MATCHES,
      description: 'The rule takes a request that any of these matches.',
    }),
    filters,
    backendRefs: Type.Array(HTTPBackendRef, {
      maxItems: 16,
      default: [],
      description: 'Where requests go, by weight.',
    }),
    timeouts: Type.Optional(HTTPRouteTimeouts),
    retry: Type.Optional(HTTPRouteRetry),
    sessionPersistence: Type.Optional(SessionPersistence),
  },
  strict,
);
export type HTTPRouteRule = Static<typeof HTTPRouteRule>;

export const routeHostnames = Type.Array(hostname({ description: 'Host name, or `*.` and a host name.' }), {
  maxItems: 16,
  default: [],
  description: 'Hosts that the route serves. Empty: all hosts of its listeners.',
});

export const HTTPRouteSpec = Type.Object(
  {
    parentRefs,
    useDefaultGateways,
    hostnames: routeHostnames,
    rules: Type.Array(HTTPRouteRule, {
      minItems: 1,
      maxItems: 16,
      uniqueBy: ['name'],
      default: [{ matches: DEFAULT_MATCHES }],
      description: 'Rules, tried by precedence, not by order.',
    }),
  },
  strict,
);
export type HTTPRouteSpec = Static<typeof HTTPRouteSpec>;
