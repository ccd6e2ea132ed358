/**
 * The control plane of a mesh, put together: the store, the authority in it, the registry of workloads, and the port at
 * which proxies join and get their plans. Loaded only where there is one.
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Compiled } from '../compile/compile.ts';
import type { CallAnswer, CallQuestion } from '../compile/mesh-calls.ts';
import type { ServingProxy } from '../compile/status-item.ts';
import { MeshFeeds, type ProxyRow } from '../control/mesh-feeds.ts';
import { MeshJoining } from '../control/mesh-joining.ts';
import { type MeshSummary, meshSummary } from '../control/mesh-summary.ts';
import { LearnedPorts } from '../control/learned-ports.ts';
import { Recorder } from '../control/recorder.ts';
import { Registry } from '../control/registry.ts';
import { elsewhereOf, type ListedProxy } from '../control/shared-proxies.ts';
import type { Askables } from '../control/survey.ts';
import { Acknowledgements } from '../control/acknowledgements.ts';
import type { Outcome } from '../control/pipeline.ts';
import { TrustTurner } from '../control/trust-turner.ts';
import { Authority, DEFAULT_LIVES } from '../identity/authority.ts';
import { portKey } from '../ir/key.ts';
import type { BroughtIssuer } from '../identity/brought.ts';
import { Rotor } from '../identity/rotor.ts';
import { controlId, formatWorkloadId } from '../identity/spiffe.ts';
import { SqlAuthorityStore } from '../identity/sql-store.ts';
import type { WorkerMetrics } from '../observe/metrics.ts';
import { Hub } from '../push/hub.ts';
import type { TrustBundle } from '../push/messages.ts';
import { PushServer } from '../push/server.ts';
import type { Resource } from '../resource/resource.ts';
import { credentialsOf, type Member } from '../sidecar/membership.ts';
import { instanceName } from './instance-name.ts';
import { measureMesh } from './mesh-figures.ts';
import { MeshSharing } from './mesh-sharing.ts';
import { OwnMember } from './own-member.ts';
import type { OpenState, State, StateUser } from './state.ts';
import { StartFailure } from './start-failure.ts';
import { TrustDesk } from './trust-desk.ts';

export interface MeshControlSettings {
  /** Where proxies connect. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly state: State;
  readonly trustDomain: string;
  readonly leafMs: number;
  /** To issue by; undefined: what is in the store, or a root of our own. */
  readonly brought: BroughtIssuer | undefined;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
  /** A workload came or went, or the roots are others: compile again. */
  readonly again: () => Promise<Outcome | undefined>;
  /** What is said of Gateways may be otherwise. */
  readonly restate: () => void;
  readonly metrics: WorkerMetrics;
}

/** A hundred proxies that come together cost a few lists; of what thousands acknowledge there is less hurry to speak. */
const GATHER_MS = { gateways: 50, proxies: 250 };

/** For the store to open, at the start. */
const STORE_MS_MAX = 120_000;
const STORE_LOOK_MS = 50;

interface Parts {
  readonly store: OpenState['store'];
  readonly leadership: OpenState['leadership'];
  readonly authority: Authority;
  readonly registry: Registry;
  readonly feeds: MeshFeeds;
  readonly hub: Hub;
  readonly server: PushServer;
  readonly acknowledgements: Acknowledgements;
  /** The control plane is a member of its own mesh. */
  readonly self: OwnMember;
  readonly sharing: MeshSharing;
  /** Tells instances of control planes apart. */
  readonly instance: string;
}

export class MeshControl {
  readonly #settings: MeshControlSettings;
  readonly #parts: Parts;
  readonly trust: TrustTurner;
  readonly desk: TrustDesk;
  readonly #learned: LearnedPorts;
  readonly recorder: Recorder;
  /** What everybody was told last. */
  #told: TrustBundle;
  #denied: readonly string[] = [];
  /** The last one: only of it something can be asked. */
  #compiled: Compiled | undefined;
  /** In this process. */
  #gateway: OwnMember | undefined;

