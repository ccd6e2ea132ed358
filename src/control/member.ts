import type { AskTo } from '../base/asking.ts';
import type { FilterOrder, OrderAnswer } from '../base/filter-order.ts';
import type { ApplyResult } from '../ir/apply-result.ts';
import type { NodeStats } from '../ir/node-stats.ts';
import type { PlanDelta } from '../ir/plan.ts';
import type { PortRefusals, PortStates } from '../ir/port-state.ts';

/**
 * One proxy of a fleet: a worker thread, or the proxy in the main thread. Its
 * promises reject when it ends before it has answered.
 */
export interface Member {
  /** @param refused  ports of the plan that it must not bind now */
  apply(delta: PlanDelta, refused: PortRefusals): Promise<ApplyResult>;
  rebind(refused: PortRefusals): Promise<PortStates>;
  drain(deadlineMs: number): Promise<void>;
  stats(): Promise<NodeStats>;
  /** Of an operator, for all filters of a kind. */
  order(filter: string, order: FilterOrder): Promise<OrderAnswer>;
  /** Asks it. One that ends says so as an end of kind `gone`. */
  readonly ask: AskTo;
  /** Writes the figures that are only measured when somebody asks: event loop, heap. */
  measure(): Promise<void>;
  /** Resolves with the reason when it has ended, whoever ended it. Never rejects. */
  readonly gone: Promise<string>;
  /** Ends it at once, whatever it is doing. */
  end(): Promise<void>;
}

export type MemberState =
  /** Runs, and has no plan yet. */
  | 'starting'
  /** Serves the plan that was applied last. */
  | 'ready'
  /** Died; a new one is on its way. */
  | 'missing';

/** What /readyz says of one member. */
export interface MemberHealth {
  /** Counts from 1. */
  readonly worker: number;
  readonly state: MemberState;
  readonly version: string | undefined;
  /** How often it died and was replaced. */
  readonly restarts: number;
}

export interface MemberStats extends MemberHealth {
  readonly connections: number;
  readonly exchanges: number;
}
