/**
 * What holds where nobody said anything. The limits and timeouts of ports are
 * in base/limits.ts. Every value here is named in docs/reference/defaults.md.
 */
import { TUNNEL_LIMITS } from '../base/limits.ts';
import type {
  HttpVersion,
  PlanClusterSettings,
  PlanGrpc,
  PlanHealthPace,
  PlanListenerSettings,
  PlanRetry,
  TlsPolicy,
} from '../ir/plan.ts';

/** What clients may speak where nobody said anything, the favourite first. */
const HTTP_ALPN_DEFAULT: readonly HttpVersion[] = ['h2', 'http/1.1'];

/** Strict where two servers could read a request differently, and nothing else changed. */
export const LISTENER_SETTINGS: PlanListenerSettings = {
  path: {
    dotSegments: 'resolve',
    encodedSlash: 'keep',
    emptySegments: 'keep',
    backslash: 'refuse',
    parameters: 'keep',
    invalidUtf8: 'refuse',
  },
  trustedHops: { count: 0, cidrs: [] },
  serverHeader: 'keep',
  forwarded: false,
  // RFC 9110 section 7.6.3: a gateway must send it with every request it forwards.
  via: true,
  underscoreNames: 'keep',
  // What clients send of it is taken out in any case.
  clientCertificate: 'none',
  httpVersions: HTTP_ALPN_DEFAULT,
  grpcHealth: false,
  // A second of every request at a modest rate, and 1 % beyond it: the log never becomes the load.
  accessLog: { enabled: true, linesPerSecond: 100, sample: 0.01, headers: [], query: 'omit' },
  tunnel: TUNNEL_LIMITS,
};

/** In both directions. Empty lists leave the choice to Node.js and OpenSSL, which know what is sound today. */
export const TLS_POLICY: TlsPolicy = { versionMin: 'TLSv1.2', versionMax: 'TLSv1.3', ciphers: '', curves: '' };

/** How clusters are reached. Per endpoint and worker where connections are counted. */
export const CLUSTER_SETTINGS: PlanClusterSettings = {
  // Two retransmissions of a lost SYN (1 s, then 2 s) fit in.
  connectMs: 4_000,
  // The request timeout of a route is the tool against slow answers; this one ends what is dead.
  idleMs: 300_000,
  // As many as clients of HTTP/2 may want at one time: below, connections would be closed and made again under load.
  idleConnectionsMax: 512,
  // Below the 60 s of common servers, so that we close first and no request meets a closing connection.
  keepAliveMs: 55_000,
  connectionsMax: 1_024,
  queueMax: 1_024,
  headerBytesMax: 65_536,
  connectRetries: 2,
  retryBudget: 0.2,
  http2: {
    // What RFC 9113 section 6.5.2 asks servers to allow at least; beyond, one lost packet stops too many at once.
    streamsMax: 100,
    pingIntervalMs: 30_000,
    pingTimeoutMs: 15_000,
    // 1 Gbit/s over 2 ms.
    windowBytes: 262_144,
  },
};

/** The same where the other end is a proxy of the mesh: one that is well answers a ping at once, whatever its application does. */
export const PEER_SETTINGS: PlanClusterSettings = {
  ...CLUSTER_SETTINGS,
  http2: { ...CLUSTER_SETTINGS.http2, pingIntervalMs: 5_000, pingTimeoutMs: 10_000 },
};

/** A retry that names its codes but not how often and how far apart. */
export const RETRY: Pick<PlanRetry, 'attempts' | 'backoffMs'> = { attempts: 1, backoffMs: 25 };

/** More second attempts than this only make an outage worse, whatever the route says. */
export const RETRY_ATTEMPTS_MAX = 16;

/** Messages of gRPC pass without being buffered, so their length costs no memory: services have limits of their own. */
export const GRPC: Pick<PlanGrpc, 'requestMessageBytesMax' | 'answerMessageBytesMax'> = {
  requestMessageBytesMax: 0,
  answerMessageBytesMax: 0,
};

/** Two good answers before traffic returns: one may be chance. */
export const HEALTH_PACE: PlanHealthPace = { intervalMs: 10_000, timeoutMs: 2_000, unhealthyAfter: 3, healthyAfter: 2 };
