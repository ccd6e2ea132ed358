/**
 * The control plane of a mesh, put together: the store, the authority in it, the registry of workloads, and the port at
 * which proxies join and get their plans. Loaded only where there is one.
 */
import { randomUUID } from 'node:crypto';
import type { Clock } from '../base/clock.ts';
import { Fault } from '../base/fault.ts';
import type { Log } from '../base/log.ts';
import { systemRandom } from '../base/random.ts';
import type { Compiled } from '../compile/compile.ts';
import type { CallAnswer, CallQuestion } from '../compile/mesh-calls.ts';
import { MeshFeeds, type ProxyRow } from '../control/mesh-feeds.ts';
import { MeshJoining } from '../control/mesh-joining.ts';
import { Registry } from '../control/registry.ts';
import { Acknowledgements } from '../control/acknowledgements.ts';
import { Authority, DEFAULT_LIVES } from '../identity/authority.ts';
import { makeRequest } from '../identity/request.ts';
import { Rotor } from '../identity/rotor.ts';
import { controlId, formatWorkloadId } from '../identity/spiffe.ts';
import { SqlAuthorityStore } from '../identity/sql-store.ts';
import { Hub } from '../push/hub.ts';
import type { TrustBundle } from '../push/messages.ts';
import type { Credentials } from '../push/peer.ts';
import { PushServer } from '../push/server.ts';
import type { Workload } from '../resource/resource.ts';
import { type Member, Membership } from '../sidecar/membership.ts';
import type { OpenState, State } from './state.ts';
import { StartFailure } from './start-failure.ts';

export interface MeshControlSettings {
  /** Where proxies connect. */
  readonly listen: { readonly host: string; readonly port: number };
  readonly state: State;
  readonly trustDomain: string;
  readonly leafMs: number;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
  /** A workload came or went, or the roots are others: compile again. */
  readonly again: () => void;
}

/** How often the leader looks whether a rotation is due or goes on, and everybody whether another one changed something. */
const TURN_MS = 10_000;

/** For the store to open, at the start. */
const STORE_MS_MAX = 120_000;
const STORE_LOOK_MS = 50;

interface Parts {
  readonly leadership: OpenState['leadership'];
  readonly authority: Authority;
  readonly registry: Registry;
  readonly feeds: MeshFeeds;
  readonly server: PushServer;
}

export class MeshControl {
  readonly #settings: MeshControlSettings;
  readonly #parts: Parts;
  readonly #stopTurning: () => void;
  /** What everybody was told last. */
  #told: TrustBundle;
  #denied: readonly string[] = [];
  #turning = false;
  /** The last one: only of it something can be asked. */
  #compiled: Compiled | undefined;
  /** What the gateway in this process does with new roots. */
  #onTrust: (bundle: TrustBundle) => void = () => undefined;

