/**
 * Modules of users in one proxy: each is loaded once for whoever names the same,
 * and loaded anew when a file of it changes. The last version that was good
 * stays until the next one is; what began on a version ends on it.
 */
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type {
  BoundFilter,
  FilterVersion,
  InstanceSpec,
  Program,
  ProgramEnv,
  Programs,
  ProgramSpec,
} from '../filter/own-program.ts';
import type { ExchangeCopy } from '../filter/own-exchange.ts';
import { type Outcome, OWN_HOOKS, type OwnCall, type OwnShape } from '../filter/own-run.ts';
import type { FileStamp } from './own-import.ts';
import { LocalVersion } from './own-local-version.ts';
import type { LoadedFilter } from './own-protocol.ts';
import { ThreadVersion } from './own-thread-version.ts';
import type { Version } from './own-version.ts';

export interface OwnProgramsOptions {
  readonly clock: Clock;
  readonly log: Log;
}

/** How often files are looked at. Looking works on every file system; telling does not. */
const LOOK_MS = 1_000;

/** A program that nobody uses is kept for so long: a changed rule lets go of it and takes it again. */
const IDLE_MS = 30_000;

/** Versions that still end what began on them; beyond, the oldest is closed all the same. */
const OLD_VERSIONS_MAX = 4;

/** Of a thread that ended by itself: at once, then later and later, until it has run for a while. */
const RESTART_MS = 100;
const RESTART_MS_MAX = 30_000;
const STEADY_MS = 60_000;

/** Of a module that cannot be loaded: the cause may lie elsewhere. */
const RELOAD_MS = 1_000;
const RELOAD_MS_MAX = 60_000;

/** Lines that a filter prints and that are logged, each second. */
const LINES_MAX = 10;

/** Of all proxies in this process: what Node.js has loaded for a version, it does not load again. */
let lastVersion = 0;

export class OwnPrograms implements Programs {
  readonly #options: OwnProgramsOptions;
  readonly #programs = new Map<string, OwnProgram>();
  #stopLooking: (() => void) | undefined;

  constructor(options: OwnProgramsOptions) {
    this.#options = options;
  }

  open(spec: ProgramSpec): Program {
    const key = JSON.stringify([spec.module, spec.filter, spec.guard, spec.heapMegabytesMax]);
    const known = this.#programs.get(key);
    if (known !== undefined) return known;
    const program = new OwnProgram({
      ...this.#options,
      spec,
      onIdle: () => this.#drop(key),
    });
    this.#programs.set(key, program);
    this.#stopLooking ??= this.#options.clock.every(LOOK_MS, () => {
      for (const each of this.#programs.values()) void each.look();
    });
    return program;
  }

  close(): void {
    for (const program of this.#programs.values()) program.close();
  }

  #drop(key: string): void {
    this.#programs.delete(key);
    if (this.#programs.size > 0) return;
    this.#stopLooking?.();
    this.#stopLooking = undefined;
  }
}

interface ProgramOptions extends OwnProgramsOptions {
  readonly spec: ProgramSpec;
  readonly onIdle: () => void;
}

/** A version that serves, or has served. */
class Live {
  readonly version: Version;
  readonly loaded: LoadedFilter;
  readonly sinceMs: number;
  /** Exchanges that have begun on it. */
  users = 0;
  onUnused: (() => void) | undefined;

  constructor(version: Version, loaded: LoadedFilter, sinceMs: number) {
    this.version = version;
    this.loaded = loaded;
    this.sinceMs = sinceMs;
  }

  leave(): void {
    if (--this.users === 0) this.onUnused?.();
  }
}

class OwnProgram implements Program {
  readonly settled: Promise<void>;
  readonly #options: ProgramOptions;
  readonly #bound = new Set<Bound>();
  readonly #old: Live[] = [];
  #current: Live | undefined;
  #why = 'it is being loaded';
  #logged: string | undefined;
  #stamps: ReadonlyMap<string, FileStamp> = new Map();
  #loading: Promise<void> | undefined;
  #looking = false;
  #failures = 0;
  #deaths = 0;
  #lastBound = 0;
  #cancelIdle: (() => void) | undefined;
  #cancelAgain: (() => void) | undefined;
  #over = false;
  #lines = { second: 0, count: 0 };

