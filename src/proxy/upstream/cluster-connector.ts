/** The connector of one cluster: plain TCP, or TLS on top of it, as its plan says. */
import type { Log } from '../../base/log.ts';
import type { TimerWheel } from '../../base/timers.ts';
import type { PlanCluster, PlanSecret } from '../../ir/plan.ts';
import { SocketConnector } from './connector.ts';
import type { Connector } from './endpoint.ts';

export interface ClusterConnectorOptions {
  readonly key: string;
  readonly plan: PlanCluster;
  readonly wheel: TimerWheel;
  readonly log: Log;
  secretOf(name: string): PlanSecret | undefined;
}

export function connectorFor({ plan, wheel }: ClusterConnectorOptions): Connector {
  return new SocketConnector(wheel, plan.settings.connectMs, undefined);
}
