import { GRPC_CODE_NAMES, type GrpcCodeName } from '../../base/grpc-codes.ts';
import {
  CONNECTION_LIMITS,
  CONNECTION_TIMEOUTS,
  HALF_CLOSED_MS,
  TUNNEL_LIMITS,
  UDP_LIMITS,
} from '../../base/limits.ts';
import { FILTERS } from '../../filters/list.ts';
import { duration, groupName, headerName, objectName, sectionName, size } from '../fields.ts';
import { tlsPolicyFields } from './tls-policy-fields.ts';
import type { JsonSchema } from '../../schema/json-schema.ts';
import { type Static, type TSchema, Type } from '../../schema/schema.ts';

const strict = { additionalProperties: false };

const Limits = Type.Object(
  {
    requestLineBytesMax: Type.Optional(
      size({ description: `Longest request line; beyond it 414. Default: ${CONNECTION_LIMITS.requestLineBytesMax}.` }),
    ),
    headerBytesMax: Type.Optional(
      size({ description: `All header lines together; beyond it 431. Default: ${CONNECTION_LIMITS.headerBytesMax}.` }),
    ),
    headersMax: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 10_000,
        description: `Header lines; beyond it 431. Default: ${CONNECTION_LIMITS.headersMax}.`,
      }),
    ),
    bodyBytesMax: Type.Optional(
      size({
        description: `Longest request body, 0 for no bound; beyond it 413. Default: ${CONNECTION_LIMITS.bodyBytesMax}.`,
      }),
    ),
    trailerBytesMax: Type.Optional(
      size({ description: `All trailer lines together. Default: ${CONNECTION_LIMITS.trailerBytesMax}.` }),
    ),
    requestsPerConnectionMax: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000_000_000,
        description: `Requests before a connection is closed politely. Default: ${CONNECTION_LIMITS.requestsPerConnectionMax}.`,
      }),
    ),
    connectionsMax: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1_000_000,
        description: `Open connections of the port in one worker. Default: ${CONNECTION_LIMITS.connectionsMax}.`,
      }),
    ),
    streamsMax: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 10_000,
        description: `Requests that one HTTP/2 connection may have open at a time. Default: ${CONNECTION_LIMITS.streamsMax}.`,
      }),
    ),
    windowBytes: Type.Optional(
      size({
        description: `Bytes of one request body over HTTP/2 that may wait for a slow upstream, at least 65535. Default: ${CONNECTION_LIMITS.windowBytes}.`,
      }),
    ),
    connectionWindowBytes: Type.Optional(
      size({
        description: `The same for all requests of one HTTP/2 connection together; twice as many are held at most. Default: ${CONNECTION_LIMITS.connectionWindowBytes}.`,
      }),
    ),
  },
  { ...strict, description: 'Limits of the port of the listener.' },
);

function timeout(what: string, ms: number) {
  return Type.Optional(duration({ description: `${what} "0s" for none. Default: ${ms} ms.` }));
}

const Timeouts = Type.Object(
  {
    handshake: timeout('TLS handshake.', CONNECTION_TIMEOUTS.handshakeMs),
    head: timeout('From the first byte of a request head to its last.', CONNECTION_TIMEOUTS.headMs),
    bodyIdle: timeout('Longest silence inside a request body.', CONNECTION_TIMEOUTS.bodyIdleMs),
    keepAlive: timeout('Between two requests.', CONNECTION_TIMEOUTS.keepAliveMs),
    exchange: timeout('From the head of the request to the end of the answer.', CONNECTION_TIMEOUTS.exchangeMs),
    writeIdle: timeout('Longest time that a client may refuse to read.', CONNECTION_TIMEOUTS.writeIdleMs),
    linger: timeout('After the last answer, waiting for the client to close.', CONNECTION_TIMEOUTS.lingerMs),
    ping: timeout(
      'Silence of an HTTP/2 client with requests open, until a PING asks whether it is still there.',
      CONNECTION_TIMEOUTS.pingMs,
    ),
  },
  { ...strict, description: 'Timeouts of the port of the listener, one for each state of a connection.' },
);

function choice<const T extends string>(values: readonly T[], description: string) {
  return Type.Optional(Type.Enum([...values], { description }));
}

const Path = Type.Object(
  {
    dotSegments: choice(['resolve', 'refuse'], '`.` and `..` segments, also as `%2e`.'),
    encodedSlash: choice(['keep', 'decode', 'refuse'], '`%2f` and `%5c`. `keep`: never a separator.'),
    emptySegments: choice(['keep', 'merge', 'refuse'], '`//`.'),
    backslash: choice(['refuse', 'slash'], 'A raw backslash, which some servers read as a slash.'),
    parameters: choice(['keep', 'refuse'], '`;name=value`, which some servers strip before they look at the path.'),
    invalidUtf8: choice(['refuse', 'keep'], 'Percent-encoded bytes that are not UTF-8, and `%00`.'),
  },
  { ...strict, description: 'What is done to a path before it is routed; the result is also what is forwarded.' },
);

