/** Small plans for tests of this room and of the rooms that take plans. */
import { CONNECTION_LIMITS, CONNECTION_TIMEOUTS, TUNNEL_LIMITS } from '../../base/limits.ts';
import type { PlanBundle, PlanCluster, PlanListener, PlanPort, PlanRoute, PlanSecret } from '../plan.ts';
import { hashSecret, type PlanParts, versionOf } from '../version.ts';

export const SECRET: PlanSecret = { certificatePem: 'CERTIFICATE', privateKeyPem: 'KEY' };

export const HTTP_PORT: PlanPort = {
  address: '*',
  port: 80,
  protocol: 'http',
  limits: CONNECTION_LIMITS,
  timeouts: CONNECTION_TIMEOUTS,
};

export const HTTPS_PORT: PlanPort = { ...HTTP_PORT, port: 443, protocol: 'tls' };

export const HTTP_LISTENER: PlanListener = {
  port: '*:80',
  hostname: '*',
  publicPort: 80,
  settings: {
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
    via: true,
    underscoreNames: 'keep',
    clientCertificate: 'none',
    httpVersions: ['http/1.1'],
    grpcHealth: false,
    accessLog: { enabled: true, linesPerSecond: 100, sample: 0, headers: [], query: 'omit' },
    tunnel: TUNNEL_LIMITS,
  },
};

export const HTTPS_LISTENER: PlanListener = {
  ...HTTP_LISTENER,
  port: '*:443',
  publicPort: 443,
  tls: {
    certificates: [{ secret: 'Secret/shop/tls', hash: hashSecret(SECRET) }],
    versionMin: 'TLSv1.2',
    versionMax: 'TLSv1.3',
    ciphers: '',
    curves: '',
  },
};

export const CLUSTER: PlanCluster = {
  protocol: 'http1',
  endpoints: [{ address: '127.0.0.1', port: 8080, weight: 1 }],
  settings: {
    connectMs: 2_000,
    idleMs: 30_000,
    idleConnectionsMax: 64,
    keepAliveMs: 60_000,
    connectionsMax: 1_024,
    queueMax: 1_024,
    headerBytesMax: 32_768,
    connectRetries: 2,
    retryBudget: 0.2,
    http2: { streamsMax: 100, pingIntervalMs: 30_000, pingTimeoutMs: 15_000, windowBytes: 262_144 },
  },
};

/** A route of one rule that takes every path to cluster `Service/shop/web/80`. */
export function routeTo(listener: string, host: string): PlanRoute {
  return {
    createdMs: 1,
    attach: [{ listener, hosts: [host] }],
    rules: [
      {
        name: 'HTTPRoute/shop/web/0',
        matches: [{ path: { kind: 'prefix', value: '/' }, headers: [], query: [] }],
        filters: [],
        backends: [{ target: { kind: 'cluster', cluster: 'Service/shop/web/80' }, weight: 1, filters: [] }],
        mirrors: [],
        timeouts: {},
      },
    ],
  };
}

export const PARTS: PlanParts = {
  ports: { '*:80': HTTP_PORT, '*:443': HTTPS_PORT },
  listeners: { 'Gateway/shop/edge/http': HTTP_LISTENER, 'Gateway/shop/edge/https': HTTPS_LISTENER },
  routes: { 'HTTPRoute/shop/web': routeTo('Gateway/shop/edge/http', '*') },
  streams: {},
  clusters: { 'Service/shop/web/80': CLUSTER },
};

/** A bundle of these parts with its right version and the one secret that {@link HTTPS_LISTENER} names. */
export function bundleOf(parts: PlanParts): PlanBundle {
  return { plan: { version: versionOf(parts), ...parts }, secrets: { 'Secret/shop/tls': SECRET } };
}
