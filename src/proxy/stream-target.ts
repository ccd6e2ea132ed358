/** One route below HTTP, ready to serve. Kept as long as its part of the plan is the same. */
import type { PlanStream } from '../ir/plan.ts';
import type { StreamMetrics } from '../observe/stream-metrics.ts';
import type { Cluster } from './cluster/cluster.ts';
import { pickShare } from './cluster/pick.ts';

export interface StreamTargetEnv {
  readonly metrics: { stream(name: string): StreamMetrics };
  /** @throws {Error} on a key that is not in the plan: the plan is refused */
  cluster(key: string): Cluster;
}

export interface StreamBackend {
  /** Undefined: the share of this backend is refused, `why` says the reason. */
  readonly cluster: Cluster | undefined;
  readonly why: string;
  readonly weight: number;
  credit: number;
}

export class StreamTarget {
  readonly plan: PlanStream;
  readonly metrics: StreamMetrics;
  readonly #backends: readonly StreamBackend[];

  constructor(plan: PlanStream, env: StreamTargetEnv) {
    this.plan = plan;
    this.metrics = env.metrics.stream(plan.name);
    this.#backends = plan.backends.map((backend) => ({
      cluster: 'cluster' in backend ? env.cluster(backend.cluster) : undefined,
      why: 'why' in backend ? backend.why : '',
      weight: backend.weight,
      credit: 0,
    }));
  }

  get name(): string {
    return this.plan.name;
  }

  /** The backend whose turn it is; undefined when none has weight. */
  pickBackend(): StreamBackend | undefined {
    return pickShare(this.#backends);
  }
}
