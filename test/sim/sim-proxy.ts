/** A sidecar of the simulation: the real client of the stream, without a socket, a proxy and an application. */
import { silentLog } from '../../src/base/log.ts';
import type { Random } from '../../src/base/random.ts';
import type { ManualClock } from '../../src/base/testing/manual-clock.ts';
import type { MeshConsumer } from '../../src/compile/sidecar-plan.ts';
import type { PlanBundle, PlanCluster, PlanDelta } from '../../src/ir/plan.ts';
import { PushClient } from '../../src/push/client.ts';
import type { TrustBundle, Wish } from '../../src/push/messages.ts';
import { reportOf, type SimMember } from './authority.ts';
import type { CallBytes, Link, Network } from './network.ts';

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
  /** Draws how long it waits before it comes again. */
  readonly waits: Random;
  readonly addresses: readonly string[];
  onTrust(proxy: SimProxy, bundle: TrustBundle): void;
  onWish(proxy: SimProxy, wish: Wish): void;
  onApplied(proxy: SimProxy, bundle: PlanBundle): void;
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
  /** Endpoints that were taken from it, and clusters that had some and then none. */
  lost = 0;
  emptied = 0;
  #member: SimMember | undefined;
  readonly #latencyMs: number;
  #link: Link | undefined;
  #isCutOff = false;

  constructor(options: SimProxyOptions) {
    this.options = options;
    const { place, network, clock, random, addresses } = options;
    this.instance = `p${place.i}`;
    this.identity = `spiffe://cluster.local/ns/${place.namespace}/sa/${place.service}`;
    const latencyMs = network.latencyMs();
    this.#latencyMs = latencyMs;
    this.client = new PushClient({
      connect: (to, end) => {
        this.#link = network.open({ address: to, identity: this.identity, latencyMs, end });
        if (this.#isCutOff) this.#link.cut();
        return this.#link.clientPipe;
      },
      addresses,
      self: {
        software: '1.0.0',
        instance: this.instance,
        role: 'sidecar',
        identity: '',
        zone: '',
        forward: FORWARD,
      },
      apply: async ({ bundle, delta }) => {
        const ms = APPLY_MS_LEAST + random.unit() * (APPLY_MS_MOST - APPLY_MS_LEAST);
        await new Promise<void>((resolve) => network.at(clock.nowMs() + ms, resolve));
        this.#took(bundle, delta);
        return { kind: 'ack', version: bundle.plan.version, ports: {} };
      },
      keep: () => undefined,
      events: {
        onUnknown: () => undefined,
        onTrust: (bundle) => options.onTrust(this, bundle),
        onWish: (wish) => options.onWish(this, wish),
        askTo: () => () => undefined,
      },
      clock,
      random: options.waits,
      log: silentLog,
    });
    this.client.subscribe(place.uses);
  }

  get held(): PlanBundle | undefined {
    return this.client.held;
  }

  get member(): SimMember | undefined {
    return this.#member;
  }

  /** It works by this from now on. */
  become(member: SimMember): void {
    this.#member = member;
    this.client.report(reportOf(member));
  }

  get isLive(): boolean {
    return this.client.state.kind === 'live';
  }

  /** Since when; NaN while it is not. */
  get liveMs(): number {
    const { state } = this.client;
    return state.kind === 'live' ? state.sinceMs : Number.NaN;
  }

  /** `off`: it reaches no control plane any more, whatever it tries. */
  reach(how: 'off' | 'on'): void {
    this.#isCutOff = how === 'off';
    if (this.#isCutOff) this.#link?.cut();
  }

  /** Asks some control plane for something, on a connection of its own. */
  call(bytes: CallBytes, done: (result: 'answered' | 'failed') => void): void {
    const { network, addresses, random } = this.options;
    const address = addresses[Math.floor(random.unit() * addresses.length)]!;
    if (this.#isCutOff) done('failed');
    else network.call({ address, latencyMs: this.#latencyMs, bytes }, done);
  }

  forgetLosses(): void {
    this.lost = 0;
    this.emptied = 0;
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

  #took(bundle: PlanBundle, { set, remove }: PlanDelta): void {
    this.applied++;
    this.appliedMs = this.options.clock.nowMs();
    const { address, service, namespace } = this.options.place;
    const own = new Set([`${address}:${PROXY_PORT}`, `${FORWARD.address}:${FORWARD.port}`]);
    for (const key of Object.keys(set.ports)) if (!own.has(key)) this.strangers.push(key);
    for (const key of Object.keys(set.listeners)) {
      if (key.startsWith('Inbound/') && !key.startsWith(`Inbound/${namespace}/${service}/`)) this.strangers.push(key);
    }
    const before = this.held?.plan.clusters ?? {};
    for (const [key, { endpoints }] of Object.entries(set.clusters)) this.#lose(before[key], endpoints);
    for (const key of remove.clusters) this.#lose(before[key], []);
    this.options.onApplied(this, bundle);
  }

  #lose(before: PlanCluster | undefined, now: PlanCluster['endpoints']): void {
    if (before === undefined || before.endpoints.length === 0) return;
    const there = new Set(now.map(({ address, port }) => `${address} ${port}`));
    this.lost += before.endpoints.filter(({ address, port }) => !there.has(`${address} ${port}`)).length;
    if (now.length === 0) this.emptied++;
  }
}

/** As whoever makes plans sees it. */
export function consumerOf({ namespace, service, address }: ProxyPlace, services: readonly string[]): MeshConsumer {
  const inbound = { service, address, ports: APP_PORTS, proxyPort: PROXY_PORT, labels: {} };
  return { namespace, services, forward: FORWARD, inbound };
}
