/**
 * Puts everything together that `fourways up` runs:
 *
 *     source -> compiler -> pipeline -> fleet of workers
 *                              |-> admin API
 *
 * Knows nothing of signals, standard output and exit codes: tests and other
 * programs start gateways with it as well.
 */
import { randomUUID } from 'node:crypto';
import { type AdminServer, startAdmin } from '../api/admin/server.ts';
import type { About, AdminView, ProblemReport, StatusList } from '../api/admin/view.ts';
import { systemClock } from '../base/clock.ts';
import type { Log, LogLevel } from '../base/log.ts';
import { formatProblem, unreadOf } from '../base/problem.ts';
import { ownVersion } from '../cli/version.ts';
import type { Compiled, CompilerOptions } from '../compile/compile.ts';
import { Expiry } from '../control/expiry.ts';
import type { Fleet } from '../control/fleet.ts';
import { type Outcome, Pipeline } from '../control/pipeline.ts';
import type { Plan } from '../ir/plan.ts';
import type { PortStates } from '../ir/port-state.ts';
import type { RunModule } from '../source/module.ts';
import type { SourceOptions } from '../source/open-source.ts';
import type { Loaded, Source } from '../source/source.ts';
import { adminView, ConditionStamper } from './admin-view.ts';
import { everyAddress } from './bind-address.ts';
import { Issuing } from './issuing.ts';
import type { MeshControl } from './mesh-control.ts';
import { MeshSeat } from './mesh-seat.ts';
import { Metering } from './metering.ts';
import { bindFailure } from './port-probe.ts';
import { startFleet } from './start-fleet.ts';
import { State, type StateSettings } from './state.ts';
import { StartFailure } from './start-failure.ts';

export interface UpSettings {
  /** Absolute path of a file or folder. */
  readonly path: string;
  /** Address for Gateways that name none; undefined for every address. */
  readonly bind: string | undefined;
  /** Zone that this host is in: `eu/a`. */
  readonly zone?: string;
  /** Where the admin API listens; undefined for none. */
  readonly admin: HostPort | undefined;
  /** Number of worker threads; 0 for a proxy in the main thread. */
  readonly workers: number;
  /** How long keys for TLS session tickets seal new ones. */
  readonly ticketKeysMs: number;
  /** Absolute path of the folder that keeps the last good configuration; undefined keeps nothing. */
  readonly dataDir: string | undefined;
  /** Where durable state is, opened when a listener asks for a certificate. Absent: none is kept and nothing ordered. */
  readonly state?: StateSettings;
  /** Redis that all proxies share, with its password; absent for none. */
  readonly redisUrl?: string | undefined;
  /** Where proxies of a mesh join and get their plans; undefined for a gateway alone. Needs `state`. */
  readonly mesh?: HostPort | undefined;
  /** `shared`: bind beside another process that is taken over. */
  readonly ports: 'alone' | 'shared';
  /** How long listeners that are removed may still serve what runs there. */
  readonly drainMs: number;
  /** Serves on other ports than those that are configured. */
  readonly relocation?: { move(compiled: Compiled): Compiled };
  readonly log: Log;
  readonly logLevel: LogLevel;
  /** Writes lines of the access log; rejects when they are lost. */
  readonly writeLines: (text: string) => Promise<void>;
}

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** A gateway that serves. */
export interface Running extends AsyncDisposable {
  /** Where the admin API listens; undefined when there is none. */
  readonly admin: { readonly address: string; readonly port: number } | undefined;
  /** Ports of the plan by key. */
  ports(): PortStates;
  /** The plan that every worker has applied. */
  plan(): Plan;
  status(): StatusList;
  problems(): ProblemReport;
  /** Resolves with what becomes of the next change of the configuration. */
  next(): Promise<Outcome>;
  /** Reads everything again, as after a change. Resolves when it is served or refused. */
  reload(): Promise<void>;
  /** @throws {StartFailure} when it cannot listen there */
  openAdmin(at: HostPort): Promise<void>;
  closeAdmin(): Promise<void>;
  /** The control plane of the mesh; undefined when there is none. */
  readonly mesh: MeshControl | undefined;
  /** Stops accepting, lets running requests finish for at most `deadlineMs`, then ends everything. */
  drain(deadlineMs: number): Promise<void>;
  /** Ends everything now. */
  close(): Promise<void>;
}

/** The controller whose GatewayClasses are ours. */
const CONTROLLER_NAME = 'fourways.io/gateway-controller';

