/**
 * A control plane put together: everything of a process but its proxies.
 *
 *     source -> compiler -> pipeline -> proxies of this process, if it has any
 *                              |-> admin API
 *                              |-> proxies of a mesh, by streams
 *
 * Like up.ts it knows nothing of signals, standard output and exit codes.
 */
import { randomUUID } from 'node:crypto';
import type { About, AdminView } from '../api/admin/view.ts';
import { systemClock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { formatProblem, unreadOf } from '../base/problem.ts';
import { systemRandom } from '../base/random.ts';
import { ownVersion } from '../cli/version.ts';
import type { Compiled, Compiler } from '../compile/compile.ts';
import { Discovered } from '../control/discovered.ts';
import { Expiry } from '../control/expiry.ts';
import type { OwnProxies } from '../control/no-proxies.ts';
import { Pipeline } from '../control/pipeline.ts';
import type { PortStates } from '../ir/port-state.ts';
import type { RunModule } from '../source/module.ts';
import type { SourceOptions } from '../source/open-source.ts';
import type { Loaded, Source } from '../source/source.ts';
import { AdminDoor } from './admin-door.ts';
import { adminView, ConditionStamper } from './admin-view.ts';
import type { HostPort } from './host-port.ts';
import { Issuing } from './issuing.ts';
import type { IssuerFiles } from './brought-files.ts';
import { MeshSeat } from './mesh-seat.ts';
import type { Metering } from './metering.ts';
import { State, type StateSettings } from './state.ts';
import { StartFailure } from './start-failure.ts';

export interface ControlSettings {
  /** Absolute path of a file or folder. */
  readonly path: string;
  /** Where the admin API listens; undefined for none. */
  readonly admin: HostPort | undefined;
  /** Absolute path of the folder that keeps the last good configuration; undefined keeps nothing. */
  readonly dataDir: string | undefined;
  /** Where durable state is, opened when a listener asks for a certificate. Absent: none is kept and nothing ordered. */
  readonly state?: StateSettings;
  /** Where proxies of a mesh join and get their plans; undefined for a gateway alone. Needs `state`. */
  readonly mesh?: HostPort | undefined;
  /** What its certificates are issued by; undefined: a root and an issuer of its own. */
  readonly meshIssuer?: IssuerFiles | undefined;
  /** Serves on other ports than those that are configured. */
  readonly relocation?: { readonly move: (compiled: Compiled) => Compiled };
  readonly log: Log;
}

/** What is around it in its process. */
export interface ControlSurroundings {
  readonly proxies: OwnProxies;
  /** Whether those are any. */
  readonly serves: 'gateways' | 'nothing';
  /** Address that `*` in the plan stands for, on these proxies. */
  readonly bind: string;
  readonly metering: Metering;
}

/** The controller whose GatewayClasses are ours. */
const CONTROLLER_NAME = 'fourways.io/gateway-controller';

const CLOCK = systemClock;

interface Parts {
  readonly pipeline: Pipeline;
  readonly view: AdminView;
  readonly door: AdminDoor;
  readonly source: Source;
  readonly mesh: MeshSeat;
  readonly discovered: Discovered;
  readonly state: State | undefined;
  readonly cleanup: AsyncDisposableStack;
}

export class ControlPlane implements AsyncDisposable {
  readonly #settings: ControlSettings;
  readonly #surroundings: ControlSurroundings;
  readonly #parts: Parts;
  #unwatch: () => void = () => undefined;

  private constructor(settings: ControlSettings, surroundings: ControlSurroundings, parts: Parts) {
    this.#settings = settings;
    this.#surroundings = surroundings;
    this.#parts = parts;
  }

  /** Puts it together; nothing is read yet. @throws {StartFailure} when the admin address is taken */
  static async make(settings: ControlSettings, surroundings: ControlSurroundings): Promise<ControlPlane> {
    await using cleanup = new AsyncDisposableStack();
    const { log } = settings;
    const { proxies, metering, bind } = surroundings;
    // Loaded on this thread while the workers start on theirs.
    const [{ Compiler: CompilerClass }, { openSource }] = await Promise.all([
      import('../compile/compile.ts'),
      import('../source/open-source.ts'),
    ]);
    const about = aboutOf(settings);
    const state = stateOf(settings, metering);
    cleanup.defer(() => state?.close());
    const mesh = cleanup.use(new MeshSeat());
    const compiler = new CompilerClass({
      controllerName: CONTROLLER_NAME,
      bindDefault: bind,
      wallMs: () => CLOCK.wallMs(),
      meshRoots: () => mesh.roots,
      meshDenied: () => mesh.denied,
    });
    const issuing: Issuing = new Issuing({
      state,
      version: about.version,
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
    const basis = { ...surroundings, fleet: proxies, issuing, mesh: () => mesh.control };
    const stamper = new ConditionStamper(CLOCK, basis);
    const discovered = cleanup.adopt(
      new Discovered({ clock: CLOCK, random: systemRandom(), onChange: () => void pipeline.again() }),
      (opened) => opened.close(),
    );
    const pipeline: Pipeline = new Pipeline({
      compile: compileWith(settings, { compiler, issuing, mesh, discovered }),
      fleet: { apply: (change) => mesh.apply(change, proxies) },
      clock: CLOCK,
      log,
      metrics: metering.metrics,
      onPublished(published) {
        expiry.watch(published.compiled);
        stamper.stampSoon(published);
      },
    });
    const view = adminView({ ...basis, pipeline, metering, about });
    const door = cleanup.adopt(new AdminDoor(view, log), (opened) => opened.close());
    if (settings.admin !== undefined) await door.open(settings.admin);
    const source = openSource(sourceOptions(settings));
    const parts = { pipeline, view, door, source, mesh, discovered, state, cleanup: cleanup.move() };
    return new ControlPlane(settings, surroundings, parts);
  }

  get pipeline(): Pipeline {
    return this.#parts.pipeline;
  }

  get view(): AdminView {
    return this.#parts.view;
  }

  get door(): AdminDoor {
    return this.#parts.door;
  }

  get mesh(): MeshSeat {
    return this.#parts.mesh;
  }

  /**
   * Reads everything, and publishes the first plan.
   *
   * @throws {StartFailure} when there is nothing to serve, or nowhere to serve it
   */
  async start(): Promise<void> {
    const { source, pipeline, discovered } = this.#parts;
    const loaded = await source.load();
    // Before the first plan: whoever serves it has a certificate of the mesh then.
    await this.#joinMesh(loaded);
    if (loaded.broken === 'all' && loaded.resources.length === 0) {
      const problems = loaded.problems.map(formatProblem);
      throw new StartFailure(
        [`Cannot start: nothing could be read from "${this.#settings.path}"`, ...problems].join('\n'),
      );
    }
    discovered.with(loaded.resources);
    await discovered.first();
    pipeline.offer(loaded);
    await pipeline.settled();
    if (pipeline.published === undefined) throw new StartFailure(`Cannot start: ${pipeline.refused ?? 'no plan'}`);
    const ports = Object.values(this.#surroundings.proxies.ports);
    const failures = ports.flatMap((port) => (port.state === 'failed' ? port.message : []));
    if (failures.length > 0 && failures.length === ports.length) throw new StartFailure(failures.join('\n'));
  }

  /** From now on changes are taken as they come. */
  watch(): void {
    const { source, pipeline, cleanup } = this.#parts;
    cleanup.defer(() => source.flush());
    this.#unwatch = source.watch((loaded) => pipeline.offer(loaded));
    cleanup.defer(() => this.unwatch());
  }

  unwatch(): void {
    this.#unwatch();
  }

  /** Reads everything again, as after a change. Resolves when it is served or refused. */
  async reload(): Promise<void> {
    const { source, pipeline } = this.#parts;
    pipeline.offer(await source.load());
    await pipeline.settled();
  }

  /** Ports of the proxies of this process changed without a change of the plan. */
  portsChanged(ports: PortStates): void {
    this.#parts.pipeline.portsChanged(ports);
  }

  restate(): void {
    this.#parts.pipeline.restate();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#parts.cleanup.disposeAsync();
  }

  async #joinMesh(loaded: Loaded): Promise<void> {
    const { mesh: listen, meshIssuer, log } = this.#settings;
    if (listen === undefined) return;
    const { mesh, state, pipeline } = this.#parts;
    const { proxies, serves, metering } = this.#surroundings;
    await mesh.start({
      listen,
      issuer: meshIssuer,
      loaded,
      state,
      clock: CLOCK,
      log,
      metrics: metering.metrics,
      version: ownVersion(),
      again: () => pipeline.again(),
      restate: () => pipeline.restate(),
      proxies: serves === 'gateways' ? proxies : undefined,
    });
  }
}

interface CompileParts {
  readonly compiler: Compiler;
  readonly issuing: Issuing;
  readonly mesh: MeshSeat;
  readonly discovered: Discovered;
}

function compileWith(
  { relocation }: ControlSettings,
  { compiler, issuing, mesh, discovered }: CompileParts,
): (loaded: Loaded) => Promise<Compiled> {
  return async ({ resources, problems }) => {
    const unread = unreadOf(problems);
    const compiled = await issuing.compile((issued) =>
      mesh.publish(compiler.compile(mesh.with(discovered.with(resources)), issued, unread)),
    );
    const placed = relocation?.move(compiled) ?? compiled;
    const more = discovered.problems();
    return more.length === 0 ? placed : { ...placed, problems: [...placed.problems, ...more] };
  };
}

function aboutOf({ path }: ControlSettings): About {
  const startedAt = new Date(CLOCK.wallMs()).toISOString();
  return { version: ownVersion(), node: process.version, pid: process.pid, source: path, startedAt };
}

function stateOf({ state, dataDir, log }: ControlSettings, { metrics }: Metering): State | undefined {
  return state === undefined ? undefined : new State({ settings: state, dataDir, clock: CLOCK, log, metrics });
}

function sourceOptions({ path, dataDir, log }: ControlSettings): SourceOptions {
  const data = dataDir === undefined ? {} : { data: { dir: dataDir, owner: String(process.pid) } };
  // A configuration that is a program is rare: what runs it is loaded when there is one.
  const runModule: RunModule = async (module) => (await import('./load-config.ts')).runConfigModule(module);
  return { path, clock: CLOCK, log, runModule, ...data };
}
