/** A sidecar of the simulation: the real client of the stream, without a socket, a proxy and an application. */
import { silentLog } from '../../src/base/log.ts';
import type { Random } from '../../src/base/random.ts';
import type { ManualClock } from '../../src/base/testing/manual-clock.ts';
import type { MeshConsumer } from '../../src/compile/sidecar-plan.ts';
import type { PlanBundle, PlanDelta } from '../../src/ir/plan.ts';
import { PushClient } from '../../src/push/client.ts';
import type { TrustBundle } from '../../src/push/messages.ts';
import type { Network } from './network.ts';

export interface ProxyPlace {
  /** Number of the proxy. */
  readonly i: number;
  readonly namespace: string;
  /** That it stands before. */
  readonly service: string;
  readonly address: string;
  /** Names that its application calls. */
  readonly uses: readonly string[];
}

export interface SimProxyOptions {
  readonly place: ProxyPlace;
  readonly network: Network;
  readonly clock: ManualClock;
  readonly random: Random;
  readonly addresses: readonly string[];
  onTrust(proxy: SimProxy, bundle: TrustBundle): void;
  onApplied(proxy: SimProxy): void;
}

const PROXY_PORT = 15_008;
export const FORWARD = { address: '127.0.0.1', port: 15_001 };
const APP_PORTS = { http: 8_080 };

/** How long a proxy takes to put a plan to work. */
const APPLY_MS_LEAST = 2;
const APPLY_MS_MOST = 20;

export class SimProxy {
  readonly options: SimProxyOptions;
  readonly instance: string;
  readonly identity: string;
  readonly client: PushClient;
  /** Names of parts of another identity that came: there must be none. */
  strangers: string[] = [];
  applied = 0;
  appliedMs = 0;
  /** Smallest number of endpoints that some cluster had since it first had any, by key. */
  emptied = 0;

  /** @param held  what it has on its disk */
  constructor(options: SimProxyOptions, held?: PlanBundle) {
    this.options = options;
    const { place, network, clock, random, addresses } = options;
    this.instance = `p${place.i}`;
    this.identity = `spiffe://cluster.local/ns/${place.namespace}/sa/${place.service}`;
    this.client = new PushClient({
      connect: network.connectOf(this.instance, () => this.identity),
      addresses,
      self: {
        software: '1.0.0',
        instance: this.instance,
        role: 'sidecar',
        identity: '',
        zone: '',
        forward: FORWARD,
      },
      ...(held !== undefined && { held }),
      apply: async ({ bundle, delta }) => {
        const ms = APPLY_MS_LEAST + random.unit() * (APPLY_MS_MOST - APPLY_MS_LEAST);
        await new Promise<void>((resolve) => network.at(clock.nowMs() + ms, resolve));
        this.#took(delta);
        return { kind: 'ack', version: bundle.plan.version, ports: {} };
      },
      keep: () => undefined,
      events: {
        onUnknown: () => undefined,
        onTrust: (bundle) => options.onTrust(this, bundle),
        onWish: () => undefined,
        askTo: () => () => undefined,
      },
      clock,
      random,
      log: silentLog,
    });
    this.client.subscribe(place.uses);
  }

  get held(): PlanBundle | undefined {
    return this.client.held;
  }

  get isLive(): boolean {
    return this.client.state.kind === 'live';
  }

  start(): void {
    this.tell('healthy');
    this.client.start();
  }

  tell(health: 'healthy' | 'unhealthy' | 'draining'): void {
    const { namespace, service, address } = this.options.place;
    this.client.report({
      kind: 'workload',
      service,
      namespace,
      address,
      ports: Object.entries(APP_PORTS).map(([name, port]) => ({ name, port, protocol: '' })),
      proxyPort: PROXY_PORT,
      zone: '',
      health,
    });
  }

  #took({ set }: PlanDelta): void {
    this.applied++;
    this.appliedMs = this.options.clock.nowMs();
    const { address, service, namespace } = this.options.place;
    const own = new Set([`${address}:${PROXY_PORT}`, `${FORWARD.address}:${FORWARD.port}`]);
    for (const key of Object.keys(set.ports)) if (!own.has(key)) this.strangers.push(key);
    for (const key of Object.keys(set.listeners)) {
      if (key.startsWith('Inbound/') && !key.startsWith(`Inbound/${namespace}/${service}/`)) this.strangers.push(key);
    }
    const before = this.held?.plan.clusters ?? {};
    for (const [key, { endpoints }] of Object.entries(set.clusters)) {
      if (endpoints.length === 0 && (before[key]?.endpoints.length ?? 0) > 0) this.emptied++;
    }
    this.options.onApplied(this);
  }
}

/** As whoever makes plans sees it. */
export function consumerOf({ namespace, service, address }: ProxyPlace, services: readonly string[]): MeshConsumer {
  const inbound = { service, address, ports: APP_PORTS, proxyPort: PROXY_PORT, labels: {} };
  return { namespace, services, forward: FORWARD, inbound };
}
