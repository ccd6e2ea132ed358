/** One route below HTTP, ready to serve. Kept as long as its part of the plan is the same. */
import type { PlanStream } from '../ir/plan.ts';
import type { Counter } from '../observe/metrics.ts';
import type { StreamMetrics } from '../observe/stream-metrics.ts';
import type { Cluster } from './cluster/cluster.ts';
import { pickShare } from './cluster/pick.ts';
import { decideAccess, type StreamDecision } from './stream-access.ts';

export interface StreamTargetEnv {
  readonly metrics: { stream(name: string): StreamMetrics; filterEvent(filter: string, event: string): Counter };
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
  readonly #env: StreamTargetEnv;
  readonly #backends: readonly StreamBackend[];

  constructor(plan: PlanStream, env: StreamTargetEnv) {
    this.plan = plan;
    this.#env = env;
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

  /** Decides on a client, and counts as filters on requests do. @param caller  SPIFFE ID */
  access(caller: string | undefined): StreamDecision {
    const { access = [] } = this.plan;
    const decision = decideAccess(access, caller);
    if (decision.refused !== undefined) this.#env.metrics.filterEvent('authorize', 'not_allowed').add(1);
    if (decision.audited !== undefined) this.#env.metrics.filterEvent('authorize', 'audited').add(1);
    return decision;
  }

  /** The backend whose turn it is; undefined when none has weight. */
  pickBackend(): StreamBackend | undefined {
    return pickShare(this.#backends);
  }
}
