/**
 * The short form: one file for small setups. Everything in it expands to Gateway
 * API resources (expand.ts), so this schema has words, not new meanings. The
 * same schema types `defineConfig` (main/config.ts), and therefore has no
 * defaults: what may be left out is `Type.Optional`.
 */
import { duration, headerName, HOSTNAME_PATTERN, portNumber } from '../../resource/fields.ts';
import { BackendPolicySpec } from '../../resource/kinds/backend-policy.ts';
import { ListenerSettings, PolicySpec } from '../../resource/kinds/policy.ts';
import { type Static, type TSchema, Type } from '../../schema/schema.ts';

const strict = { additionalProperties: false };

/** Becomes the name of a resource. */
const NAME = '[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?';
const NAME_WORDS = 'a name of at most 63 lower-case letters, digits and "-"';

function nameText(description: string): ReturnType<typeof Type.String> {
  return Type.String({ pattern: `^${NAME}$`, expected: NAME_WORDS, description });
}

const NameKey = Type.String({ pattern: `^${NAME}$` });

const Address = Type.String({
  pattern: '^(?:https?|tcp|tls|udp)://[^\\s]+$',
  expected: 'an address such as "http://127.0.0.1:3000"',
});

const FilePath = Type.String({ minLength: 1, maxLength: 4096, expected: 'the path of a PEM file' });

const Certificate = Type.Object(
  {
    cert: { ...FilePath, description: 'PEM file with the certificate chain, relative to this file.' },
    key: { ...FilePath, description: 'PEM file with its private key.' },
  },
  strict,
);

const listenPort = portNumber({ description: 'Port.' });

const listenText = Type.String({
  pattern: '^(?:(?:\\[[0-9a-fA-F:.]+\\]|[0-9.]*):)?[0-9]{1,5}$',
  expected: 'a port such as 8080, or an address such as "127.0.0.1:8080"',
});

const Host = Type.String({
  pattern: HOSTNAME_PATTERN,
  maxLength: 253,
  expected: 'a lower-case host name such as "shop.test" or "*.shop.test"',
});

const Hosts = Type.Union([Host, Type.Array(Host, { minItems: 1, maxItems: 16, uniqueItems: true })], {
  expected: 'a host name such as "shop.test", or a list of them',
});

const ListenObject = Type.Object(
  {
    port: listenPort,
    address: Type.Optional(
      Type.String({ minLength: 1, maxLength: 64, description: 'IP address to bind. Default: that of `--bind`.' }),
    ),
    hostname: Type.Optional({ ...Hosts, description: 'Hosts that are served. Default: every host.' }),
    name: Type.Optional(nameText('Name of the listener. Default: made from protocol, port and host.')),
    protocol: Type.Optional(
      Type.Enum(['tcp', 'tls', 'udp'], {
        description: 'What is below HTTP; TLS is passed on unread, or with `tls` ends here. Default: HTTP.',
      }),
    ),
    tls: Type.Optional(
      Type.Union([Certificate, Type.Array(Certificate, { minItems: 1, maxItems: 64 })], {
        expected: 'an object with "cert" and "key", or a list of them',
        description: 'Serve HTTPS with this certificate; several for several hosts or key types.',
      }),
    ),
    redirect: Type.Optional(
      Type.Literal('https', { description: 'Send every request to HTTPS instead of serving routes.' }),
    ),
  },
  strict,
);
export type ListenObject = Static<typeof ListenObject>;

const listenWords = 'a port, an address such as "127.0.0.1:8080", or an object with "port"';

const Listen = Type.Union(
  [
    listenPort,
    listenText,
    ListenObject,
    Type.Array(Type.Union([listenPort, listenText, ListenObject], { expected: listenWords }), {
      minItems: 1,
      maxItems: 64,
    }),
  ],
  { expected: `${listenWords}, or a list of them`, description: 'Where to listen. Default: 8080.' },
);

const weight = Type.Integer({ minimum: 0, maximum: 1_000_000, description: 'Share of the requests. Default: 1.' });

