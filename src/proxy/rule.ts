/** One rule of the plan, ready to serve: filters made, clusters found. Kept as long as its part of the plan is the same. */
import type { FaultCode } from '../base/fault.ts';
import type { PlanBackend, PlanRule } from '../ir/plan.ts';
import type { RuleMetrics, TrafficMetrics } from '../observe/traffic-metrics.ts';
import { type ChainEnv, type FilterChain, makeChain, type Watched } from './chain.ts';
import type { Cluster } from './cluster/cluster.ts';
import { pickShare } from './cluster/pick.ts';

export interface RuleEnv {
  readonly metrics: TrafficMetrics;
  chainEnv(rule: string): ChainEnv;
  /** @throws {Error} on a key that is not in the plan: the plan is refused */
  cluster(key: string): Cluster;
}

export interface RuleBackend {
  readonly cluster: Cluster | undefined;
  readonly fault: FaultCode;
  readonly why: string;
  readonly weight: number;
  credit: number;
  readonly chain: FilterChain;
}

export interface RuleMirror {
  readonly cluster: Cluster;
  readonly share: number;
  /** Fractions of a copy that are owed: exact shares without randomness. */
  owed: number;
}

export class Rule {
  readonly name: string;
  readonly plan: PlanRule;
  readonly metrics: RuleMetrics;
  readonly chain: FilterChain;
  readonly mirrors: readonly RuleMirror[];
  readonly #backends: readonly RuleBackend[];
  readonly #hasFilters: boolean;
  #running = 0;
  #retired = false;

  /** @throws {Error} when the plan names a filter or cluster that is not there */
  constructor(plan: PlanRule, env: RuleEnv) {
    this.name = plan.name;
    this.plan = plan;
    this.metrics = env.metrics.rule(plan.name);
    const chainEnv = env.chainEnv(plan.name);
    this.chain = makeChain(plan.filters, chainEnv);
    this.#backends = plan.backends.map((backend) => makeBackend(backend, env, chainEnv));
    this.#hasFilters = plan.filters.length > 0 || plan.backends.some(({ filters }) => filters.length > 0);
    this.mirrors = plan.mirrors.map(({ cluster, share }) => ({ cluster: env.cluster(cluster), share, owed: 0 }));
  }

  /** The backend whose turn it is; undefined when none has weight. */
  pickBackend(): RuleBackend | undefined {
    const backends = this.#backends;
    return backends.length === 1 && backends[0]!.weight > 0 ? backends[0] : pickShare(backends);
  }

  /** Whether filters act on its requests or answers, those of its backends included. */
  get hasFilters(): boolean {
    return this.#hasFilters;
  }

  get backends(): readonly RuleBackend[] {
    return this.#backends;
  }

  /** Filters of its own and of its backends that may say that they cannot do their work. */
  get watched(): readonly Watched[] {
    return this.#hasFilters
      ? [this.chain, ...this.#backends.map(({ chain }) => chain)].flatMap(({ watched }) => watched)
      : [];
  }

  begin(): void {
    this.#running++;
  }

  end(): void {
    if (--this.#running === 0 && this.#retired) this.#close();
  }

  /** Not in the plan any more: filters close when the last exchange has ended. */
  retire(): void {
    this.#retired = true;
    if (this.#running === 0) this.#close();
  }

  #close(): void {
    this.chain.close();
    for (const { chain } of this.#backends) chain.close();
  }
}

function makeBackend({ target, weight, filters }: PlanBackend, env: RuleEnv, chainEnv: ChainEnv): RuleBackend {
  const chain = makeChain(filters, chainEnv);
  if (target.kind === 'invalid') {
    return { cluster: undefined, fault: target.code, why: target.why, weight, credit: 0, chain };
  }
  return { cluster: env.cluster(target.cluster), fault: 'route.backend-invalid', why: '', weight, credit: 0, chain };
}
