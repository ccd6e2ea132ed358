import { type EventLoopUtilization, monitorEventLoopDelay, performance } from 'node:perf_hooks';
import { getHeapStatistics } from 'node:v8';
import type { WorkerMetrics } from '../observe/metrics.ts';

/** How often the delay is sampled. Finer costs wake-ups of a process that has nothing to do. */
const RESOLUTION_MS = 20;

const NANOSECONDS = 1e9;

/** How busy the event loop of this thread is, and how large its heap. */
export class LoopFigures {
  readonly #metrics: WorkerMetrics;
  readonly #labels: readonly [worker: string];
  readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  #utilisation: EventLoopUtilization = performance.eventLoopUtilization();

  /** @param worker  label of the figures: a number, or `main` */
  constructor(metrics: WorkerMetrics, worker: string) {
    this.#metrics = metrics;
    this.#labels = [worker];
    this.#delay.enable();
  }

  /** Writes what happened since the call before. */
  measure(): void {
    const metrics = this.#metrics;
    const labels = this.#labels;
    const late = (ns: number): number => Math.max(0, ns / NANOSECONDS - RESOLUTION_MS / 1_000);
    metrics.gauge('nodejs_eventloop_delay_p50_seconds', labels).set(late(this.#delay.percentile(50)));
    metrics.gauge('nodejs_eventloop_delay_p99_seconds', labels).set(late(this.#delay.percentile(99)));
    metrics.gauge('nodejs_eventloop_delay_max_seconds', labels).set(late(this.#delay.max));
    this.#delay.reset();

    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, this.#utilisation);
    this.#utilisation = now;
    metrics.gauge('nodejs_eventloop_utilization_ratio', labels).set(utilization);
    metrics.gauge('v8js_memory_heap_used_bytes', labels).set(getHeapStatistics().used_heap_size);
  }

  close(): void {
    this.#delay.disable();
  }
}
