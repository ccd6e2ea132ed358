/** What is measured. The names are stable: rows are compared across versions by them. */

import { type FilterCase, filterScenarios } from './filter-case.ts';

/**
 * What is spoken before and behind the proxy. `h2` in front is prior knowledge in clear text, or ALPN with TLS;
 * `grpc` behind is HTTP/2 with trailers.
 */
export interface Wire {
  readonly front: 'h1' | 'h2' | 'tcp' | 'ws';
  readonly back: 'h1' | 'h2' | 'grpc' | 'tcp' | 'ws';
}

export type LoadName = 'wrk' | 'h2load' | 'ws-echo' | 'grpc-echo' | 'mtls';

/** In PEM. */
export interface ClientCertificate {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  /** Of the authority that signed it. */
  readonly caPem: string;
}

export interface Scenario {
  readonly name: string;
  readonly about: string;
  readonly wire: Wire;
  readonly load: LoadName;
  /** Bytes of the answer's body. */
  readonly bodyBytes: number;
  readonly tls: boolean;
  /** With TLS: what every client shows. The proxies ask for it. */
  readonly clientCertificate?: ClientCertificate;
  /** 0: one route that takes everything. */
  readonly routes: number;
  readonly headers: readonly string[];
  readonly connections: number;
  /** Requests under way on one connection, for HTTP/2. */
  readonly streams: number;
  /** Through two proxies with mTLS between them, each beside its end; those of pair.ts. */
  readonly isPair?: true;
  /** The only peers that are asked, where the others have nothing to be compared with. */
  readonly only?: readonly string[];
  /** What a Policy on the route asks for. */
  readonly filter?: FilterCase;
  /** What is asked for, where it is not that of the routes. */
  readonly path?: string;
  /** Sent with POST. For wrk. */
  readonly body?: Buffer;
}

/** What a browser sends beside Host: twelve lines, about 700 bytes. */
const BROWSER_HEADERS: readonly string[] = [
  'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
  'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
  'Accept-Language: en-GB,en;q=0.9,de;q=0.8',
  'Accept-Encoding: gzip, deflate, br, zstd',
  'Cache-Control: no-cache',
  'Cookie: session=5f2b8c0e9d7a4f6b8e1c3d5a7f9b0c2e; theme=dark; consent=1',
  'Referer: http://bench.test/catalogue/index.html',
  'Origin: http://bench.test',
  'Sec-Fetch-Dest: document',
  'Sec-Fetch-Mode: navigate',
  'Sec-Fetch-Site: same-origin',
  'Upgrade-Insecure-Requests: 1',
];

const PLAIN = {
  wire: { front: 'h1', back: 'h1' },
  load: 'wrk',
  bodyBytes: 100,
  tls: false,
  routes: 0,
  headers: [],
  connections: 64,
  streams: 1,
} as const satisfies Partial<Scenario>;

const MANY_STREAMS = { ...PLAIN, load: 'h2load', connections: 16, streams: 8 } as const;
const GRPC_HEADERS: readonly string[] = ['content-type: application/grpc', 'te: trailers'];

export const SCENARIOS: readonly Scenario[] = [
  { ...PLAIN, name: 'h1-bare', about: '64 keep-alive connections, 100 B answer, no request headers but Host' },
  { ...PLAIN, name: 'h1-12-headers', about: 'the same with 12 request headers', headers: BROWSER_HEADERS },
  { ...PLAIN, name: 'h1-16k', about: '16 KB answer', bodyBytes: 16_384 },
  { ...PLAIN, name: 'tls', about: 'TLS 1.3 terminated, HTTP/1.1 to the origin', tls: true },
  {
    ...MANY_STREAMS,
    name: 'h2-h1',
    about: 'HTTP/2 in clear text, 16 connections of 8 streams, 100 B answer, HTTP/1.1 to the origin',
    wire: { front: 'h2', back: 'h1' },
  },
  {
    ...MANY_STREAMS,
    name: 'h2-h1-12-headers',
    about: 'the same with 12 request headers',
    wire: { front: 'h2', back: 'h1' },
    headers: BROWSER_HEADERS,
  },
  {
    ...MANY_STREAMS,
    name: 'h2-h2',
    about: 'HTTP/2 in clear text on both sides',
    wire: { front: 'h2', back: 'h2' },
  },
  {
    ...MANY_STREAMS,
    name: 'h2-tls',
    about: 'HTTP/2 over TLS 1.3, HTTP/1.1 to the origin',
    wire: { front: 'h2', back: 'h1' },
    tls: true,
  },
  {
    ...MANY_STREAMS,
    name: 'grpc-unary',
    about: 'gRPC unary, messages of 100 B, trailers',
    wire: { front: 'h2', back: 'grpc' },
    headers: GRPC_HEADERS,
  },
  {
    ...PLAIN,
    name: 'grpc-stream',
    about: 'gRPC bidirectional streams, 64 of them on 4 connections, a 100 B message and its echo at a time',
    wire: { front: 'h2', back: 'grpc' },
    load: 'grpc-echo',
    connections: 4,
    streams: 16,
  },
  {
    ...PLAIN,
    name: 'ws-echo',
    about: 'WebSocket, 64 connections, a 100 B message and its echo at a time',
    wire: { front: 'ws', back: 'ws' },
    load: 'ws-echo',
  },
  {
    ...PLAIN,
    name: 'tcp-small',
    about: 'TCP passed on, 64 connections, small requests and 100 B answers',
    wire: { front: 'tcp', back: 'tcp' },
  },
  {
    ...PLAIN,
    name: 'tcp-1m',
    about: 'TCP passed on, 16 connections, answers of 1 MB',
    wire: { front: 'tcp', back: 'tcp' },
    bodyBytes: 1_048_576,
    connections: 16,
  },
  {
    ...PLAIN,
    name: 'mesh-pair-h1',
    about: 'two proxies with mTLS and HTTP/2 between them, 64 keep-alive connections of HTTP/1.1, 100 B answer',
    isPair: true,
  },
  {
    ...MANY_STREAMS,
    name: 'mesh-pair-grpc',
    about: 'the same pair, gRPC unary, 16 connections of 8 streams, messages of 100 B',
    wire: { front: 'h2', back: 'grpc' },
    headers: GRPC_HEADERS,
    isPair: true,
  },
  ...filterScenarios(PLAIN),
  { ...PLAIN, name: 'routes-1000', about: '1,000 routes, the middle one asked for', routes: 1_000 },
  // Flat or not: our own lookup against the number of routes.
  { ...PLAIN, name: 'lookup-10', about: 'Fourways with 10 routes', routes: 10, only: ['fourways'] },
  { ...PLAIN, name: 'lookup-1000', about: 'Fourways with 1,000 routes', routes: 1_000, only: ['fourways'] },
  { ...PLAIN, name: 'lookup-10000', about: 'Fourways with 10,000 routes', routes: 10_000, only: ['fourways'] },
];

/** The path that a scenario asks for. */
export function pathOf(scenario: Scenario): string {
  if (scenario.path !== undefined) return scenario.path;
  if (scenario.wire.back === 'grpc') return '/bench.Echo/Call';
  return scenario.routes === 0 ? '/' : `/r/${Math.floor(scenario.routes / 2)}`;
}
