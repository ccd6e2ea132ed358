/**
 * What the data plane counts, resolved beforehand: one object for each port,
 * rule and cluster, and one for faults. Nothing here builds a string per request.
 */
import { answerFor, FAULT_CODES, type FaultKind } from '../base/fault.ts';
import type { Counter, Gauge, Histogram, WorkerMetrics } from './metrics.ts';
import { ownedBy } from './owner.ts';
import { DatagramMetrics, StreamMetrics } from './stream-metrics.ts';

/** The methods that have a label of their own; the rest is `_OTHER`, as OpenTelemetry has it. */
const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH', '_OTHER'] as const;
const OTHER = METHODS.length - 1;

/** Different (method, status) pairs that one rule may have: an upstream chooses the status. Beyond: overflow. */
const RULE_PAIRS_MAX = 64;

/** Greatest status of gRPC (grpc/doc/statuscodes.md). */
const GRPC_STATUS_MAX = 16;

/** What is counted about the requests of one rule. Made once per rule; survives a change of the plan. */
export class RuleMetrics {
  readonly name: string;
  readonly #metrics: WorkerMetrics;
  /** By status and method; made with the first request. */
  #durations: Map<number, Histogram> | undefined;
  #lastPair = -1;
  #lastDuration: Histogram | undefined;
  /** Calls of gRPC by status and method; made with the first. */
  #calls: Map<string, Counter> | undefined;
  #requestBytes: Counter | undefined;
  #responseBytes: Counter | undefined;
  #retired = false;

  constructor(metrics: WorkerMetrics, name: string) {
    this.#metrics = metrics;
    this.name = name;
  }

  /**
   * A request of this rule ended.
   *
   * @param method  as received
   * @param status  of the answer, 100 to 999; 0 when none could be given
   * @param durationMs  from the first byte of the request to the last of its answer
   */
  end(method: string, status: number, durationMs: number): void {
    const pair = status * METHODS.length + methodIndex(method);
    if (pair !== this.#lastPair) {
      this.#lastDuration = this.#durations?.get(pair) ?? this.#addPair(pair);
      this.#lastPair = pair;
    }
    this.#lastDuration!.observeMs(durationMs);
  }