const AccessLog = Type.Object(
  {
    enabled: Type.Optional(Type.Boolean({ description: 'Whether there is an access log.' })),
    linesPerSecond: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 1_000_000,
        description: 'Lines per second and worker that are always written.',
      }),
    ),
    samplePercent: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 100,
        description: 'Share of the requests beyond that which is still written.',
      }),
    ),
    headers: Type.Optional(
      Type.Array(headerName({ description: 'Name of a header.' }), {
        maxItems: 32,
        description: 'Request headers to write.',
      }),
    ),
    query: choice(['omit', 'keep'], 'Query strings hold tokens too often: left out unless asked for.'),
  },
  { ...strict, description: 'What the access log says.' },
);

const ProxyProtocol = Type.Object(
  {
    mode: Type.Enum(['off', 'optional', 'required'], {
      description: 'Whether connections may, or must, begin with a header of the PROXY protocol (version 1 or 2).',
    }),
    trustedPeers: Type.Array(Type.String({ minLength: 1, maxLength: 64, expected: 'a range such as "10.0.0.0/8"' }), {
      maxItems: 64,
      default: [],
      description: 'Addresses that may send one. Others are closed when they do. Empty: nobody.',
    }),
  },
  { ...strict, description: 'What a proxy in front says of the client. Belongs to the port of the listener.' },
);
export type PolicyProxyProtocol = Static<typeof ProxyProtocol>;

/** Settings of a listener. Every field is optional: what is absent keeps the value of a farther target, or the default. */
export const ListenerSettings = Type.Object(
  {
    limits: Type.Optional(Limits),
    timeouts: Type.Optional(Timeouts),
    path: Type.Optional(Path),
    trustedHops: Type.Optional(
      Type.Object(
        {
          count: Type.Integer({
            minimum: 0,
            maximum: 16,
            description: 'Proxies in front that may speak for a client; 0 trusts nobody.',
          }),
          cidrs: Type.Array(Type.String({ minLength: 1, maxLength: 64, expected: 'a range such as "10.0.0.0/8"' }), {
            maxItems: 64,
            default: [],
            description: 'Their addresses. Empty: any peer.',
          }),
        },
        { ...strict, description: 'Which peers are believed in X-Forwarded-* and Forwarded.' },
      ),
    ),
    serverHeader: choice(['keep', 'remove', 'replace'], 'Server header of the backend; `replace` writes `fourways`.'),
    forwarded: Type.Optional(Type.Boolean({ description: 'Also write Forwarded (RFC 7239).' })),
    via: Type.Optional(Type.Boolean({ description: 'Write Via (RFC 9110 section 7.6.3).' })),
    underscoreNames: choice(
      ['keep', 'remove', 'refuse'],
      'Header names with an underscore, which CGI reads as a hyphen.',
    ),
    clientCertificate: choice(
      ['none', 'client-cert', 'xfcc'],
      'How the verified certificate of a client is passed on: Client-Cert (RFC 9440) or X-Forwarded-Client-Cert. Neither is ever taken from a client.',
    ),
    http: Type.Optional(
      Type.Object(
        {
          versions: Type.Optional(
            Type.Array(Type.Enum(['h2', 'http/1.1']), {
              minItems: 1,
              maxItems: 2,
              uniqueItems: true,
              description:
                'What clients may speak, the favourite first. On TLS listeners offered by ALPN in this order.',
            }),
          ),
        },
        { ...strict, description: 'Versions of HTTP.' },
      ),
    ),
    grpcHealth: Type.Optional(
      Type.Boolean({
        description: 'Answer `grpc.health.v1` for the listener and the services of its GRPCRoutes. Default: false.',
      }),
    ),
    accessLog: Type.Optional(AccessLog),
    proxyProtocol: Type.Optional(ProxyProtocol),
    udp: Type.Optional(
      Type.Object(
        {
          idleTimeout: Type.Optional(
            duration({
              description: `No datagram either way for this long ends a session. Default: ${UDP_LIMITS.idleMs} ms.`,
            }),
          ),
          sessionsMax: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 1_000_000,
              description: `Sessions of one worker; beyond it datagrams of new clients are dropped. Default: ${UDP_LIMITS.sessionsMax}.`,
            }),
          ),
        },
        { ...strict, description: 'Sessions of UDP listeners.' },
      ),
    ),
    tls: Type.Optional(Type.Object(tlsPolicyFields, { ...strict, description: 'TLS on the way in.' })),
  },
  { ...strict, description: 'Settings of the listeners of a Gateway or ListenerSet.' },
);
export type ListenerSettings = Static<typeof ListenerSettings>;

/**
 * A default for the whole configuration would add the filter to every policy;
 * `cors:` with nothing behind it asks for the filter with its defaults.
 */
function filterFields(): Record<string, TSchema> {
  return Object.fromEntries(
    FILTERS.map(({ name, config }) => {
      const { default: _, ...schema } = config as JsonSchema;
      return [name, Type.Optional({ ...schema, onNull: {} })];
    }),
  );
}

