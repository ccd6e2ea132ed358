/** The figures of the whole process: what every worker counts, what the main thread counts, and what only the system knows. */
import type { Clock } from '../base/clock.ts';
import { expose, type Exposition } from '../observe/exposition.ts';
import { MetricsReader } from '../observe/metrics-reader.ts';
import { type SeriesEvent, WorkerMetrics } from '../observe/metrics.ts';
import { allocateSlab } from '../observe/slab.ts';
import type { MemberHealth } from '../control/member.ts';
import { LoopFigures } from './loop-figures.ts';

const MAIN = 'main';

/** Memory for the figures of one worker, and how the reader hears of them. */
export interface Desk {
  readonly slab: SharedArrayBuffer;
  readonly onSeries: (event: SeriesEvent) => void;
  /** The worker is gone: what it counted is kept. */
  readonly leave: () => void;
}

export class Metering {
  /** What the main thread counts. */
  readonly metrics: WorkerMetrics;
  readonly #reader = new MetricsReader();
  readonly #loop: LoopFigures;
  #desks = 0;

  constructor(clock: Clock, versions: { readonly own: string; readonly node: string }) {
    const { slab, onSeries } = this.#desk(MAIN);
    this.metrics = new WorkerMetrics({ slab, announce: onSeries });
    this.metrics.info('fourways_build_info', [versions.own, versions.node]);
    const startedMs = clock.wallMs() - process.uptime() * 1_000;
    this.metrics.gauge('process_start_time_seconds', []).set(startedMs / 1_000);
    this.#loop = new LoopFigures(clock, this.metrics, MAIN);
  }

  /** For a worker that is about to start. A replacement gets a new one. */
  desk(): Desk {
    return this.#desk(String(++this.#desks));
  }

  expose(members: readonly MemberHealth[], accept: string | undefined): Exposition {
    const { metrics } = this;
    const { user, system } = process.cpuUsage();
    metrics.counter('process_cpu_seconds_total', []).raiseTo((user + system) / 1e6);
    metrics.gauge('process_resident_memory_bytes', []).set(process.memoryUsage.rss());
    metrics.gauge('fourways_workers_alive', []).set(members.filter(({ state }) => state !== 'missing').length);
    const restarts = members.reduce((sum, member) => sum + member.restarts, 0);
    metrics.counter('fourways_worker_restarts_total', []).raiseTo(restarts);
    this.#loop.measure();
    return expose(this.#reader.families(), accept);
  }

  close(): void {
    this.#loop.close();
  }

  #desk(id: string): Desk {
    const slab = allocateSlab();
    this.#reader.join(id, slab);
    return {
      slab,
      onSeries: (event) => this.#reader.announced(id, event),
      leave: () => this.#reader.leave(id),
    };
  }
}
