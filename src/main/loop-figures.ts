import { getHeapStatistics } from 'node:v8';
import type { Clock } from '../base/clock.ts';
import type { WorkerMetrics } from '../observe/metrics.ts';

/**
 * How often it is looked how late a timer runs. Not by `monitorEventLoopDelay`: its module and histogram take 4 MB
 * of every process.
 */
const SAMPLE_MS = 100;

/** Samples kept when nobody asks: five minutes. Later ones take the place of the oldest. */
const SAMPLES_MAX = 3_000;

/** How busy the event loop of this thread is, and how large its heap. */
export class LoopFigures {
  readonly #metrics: WorkerMetrics;
  readonly #labels: readonly [worker: string];
  readonly #lateMs = new Float64Array(SAMPLES_MAX);
  #samples = 0;
  #utilisation = performance.eventLoopUtilization();
  readonly #stop: () => void;

  /** @param worker  label of the figures: a number, or `main` */
  constructor(clock: Clock, metrics: WorkerMetrics, worker: string) {
    this.#metrics = metrics;
    this.#labels = [worker];
    let lastMs = clock.nowMs();
    this.#stop = clock.every(SAMPLE_MS, () => {
      const nowMs = clock.nowMs();
      this.#lateMs[this.#samples++ % SAMPLES_MAX] = Math.max(0, nowMs - lastMs - SAMPLE_MS);
      lastMs = nowMs;
    });
  }

  /** Writes what happened since the call before. */
  measure(): void {
    const metrics = this.#metrics;
    const labels = this.#labels;
    const sorted = this.#lateMs.slice(0, Math.min(this.#samples, SAMPLES_MAX)).sort();
    this.#samples = 0;
    const quantile = (share: number): number => (sorted[Math.ceil(share * sorted.length) - 1] ?? 0) / 1_000;
    metrics.gauge('nodejs_eventloop_delay_p50_seconds', labels).set(quantile(0.5));
    metrics.gauge('nodejs_eventloop_delay_p99_seconds', labels).set(quantile(0.99));
    metrics.gauge('nodejs_eventloop_delay_max_seconds', labels).set(quantile(1));

    const now = performance.eventLoopUtilization();
    metrics
      .gauge('nodejs_eventloop_utilization_ratio', labels)
      .set(performance.eventLoopUtilization(now, this.#utilisation).utilization);
    this.#utilisation = now;
    metrics.gauge('v8js_memory_heap_used_bytes', labels).set(getHeapStatistics().used_heap_size);
  }

  close(): void {
    this.#stop();
  }
}