const CLOCK = systemClock;

/**
 * Starts a gateway. Resolves when every worker serves the configuration.
 *
 * @throws {StartFailure} when it cannot: no configuration, the admin address or every port taken
 */
export async function up(settings: UpSettings): Promise<Running> {
  await using cleanup = new AsyncDisposableStack();
  const { log } = settings;
  const bind = settings.bind ?? (await everyAddress());
  const about = aboutOf(settings);
  const versions = { own: about.version, node: about.node };
  const metering = cleanup.adopt(new Metering(CLOCK, versions), (opened) => opened.close());
  const { fleet, share } = await startFleet(settings, {
    bind,
    metering,
    cleanup,
    clock: CLOCK,
    onPorts: (ports) => pipeline.portsChanged(ports),
    onFailing: () => pipeline.restate(),
  });

  // Loaded on this thread while the workers start on theirs.
  const [{ Compiler }, { openSource }] = await Promise.all([
    import('../compile/compile.ts'),
    import('../source/open-source.ts'),
  ]);
  const state = stateOf(settings, metering);
  cleanup.defer(() => state?.close());
  const mesh = cleanup.use(new MeshSeat());
  const compiler = new Compiler({ controllerName: CONTROLLER_NAME, bindDefault: bind, ...lentTo(mesh) });
  const issuing: Issuing = new Issuing({
    state,
    version: versions.own,
    clock: CLOCK,
    log,
    metrics: metering.metrics,
    replica: randomUUID(),
    again: () => pipeline.again(),
    restate: () => pipeline.restate(),
  });
  cleanup.defer(() => issuing.close());
  const expiry = cleanup.adopt(
    new Expiry({ clock: CLOCK, metrics: metering.metrics, again: () => void pipeline.again() }),
    (opened) => opened.close(),
  );
  const stamper = new ConditionStamper(CLOCK, { fleet, bind, issuing });
  const pipeline: Pipeline = new Pipeline({
    async compile({ resources, problems }) {
      const unread = unreadOf(problems);
      const compiled = await issuing.compile((issued) =>
        mesh.publish(compiler.compile(mesh.with(resources), issued, unread)),
      );
      return settings.relocation?.move(compiled) ?? compiled;
    },
    fleet: { apply: (change) => mesh.apply(change, fleet) },
    clock: CLOCK,
    log,
    metrics: metering.metrics,
    onPublished(published) {
      expiry.watch(published.compiled);
      stamper.stampSoon(published);
    },
  });
  const view = adminView({ fleet, pipeline, metering, about, bind, issuing, mesh: () => mesh.control });
  const door = cleanup.adopt(new AdminDoor(view, log), (opened) => opened.close());
  if (settings.admin !== undefined) await door.open(settings.admin);

  const source = openSource(sourceOptions(settings));
  const loaded = await source.load();
  await joinMesh(mesh, { settings, loaded, state, fleet, pipeline });
  await firstPlan(loaded, { pipeline, fleet, path: settings.path });
  share('alone');
  cleanup.defer(() => source.flush());
  const unwatch = source.watch((loaded) => pipeline.offer(loaded));
  cleanup.defer(unwatch);
  return new Gateway({ fleet, pipeline, view, door, source, unwatch, mesh: mesh.control, cleanup: cleanup.move() });
}

function lentTo(mesh: MeshSeat): Omit<CompilerOptions, 'controllerName' | 'bindDefault'> {
  return { wallMs: () => CLOCK.wallMs(), meshRoots: () => mesh.roots, meshDenied: () => mesh.denied };
}

function aboutOf({ path }: UpSettings): About {
  const startedAt = new Date(CLOCK.wallMs()).toISOString();
  return { version: ownVersion(), node: process.version, pid: process.pid, source: path, startedAt };
}

interface MeshSurroundings {
  readonly settings: UpSettings;
  readonly loaded: Loaded;
  readonly state: State | undefined;
  readonly fleet: Fleet;
  readonly pipeline: Pipeline;
}

/** Before the first plan: the gateway has a certificate of the mesh then. */
async function joinMesh(
  mesh: MeshSeat,
  { settings: { mesh: listen, log }, loaded, state, fleet, pipeline }: MeshSurroundings,
): Promise<void> {
  if (listen === undefined) return;
  const again = (): Promise<Outcome | undefined> => pipeline.again();
  await mesh.start({ listen, loaded, state, clock: CLOCK, log, version: ownVersion(), again }, fleet);
}