  private constructor(settings: MeshControlSettings, parts: Parts) {
    this.#settings = settings;
    this.#parts = parts;
    this.#told = parts.authority.bundle;
    this.#denied = deniedBy(parts.authority);
    parts.feeds.trust(this.#told);
    parts.feeds.deny(this.#denied);
    this.#stopTurning = settings.clock.every(TURN_MS, () => void this.#turn());
  }

  /** @throws {StartFailure} when the store does not open, is of another trust domain, or the port is taken */
  static async start(settings: MeshControlSettings): Promise<MeshControl> {
    const { clock, log, trustDomain, again } = settings;
    await using cleanup = new AsyncDisposableStack();
    const { store, leadership } = await openState(settings);
    const authority = await Authority.open({
      store: new SqlAuthorityStore(store, store.seal),
      clock,
      log,
      trustDomain,
      lives: { ...DEFAULT_LIVES, leafMs: settings.leafMs },
    });
    if ('flaw' in authority) throw new StartFailure(`Cannot run the mesh: ${authority.flaw}`);
    const registry = cleanup.adopt(new Registry({ clock, log, onChange: again }), (opened) => opened.close());
    const acknowledgements = new Acknowledgements(authority, { clock, log });
    const feeds = new MeshFeeds({
      registry,
      clock,
      log,
      onCertificate: (said) => acknowledgements.add(said),
      onFarewell: (instance, identity) => acknowledgements.release(instance, identity),
    });
    const hub = new Hub({ feeds, clock, log, software: settings.version, control: randomUUID() });
    const server = cleanup.adopt(await listen(settings, { authority, hub }), (opened) => opened.close());
    log.info('Proxies may join', { address: settings.listen.host, port: server.port, trustDomain });
    cleanup.move();
    return new MeshControl(settings, { leadership, authority, registry, feeds, server });
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

  get workloads(): readonly Workload[] {
    return this.#parts.registry.workloads;
  }

  /** The certificate of the gateway in this process, from the authority beside it. */
  async admitGateway(onChange: (member: Member) => void): Promise<Membership> {
    const { authority } = this.#parts;
    const { clock, log, trustDomain } = this.#settings;
    const identity = formatWorkloadId({ trustDomain, namespace: 'fourways', account: 'gateway' });
    const instance = `gateway ${process.pid}`;
    const joining = new MeshJoining(authority, log);
    const renew = (csrDer: Uint8Array): ReturnType<MeshJoining['renew']> =>
      joining.renew(identity, Buffer.from(csrDer), { instance });
    const membership = await Membership.open({
      identity,
      keep: { load: () => Promise.resolve(undefined), save: () => Promise.resolve() },
      join: renew,
      renew: (_, csrDer) => renew(csrDer),
      clock,
      random: systemRandom(),
      log,
      onChange,
    });
    if (membership instanceof Fault) throw new StartFailure(`The gateway gets no certificate: ${membership.detail}`);
    this.#onTrust = (bundle) => void membership.trust(bundle);
    return membership;
  }

  publish(compiled: Compiled): void {
    this.#compiled = compiled;
    this.#parts.feeds.publish(compiled);
  }

  calls(question: CallQuestion): CallAnswer | undefined {
    return this.#compiled?.callsOf(question);
  }

  proxies(): ProxyRow[] {
    return this.#parts.feeds.list();
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
    this.#stopTurning();
    const { server, registry } = this.#parts;
    await server.close();
    registry.close();
  }

  async #turn(): Promise<void> {
    if (this.#turning) return;
    this.#turning = true;
    const { authority, leadership } = this.#parts;
    const { log } = this.#settings;
    try {
      if (leadership.leads) await new Rotor(authority).step();
      else await authority.refresh();
      await this.#tell();
    } catch (error) {
      log.warn('The authority could not be looked after; it is tried again', {
        reason: error instanceof Error ? error.message : String(error),
      });
    } finally {
      this.#turning = false;
    }
  }

  /** Whoever changed it, and whenever it was read: what differs from what was told last is told. */
  async #tell(): Promise<void> {
    const { authority, feeds, server } = this.#parts;
    const { bundle } = authority;
    const denied = deniedBy(authority);
    const told = this.#told;
    const isNewTrust = bundle.hash !== told.hash || bundle.issuer !== told.issuer;
    const isNewDenied = denied.join(' ') !== this.#denied.join(' ');
    if (!isNewTrust && !isNewDenied) return;
    this.#told = bundle.hash === told.hash ? { ...bundle, roots: told.roots } : bundle;
    if (isNewDenied) this.#denied = denied;
    if (isNewDenied) feeds.deny(denied);
    if (isNewTrust) {
      feeds.trust(bundle);
      this.#onTrust(bundle);
      server.rotate(await ownCredentials(authority));
    }
    this.#settings.again();
  }
}

/** In their order, so that two lists compare. */
function deniedBy({ denials }: Authority): string[] {
  return denials.map(({ identity }) => identity).toSorted();
}

async function openState({ state, clock }: MeshControlSettings): Promise<OpenState> {
  let open: OpenState;
  try {
    open = await state.open({});
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
  { authority, hub }: { readonly authority: Authority; readonly hub: Hub },
): Promise<PushServer> {
  try {
    return await PushServer.listen(at, {
      hub,
      joining: new MeshJoining(authority, log),
      credentials: await ownCredentials(authority),
      trustDomains: [trustDomain],
      clock,
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartFailure(`Proxies cannot connect at ${at.host}:${at.port}: ${reason}`);
  }
}

/** The control plane is a member of its own mesh. */
async function ownCredentials(authority: Authority): Promise<Credentials> {
  const identity = controlId(authority.options.trustDomain);
  const { csr, privateKeyPem } = makeRequest(identity);
  const issued = await authority.renew({ identity, csr, proxy: `control ${process.pid}` });
  if ('refused' in issued) throw new Error(`The control plane gets no certificate: ${issued.reason}`);
  return { chainPem: issued.chainPem, keyPem: privateKeyPem, trustPem: issued.bundle.roots.join('\n') };
}
