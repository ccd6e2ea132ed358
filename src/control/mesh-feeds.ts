/** The plans of all proxies that are connected: which is whose, and what each proxy has made of it. */
import type { Clock } from '../base/clock.ts';
import type { Fault } from '../base/fault.ts';
import type { Log } from '../base/log.ts';
import type { Compiled } from '../compile/compile.ts';
import { addressName } from '../compile/mesh-changes.ts';
import type { MeshConsumer } from '../compile/sidecar-plan.ts';
import type { Acknowledgement } from '../identity/authority-store.ts';
import { parseWorkloadId, type WorkloadId } from '../identity/spiffe.ts';
import type { LearnedSpeech, PlanBundle } from '../ir/plan.ts';
import type { PortStates } from '../ir/port-state.ts';
import { resourceKey } from '../resource/resource.ts';
import { pushFault } from '../push/faults.ts';
import type { Feed, Feeds, Proxy, ProxyStream, Served } from '../push/feeds.ts';
import type {
  CertificateReport,
  Hello,
  LoadReport,
  Report,
  TrustBundle,
  Wish,
  WorkloadReport,
} from '../push/messages.ts';
import type { Registration, Registry } from './registry.ts';
import type { Askable } from './survey.ts';

export interface MeshFeedsOptions {
  readonly registry: Registry;
  readonly clock: Clock;
  readonly log: Log;
  onCertificate(said: Acknowledgement): void;
  /** A proxy that serves Gateways came or went, or serves something else than before. */
  onGateways(): void;
  /** What there is to say of a proxy is otherwise than before, or it is gone. */
  onProxy?(instance: string): void;
  /** An instance ended in good order. */
  readonly onFarewell: (instance: string, identity: string) => void;
}

/** A proxy as operators see it. */
export interface ProxyRow {
  readonly instance: string;
  readonly identity: string;
  readonly role: 'gateway' | 'sidecar';
  readonly software: string;
  readonly zone: string;
  /** Instances of services behind it: `shop/orders`. */
  readonly services: readonly string[];
  /** Gateways that it serves: `Gateway/shop/edge`. */
  readonly gateways: readonly string[];
  /** Services that it calls: `Service/shop/orders`. */
  readonly calls: readonly string[];
  /** Where clients reach it; empty when it has not said. Of gateways only, as are its ports. */
  readonly address: string;
  readonly ports: PortStates;
  /** The plan that it serves, and the one that it should; equal when it lags behind in nothing. */
  readonly version: string | undefined;
  readonly wanted: string | undefined;
  /** Why it refused the plan that it should serve. */
  readonly refused: string | undefined;
  /** How long it has not served what it should: 0 when it does. */
  readonly lagMs: number;
  readonly connectedMs: number;
  /** End of its certificate, in milliseconds since the epoch. */
  readonly certificateEndMs: number | undefined;
  /** Its serial number, hex. */
  readonly certificateSerial: string | undefined;
  readonly load: Omit<LoadReport, 'kind'> | undefined;
}

const NOBODY: readonly string[] = [];

const NOTHING: Served = { bundle: undefined, unknown: [] };

export class MeshFeeds implements Feeds {
  readonly #options: MeshFeedsOptions;
  /** By instance, in the order in which they connected. */
  readonly #feeds = new Map<string, ProxyFeed>();
  readonly #index = new FeedIndex();
  /** Those that a change is for and that were not told yet. */
  readonly #due = new Set<ProxyFeed>();
  #cancelNext: (() => void) | undefined;
  #compiled: Compiled | undefined;
  #compiledTrust = '';
  #trust: TrustBundle | undefined;
  /** By the authority, and by the plans. */
  #denials: readonly string[] = NOBODY;
  #planDenials: readonly string[] = NOBODY;
  #denied: ReadonlySet<string> = new Set();
  readonly #joinedTold = new Set<(proxy: Askable) => void>();

  constructor(options: MeshFeedsOptions) {
    this.#options = options;
  }

