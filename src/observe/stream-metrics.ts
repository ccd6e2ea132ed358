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
  readonly #metrics: WorkerMetrics;
  readonly #ended = new Map<StreamEnd, Counter>();
  #retired = false;

  /** @param name  of the route, as in the plan */
  constructor(metrics: WorkerMetrics, name: string) {
    this.#metrics = metrics;
    this.name = name;
    this.open = metrics.gauge('fourways_streams_open', [name]);
    this.opened = metrics.counter('fourways_streams_opened_total', [name]);
    this.bytesIn = metrics.counter('fourways_stream_bytes_total', [name, 'in']);
    this.bytesOut = metrics.counter('fourways_stream_bytes_total', [name, 'out']);
  }

  ended(end: StreamEnd): void {
    let counter = this.#ended.get(end);
    if (counter === undefined) {
      const metric = 'fourways_streams_ended_total';
      counter = this.#retired
        ? (this.#metrics.overflow(metric) as Counter)
        : this.#metrics.counter(metric, [this.name, end]);
      this.#ended.set(end, counter);
    }
    counter.add(1);
  }

  /** For TrafficMetrics. */
  retire(): void {
    this.#retired = true;
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
  readonly #metrics: WorkerMetrics;
  readonly #port: string;
  readonly #dropped = new Map<DatagramDrop, Counter>();
  #retired = false;

  constructor(metrics: WorkerMetrics, port: string) {
    this.#metrics = metrics;
    this.#port = port;
    this.sessionsOpen = metrics.gauge('fourways_udp_sessions_open', [port]);
    this.sessionsOpened = metrics.counter('fourways_udp_sessions_opened_total', [port]);
    this.datagramsIn = metrics.counter('fourways_udp_datagrams_total', [port, 'in']);
    this.datagramsOut = metrics.counter('fourways_udp_datagrams_total', [port, 'out']);
  }

  dropped(why: DatagramDrop): void {
    let counter = this.#dropped.get(why);
    if (counter === undefined) {
      const metric = 'fourways_udp_datagrams_dropped_total';
      counter = this.#retired
        ? (this.#metrics.overflow(metric) as Counter)
        : this.#metrics.counter(metric, [this.#port, why]);
      this.#dropped.set(why, counter);
    }
    counter.add(1);
  }

  /** For TrafficMetrics. */
  retire(): void {
    this.#retired = true;
  }
}