const endpointWords = 'an address such as "http://127.0.0.1:3000", or an object with "url" and "weight"';

const Endpoint = Type.Union([Address, Type.Object({ url: Address, weight: Type.Optional(weight) }, strict)], {
  expected: endpointWords,
});
export type Endpoint = Static<typeof Endpoint>;

const Endpoints = Type.Array(Endpoint, { minItems: 1, maxItems: 1000 });

const ServiceTLS = Type.Object(
  {
    ca: Type.Optional({
      ...FilePath,
      description: 'PEM file of the authority that must have signed. Default: the roots of the system.',
    }),
    serverName: Type.Optional({
      ...Host,
      description: 'Name that the certificate must carry. Default: the host of the address.',
    }),
    cert: Type.Optional({ ...FilePath, description: 'PEM file with our own certificate, for services that ask.' }),
    key: Type.Optional({ ...FilePath, description: 'PEM file with the private key of `cert`.' }),
  },
  { ...strict, description: 'How https:// addresses are verified.' },
);
export type ServiceTLS = Static<typeof ServiceTLS>;

// The settings of a BackendPolicy but for what the short form says in its own way.
const { targetRefs: _targetRefs, tls: _tls, protocol, ...serviceSettings } = BackendPolicySpec.properties;

/** Names of the settings that a service passes on to its BackendPolicy. */
export const SERVICE_SETTINGS: readonly string[] = Object.keys(serviceSettings);

const ServiceObject = Type.Object(
  {
    url: Type.Optional({ ...Address, description: 'Address of the only endpoint.' }),
    urls: Type.Optional({ ...Endpoints, description: 'Addresses of several endpoints.' }),
    protocol,
    tls: Type.Optional(ServiceTLS),
    ...serviceSettings,
  },
  strict,
);
export type ServiceObject = Static<typeof ServiceObject>;

const Service = Type.Union([Address, Endpoints, ServiceObject], {
  expected: 'an address such as "http://127.0.0.1:3000", a list of them, or an object with "url" or "urls"',
});
export type Service = Static<typeof Service>;

const Text = Type.Union(
  [
    Type.String({ minLength: 1, maxLength: 4096 }),
    Type.Object({ regex: Type.String({ minLength: 1, maxLength: 1024 }) }, strict),
  ],
  { expected: 'text, or an object with "regex"' },
);

const Method = Type.Enum(['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH']);

const MatchObject = Type.Object(
  {
    path: Type.Optional(Type.String({ maxLength: 1024, description: 'This path and every path below it.' })),
    exact: Type.Optional(Type.String({ maxLength: 1024, description: 'Exactly this path.' })),
    regex: Type.Optional(Type.String({ maxLength: 1024, description: 'Paths that this regular expression takes.' })),
    host: Type.Optional({ ...Hosts, description: 'Host of the request. Default: every host that is listened for.' }),
    method: Type.Optional(
      Type.Union([Method, Type.Array(Method, { minItems: 1, maxItems: 9, uniqueItems: true })], {
        expected: 'a method such as "GET", or a list of them',
        description: 'Method of the request.',
      }),
    ),
    headers: Type.Optional(
      Type.Record(Type.String(), Text, { maxProperties: 16, description: 'Headers that must be there, by name.' }),
    ),
    query: Type.Optional(
      Type.Record(Type.String(), Text, { maxProperties: 16, description: 'Query parameters that must be there.' }),
    ),
  },
  strict,
);
export type MatchObject = Static<typeof MatchObject>;

const MatchText = Type.String({
  minLength: 1,
  maxLength: 1400,
  expected: 'a path such as "/users"',
  description: 'A path with all below it, with a method or a host before it if wanted: "GET shop.test/users".',
});

const matchWords = 'a path such as "/users", or an object with "path", "host", "method" …';

const Match = Type.Union([MatchText, MatchObject], { expected: matchWords });
export type Match = Static<typeof Match>;