/** Filters by name with their configuration: the schema of each is in `filters/`. */
const Filters = Type.Object(filterFields(), {
  ...strict,
  description: 'Filters by name, each with its configuration.',
});

const Grpc = Type.Object(
  {
    timeout: Type.Optional(
      duration({
        description: 'Longest call, whatever grpc-timeout of the client says. "0s" for none. Default: none.',
      }),
    ),
    requestMessageBytesMax: Type.Optional(
      size({ description: 'Longest message of a request; beyond it RESOURCE_EXHAUSTED. 0 for no bound, the default.' }),
    ),
    answerMessageBytesMax: Type.Optional(
      size({ description: 'Longest message of an answer; beyond it RESOURCE_EXHAUSTED. 0 for no bound, the default.' }),
    ),
    retry: Type.Optional(
      Type.Object(
        {
          attempts: Type.Optional(
            Type.Integer({ minimum: 1, maximum: 16, description: 'Attempts after the first. Default: 1.' }),
          ),
          codes: Type.Array(
            Type.Enum(GRPC_CODE_NAMES.filter((name) => name !== 'OK') as Exclude<GrpcCodeName, 'OK'>[]),
            {
              minItems: 1,
              maxItems: 16,
              uniqueItems: true,
              default: ['UNAVAILABLE'],
              description: 'Statuses that are tried again, where no message of an answer has come.',
            },
          ),
          backoff: Type.Optional(duration({ description: 'Least wait between two attempts. Default: 25ms.' })),
        },
        { ...strict, description: 'When a call is sent again.' },
      ),
    ),
  },
  { ...strict, description: 'Settings of the calls of a GRPCRoute.' },
);

export const PolicyTargetRef = Type.Object(
  {
    group: Type.Optional(groupName({ description: 'API group of the target. May be left out.' })),
    kind: Type.Enum(['Gateway', 'ListenerSet', 'HTTPRoute', 'GRPCRoute', 'TCPRoute', 'TLSRoute', 'Service'], {
      description: 'Kind of the target.',
    }),
    name: objectName({ description: 'Name of the target, in the same namespace.' }),
    sectionName: Type.Optional(
      sectionName({ description: 'Only this listener of a Gateway, rule of a route, or port of a Service.' }),
    ),
  },
  strict,
);
export type PolicyTargetRef = Static<typeof PolicyTargetRef>;

const Tunnel = Type.Object(
  {
    idle: timeout('No byte either way.', TUNNEL_LIMITS.idleMs),
    max: timeout('From the begin of the tunnel, whatever happens in it.', TUNNEL_LIMITS.maxMs),
    halfClosed: timeout('No byte from one side after the other has ended.', HALF_CLOSED_MS),
  },
  {
    ...strict,
    description:
      'How long tunnels (WebSockets and other switched protocols, connections of TCPRoutes and TLSRoutes) may last. On a Gateway, a ListenerSet or a listener for all that pass there, on a route or a rule for its own.',
  },
);

const Authentication = Type.Object(
  {
    require: Type.Enum(['all', 'any'], {
      default: 'all',
      description:
        '`all`: each of the authenticating filters of this policy must be content. `any`: one is enough, tried in running order; credentials of several are no mistake.',
    }),
    anonymous: Type.Optional(
      Type.Object(
        {
          consumer: objectName({ description: 'Name of the consumer.', default: 'anonymous' }),
          groups: Type.Array(Type.String({ minLength: 1, maxLength: 253 }), {
            maxItems: 64,
            default: [],
            description: 'Groups of the consumer.',
          }),
          labels: Type.Record(Type.String({ pattern: '^.{1,253}$' }), Type.String({ maxLength: 253 }), {
            maxProperties: 64,
            default: {},
            description: 'Labels of the consumer.',
          }),
        },
        {
          ...strict,
          onNull: {},
          description:
            'Who a request without any credentials is. Credentials that are not good are refused all the same. Implies `require: any`.',
        },
      ),
    ),
  },
  { ...strict, description: 'How the authenticating filters of this policy act together.' },
);

export const PolicySpec = Type.Object(
  {
    targetRefs: Type.Array(PolicyTargetRef, { minItems: 1, maxItems: 16, description: 'What the policy is for.' }),
    mode: choice(
      ['enforce', 'audit'],
      '`audit`: filters decide, what they decide is logged and counted, and every request goes on. Only for filters that decide. Default: `enforce`.',
    ),
    filters: Type.Optional(Filters),
    authentication: Type.Optional(Authentication),
    listener: Type.Optional(ListenerSettings),
    grpc: Type.Optional(Grpc),
    tunnel: Type.Optional(Tunnel),
  },
  strict,
);
export type PolicySpec = Omit<Static<typeof PolicySpec>, 'filters'> & {
  /** Checked configurations by filter name, defaults filled in. */
  readonly filters?: Readonly<Record<string, unknown>>;
  /**
   * Filters that a policy with mistakes asks for, where no version of it can be obeyed: they could be what keeps
   * requests out, so the rules they are for answer 500 until they are right.
   */
  readonly refusedFilters?: readonly string[];
};
