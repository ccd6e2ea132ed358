import type { PlanBundle, PlanDelta } from './plan.ts';

/** The plan to take, and the way there from the plan before. */
export interface Change {
  readonly bundle: PlanBundle;
  readonly delta: PlanDelta;
}