const Matches = Type.Union([MatchText, MatchObject, Type.Array(Match, { minItems: 1, maxItems: 64 })], {
  expected: `${matchWords}, or a list of them`,
  description: 'Requests that the route takes. Default: all.',
});

const callsWords = 'calls such as "shop.v1.Cart/Add", "shop.v1.Cart" or "*"';

const Calls = Type.String({
  pattern: '^(?:\\*|[A-Za-z_.][A-Za-z0-9_.]*(?:/[A-Za-z_][A-Za-z0-9_]*)?)$',
  maxLength: 1024,
  expected: callsWords,
  description: 'A service with or without a method, or "*" for all.',
});

const GrpcMatch = Type.Union(
  [
    Calls,
    Type.Object(
      {
        calls: Type.Optional(Calls),
        host: Type.Optional({ ...Hosts, description: 'Host of the call. Default: every host that is listened for.' }),
        headers: Type.Optional(
          Type.Record(Type.String(), Text, { maxProperties: 16, description: 'Metadata that must be there, by name.' }),
        ),
      },
      strict,
    ),
  ],
  { expected: `${callsWords}, or an object with "calls", "host", "headers"` },
);
export type GrpcMatch = Static<typeof GrpcMatch>;

const portsWords = 'a port such as 5432, or a list of them';

const Ports = Type.Union([listenPort, Type.Array(listenPort, { minItems: 1, maxItems: 64, uniqueItems: true })], {
  expected: portsWords,
});

const serverNameWords = 'a server name such as "shop.test", "*" for all, or a list of names';

const ServerNames = Type.Union(
  [Type.Literal('*'), Host, Type.Array(Host, { minItems: 1, maxItems: 16, uniqueItems: true })],
  { expected: serverNameWords },
);

const targetWords = 'the name of a service, or an address such as "http://127.0.0.1:3000"';

const Target = Type.String({ minLength: 1, maxLength: 2048, expected: targetWords });

const WeightedTarget = Type.Object({ to: Target, weight: Type.Optional(weight) }, strict);
export type WeightedTarget = Static<typeof WeightedTarget>;

const To = Type.Union(
  [
    Target,
    Type.Array(
      Type.Union([Target, WeightedTarget], { expected: `${targetWords}, or an object with "to" and "weight"` }),
      { minItems: 1, maxItems: 16 },
    ),
  ],
  { expected: `${targetWords}, or a list of them`, description: 'Where requests go; several share them by weight.' },
);

const Redirect = Type.Union(
  [
    Type.String({
      minLength: 1,
      maxLength: 2048,
      description: '`https` for the same address over HTTPS, a path, or a whole address.',
    }),
    Type.Object(
      {
        scheme: Type.Optional(Type.Enum(['http', 'https'])),
        host: Type.Optional(Host),
        port: Type.Optional(portNumber({ description: 'Port of the new address.' })),
        path: Type.Optional(Type.String({ maxLength: 1024, description: 'The new path.' })),
        prefix: Type.Optional(Type.String({ maxLength: 1024, description: 'What stands for the matched prefix.' })),
        status: Type.Optional(Type.Enum([301, 302, 303, 307, 308], { description: 'Default: 302.' })),
      },
      strict,
    ),
  ],
  { expected: '"https", a path, an address, or an object', description: 'Answer with a redirect.' },
);
export type Redirect = Static<typeof Redirect>;

const Rewrite = Type.Union(
  [
    Type.String({ maxLength: 1024, description: 'What stands for the matched path: "/" takes the prefix away.' }),
    Type.Object(
      {
        host: Type.Optional({ ...Host, description: 'Host that the service sees.' }),
        path: Type.Optional(Type.String({ maxLength: 1024, description: 'The new path.' })),
        prefix: Type.Optional(Type.String({ maxLength: 1024, description: 'What stands for the matched prefix.' })),
      },
      strict,
    ),
  ],
  { expected: 'a path, or an object with "host", "path" or "prefix"', description: 'Change path or host on the way.' },
);
export type Rewrite = Static<typeof Rewrite>;