  /**
   * A call of gRPC ended.
   *
   * @param status  of gRPC; -1 when it had none
   * @param matched  what of the path the rule matched: named only when it is a whole method
   */
  grpc(status: number, matched: string | undefined): void {
    const known = status >= 0 && status <= GRPC_STATUS_MAX ? String(status) : 'none';
    const method = matched !== undefined && matched.indexOf('/', 1) > 0 ? matched.slice(1) : '';
    const calls = (this.#calls ??= new Map<string, Counter>());
    const key = `${known} ${method}`;
    let counter = calls.get(key);
    if (counter === undefined) {
      const metric = 'fourways_grpc_calls_total';
      counter =
        this.#retired || calls.size >= RULE_PAIRS_MAX
          ? (this.#metrics.overflow(metric) as Counter)
          : this.#metrics.counter(metric, [method, known, this.name]);
      calls.set(key, counter);
    }
    counter.add(1);
  }

  /** Body bytes of a request that ended. Not called for requests without bodies, it costs nothing. */
  bodies(requestBytes: number, responseBytes: number): void {
    if (requestBytes > 0) (this.#requestBytes ??= this.#bytes('fourways_request_body_bytes_total')).add(requestBytes);
    if (responseBytes > 0) {
      (this.#responseBytes ??= this.#bytes('fourways_response_body_bytes_total')).add(responseBytes);
    }
  }

  /** For {@link TrafficMetrics}: requests that still run are counted in the overflow series. */
  retire(): void {
    this.#retired = true;
    this.#lastPair = -1;
  }

  #addPair(pair: number): Histogram {
    const metric = 'http_server_request_duration_seconds';
    const durations = (this.#durations ??= new Map<number, Histogram>());
    if (this.#retired || durations.size >= RULE_PAIRS_MAX) return this.#metrics.overflow(metric) as Histogram;
    const method = METHODS[pair % METHODS.length]!;
    const status = String(Math.floor(pair / METHODS.length));
    const duration = this.#metrics.histogram(metric, [method, status, this.name]);
    durations.set(pair, duration);
    return duration;
  }

  #bytes(metric: 'fourways_request_body_bytes_total' | 'fourways_response_body_bytes_total'): Counter {
    if (this.#retired) return this.#metrics.overflow(metric) as Counter;
    return this.#metrics.counter(metric, [this.name]);
  }
}

/** What is counted about one port. */
export class PortMetrics {
  readonly activeRequests: Gauge;
  readonly connectionsOpen: Gauge;
  readonly connectionsOpened: Counter;
  readonly connectionsRefused: Counter;
  readonly #metrics: WorkerMetrics;
  readonly #port: string;
  /** Made with the first handshake: a port without TLS has none. */
  #handshakesFull: Counter | undefined;
  #handshakesResumed: Counter | undefined;
  #retired = false;

  /** @param port  key of the plan: `ADDRESS:PORT` */
  constructor(metrics: WorkerMetrics, port: string) {
    this.#metrics = metrics;
    this.#port = port;
    this.activeRequests = metrics.gauge('http_server_active_requests', [port]);
    this.connectionsOpen = metrics.gauge('fourways_connections_open', [port]);
    this.connectionsOpened = metrics.counter('fourways_connections_opened_total', [port]);
    this.connectionsRefused = metrics.counter('fourways_connections_refused_total', [port]);
  }

  get handshakesFull(): Counter {
    return (this.#handshakesFull ??= this.#handshakes('full'));
  }

  get handshakesResumed(): Counter {
    return (this.#handshakesResumed ??= this.#handshakes('resumed'));
  }

  /** @param reason  one of the reasons of net/tls-server.ts: a closed list */
  handshakeFailed(reason: string): void {
    if (!this.#retired) this.#metrics.counter('fourways_tls_handshake_failures_total', [this.#port, reason]).add(1);
  }

  /** @param reason  one of the reasons of http/h2/frame.ts: a closed list */
  http2Failed(reason: string): void {
    if (!this.#retired) this.#metrics.counter('fourways_http2_connection_errors_total', [this.#port, reason]).add(1);
  }

  /** @param result  of proxy/proxy-intake.ts: a closed list */
  proxyHeader(result: string): void {
    if (!this.#retired) this.#metrics.counter('fourways_proxy_protocol_total', [this.#port, result]).add(1);
  }

  /** For {@link TrafficMetrics}. */
  retire(): void {
    this.#retired = true;
  }

  #handshakes(kind: 'full' | 'resumed'): Counter {
    const metric = 'fourways_tls_handshakes_total';
    if (this.#retired) return this.#metrics.overflow(metric) as Counter;
    return this.#metrics.counter(metric, [this.#port, kind]);
  }
}

const CLUSTER_GAUGES = [
  'fourways_upstream_connections_open',
  'fourways_upstream_connections_idle',
  'fourways_upstream_queue_waiting',
  'fourways_upstream_endpoints_unhealthy',
  'fourways_upstream_panic',
] as const;

const CLUSTER_COUNTERS = [
  'fourways_upstream_connections_opened_total',
  'fourways_upstream_connections_reused_total',
  'fourways_upstream_connections_failed_total',
  'fourways_upstream_retries_total',
  'fourways_upstream_replays_total',
  'fourways_mirrors_total',
  'fourways_upstream_retries_withheld_total',
] as const;

const STATUS_CLASSES = ['none', '1xx', '2xx', '3xx', '4xx', '5xx'] as const;

/** What is counted about one cluster. Takes no series before something happens: most of many clusters rest. */
export class ClusterMetrics {
  readonly #metrics: WorkerMetrics;
  readonly #cluster: string;
  readonly #durations: (Histogram | undefined)[] = STATUS_CLASSES.map(() => undefined);
  readonly #counters: (Counter | undefined)[] = CLUSTER_COUNTERS.map(() => undefined);
  readonly #gauges: (Gauge | undefined)[] = CLUSTER_GAUGES.map(() => undefined);
  #retired = false;

  /** @param cluster  key of the plan */
  constructor(metrics: WorkerMetrics, cluster: string) {
    this.#metrics = metrics;
    this.#cluster = cluster;
  }

  get connectionsOpen(): Gauge {
    return this.#gauges[0] ?? this.#gauge(0);
  }

  get connectionsIdle(): Gauge {
    return this.#gauges[1] ?? this.#gauge(1);
  }

  get queueWaiting(): Gauge {
    return this.#gauges[2] ?? this.#gauge(2);
  }

  get endpointsUnhealthy(): Gauge {
    return this.#gauges[3] ?? this.#gauge(3);
  }

  get panic(): Gauge {
    return this.#gauges[4] ?? this.#gauge(4);
  }

  get connectionsOpened(): Counter {
    return this.#counters[0] ?? this.#counter(0);
  }

  get connectionsReused(): Counter {
    return this.#counters[1] ?? this.#counter(1);
  }

  get connectionsFailed(): Counter {
    return this.#counters[2] ?? this.#counter(2);
  }

  get retries(): Counter {
    return this.#counters[3] ?? this.#counter(3);
  }

  get replays(): Counter {
    return this.#counters[4] ?? this.#counter(4);
  }

  get mirrors(): Counter {
    return this.#counters[5] ?? this.#counter(5);
  }

  get retriesWithheld(): Counter {
    return this.#counters[6] ?? this.#counter(6);
  }

  /** An attempt ended. @param status  of the upstream's answer; 0 when there was none */
  attemptEnded(status: number, durationMs: number): void {
    const at = status < 100 || status > 599 ? 0 : Math.floor(status / 100);
    (this.#durations[at] ??= this.#duration(at)).observeMs(durationMs);
  }

  /** For {@link TrafficMetrics}. */
  retire(): void {
    this.#retired = true;
  }

  #gauge(at: number): Gauge {
    const metric = CLUSTER_GAUGES[at]!;
    const gauge = this.#retired
      ? (this.#metrics.overflow(metric) as Gauge)
      : this.#metrics.gauge(metric, [this.#cluster]);
    this.#gauges[at] = gauge;
    return gauge;
  }

  #counter(at: number): Counter {
    const metric = CLUSTER_COUNTERS[at]!;
    const counter = this.#retired
      ? (this.#metrics.overflow(metric) as Counter)
      : this.#metrics.counter(metric, [this.#cluster]);
    this.#counters[at] = counter;
    return counter;
  }

  #duration(at: number): Histogram {
    const metric = 'http_client_request_duration_seconds';
    if (this.#retired) return this.#metrics.overflow(metric) as Histogram;
    return this.#metrics.histogram(metric, [this.#cluster, STATUS_CLASSES[at]!]);
  }
}

/** Everything that one worker counts about traffic. */
export class TrafficMetrics {
  readonly metrics: WorkerMetrics;
  /** Requests that no rule took, under an empty `http_route`. */
  readonly unrouted: RuleMetrics;
  readonly #ports = new Map<string, PortMetrics>();
  readonly #rules = new Map<string, RuleMetrics>();
  readonly #clusters = new Map<string, ClusterMetrics>();
  readonly #streams = new Map<string, StreamMetrics>();
  readonly #datagrams = new Map<string, DatagramMetrics>();
  readonly #faults = new Map<string, Counter>();
  readonly #filterEvents = new Map<string, Counter>();
  readonly #asks = new Map<string, Gauge>();

  constructor(metrics: WorkerMetrics) {
    this.metrics = metrics;
    this.unrouted = new RuleMetrics(metrics, '');
    for (const code of FAULT_CODES) this.#faultCounter(answerFor(code));
  }

  /** The same object for the same key, for as long as it is not retired. */
  port(key: string): PortMetrics {
    return getOrAdd(this.#ports, key, () => new PortMetrics(this.metrics, key));
  }

  /** @param name  of the rule, as in the plan. Takes no series before the first request. */
  rule(name: string): RuleMetrics {
    return getOrAdd(this.#rules, name, () => new RuleMetrics(this.metrics, name));
  }

  cluster(key: string): ClusterMetrics {
    return getOrAdd(this.#clusters, key, () => new ClusterMetrics(this.metrics, key));
  }

  /** @param name  of the route below HTTP, as in the plan */
  stream(name: string): StreamMetrics {
    return getOrAdd(this.#streams, name, () => new StreamMetrics(this.metrics, name));
  }

  /** @param port  key in the plan */
  datagrams(port: string): DatagramMetrics {
    return getOrAdd(this.#datagrams, port, () => new DatagramMetrics(this.metrics, port));
  }

  fault(kind: FaultKind): void {
    this.#faultCounter(kind).add(1);
  }

  #faultCounter({ code, blame }: FaultKind): Counter {
    return getOrAdd(this.#faults, code, () => this.metrics.counter('fourways_faults_total', [code, blame]));
  }

  /** @param topic  of proxy/look/topics.ts: a closed list */
  asksOpen(topic: string): Gauge {
    return getOrAdd(this.#asks, topic, () => this.metrics.gauge('fourways_asks_open', [topic]));
  }

  /** A counter of a filter: `filter` and `event` are names that its code chose, never from a request. */
  filterEvent(filter: string, event: string): Counter {
    return getOrAdd(this.#filterEvents, `${filter} ${event}`, () =>
      this.metrics.counter('fourways_filter_events_total', [filter, event]),
    );
  }

  /**
   * These routes, rules, clusters or ports have left the plan: forget them and what
   * lies below them (`HTTPRoute/shop/web` takes its rules along). Requests of theirs
   * that still run are counted in the overflow series.
   */
  retire(owners: readonly string[]): void {
    if (owners.length === 0) return;
    const isGone = ownedBy(owners);
    for (const map of [this.#rules, this.#streams, this.#clusters, this.#ports, this.#datagrams]) {
      for (const [name, object] of map) {
        if (!isGone(name)) continue;
        object.retire();
        map.delete(name);
      }
    }
    this.metrics.retire(owners);
  }
}

function getOrAdd<V>(map: Map<string, V>, key: string, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) {
    value = make();
    map.set(key, value);
  }
  return value;
}

/** Index in {@link METHODS}. Methods are case-sensitive (RFC 9110 section 9.1): `get` is `_OTHER`. */
function methodIndex(method: string): number {
  if (method === 'GET') return 0;
  const at = (METHODS as readonly string[]).indexOf(method);
  return at < 0 ? OTHER : at;
}
