import type { Cells } from '../../filter/cells.ts';
import type { Env } from '../../filter/env.ts';
import type { Limit, LimitDemand } from './limit.ts';

/** `undecidable`: nothing can be counted, and the operator said that then nothing is let through. */
export type Ruling = 'admitted' | 'refused' | 'undecidable';

/** Where requests are counted. */
export interface Counter {
  /** Decides on the first `count` demands, whose `used` and `waitMs` it fills in. Never waits. */
  decide(demands: readonly LimitDemand[], count: number, nowMs: number): Ruling;
  close(): void;
}

/** A demand of each limit, in which `share` of it is allowed. */
export function demandOf(limit: Limit, share: number = 1): LimitDemand {
  // One request at least: a limit of nothing would be a closed route.
  const burst = Math.max(1, limit.burst * share);
  return { limit, key: '', lo: 0, hi: 0, cost: 1, burst, perUnitMs: limit.perUnitMs / share, used: 0, waitMs: 0 };
}

/** Exact over all workers of this process. */
export class LocalCounter implements Counter {
  readonly #cells: Cells;
  readonly #env: Env;

  constructor(cells: Cells, env: Env) {
    this.#cells = cells;
    this.#env = env;
  }

  decide(demands: readonly LimitDemand[], count: number, nowMs: number): Ruling {
    const admitted = this.#cells.spend(demands, count, nowMs);
    if (this.#cells.forgotten > 0) this.#env.count('forgotten', this.#cells.forgotten);
    return admitted ? 'admitted' : 'refused';
  }

  close(): void {}
}
