/** What the rest of the process sees of a running proxy: it applies plans and says what became of them. */
import type { PlanDelta } from '../ir/plan.ts';
import type { PortRefusals, PortStates } from '../ir/port-state.ts';

/** Answer of a worker to a delta. `nack` leaves the worker on the plan it had. */
export type ApplyResult =
  | { readonly kind: 'ack'; readonly version: string; readonly ports: PortStates }
  | { readonly kind: 'nack'; readonly version: string; readonly reason: string };

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
}

export interface NodeStats {
  readonly version: string | undefined;
  readonly connections: number;
  readonly exchanges: number;
  /** State of each endpoint by cluster key, for /status. */
  readonly endpoints: Readonly<Record<string, readonly EndpointStats[]>>;
}

export interface EndpointStats {
  readonly address: string;
  readonly port: number;
  readonly connections: number;
  readonly idle: number;
  readonly resolvedFrom?: string;
}