const HeaderValues = Type.Record(Type.String(), Type.String({ maxLength: 4096 }), { maxProperties: 16 });

const HeaderChanges = Type.Object(
  {
    set: Type.Optional({ ...HeaderValues, description: 'Headers to write over whatever is there, by name.' }),
    add: Type.Optional({ ...HeaderValues, description: 'Headers to add, by name.' }),
    remove: Type.Optional(
      Type.Array(headerName({ description: 'Name of a header.' }), {
        maxItems: 16,
        description: 'Headers to take away.',
      }),
    ),
  },
  strict,
);
export type HeaderChanges = Static<typeof HeaderChanges>;

const Origins = Type.Array(Type.String({ minLength: 1, maxLength: 253 }), { minItems: 1, maxItems: 64 });

const Cors = Type.Union(
  [
    Type.Boolean({ description: 'true: scripts of any origin may call.' }),
    Type.String({ minLength: 1, maxLength: 253, description: 'The origin whose scripts may call.' }),
    Origins,
    Type.Object(
      {
        origins: Type.Optional(Origins),
        methods: Type.Optional(Type.Array(Type.String(), { maxItems: 9 })),
        headers: Type.Optional(Type.Array(Type.String(), { maxItems: 64 })),
        expose: Type.Optional(Type.Array(Type.String(), { maxItems: 64 })),
        credentials: Type.Optional(Type.Boolean()),
        maxAge: Type.Optional(duration({ description: 'How long a browser may keep the answer to a preflight.' })),
      },
      strict,
    ),
  ],
  { expected: 'true, an origin, a list of origins, or an object', description: 'Let scripts of other origins call.' },
);
export type Cors = Static<typeof Cors>;

const Mirror = Type.Union([
  Target,
  Type.Object({ to: Target, percent: Type.Optional(Type.Integer({ minimum: 0, maximum: 100 })) }, strict),
]);

const Respond = Type.Union(
  [
    Type.Integer({ minimum: 200, maximum: 599, description: 'Status without a body.' }),
    Type.String({ maxLength: 65_536, description: 'Body of a 200, as plain text.' }),
    Type.Object(
      {
        status: Type.Optional(Type.Integer({ minimum: 200, maximum: 599, description: 'Default: 200.' })),
        body: Type.Optional(Type.String({ maxLength: 65_536 })),
        type: Type.Optional(Type.String({ maxLength: 256, description: 'Content-Type of the body.' })),
        headers: Type.Optional(HeaderValues),
      },
      strict,
    ),
  ],
  { expected: 'a status, a text, or an object with "status" and "body"', description: 'Answer without a service.' },
);
export type Respond = Static<typeof Respond>;

const { filters } = PolicySpec.properties;

const PolicyUse = Type.Union([nameText('Name of a policy under `policies`.'), filters], {
  expected: 'the name of a policy, or filters by name',
});

const policyUses = Type.Array(PolicyUse, { maxItems: 16 });

const timeoutWords = 'a duration such as "5s", or an object with "request" and "backend"';

