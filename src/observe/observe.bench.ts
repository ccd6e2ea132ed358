/**
 * What a request costs here. Budget: 1 µs for metrics and an access log that does
 * not write it, 5 µs for a line. Run: `node src/observe/observe.bench.ts`.
 */
import { bench, keep } from '../../tools/bench.ts';
import { systemClock } from '../base/clock.ts';
import { systemRandom } from '../base/random.ts';
import { Headers } from '../http/headers.ts';
import { type AccessEntry, AccessLog, type LogPolicy } from './access-log.ts';
import { WorkerMetrics } from './metrics.ts';
import { allocateSlab } from './slab.ts';
import { TrafficMetrics } from './traffic-metrics.ts';

const traffic = new TrafficMetrics(new WorkerMetrics({ slab: allocateSlab(), announce: () => undefined }));
const log = new AccessLog({ clock: systemClock, random: systemRandom(), flush: keep });
const policy: LogPolicy = { enabled: true, linesPerSecond: 100, sample: 0.01, headers: [], query: 'omit' };
const sampled = log.gate(policy);
const everything = log.gate({ ...policy, sample: 1 });
const rules = Array.from({ length: 64 }, (_, i) => traffic.rule(`HTTPRoute/shop/web/${i}`));
const cluster = traffic.cluster('Service/shop/web/80');
const port = traffic.port('*:443');
let count = 0;

const ENTRY: AccessEntry = {
  requestId: '4bf92f3577b34da6a3ce929d0e0e4736',
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  method: 'GET',
  scheme: 'https',
  host: 'shop.test',
  path: '/api/v1/items/42',
  query: '',
  status: 200,
  grpcStatus: -1,
  fault: undefined,
  rule: 'HTTPRoute/shop/web/0',
  cluster: 'Service/shop/web/80',
  endpoint: '10.0.0.1:8080',
  attempts: 1,
  listener: 'Gateway/shop/edge/https',
  clientIp: '192.0.2.7',
  proxyIp: '',
  bytesIn: 0,
  bytesOut: 512,
  tlsVersion: 'TLSv1.3',
  tlsCipher: 'TLS_AES_256_GCM_SHA384',
  clientCertificate: undefined,
  planVersion: '3f9a1c07be52',
  headers: Headers.of([['user-agent', 'curl/8.5.0']]),
  marks: {
    startMs: 1_000.1,
    headMs: 1_000.2,
    filteredMs: 1_000.25,
    attemptMs: 1_000.25,
    admittedMs: 1_000.26,
    connectedMs: 1_000.26,
    answeredMs: 1_003.3,
    endMs: 1_003.5,
  },
};

function countRequest(): void {
  port.activeRequests.add(1);
  cluster.connectionsReused.add(1);
  cluster.connectionsIdle.add(-1);
  cluster.attemptEnded(200, 2);
  cluster.connectionsIdle.add(1);
  rules[count++ & 63]!.end('GET', 200, 3);
  port.activeRequests.add(-1);
}

bench('metrics of one request', countRequest);
bench('metrics of one request, and whether it is logged', () => {
  countRequest();
  if (sampled.wants(200, undefined)) keep(count);
});
bench('one line of the access log', () => {
  if (everything.wants(200, undefined)) log.write(ENTRY, everything);
});
log.close();
