/** The connector of one cluster: plain TCP, or TLS on top of it, as its plan says. */
import { Fault } from '../../base/fault.ts';
import type { TimerWheel } from '../../base/timers.ts';
import type { PlanCluster, PlanSecret } from '../../ir/plan.ts';
import { type ClientContexts, UpstreamTls } from '../../net/tls-client.ts';
import { type Secure, SocketConnector } from './connector.ts';
import type { Connector } from './endpoint.ts';

export interface ClusterConnectorOptions {
  readonly key: string;
  readonly plan: PlanCluster;
  readonly wheel: TimerWheel;
  readonly contexts: ClientContexts;
  secretOf(name: string): PlanSecret | undefined;
}

export function connectorFor(options: ClusterConnectorOptions): Connector {
  const { plan, wheel } = options;
  return new SocketConnector(wheel, plan.settings.connectMs, plan.tls === undefined ? undefined : secureFor(options));
}

function secureFor(options: ClusterConnectorOptions): Secure {
  const { key, plan, contexts } = options;
  const { tls } = plan;
  const wanted = tls!.clientCertificate?.secret;
  const clientCertificate = wanted === undefined ? undefined : options.secretOf(wanted);
  const upstreamTls = new UpstreamTls({ plan: tls!, clientCertificate, contexts });
  return (socket, endpoint, done) =>
    upstreamTls.secure(socket, endpoint, {
      onSecure: (secured) => done.onOpen(secured, undefined),
      onFailed: (why) => done.onFailed(new Fault('upstream.tls-failed', `${key}: ${why}`)),
    });
}