const Route = Type.Object(
  {
    name: Type.Optional(nameText('Name of the route, in logs and metrics. Default: made from its match.')),
    match: Type.Optional(Matches),
    grpc: Type.Optional(
      Type.Union([GrpcMatch, Type.Array(GrpcMatch, { minItems: 1, maxItems: 64 })], {
        expected: `${callsWords}, an object, or a list of them`,
        description: 'Calls of gRPC that the route takes, instead of `match`.',
      }),
    ),
    tcp: Type.Optional({
      ...Ports,
      description: 'Connections to these ports, whatever they carry, instead of `match`.',
    }),
    tls: Type.Optional({
      ...ServerNames,
      description: 'TLS connections for these server names, whatever they carry, instead of `match`.',
    }),
    udp: Type.Optional({ ...Ports, description: 'Datagrams to these ports, instead of `match`.' }),
    to: Type.Optional(To),
    redirect: Type.Optional(Redirect),
    respond: Type.Optional(Respond),
    rewrite: Type.Optional(Rewrite),
    headers: Type.Optional(
      Type.Object(
        { request: Type.Optional(HeaderChanges), response: Type.Optional(HeaderChanges) },
        { ...strict, description: 'Headers to set, add and remove.' },
      ),
    ),
    cors: Type.Optional(Cors),
    timeout: Type.Optional(
      Type.Union(
        [
          duration({ description: 'Whole request.' }),
          Type.Object(
            {
              request: Type.Optional(duration({ description: 'Whole request, as the client sees it.' })),
              backend: Type.Optional(duration({ description: 'One attempt at a service.' })),
            },
            strict,
          ),
        ],
        { expected: timeoutWords, description: 'How long a request may take.' },
      ),
    ),
    retry: Type.Optional(
      Type.Union(
        [
          Type.Integer({ minimum: 1, maximum: 16, description: 'Attempts after the first.' }),
          Type.Object(
            {
              attempts: Type.Optional(Type.Integer({ minimum: 1, maximum: 16 })),
              backoff: Type.Optional(duration({ description: 'Shortest wait before the next attempt.' })),
              codes: Type.Optional(Type.Array(Type.Integer({ minimum: 400, maximum: 599 }), { maxItems: 16 })),
            },
            strict,
          ),
        ],
        { expected: 'a number of attempts, or an object', description: 'Try again what failed.' },
      ),
    ),
    mirror: Type.Optional(
      Type.Union([Mirror, Type.Array(Mirror, { minItems: 1, maxItems: 8 })], {
        expected: `${targetWords}, an object with "to" and "percent", or a list of them`,
        description: 'Send a copy of each request there; its answer is thrown away.',
      }),
    ),
    policies: Type.Optional({ ...policyUses, description: 'Policies for this route, by name or written out.' }),
  },
  strict,
);
export type Route = Static<typeof Route>;

const Services = Type.Record(NameKey, Service, {
  maxProperties: 5_000,
  expected: NAME_WORDS,
  description: 'Upstreams by name.',
});

const Routes = Type.Array(Route, {
  maxItems: 10_000,
  description: 'Which requests go where. The most specific match wins; of equals, the first.',
});

const NamedPolicies = Type.Record(NameKey, filters, {
  maxProperties: 1_000,
  expected: NAME_WORDS,
  description: 'Filters by the name that routes use.',
});

export const ShortForm = Type.Object(
  {
    listen: Type.Optional(Listen),
    services: Type.Optional(Services),
    routes: Type.Optional(Routes),
    policies: Type.Optional(NamedPolicies),
    everywhere: Type.Optional({ ...policyUses, description: 'Policies for every route, by name or written out.' }),
    settings: Type.Optional(ListenerSettings),
    resources: Type.Optional(
      Type.Array(Type.Unknown(), { maxItems: 10_000, description: 'Gateway API resources, as in manifests.' }),
    ),
  },
  strict,
);
export type ShortForm = Static<typeof ShortForm>;

/** The schema in parts, because a wrong part leaves the others. */
export const PARTS = {
  listen: Listen,
  service: Service,
  route: Route,
  policy: filters,
  everywhere: policyUses,
  settings: ListenerSettings,
  resource: Type.Unknown(),
  record: Type.Record(Type.String(), Type.Unknown(), { maxProperties: 5_000 }),
  list: Type.Array(Type.Unknown(), { maxItems: 10_000 }),
} as const satisfies Record<string, TSchema>;

const NAME_PATTERN = new RegExp(`^${NAME}$`);

/** What is wrong with the name of a service or policy. */
export function wrongName(name: string): string | undefined {
  if (NAME_PATTERN.test(name)) return undefined;
  const better = name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1-$2')
    .replaceAll(/[^A-Za-z0-9]+/g, '-')
    .toLowerCase();
  const hint = NAME_PATTERN.test(better) ? `: "${better}" would do` : '';
  return `Expected ${NAME_WORDS}, got ${JSON.stringify(name)}${hint}`;
}
