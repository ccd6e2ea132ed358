/** What is counted about connections and sessions below HTTP, resolved beforehand: one object for each route. */
import type { Counter, Gauge, WorkerMetrics } from './metrics.ts';

/** How a stream ended. */
export type StreamEnd = 'finished' | 'client' | 'upstream' | 'refused' | 'limit' | 'drained';

export class StreamMetrics {
  readonly name: string;
  readonly open: Gauge;
  readonly opened: Counter;
  readonly bytesIn: Counter;
  readonly bytesOut: Counter;
  readonly #ended: CountersByReason<StreamEnd>;

  /** @param name  of the route, as in the plan */
  constructor(metrics: WorkerMetrics, name: string) {
    this.name = name;
    this.#ended = new CountersByReason(metrics, 'fourways_streams_ended_total', name);
    this.open = metrics.gauge('fourways_streams_open', [name]);
    this.opened = metrics.counter('fourways_streams_opened_total', [name]);
    this.bytesIn = metrics.counter('fourways_stream_bytes_total', [name, 'in']);
    this.bytesOut = metrics.counter('fourways_stream_bytes_total', [name, 'out']);
  }

  ended(end: StreamEnd): void {
    this.#ended.add(end);
  }

  /** For TrafficMetrics. */
  retire(): void {
    this.#ended.retire();
  }
}

/** Why a datagram went nowhere. */
export type DatagramDrop = 'no-route' | 'no-backend' | 'sessions-max' | 'send-failed' | 'draining';

/** What is counted about one UDP port. */
export class DatagramMetrics {
  readonly sessionsOpen: Gauge;
  readonly sessionsOpened: Counter;
  readonly datagramsIn: Counter;
  readonly datagramsOut: Counter;
  readonly #dropped: CountersByReason<DatagramDrop>;

  constructor(metrics: WorkerMetrics, port: string) {
    this.#dropped = new CountersByReason(metrics, 'fourways_udp_datagrams_dropped_total', port);
    this.sessionsOpen = metrics.gauge('fourways_udp_sessions_open', [port]);
    this.sessionsOpened = metrics.counter('fourways_udp_sessions_opened_total', [port]);
    this.datagramsIn = metrics.counter('fourways_udp_datagrams_total', [port, 'in']);
    this.datagramsOut = metrics.counter('fourways_udp_datagrams_total', [port, 'out']);
  }

  dropped(why: DatagramDrop): void {
    this.#dropped.add(why);
  }

  /** For TrafficMetrics. */
  retire(): void {
    this.#dropped.retire();
  }
}

type ReasonMetric = 'fourways_streams_ended_total' | 'fourways_udp_datagrams_dropped_total';

/** One counter for each reason that occurs; reasons are a closed list. */
class CountersByReason<R extends string> {
  readonly #metrics: WorkerMetrics;
  readonly #metric: ReasonMetric;
  readonly #owner: string;
  readonly #counters = new Map<R, Counter>();
  #retired = false;

  constructor(metrics: WorkerMetrics, metric: ReasonMetric, owner: string) {
    this.#metrics = metrics;
    this.#metric = metric;
    this.#owner = owner;
  }

  add(reason: R): void {
    let counter = this.#counters.get(reason);
    if (counter === undefined) {
      counter = this.#retired
        ? (this.#metrics.overflow(this.#metric) as Counter)
        : this.#metrics.counter(this.#metric, [this.#owner, reason]);
      this.#counters.set(reason, counter);
    }
    counter.add(1);
  }

  /** Its owner has left the plan: no new series for it. */
  retire(): void {
    this.#retired = true;
  }
}