  /** From now on these are the plans. @param trusts  hash of the trust bundle whose roots stand in them */
  publish(compiled: Compiled, trusts: string): void {
    const before = this.#compiled;
    this.#compiled = compiled;
    // By what a plan is made counts, also where nothing of it is to be seen there.
    const changed = trusts === this.#compiledTrust ? this.#touched(before, compiled) : this.#feeds.values();
    this.#compiledTrust = trusts;
    for (const feed of changed) this.#due.add(feed);
    // A part of them goes on already.
    if (this.#cancelNext === undefined) this.#tellSome();
    if (this.#planDenials === compiled.mesh.denied) return;
    this.#planDenials = compiled.mesh.denied;
    this.#cutDenied();
  }

  /** A plan is made and compared for each: a thousand in one turn would keep all streams waiting. */
  #tellSome(): void {
    this.#cancelNext = undefined;
    let left = TOLD_AT_ONCE_MAX;
    for (const feed of this.#due) {
      if (left-- === 0) {
        this.#cancelNext = this.#options.clock.after(0, () => this.#tellSome());
        return;
      }
      this.#due.delete(feed);
      feed.changed();
    }
  }

  /** Whose plan may be another one: of thousands of proxies, an endpoint that comes is for the few that call it. */
  #touched(before: Compiled | undefined, { mesh, gateways }: Compiled): Iterable<ProxyFeed> {
    const changes = before === undefined ? 'all' : mesh.changesSince(before.mesh.number);
    if (changes === 'all') return this.#feeds.values();
    return this.#index.under(before?.gateways.number === gateways.number ? changes : [...changes, GATEWAYS]);
  }

  /** From now on these have no plan, and no stream. */
  deny(identities: readonly string[]): void {
    this.#denials = identities;
    this.#cutDenied();
  }