  constructor(options: ProgramOptions) {
    this.#options = options;
    this.settled = this.#load();
    this.#idleSoon();
  }

  get name(): string {
    const { filter, module } = this.#options.spec;
    return this.#current?.loaded.name ?? filter ?? basename(module.specifier).replace(/\.[cm]?[jt]s$/, '');
  }

  bind(spec: InstanceSpec, env: ProgramEnv): BoundFilter {
    this.#cancelIdle?.();
    const bound = new Bound(++this.#lastBound, { spec, env, onClose: () => this.#unbind(bound) });
    this.#bound.add(bound);
    const live = this.#current;
    if (live === undefined) bound.version = this.#why;
    else void this.#make(bound, live);
    return bound;
  }

  #unbind(bound: Bound): void {
    this.#bound.delete(bound);
    this.#current?.version.unmake(bound.id);
    if (this.#bound.size === 0) this.#idleSoon();
  }

  #idleSoon(): void {
    this.#cancelIdle?.();
    this.#cancelIdle = this.#options.clock.after(IDLE_MS, () => this.close());
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#cancelIdle?.();
    this.#cancelAgain?.();
    this.#current?.version.close();
    for (const { version } of this.#old) version.close();
    this.#options.onIdle();
  }

  /** Loads anew what has changed. */
  async look(): Promise<void> {
    if (this.#looking || this.#loading !== undefined || this.#over) return;
    this.#looking = true;
    const changed = await Promise.all([...this.#stamps.values()].map(hasChanged));
    this.#looking = false;
    if (changed.includes(true)) await this.#load();
  }

  #load(): Promise<void> {
    this.#cancelAgain?.();
    this.#loading ??= this.#loadNow().finally(() => (this.#loading = undefined));
    return this.#loading;
  }

  async #loadNow(): Promise<void> {
    const version = this.#makeVersion();
    const loaded = await version.loaded;
    this.#stamps = new Map(version.stamps);
    if (typeof loaded === 'string') return this.#giveUp(version, loaded);
    const live = new Live(version, loaded, this.#options.clock.nowMs());
    const made = new Map<Bound, OwnShape | string>();
    // Who is bound meanwhile is made as well, so that all go over in one turn.
    for (let left = [...this.#bound]; left.length > 0; left = [...this.#bound].filter((bound) => !made.has(bound))) {
      // oxlint-disable-next-line no-await-in-loop -- each round is of those that came during the one before
      const shapes = await Promise.all(left.map(({ id, spec, env }) => version.make(id, spec, env)));
      left.forEach((bound, i) => made.set(bound, shapes[i]!));
    }
    const flaw = [...made].find(([bound, shape]) => typeof shape === 'string' && typeof bound.version !== 'string');
    if (flaw !== undefined) return this.#giveUp(version, flaw[1] as string);
    this.#adopt(live, made);
  }

  #makeVersion(): Version {
    const { spec, clock } = this.#options;
    const common = { spec, clock, version: ++lastVersion };
    if (spec.guard === 'none') return new LocalVersion(common);
    const version: Version = new ThreadVersion({
      ...common,
      onLine: (line) => this.#print(line),
      onDied: (why) => this.#died(version, why),
    });
    return version;
  }

  #adopt(live: Live, made: ReadonlyMap<Bound, OwnShape | string>): void {
    const before = this.#current;
    this.#current = live;
    this.#failures = 0;
    if (this.#over) return live.version.close();
    for (const [bound, shape] of made) this.#place(bound, { live, shape });
    const again = before !== undefined || this.#logged !== undefined;
    this.#logged = undefined;
    if (again) this.#options.log.info('A filter of your own was loaded anew', this.#fields());
    if (before !== undefined) this.#retire(before);
  }

  #place(bound: Bound, { live, shape }: { readonly live: Live; readonly shape: OwnShape | string }): void {
    if (typeof shape === 'string') this.#say(shape);
    bound.version = typeof shape === 'string' ? shape : new Placed(live, bound.id, shape);
  }

  /** Its calls wait in the thread until it is made. */
  async #make(bound: Bound, live: Live): Promise<void> {
    const placed = new Placed(live, bound.id, undefined);
    bound.version = placed;
    const shape = await live.version.make(bound.id, bound.spec, bound.env);
    if (bound.version !== placed) return;
    if (typeof shape === 'string') this.#place(bound, { live, shape });
    else placed.shape = shape;
  }

  /** What serves goes on serving. */
  #giveUp(version: Version, why: string): void {
    version.close();
    this.#say(why);
    if (this.#current !== undefined || this.#over) return;
    this.#why = why;
    for (const bound of this.#bound) bound.version = why;
    const delayMs = Math.min(RELOAD_MS * 2 ** this.#failures++, RELOAD_MS_MAX);
    this.#cancelAgain = this.#options.clock.after(delayMs, () => void this.#load());
  }

  #died(version: Version, why: string): void {
    const at = this.#old.findIndex((live) => live.version === version);
    if (at >= 0) this.#old.splice(at, 1);
    if (this.#current?.version !== version) return;
    this.#say(why);
    const steady = this.#options.clock.nowMs() - this.#current.sinceMs >= STEADY_MS;
    this.#deaths = steady ? 1 : this.#deaths + 1;
    this.#current = undefined;
    this.#why = why;
    for (const bound of this.#bound) bound.version = why;
    const delayMs = this.#deaths === 1 ? 0 : Math.min(RESTART_MS * 2 ** this.#deaths, RESTART_MS_MAX);
    this.#cancelAgain = this.#options.clock.after(delayMs, () => void this.#load());
  }

  #retire(live: Live): void {
    if (live.users === 0) return live.version.close();
    this.#old.push(live);
    live.onUnused = () => {
      const at = this.#old.indexOf(live);
      if (at >= 0) this.#old.splice(at, 1);
      live.version.close();
    };
    if (this.#old.length > OLD_VERSIONS_MAX) this.#old.shift()!.version.close();
  }

  /** Once for each reason. */
  #say(why: string): void {
    if (why === this.#logged) return;
    this.#logged = why;
    const serves =
      this.#current === undefined ? 'requests of its rules are answered 500' : 'the version before goes on';
    this.#options.log.error(`A filter of your own cannot run: ${serves}`, { ...this.#fields(), why });
  }

  #print(line: string): void {
    const second = Math.floor(this.#options.clock.nowMs() / 1_000);
    if (second !== this.#lines.second) this.#lines = { second, count: 0 };
    if (this.#lines.count++ < LINES_MAX)
      this.#options.log.info('A filter of your own printed', { own: this.name, line });
  }

  #fields(): Readonly<Record<string, string>> {
    return { own: this.name, module: this.#options.spec.module.specifier };
  }
}

async function hasChanged({ path, mtimeMs, size }: FileStamp): Promise<boolean> {
  const now = await stat(path).catch(() => undefined);
  if (now === undefined) return size >= 0;
  return now.mtimeMs !== mtimeMs || now.size !== size;
}

class Bound implements BoundFilter {
  version: FilterVersion | string = 'it is being loaded';
  readonly id: number;
  readonly spec: InstanceSpec;
  readonly env: ProgramEnv;
  readonly #onClose: () => void;

  constructor(
    id: number,
    { spec, env, onClose }: { readonly spec: InstanceSpec; readonly env: ProgramEnv; readonly onClose: () => void },
  ) {
    this.id = id;
    this.spec = spec;
    this.env = env;
    this.#onClose = onClose;
  }

  close(): void {
    this.#onClose();
  }
}

class Placed implements FilterVersion {
  shape: OwnShape | undefined;
  readonly #live: Live;
  readonly #instance: number;

  constructor(live: Live, instance: number, shape: OwnShape | undefined) {
    this.#live = live;
    this.#instance = instance;
    this.shape = shape;
  }

  get timeoutMs(): number | undefined {
    return this.#live.loaded.timeoutMs;
  }

  begin(): void {
    this.#live.users++;
  }

  end(exchange: number, copyOf: () => ExchangeCopy): void {
    // Only a filter with several hooks has kept something.
    const hooks = this.shape?.hooks ?? OWN_HOOKS;
    const looks = hooks.includes('onEnd');
    if (looks || hooks.length > 1) {
      this.#live.version.end(this.#instance, { exchange, copy: looks ? copyOf() : undefined });
    }
    this.#live.leave();
  }

  call(call: OwnCall, timeoutMs: number): Outcome | Promise<Outcome> {
    return this.#live.version.call(this.#instance, call, timeoutMs);
  }
}