  private constructor(settings: MeshControlSettings, parts: Parts) {
    this.#settings = settings;
    this.#parts = parts;
    this.#learned = new LearnedPorts(settings.log);
    this.#told = parts.authority.bundle;
    this.#denied = deniedBy(parts.authority);
    parts.feeds.trust(this.#told);
    parts.feeds.deny(this.#denied);
    const { authority, feeds, leadership } = parts;
    const { clock, log } = settings;
    const leads = (): boolean => leadership.leads;
    this.trust = new TrustTurner({ authority, feeds, leads, clock, log, tell: () => this.#tell() });
    this.recorder = new Recorder({ clock, proxies: this.askables });
    const federation = (): Compiled['mesh']['federation'] => this.#compiled?.mesh.federation ?? [];
    this.desk = new TrustDesk({ authority, turner: this.trust, clock, log, federation });
  }

  /** @throws {StartFailure} when the store does not open, is of another trust domain, or the port is taken */
  static async start(settings: MeshControlSettings): Promise<MeshControl> {
    const { clock, log, trustDomain } = settings;
    await using cleanup = new AsyncDisposableStack();
    const user: StateUser = {};
    const { store, leadership, dir } = await openState(settings, user);
    const authority = await openAuthority(settings, store);
    await adopt(authority, settings);
    const acknowledgements = new Acknowledgements(authority, { clock, log });
    const { registry, feeds } = makeFeeds(settings, { acknowledgements, sharing: () => sharing });
    cleanup.defer(() => registry.close());
    const id = randomUUID();
    const hub = new Hub({ feeds, clock, log, software: settings.version, control: id });
    const instance = await instanceName(dir);
    const self = await OwnMember.admit({
      authority,
      acknowledgements,
      clock,
      log,
      identity: controlId(trustDomain),
      instance: `control ${instance}`,
      onChange: (member) => server.rotate(credentialsOf(member)),
    });
    cleanup.defer(() => self.close());
    const server = cleanup.adopt(await listen(settings, { authority, hub, self }), (opened) => opened.close());
    self.worksBy(authority.bundle.hash);
    const at = { host: settings.listen.host, port: server.port };
    const rowOf = (one: string): ProxyRow | undefined => feeds.rowOf(one);
    const onProxies = onceSoon(clock, GATHER_MS.proxies, settings.restate);
    const sharing = new MeshSharing({ id, at, store, leadership, registry, rowOf, clock, log, onProxies });
    user.onStore = () => sharing.onStore();
    const parts = { store, leadership, authority, registry, feeds, hub, server, acknowledgements, self, sharing };
    const control = new MeshControl(settings, { ...parts, instance });
    // Before the first plan: an endpoint that others know is not missing in it.
    await sharing.start(() => void control.trust.heard());
    log.info('Proxies may join', { address: at.host, port: at.port, trustDomain });
    cleanup.move();
    return control;
  }

  get port(): number {
    return this.#parts.server.port;
  }

  get authority(): Authority {
    return this.#parts.authority;
  }

  /** PEM bundles; the same array as long as they are the same. */
  get roots(): readonly string[] {
    return this.#told.roots;
  }

  /** Identities; the same array as long as they are the same. */
  get denied(): readonly string[] {
    return this.#denied;
  }

  /** With the workloads that have registered themselves, and what they have found their ports to speak. */
  with(resources: readonly Resource[]): readonly Resource[] {
    const { workloads } = this.#parts.registry;
    return [...this.#learned.with(resources, workloads), ...workloads];
  }

  /** The certificate of the gateway in this process, from the authority beside it. */
  async admitGateway(onChange: (member: Member) => Promise<void>): Promise<OwnMember> {
    const { authority, acknowledgements, instance } = this.#parts;
    const { clock, log, trustDomain } = this.#settings;
    this.#gateway = await OwnMember.admit({
      authority,
      acknowledgements,
      clock,
      log,
      onChange,
      identity: formatWorkloadId({ trustDomain, namespace: 'fourways', account: 'gateway' }),
      instance: `gateway ${instance}`,
    });
    return this.#gateway;
  }

  publish(compiled: Compiled): void {
    this.#compiled = compiled;
    this.#parts.feeds.publish(compiled, this.#told.hash);
  }

  calls(question: CallQuestion): CallAnswer | undefined {
    return this.#compiled?.callsOf(question);
  }

  /** Proxies elsewhere, by key of each Gateway that they serve, each Service that they call and each that is behind them. */
  servingProxies(): ReadonlyMap<string, readonly ServingProxy[]> {
    const byKey = new Map<string, ServingProxy[]>();
    for (const row of this.proxies()) {
      const { instance, version, wanted, refused, ports, address } = row;
      const state = version !== undefined && version === wanted ? 'current' : 'behind';
      const proxy: ServingProxy = { name: instance, state, wanted, refused, ports, bind: address };
      const behind = row.services.map((service) => `Inbound/${service}`);
      for (const key of [...row.gateways, ...row.calls, ...behind]) {
        const others = byKey.get(key);
        if (others === undefined) byKey.set(key, [proxy]);
        else others.push(proxy);
      }
    }
    return byKey;
  }

  /** Who the gateway in this process is; undefined where there is none. */
  get gatewayName(): OwnMember['name'] | undefined {
    return this.#gateway?.name;
  }

  /** Proxies that are connected, for questions to them; those of other control planes say that they are theirs. */
  readonly askables: Askables = {
    list: () => [...this.#parts.feeds.askables(), ...elsewhereOf(this.proxies())],
    onJoined: (told) => this.#parts.feeds.onJoined(told),
  };

  /** Of all control planes that share the store. */
  proxies(): ListedProxy[] {
    const { sharing, feeds } = this.#parts;
    return sharing.proxies(feeds.list());
  }

  summary(): MeshSummary {
    const { store, leadership, authority, server, sharing } = this.#parts;
    return meshSummary({
      listen: portKey(this.#settings.listen.host, server.port),
      leads: leadership.leads,
      controls: sharing.controls,
      store: store.status,
      authority,
      proxies: this.proxies(),
      services: this.#compiled?.services() ?? [],
    });
  }

  /** Brings the figures up to date. */
  measure(metrics: WorkerMetrics): void {
    const { hub, authority, registry, feeds } = this.#parts;
    measureMesh(metrics, {
      hub,
      rotation: authority.current.kept.state,
      workloads: registry.workloads.length,
      proxies: feeds.list(),
      authorities: this.desk.authorities(),
      leafMs: authority.options.lives.leafMs,
      wallMs: this.#settings.clock.wallMs(),
    });
  }

  /** @returns in words why it cannot be */
  async deny(identity: string, reason: string): Promise<string | undefined> {
    const refused = await this.#parts.authority.deny(identity, reason);
    await this.#tell();
    return refused?.reason;
  }

  /** @returns whether it was denied */
  async allow(identity: string): Promise<boolean> {
    const was = await this.#parts.authority.allow(identity);
    await this.#tell();
    return was;
  }

  async close(): Promise<void> {
    this.trust.close();
    this.recorder.stop();
    const { server, registry, self, sharing } = this.#parts;
    await server.close();
    self.close();
    await sharing.close();
    registry.close();
  }

  /** Whoever changed it, and whenever it was read: what differs from what was told last is told. */
  async #tell(): Promise<void> {
    const { authority, feeds } = this.#parts;
    const { bundle } = authority;
    const denied = deniedBy(authority);
    const told = this.#told;
    const isNewTrust = bundle.hash !== told.hash || bundle.issuer !== told.issuer;
    const isNewDenied = denied.join(' ') !== this.#denied.join(' ');
    if (isNewTrust || isNewDenied) {
      this.#told = bundle.hash === told.hash ? { ...bundle, roots: told.roots } : bundle;
      if (isNewDenied) this.#denied = denied;
      if (isNewDenied) feeds.deny(denied);
      if (isNewTrust) await this.#tellTrust(bundle);
    } else if (this.#gateway === undefined || this.#gateway.works === bundle.hash) {
      return;
    }
    const { hash } = this.#told;
    const outcome = await this.#settings.again();
    if (outcome !== undefined && outcome.kind !== 'refused' && hash === this.#told.hash) this.#gateway?.worksBy(hash);
  }

  async #tellTrust(bundle: TrustBundle): Promise<void> {
    const { feeds, self } = this.#parts;
    // First ourselves: who hears of a new root may show a certificate of it in the next moment.
    await self.trust(bundle);
    self.worksBy(bundle.hash);
    feeds.trust(bundle);
    await this.#gateway?.trust(bundle);
  }
}

async function openAuthority(
  { clock, log, trustDomain, leafMs, brought }: MeshControlSettings,
  store: OpenState['store'],
): Promise<Authority> {
  const authority = await Authority.open({
    store: new SqlAuthorityStore(store, store.seal),
    clock,
    log,
    trustDomain,
    lives: { ...DEFAULT_LIVES, leafMs },
    brought,
  });
  if ('flaw' in authority) throw new StartFailure(`Cannot run the mesh: ${authority.flaw}`);
  return authority;
}

/** What stands behind the streams of proxies. What they say is shared. */
function makeFeeds(
  { clock, log, again, restate }: MeshControlSettings,
  { acknowledgements, sharing }: Pick<Parts, 'acknowledgements'> & { readonly sharing: () => MeshSharing },
): Pick<Parts, 'registry' | 'feeds'> {
  const registry = new Registry({
    clock,
    log,
    onChange: () => void again(),
    tell: (name, body) => sharing().workload(name, body),
  });
  const restateSoon = onceSoon(clock, GATHER_MS.proxies, restate);
  const feeds = new MeshFeeds({
    registry,
    clock,
    log,
    onCertificate: (said) => acknowledgements.add(said),
    onGateways: onceSoon(clock, GATHER_MS.gateways, restate),
    onProxy(instance) {
      sharing().proxy(instance);
      restateSoon();
    },
    onFarewell: (instance, identity) => acknowledgements.release(instance, identity),
  });
  return { registry, feeds };
}

/** Goes over to an issuer that was brought, with the overlap of any rotation. */
async function adopt(authority: Authority, { brought, log }: MeshControlSettings): Promise<void> {
  const { active, rotation } = authority.current.kept.state;
  const id = brought?.issuer.id;
  if (brought === undefined || id === active.issuer || id === rotation?.to.issuer) return;
  const refused = await new Rotor(authority).adopt(brought);
  if (refused === undefined) log.info('The mesh goes over to the issuer that was brought', { issuer: id });
  else log.error(`The issuer that was brought is not used: ${refused.reason}. Start again when the rotation is over`);
}

/** In their order, so that two lists compare. */
function deniedBy({ denials }: Authority): string[] {
  return denials.map(({ identity }) => identity).toSorted();
}

/** Changes of one moment are said once. */
function onceSoon(clock: Clock, gatherMs: number, action: () => void): () => void {
  let isDue = false;
  return () => {
    if (isDue) return;
    isDue = true;
    clock.after(gatherMs, () => {
      isDue = false;
      action();
    });
  };
}

async function openState({ state, clock }: MeshControlSettings, user: StateUser): Promise<OpenState> {
  let open: OpenState;
  try {
    open = await state.open(user);
  } catch (error) {
    throw new StartFailure(`Cannot run the mesh: ${error instanceof Error ? error.message : String(error)}`);
  }
  const { store } = open;
  const endMs = clock.nowMs() + STORE_MS_MAX;
  while (store.status.state !== 'open') {
    const { name, reason } = store.status;
    if (clock.nowMs() > endMs) throw new StartFailure(`Cannot run the mesh: ${name} does not open: ${reason}`);
    // oxlint-disable-next-line no-await-in-loop -- it opens in the background
    await new Promise<void>((resolve) => clock.after(STORE_LOOK_MS, resolve));
  }
  return open;
}

async function listen(
  { listen: at, clock, trustDomain, log }: MeshControlSettings,
  { authority, hub, self }: Pick<Parts, 'authority' | 'hub' | 'self'>,
): Promise<PushServer> {
  try {
    return await PushServer.listen(at, {
      hub,
      joining: new MeshJoining(authority, log),
      credentials: credentialsOf(self.member),
      trustDomains: [trustDomain],
      clock,
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartFailure(`Proxies cannot connect at ${at.host}:${at.port}: ${reason}`);
  }
}
