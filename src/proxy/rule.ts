/** One rule of the plan, ready to serve: filters made, clusters found. Kept as long as its part of the plan is the same. */
import { Fault, type FaultCode } from '../base/fault.ts';
import type { Env, Filter, FilterDef } from '../filter/filter.ts';
import type { PlanBackend, PlanFilter, PlanRule } from '../ir/plan.ts';
import type { RuleMetrics, TrafficMetrics } from '../observe/traffic-metrics.ts';
import type { Cluster } from './cluster/cluster.ts';
import { pickShare } from './cluster/pick.ts';

export interface RuleEnv {
  readonly filters: ReadonlyMap<string, FilterDef>;
  readonly metrics: TrafficMetrics;
  nowMs(): number;
  /** @throws {Error} on a key that is not in the plan: the plan is refused */
  cluster(key: string): Cluster;
}

/** Filters in running order, split by hook so that absent hooks cost nothing. */
export interface FilterChain {
  readonly onRequest: readonly Filter[];
  /** In reverse order: what saw the request last sees the answer first. */
  readonly onResponse: readonly Filter[];
  readonly onEnd: readonly Filter[];
  readonly all: readonly Filter[];
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
  #running = 0;
  #retired = false;

  /** @throws {Error} when the plan names a filter or cluster that is not there */
  constructor(plan: PlanRule, env: RuleEnv) {
    this.name = plan.name;
    this.plan = plan;
    this.metrics = env.metrics.rule(plan.name);
    this.chain = makeChain(plan.filters, env);
    this.#backends = plan.backends.map((backend) => makeBackend(backend, env));
    this.mirrors = plan.mirrors.map(({ cluster, share }) => ({ cluster: env.cluster(cluster), share, owed: 0 }));
  }

  /** The backend whose turn it is; undefined when none has weight. */
  pickBackend(): RuleBackend | undefined {
    const backends = this.#backends;
    return backends.length === 1 && backends[0]!.weight > 0 ? backends[0] : pickShare(backends);
  }

  get backends(): readonly RuleBackend[] {
    return this.#backends;
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
    for (const filter of this.chain.all) filter.close?.();
    for (const { chain } of this.#backends) for (const filter of chain.all) filter.close?.();
  }
}

const EMPTY_CHAIN: FilterChain = { onRequest: [], onResponse: [], onEnd: [], all: [] };

function makeChain(planned: readonly PlanFilter[], env: RuleEnv): FilterChain {
  if (planned.length === 0) return EMPTY_CHAIN;
  const all = planned.map(({ filter: name, config }) => {
    const def = env.filters.get(name);
    if (def === undefined) throw new Error(`Plan names filter "${name}", which this proxy does not have`);
    const lent: Env = {
      nowMs: () => env.nowMs(),
      count: (event) => env.metrics.filterEvent(name, event).add(1),
    };
    return def.make(config as never, lent);
  });
  return {
    all,
    onRequest: all.filter((filter) => filter.onRequest !== undefined),
    onResponse: all.filter((filter) => filter.onResponse !== undefined).toReversed(),
    onEnd: all.filter((filter) => filter.onEnd !== undefined),
  };
}

function makeBackend({ target, weight, filters }: PlanBackend, env: RuleEnv): RuleBackend {
  const chain = makeChain(filters, env);
  if (target.kind === 'invalid') {
    return { cluster: undefined, fault: target.code, why: target.why, weight, credit: 0, chain };
  }
  return { cluster: env.cluster(target.cluster), fault: 'route.backend-invalid', why: '', weight, credit: 0, chain };
}

/** What a filter threw, without what it may have said of the request. */
export function filterFailed(error: unknown): Fault {
  return new Fault('filter.failed', error instanceof Error ? `${error.name} in a filter` : 'A filter threw');
}
