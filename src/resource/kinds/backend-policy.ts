import { duration, groupName, objectName, sectionName, size } from '../fields.ts';
import { type Static, Type } from '../../schema/schema.ts';
import { upstreamProtocol, UpstreamTLS } from './backend.ts';

const strict = { additionalProperties: false };

const count = (description: string) => Type.Optional(Type.Integer({ minimum: 1, maximum: 100, description }));

// Without defaults, because the short form and defineConfig have these fields too: compile/cluster.ts fills them in.
const HealthCheck = Type.Object(
  {
    type: Type.Enum(['grpc', 'http', 'tcp'], {
      description: 'A call of `grpc.health.v1`, a GET request, or a connection that can be made.',
    }),
    interval: Type.Optional(duration({ description: 'Pause between two questions to an endpoint. Default: 10s.' })),
    timeout: Type.Optional(duration({ description: 'How long an answer may take. Default: 2s.' })),
    unhealthyAfter: count('Failed checks in a row after which an endpoint gets no traffic. Default: 3.'),
    healthyAfter: count('Good checks in a row after which it gets traffic again. Default: 2.'),
    grpc: Type.Optional(
      Type.Object(
        {
          service: Type.Optional(
            Type.String({ maxLength: 1024, description: 'Service to ask for. Default: the server itself.' }),
          ),
        },
        { ...strict, description: 'With type grpc.' },
      ),
    ),
    http: Type.Optional(
      Type.Object(
        {
          path: Type.Optional(
            Type.String({
              minLength: 1,
              maxLength: 1024,
              pattern: '^/',
              expected: 'a path that begins with "/"',
              description: 'Path and query that are asked for. Default: "/".',
            }),
          ),
          statuses: Type.Optional(
            Type.Array(Type.Integer({ minimum: 200, maximum: 599 }), {
              minItems: 1,
              maxItems: 32,
              uniqueItems: true,
              description: 'Statuses of a healthy endpoint. Default: 200.',
            }),
          ),
        },
        { ...strict, description: 'With type http.' },
      ),
    ),
  },
  { ...strict, description: 'Ask endpoints whether they are well, and send traffic to those that are.' },
);
export type HealthCheck = Static<typeof HealthCheck>;

export const BackendPolicySpec = Type.Object(
  {
    targetRefs: Type.Array(
      Type.Object(
        {
          group: Type.Optional(groupName({ description: 'API group of the target. May be left out.' })),
          kind: Type.Enum(['Service', 'Backend'], { description: 'Kind of the target.' }),
          name: objectName({ description: 'Name of the target, in the same namespace.' }),
          sectionName: Type.Optional(sectionName({ description: 'Only this port of the Service, by name.' })),
        },
        strict,
      ),
      { minItems: 1, maxItems: 16, description: 'Services and Backends that this is for.' },
    ),
    connectTimeout: Type.Optional(duration({ description: 'Longest wait for a connection, with its TLS handshake.' })),
    idleTimeout: Type.Optional(
      duration({ description: 'Longest silence while waiting for, or inside, an answer. "0s" for none.' }),
    ),
    keepAlive: Type.Optional(duration({ description: 'How long an unused connection is kept open.' })),
    idleConnectionsMax: Type.Optional(
      Type.Integer({ minimum: 0, maximum: 100_000, description: 'Unused connections kept, per endpoint and worker.' }),
    ),
    connectionsMax: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 100_000, description: 'Open connections, per endpoint and worker.' }),
    ),
    queueMax: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 1_000_000,
        description: 'Requests that may wait for a connection, per endpoint and worker.',
      }),
    ),
    headerBytesMax: Type.Optional(size({ description: 'All header lines of an answer together.' })),
    connectRetries: Type.Optional(
      Type.Integer({
        minimum: 0,
        maximum: 16,
        description: 'Attempts to reach another endpoint after a connection could not be made at all.',
      }),
    ),
    retryBudgetPercent: Type.Optional(
      Type.Number({
        minimum: 0,
        maximum: 100,
        description: 'Share of requests that may be second attempts, over ten seconds.',
      }),
    ),
    proxyProtocol: Type.Optional(
      Type.Enum(['v1', 'v2', 'v2-crc32c'], {
        description:
          'Begin each connection with a header that names the client, for routes below HTTP. v2 also says the server name and TLS.',
      }),
    ),
    protocol: upstreamProtocol,
    http2: Type.Optional(
      Type.Object(
        {
          streamsMax: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 100_000,
              description: 'Requests at a time on one connection; the upstream may allow fewer.',
            }),
          ),
          pingInterval: Type.Optional(
            duration({
              description:
                'Silence of an upstream that owes an answer after which it is asked whether it is there (PING). "0s" for never.',
            }),
          ),
          pingTimeout: Type.Optional(duration({ description: 'How long it may take to say so.' })),
          windowBytes: Type.Optional(
            size({ description: 'How much of one answer may be on its way before it was passed on; 64Ki at least.' }),
          ),
        },
        { ...strict, description: 'Connections of HTTP/2.' },
      ),
    ),
    locality: Type.Optional(
      Type.Object(
        {
          prefer: Type.Optional(
            Type.Enum(['zone', 'region', 'none'], {
              description:
                'zone: endpoints in the zone of the proxy, then of its region, then all others. none: all are alike. Default: zone.',
            }),
          ),
          healthyPercentMin: Type.Optional(
            Type.Integer({
              minimum: 1,
              maximum: 100,
              description:
                'Share of the nearer endpoints that must be well. When fewer are, as much as they lack goes farther away. Default: 70.',
            }),
          ),
        },
        { ...strict, description: 'Which endpoints are preferred, where the proxy and they have zones.' },
      ),
    ),
    tls: Type.Optional(UpstreamTLS),
    healthCheck: Type.Optional(HealthCheck),
  },
  strict,
);
export type BackendPolicySpec = Static<typeof BackendPolicySpec>;
