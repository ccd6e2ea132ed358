/** What the rest of the process sees of a running proxy: it applies plans and says what became of them. */
import type { AskTo } from '../base/asking.ts';
import type { FilterOrder, OrderAnswer } from '../base/filter-order.ts';
import type { ApplyResult } from '../ir/apply-result.ts';
import type { NodeStats } from '../ir/node-stats.ts';
import type { PlanDelta } from '../ir/plan.ts';
import type { PortRefusals, PortStates } from '../ir/port-state.ts';

export interface Node {
  /**
   * Applies a delta whole. From the moment it resolves with an ack, no new request sees the plan before.
   *
   * @param refused  ports of the plan that must not be bound now; the result repeats them as they are
   */
  apply(delta: PlanDelta, refused?: PortRefusals): Promise<ApplyResult>;
  /** Tries again to bind the ports of the plan that are not bound, but for those in `refused`. All ports, as in an ack. */
  rebind(refused?: PortRefusals): Promise<PortStates>;
  /** Stops accepting, lets running exchanges finish, closes what is left after `deadlineMs`. */
  drain(deadlineMs: number): Promise<void>;
  /** Current figures for /status and `fourways status`; cheap. */
  stats(): NodeStats;
  /** What the code of a filter makes of an order (`FilterCode.order`). */
  order(filter: string, order: FilterOrder): OrderAnswer;
  /** Answers whoever looks into it. */
  readonly ask: AskTo;
}
