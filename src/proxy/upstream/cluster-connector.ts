/** The connector of one cluster: plain TCP, or TLS on top of it, as its plan says. */
import { Fault } from '../../base/fault.ts';
import type { TimerWheel } from '../../base/timers.ts';
import type { PlanCluster, PlanKeyPair } from '../../ir/plan.ts';
import { type ClientContexts, UpstreamTls } from '../../net/tls-client.ts';
import { type Secure, SocketConnector } from './connector.ts';
import type { Connector, ConnectTo } from './pool.ts';

export interface ClusterConnectorOptions {
  readonly key: string;
  /** `clear`: to an endpoint that does not speak the TLS of its cluster. */
  readonly speech: 'as-planned' | 'clear';
  readonly plan: PlanCluster;
  readonly wheel: TimerWheel;
  readonly contexts: ClientContexts;
  secretOf(name: string): PlanKeyPair | undefined;
  /** Whether that is a forward-proxy port of this proxy: what goes there comes back. */
  isOwnProxy(to: ConnectTo): boolean;
}

export function connectorFor(options: ClusterConnectorOptions): Connector {
  const { key, plan, wheel, speech } = options;
  const connector = new SocketConnector({
    wheel,
    connectMs: plan.settings.connectMs,
    secure: plan.tls === undefined || speech === 'clear' ? undefined : secureFor(options),
    reads: plan.stream === undefined ? 'codec' : 'stream',
  });
  return {
    connect(to, offer, done) {
      if (!options.isOwnProxy(to)) return connector.connect(to, offer, done);
      const fault = new Fault('mesh.loop', `${key}: ${to.address}:${to.port} is the forward proxy itself`);
      const failing = setImmediate(() => done.onFailed(fault));
      return () => clearImmediate(failing);
    },
  };
}

function secureFor(options: ClusterConnectorOptions): Secure {
  const { key, plan, contexts } = options;
  const { tls } = plan;
  const wanted = tls!.clientCertificate?.secret;
  const clientCertificate = (): PlanKeyPair | undefined =>
    wanted === undefined ? undefined : options.secretOf(wanted);
  const offering = (alpn: readonly string[]): UpstreamTls =>
    new UpstreamTls({ plan: tls!, clientCertificate, contexts, alpn });
  // What a stream carries is not known here.
  const all = offering(plan.stream === undefined ? ALPN[plan.protocol] : []);
  const http1 = plan.protocol === 'auto' ? offering(ALPN.http1) : all;
  return (socket, { endpoint, offer }, done) =>
    (offer === 'all' ? all : http1).secure(socket, endpoint, {
      onSecure: (secured, protocol) => {
        // There is no HTTP/2 over TLS without ALPN (RFC 9113 section 3.2).
        if (plan.protocol !== 'h2' || protocol === 'h2') return done.onOpen(secured, undefined, protocol);
        secured.destroy();
        const agreed = protocol === '' ? 'nothing' : protocol;
        done.onFailed(
          new Fault('upstream.tls-failed', `${key}: ${endpoint} agreed on ${agreed} by ALPN instead of h2`),
        );
      },
      onFailed: (why, cause) => {
        const code = cause === 'identity' ? 'upstream.identity-wrong' : 'upstream.tls-failed';
        done.onFailed(new Fault(code, `${key}: ${why}`));
      },
    });
}

/** What is offered to an upstream that speaks TLS, by what its cluster is said to speak. */
const ALPN: Readonly<Record<PlanCluster['protocol'], readonly string[]>> = {
  http1: ['http/1.1'],
  h2: ['h2'],
  auto: ['h2', 'http/1.1'],
};