function stateOf({ state, dataDir, log }: UpSettings, { metrics }: Metering): State | undefined {
  return state === undefined ? undefined : new State({ settings: state, dataDir, clock: CLOCK, log, metrics });
}

function sourceOptions({ path, dataDir, log }: UpSettings): SourceOptions {
  const data = dataDir === undefined ? {} : { data: { dir: dataDir, owner: String(process.pid) } };
  // A configuration that is a program is rare: what runs it is loaded when there is one.
  const runModule: RunModule = async (module) => (await import('./load-config.ts')).runConfigModule(module);
  return { path, clock: CLOCK, log, runModule, ...data };
}

/** @throws {StartFailure} when there is nothing to serve, or nowhere to serve it */
async function firstPlan(
  loaded: Loaded,
  { pipeline, fleet, path }: { readonly pipeline: Pipeline; readonly fleet: Fleet; readonly path: string },
): Promise<void> {
  if (loaded.broken === 'all' && loaded.resources.length === 0) {
    const problems = loaded.problems.map(formatProblem);
    throw new StartFailure([`Cannot start: nothing could be read from "${path}"`, ...problems].join('\n'));
  }
  pipeline.offer(loaded);
  await pipeline.settled();
  if (pipeline.published === undefined) throw new StartFailure(`Cannot start: ${pipeline.refused ?? 'no plan'}`);
  const ports = Object.values(fleet.ports);
  const failures = ports.flatMap((port) => (port.state === 'failed' ? port.message : []));
  if (failures.length > 0 && failures.length === ports.length) throw new StartFailure(failures.join('\n'));
}

/** The admin API, which may open later than the gateway and close earlier. */
class AdminDoor {
  readonly #view: AdminView;
  readonly #log: Log;
  #server: AdminServer | undefined;

  constructor(view: AdminView, log: Log) {
    this.#view = view;
    this.#log = log;
  }

  get at(): { readonly address: string; readonly port: number } | undefined {
    return this.#server;
  }

  async open({ host, port }: HostPort): Promise<void> {
    try {
      this.#server = await startAdmin({ host, port, view: this.#view, clock: CLOCK, log: this.#log });
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      throw new StartFailure(`Admin API: ${bindFailure(error, host, port).message}`);
    }
    const { address } = this.#server;
    if (!isLoopback(address)) {
      const message = 'The admin API listens on an address that others can reach: it has no authentication';
      this.#log.warn(message, { address, port: this.#server.port });
    }
  }

  async close(): Promise<void> {
    await this.#server?.close();
    this.#server = undefined;
  }
}

function isLoopback(address: string): boolean {
  return address === '::1' || address.startsWith('127.') || address.startsWith('::ffff:127.');
}

interface GatewayParts {
  readonly fleet: Fleet;
  readonly pipeline: Pipeline;
  readonly view: AdminView;
  readonly door: AdminDoor;
  readonly source: Source;
  readonly unwatch: () => void;
  readonly mesh: MeshControl | undefined;
  readonly cleanup: AsyncDisposableStack;
}

class Gateway implements Running {
  readonly #parts: GatewayParts;

  constructor(parts: GatewayParts) {
    this.#parts = parts;
  }

  get mesh(): MeshControl | undefined {
    return this.#parts.mesh;
  }

  get admin(): Running['admin'] {
    return this.#parts.door.at;
  }

  ports(): PortStates {
    return this.#parts.fleet.ports;
  }

  plan(): Plan {
    // There is one: without it nothing was started.
    return this.#parts.view.plan()!;
  }

  status(): StatusList {
    return this.#parts.view.status();
  }

  problems(): ProblemReport {
    return this.#parts.view.problems();
  }

  next(): Promise<Outcome> {
    return this.#parts.pipeline.next();
  }

  async reload(): Promise<void> {
    const { source, pipeline } = this.#parts;
    pipeline.offer(await source.load());
    await pipeline.settled();
  }

  openAdmin(at: HostPort): Promise<void> {
    return this.#parts.door.open(at);
  }

  closeAdmin(): Promise<void> {
    return this.#parts.door.close();
  }

  async drain(deadlineMs: number): Promise<void> {
    // A change that comes now would only be refused.
    this.#parts.unwatch();
    await this.#parts.fleet.drain(deadlineMs);
    await this.close();
  }

  close(): Promise<void> {
    return this.#parts.cleanup.disposeAsync();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