  /** Tells every proxy what to trust from now on, and each that comes and does not know it yet. */
  trust(bundle: TrustBundle): void {
    this.#trust = bundle;
    for (const feed of this.#feeds.values()) feed.trust(bundle);
  }

  /** Would like something of each proxy that is connected here, or of these instances. */
  wish(wish: Wish, instances?: ReadonlySet<string>): void {
    for (const [instance, feed] of this.#feeds) if (instances?.has(instance) ?? true) feed.wish(wish);
  }

  get size(): number {
    return this.#feeds.size;
  }

  open(proxy: Proxy, stream: ProxyStream): Feed | Fault {
    const id = parseWorkloadId(proxy.identity);
    if ('flaw' in id) return pushFault('push.identity-refused', id.flaw);
    if (this.#denied.has(proxy.identity)) return deniedFault(proxy.identity);
    const { instance, trusts } = proxy.hello;
    const before = this.#feeds.get(instance);
    if (before !== undefined && before.identity !== proxy.identity) {
      return pushFault('push.identity-refused', `Instance "${instance}" is one of another identity`);
    }
    // Its other end is gone, whether we have heard of it or not.
    before?.cut(pushFault('push.closed', 'The same instance has connected again'));
    const feed: ProxyFeed = new ProxyFeed({
      ...this.#options,
      id,
      proxy,
      stream,
      compiled: () => this.#compiled,
      index: this.#index,
      compiledTrust: () => this.#compiledTrust,
      onClosed: () => {
        this.#index.drop(feed);
        this.#due.delete(feed);
        // The one that was cut ends later than its successor begins.
        if (this.#feeds.get(instance) === feed) this.#feeds.delete(instance);
        this.#options.onProxy?.(instance);
        if (proxy.hello.role === 'gateway') this.#options.onGateways();
      },
    });
    this.#feeds.delete(instance);
    this.#feeds.set(instance, feed);
    this.#options.onProxy?.(instance);
    if (this.#trust !== undefined && !isTrusted(this.#trust, trusts)) stream.trust(this.#trust);
    // Not in this turn: its stream is about to begin.
    if (this.#joinedTold.size > 0) this.#options.clock.after(0, () => this.#tellJoined(feed));
    return feed;
  }

  #tellJoined(feed: ProxyFeed): void {
    if (this.#feeds.get(feed.instance) !== feed) return;
    for (const told of this.#joinedTold) told(feed.askable());
  }

  onJoined(told: (proxy: Askable) => void): () => void {
    this.#joinedTold.add(told);
    return () => this.#joinedTold.delete(told);
  }

  askables(): Askable[] {
    return [...this.#feeds.values()].map((feed) => feed.askable());
  }

  #cutDenied(): void {
    this.#denied = new Set([...this.#denials, ...this.#planDenials]);
    // One that is cut takes itself out of the map, which its walk allows.
    for (const feed of this.#feeds.values()) {
      if (this.#denied.has(feed.identity)) feed.cut(deniedFault(feed.identity));
    }
  }

  /** Undefined when it is not connected. */
  rowOf(instance: string): ProxyRow | undefined {
    return this.#feeds.get(instance)?.row();
  }

  /** In the order in which they connected. */
  list(): ProxyRow[] {
    return [...this.#feeds.values()].map((feed) => feed.row());
  }
}

/** Whether a proxy that comes has heard all of it. */
function isTrusted({ hash, issuer }: TrustBundle, trusts: Hello['trusts']): boolean {
  return trusts?.bundle === hash && trusts.issuer === issuer;
}

function deniedFault(identity: string): Fault {
  return pushFault('push.identity-refused', `"${identity}" is denied`);
}

/** Proxies that are told of a change in one turn of the event loop: some ten milliseconds. */
const TOLD_AT_ONCE_MAX = 64;

/** There are few of them, and each has a part of one plan. */
const GATEWAYS = 'gateways';

/** Feeds by what their plans are made of. */
class FeedIndex {
  readonly #byName = new Map<string, Set<ProxyFeed>>();
  readonly #names = new Map<ProxyFeed, readonly string[]>();

  put(feed: ProxyFeed, names: readonly string[]): void {
    const before = this.#names.get(feed);
    if (before !== undefined && before.length === names.length && before.every((name, i) => name === names[i])) return;
    this.drop(feed);
    for (const name of names) {
      const feeds = this.#byName.get(name);
      if (feeds === undefined) this.#byName.set(name, new Set([feed]));
      else feeds.add(feed);
    }
    this.#names.set(feed, names);
  }

  drop(feed: ProxyFeed): void {
    for (const name of this.#names.get(feed) ?? []) {
      const feeds = this.#byName.get(name);
      feeds?.delete(feed);
      if (feeds?.size === 0) this.#byName.delete(name);
    }
    this.#names.delete(feed);
  }

  /** Each once. */
  under(names: Iterable<string>): Set<ProxyFeed> {
    const found = new Set<ProxyFeed>();
    for (const name of names) for (const feed of this.#byName.get(name) ?? []) found.add(feed);
    return found;
  }
}

interface ProxyFeedOptions extends MeshFeedsOptions {
  readonly index: FeedIndex;
  readonly id: WorkloadId;
  readonly proxy: Proxy;
  readonly stream: ProxyStream;
  readonly compiled: () => Compiled | undefined;
  readonly compiledTrust: () => string;
  readonly onClosed: () => void;
}

class ProxyFeed implements Feed {
  readonly #options: ProxyFeedOptions;
  readonly #sinceMs: number;
  #bundle: PlanBundle | undefined;
  #workload: WorkloadReport | undefined;
  #load: LoadReport | undefined;
  #certificate: CertificateReport | undefined;
  /** What it said of its certificate and was passed on: only what is new is. */
  #passedOn = '';
  /** Hash of the trust bundle whose roots stand in {@link #bundle}, and in the plan that it serves. */
  #wantedTrust = '';
  #servedTrust: string | undefined;
  #gateways: readonly string[] = [];
  #calls: readonly string[] = [];
  #ports: PortStates = {};
  #served: string | undefined;
  #refused: { readonly version: string; readonly reason: string } | undefined;
  /** Since when it does not serve what it should. */
  #behindMs: number | undefined;

  constructor(options: ProxyFeedOptions) {
    this.#options = options;
    this.#sinceMs = options.clock.nowMs();
  }

  get identity(): string {
    return this.#options.proxy.identity;
  }

  get instance(): string {
    return this.#options.proxy.hello.instance;
  }

  changed(): void {
    this.#options.stream.changed();
  }

  trust(bundle: TrustBundle): void {
    this.#options.stream.trust(bundle);
  }

  wish(wish: Wish): void {
    this.#options.stream.wish(wish);
  }

  cut(fault: Fault): void {
    this.#options.stream.cut(fault);
  }

  bundleOf(services: ReadonlySet<string>): Served {
    const { compiled, proxy, index } = this.#options;
    const now = compiled();
    if (now === undefined) return NOTHING;
    if (proxy.hello.role === 'gateway') {
      index.put(this, [GATEWAYS]);
      return this.#gatewayPlan(now);
    }
    const { mesh } = now;
    const { namespace } = this.#options.id;
    const keys = new Set<string>();
    const unknown: string[] = [];
    const addresses: string[] = [];
    for (const name of services) {
      const found = mesh.keysOf(name, namespace);
      if (found.length === 0) unknown.push(name);
      for (const key of found) keys.add(key);
      if (!found.some((key) => key.startsWith('Service/'))) addresses.push(addressName(name));
    }
    this.#calls = [...keys].toSorted();
    const consumer = this.#consumer(this.#calls);
    const bundle = mesh.planOf(consumer, this.#bundle);
    index.put(this, [...mesh.dependsOn(consumer), ...addresses]);
    return this.#want({ bundle, unknown });
  }

  /** What it may not serve is to it as if it were not there. */
  #gatewayPlan({ gateways }: Compiled): Served {
    const { id, proxy } = this.#options;
    const { namespace, account } = id;
    const { gateways: asked = [] } = proxy.hello;
    const names = asked.length === 0 ? [`${namespace}/${account}`] : asked;
    const keys: string[] = [];
    const unknown: string[] = [];
    for (const name of new Set(names)) {
      const [gatewayNamespace = '', gatewayName = ''] = name.split('/');
      const key = resourceKey('Gateway', gatewayNamespace, gatewayName);
      if (gateways.mayServe(key, id)) keys.push(key);
      else unknown.push(name);
    }
    this.#gateways = keys.toSorted();
    return this.#want({ bundle: gateways.planOf(this.#gateways), unknown });
  }

  #want(served: Served): Served {
    if (served.bundle?.plan.version !== this.#bundle?.plan.version) this.#tellProxy();
    this.#bundle = served.bundle;
    this.#wantedTrust = this.#options.compiledTrust();
    if (served.bundle?.plan.version === this.#served) this.#upToDate();
    else this.#behindMs ??= this.#options.clock.nowMs();
    this.#tellGateways();
    return served;
  }

  /** It serves what it should. */
  #upToDate(): void {
    this.#behindMs = undefined;
    this.#servedTrust = this.#wantedTrust;
    this.#passOn();
  }

  /** That it works by a trust bundle counts when its plan does, too: both are told it, on their own ways. */
  #passOn(): void {
    const said = this.#certificate;
    if (said === undefined || said.bundle !== this.#servedTrust) return;
    const { serial, bundle } = said;
    if (this.#passedOn === `${serial} ${bundle}`) return;
    this.#passedOn = `${serial} ${bundle}`;
    this.#options.onCertificate({ proxy: this.instance, identity: this.identity, serial, bundle });
  }

  #consumer(services: readonly string[]): MeshConsumer {
    const { id, proxy } = this.#options;
    const { forward } = proxy.hello;
    return {
      namespace: id.namespace,
      services,
      ...(forward !== undefined && { forward }),
      ...(this.#workload !== undefined && {
        inbound: { ...registrationOf(this.#workload), labels: {} },
      }),
    };
  }

  acked(version: string, ports: PortStates): void {
    this.#tellProxy();
    this.#served = version;
    if (version === this.#bundle?.plan.version) this.#upToDate();
    if (this.#options.proxy.hello.role === 'gateway') this.#ports = ports;
    if (this.#refused?.version !== this.#bundle?.plan.version) this.#refused = undefined;
    this.#tellGateways();
  }

  #tellProxy(): void {
    this.#options.onProxy?.(this.instance);
  }

  #tellGateways(): void {
    if (this.#options.proxy.hello.role === 'gateway') this.#options.onGateways();
  }

  nacked(version: string, reason: string): void {
    this.#refused = { version, reason };
    this.#tellProxy();
    const { log, proxy } = this.#options;
    log.error('A proxy refused its plan and goes on with the one before', {
      identity: proxy.identity,
      instance: proxy.hello.instance,
      version: version.slice(0, 12),
      reason,
    });
  }

  reported(report: Report): Fault | undefined {
    switch (report.kind) {
      case 'workload':
        return this.#register(report);
      case 'load':
        this.#load = report;
        break;
      case 'certificate':
        this.#certificate = report;
        this.#tellProxy();
        this.#passOn();
        break;
    }
    return undefined;
  }

  #register(report: WorkloadReport): Fault | undefined {
    const { id, registry } = this.#options;
    const fault = registry.register({ ...id, instance: this.instance }, registrationOf(report));
    if (fault !== undefined) return fault;
    this.#workload = report;
    this.#tellProxy();
    this.changed();
    return undefined;
  }

  closed(fault: Fault): void {
    const { registry, onClosed, onFarewell } = this.#options;
    // One that goes in order has said before that it drains.
    const how = this.#workload?.health === 'draining' || fault.code === 'push.identity-refused' ? 'farewell' : 'cut';
    registry.left(this.instance, how);
    if (how === 'farewell') onFarewell(this.instance, this.identity);
    onClosed();
  }

  askable(): Askable {
    const { proxy, stream } = this.#options;
    const { instance, role } = proxy.hello;
    return {
      instance,
      role,
      identity: proxy.identity,
      services: this.#services,
      ask: (ask, asker) => stream.ask(ask, asker),
    };
  }

  get #services(): readonly string[] {
    return this.#workload === undefined ? [] : [`${this.#workload.namespace}/${this.#workload.service}`];
  }

  row(): ProxyRow {
    const { proxy, clock } = this.#options;
    const { hello, identity } = proxy;
    const wanted = this.#bundle?.plan.version;
    return {
      instance: hello.instance,
      identity,
      role: hello.role,
      software: hello.software,
      zone: hello.zone,
      services: this.#services,
      gateways: this.#gateways,
      calls: this.#calls,
      address: hello.address ?? '',
      ports: this.#ports,
      version: this.#served,
      wanted,
      refused: this.#refused?.version === wanted ? this.#refused?.reason : undefined,
      lagMs: this.#behindMs === undefined ? 0 : clock.nowMs() - this.#behindMs,
      connectedMs: clock.nowMs() - this.#sinceMs,
      certificateEndMs: this.#certificate?.notAfterMs,
      certificateSerial: this.#certificate?.serial,
      load: this.#load,
    };
  }
}

const HEALTH = { healthy: 'ready', unhealthy: 'not-ready', draining: 'draining' } as const;

function registrationOf({ service, namespace, address, ports, proxyPort, zone, health }: WorkloadReport): Registration {
  const learned = ports.flatMap(({ name, protocol }) => (isLearned(protocol) ? [[name, protocol] as const] : []));
  return {
    service,
    namespace,
    address,
    ports: Object.fromEntries(ports.map(({ name, port }) => [name, port])),
    ...(learned.length > 0 && { protocols: Object.fromEntries(learned) }),
    proxyPort,
    zone,
    health: HEALTH[health],
  };
}

function isLearned(word: string): word is LearnedSpeech {
  return word === 'http' || word === 'h2c' || word === 'tcp';
}
