/**
 * A file or a folder as a source. The system says what was touched, a slower walk
 * over everything catches what it did not say; either way, only what has a new
 * stamp is read.
 */
import { type Stats, statSync } from 'node:fs';
import { basename, dirname, sep } from 'node:path';
import { setImmediate as yieldToLoop } from 'node:timers/promises';
import { type Clock, sleep } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Problem } from '../base/problem.ts';
import { type Accepted, counted } from './accept.ts';
import { fileProblem } from './file-problem.ts';
import { type Depth, FileSet, type LookOptions } from './file-set.ts';
import { awayTree, isSourceName, sameStamp, type Tree, walkTree } from './file-tree.ts';
import { FolderWatch } from './folder-watch.ts';
import { Identity } from './identity.ts';
import type { Keepsake, LastGood } from './last-good.ts';
import type { RunModule } from './module.ts';
import type { Loaded, Source } from './source.ts';

/** After the first event: the rest of one `write` arrives within this. */
const QUIET_MS = 4;
/** From the first event, however long others follow. */
const QUIET_MAX_MS = 25;
/** What looks half written, and what is missing, is looked at again after this. */
const SETTLE_MS = 40;
/** A file that is being written all the time is believed after this. */
const DOUBT_MAX_MS = 1_000;
/** Everything is walked this often: events are lost on network drives and when queues overflow. */
const WALK_MS = 2_000;
/** Less often where a walk takes long: it may cost this share of one core. */
const WALK_SHARE = 0.01;
/** How long files are read before the loop gets its turn. */
const SLICE_MS = 5;

const DEPTHS: readonly Depth[] = ['stamp', 'text', 'anew'];

export interface FolderOptions {
  /** File or folder. Positions are under it as it is written here. */
  readonly path: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Runs `fourways.config.ts`; without it, such a file is a problem. */
  readonly runModule?: RunModule;
  readonly lastGood?: LastGood;
  /** Called after each change; `collect` gives what is to be kept for the next start. */
  readonly keep?: (collect: () => readonly Keepsake[]) => void;
  /** Writes at once what {@link keep} was told of. */
  readonly flush?: () => Promise<void>;
}

export class FolderSource implements Source {
  readonly #options: FolderOptions;
  readonly #path: string;
  readonly #clock: Clock;
  readonly #files: FileSet;
  readonly #identity: Identity;
  #lastGood: LastGood | undefined;
  #tree: Tree | undefined;
  readonly #refusedFolders = new Map<string, string>();

  #onChange: ((loaded: Loaded) => void) | undefined;
  #watch: FolderWatch | undefined;
  readonly #cancels = new Map<string, () => void>();
  /** Files to look at. */
  readonly #queue = new Map<string, Depth>();
  /** Files in doubt, and since when. */
  readonly #doubts = new Map<string, number>();
  /** Files that were not there, and since when. */
  readonly #missing = new Map<string, number>();
  /** When a file was found last that was not there before. */
  #arrivalMs = -Infinity;
  /** Device on which files were found last. */
  #homeDev: number | undefined;
  #walkDue = false;
  #busy = false;
  #seenMs: number | undefined;
  /** Modules that run, and whether they have to run again after that. */
  readonly #runs = new Map<string, { readonly ended: Promise<void>; again: boolean }>();

  constructor(options: FolderOptions) {
    this.#options = options;
    this.#path = options.path;
    this.#clock = options.clock;
    this.#lastGood = options.lastGood;
    this.#files = new FileSet((file) => this.#lastGood?.acceptedOf(file) ?? []);
    this.#identity = new Identity(options.lastGood?.remembered());
  }

  async load(): Promise<Loaded> {
    this.#seenMs ??= this.#clock.nowMs();
    const tree = await walkTree(this.#path);
    this.#tree = tree;
    if (tree.files.size > 0) this.#homeDev = tree.dev;
    for (const file of this.#lastGood?.files() ?? []) if (isUnreachable(tree, file)) this.#files.keep(file);
    this.#dropMissing(tree);
    await this.#lookAt([...tree.files.keys()], 'load');
    await this.#runsEnded();
    const loaded = this.#loaded();
    this.#lastGood = undefined;
    return loaded;
  }

  watch(onChange: (loaded: Loaded) => void): () => void {
    this.#onChange = onChange;
    this.#watch = new FolderWatch({
      touched: (path) => this.#touched(path),
      refused: (folder, reason) => this.#refused(folder, reason),
    });
    this.#walkSoon(0);
    this.#cancels.set(
      'walk',
      this.#clock.every(WALK_MS, () => this.#walkSoon(0)),
    );
    return () => {
      this.#onChange = undefined;
      this.#watch?.close();
      for (const cancel of this.#cancels.values()) cancel();
      this.#cancels.clear();
    };
  }

  async flush(): Promise<void> {
    await this.#options.flush?.();
  }

  // What happens: events, timers.

  #touched(path: string): void {
    if (path === this.#path) this.#walkDue = true;
    else if (this.#files.has(path)) this.#enqueue(path, 'text');
    else if (path.startsWith(this.#path + sep)) this.#touchedInside(path);
    // A single file behind `..data` of a Kubernetes volume.
    else if (this.#tree?.root === 'file' && basename(path).startsWith('..')) this.#enqueue(this.#path, 'text');
    for (const user of this.#files.usersOf(path)) this.#enqueue(user, 'anew');
    if (!this.#walkDue && this.#queue.size === 0) return;
    this.#seenMs ??= this.#clock.nowMs();
    this.#workSoon();
  }

  /** Something that is not a known file: new, or a folder, or the swap of a Kubernetes volume, or of no interest. */
  #touchedInside(path: string): void {
    const name = basename(path);
    if (name.startsWith('..')) this.#walkDue = true;
    else if (name.startsWith('.') || name === 'node_modules') return;
    else if (isSourceName(name) || this.#tree?.folders.has(path) || isFolder(path)) this.#walkDue = true;
  }

  #refused(folder: string, reason: string): void {
    if (this.#refusedFolders.has(folder)) return;
    this.#refusedFolders.set(folder, reason);
    this.#options.log.warn(`Cannot watch "${folder}": ${reason}; it is looked at every ${WALK_MS / 1000} s`);
  }

  /** The deepest look that is asked for is taken. */
  #enqueue(file: string, depth: Depth): void {
    const before = this.#queue.get(file);
    if (before === undefined || DEPTHS.indexOf(depth) > DEPTHS.indexOf(before)) this.#queue.set(file, depth);
  }

  /** When it has been quiet for a moment, but not much later than the first event. */
  #workSoon(): void {
    const delayMs = Math.min(QUIET_MS, Math.max(0, this.#seenMs! + QUIET_MAX_MS - this.#clock.nowMs()));
    this.#timer('work', delayMs, () => this.#work());
  }

  #walkSoon(delayMs: number): void {
    this.#timer('look', delayMs, () => {
      this.#walkDue = true;
      this.#work();
    });
  }

  #timer(name: string, delayMs: number, action: () => void): void {
    this.#cancels.get(name)?.();
    this.#cancels.set(name, this.#clock.after(delayMs, action));
  }

  // What is done about it, one thing after the other.

  #work(): void {
    if (this.#busy) return;
    this.#busy = true;
    this.#drain()
      .catch((error: unknown) => {
        const stack = error instanceof Error ? error.stack : String(error);
        this.#options.log.error('Reading the configuration failed: please report it', { stack });
      })
      .finally(() => (this.#busy = false));
  }

  async #drain(): Promise<void> {
    while (this.#onChange !== undefined && (this.#walkDue || this.#queue.size > 0)) {
      let changed = false;
      if (this.#walkDue) changed = await this.#walk();
      if (await this.#lookAt([...this.#queue.keys()], 'event')) changed = true;
      if (changed) this.#tell();
      else if (this.#doubts.size === 0 && this.#missing.size === 0 && this.#runs.size === 0) this.#seenMs = undefined;
    }
  }

  /** Looks for files that came, went or changed. @returns whether files went, or the root did */
  async #walk(): Promise<boolean> {
    this.#walkDue = false;
    const before = this.#tree;
    const startMs = this.#clock.nowMs();
    const found = await walkTree(this.#path);
    const tookMs = this.#clock.nowMs() - startMs;
    this.#timer('walk', Math.max(WALK_MS, tookMs / WALK_SHARE), () => this.#walkSoon(0));
    const tree = this.#isUnmounted(found)
      ? awayTree(this.#path, 'it is empty, and on another device than before')
      : found;
    this.#tree = tree;
    if (tree.files.size > 0) this.#homeDev = tree.dev;
    if (this.#watch !== undefined && this.#watch.follow(this.#watched(tree)) > 0) this.#walkDue = true;

    for (const [file, stamp] of tree.files) {
      const known = this.#files.stampOf(file);
      if (known === undefined || !sameStamp(known, stamp)) this.#enqueue(file, 'stamp');
      if (!this.#files.has(file) || this.#missing.delete(file)) this.#arrivalMs = startMs;
    }
    for (const path of this.#files.dependencies()) {
      for (const user of this.#files.usersOfChanged(path)) this.#enqueue(user, 'anew');
    }
    const dropped = this.#dropMissing(tree);
    if (this.#queue.size > 0 || dropped) this.#seenMs ??= this.#clock.nowMs();
    return dropped || !sameMessages(before?.problems ?? [], tree.problems);
  }

  /**
   * Drops the files that have been missing for a while. At once would be wrong:
   * while a folder is being deleted, its files go first, and a folder that is
   * gone as a whole is away, not empty; while one is being copied back, it is
   * not complete.
   */
  #dropMissing(tree: Tree): boolean {
    const nowMs = this.#clock.nowMs();
    let dropped = false;
    for (const file of this.#files.files()) {
      if (tree.files.has(file) || isUnreachable(tree, file)) continue;
      const sinceMs = this.#missing.get(file);
      if (sinceMs === undefined) this.#missing.set(file, nowMs);
      else if (nowMs - Math.max(sinceMs, this.#arrivalMs) >= SETTLE_MS || nowMs - sinceMs >= DOUBT_MAX_MS) {
        this.#files.drop(file);
        this.#missing.delete(file);
        dropped = true;
      }
    }
    if (this.#missing.size > 0) this.#walkSoon(SETTLE_MS);
    return dropped;
  }

  /** The folder is empty and on another device than its files were: what was mounted there is gone. */
  #isUnmounted({ root, files, dev }: Tree): boolean {
    return root === 'folder' && files.size === 0 && this.#homeDev !== undefined && dev !== this.#homeDev;
  }

  #watched(tree: Tree): Map<string, string> {
    const folders = new Map(tree.folders);
    for (const path of [this.#path, ...this.#files.dependencies()]) {
      const folder = dirname(path);
      const id = folderId(folder);
      if (id !== undefined && !folders.has(folder)) folders.set(folder, id);
    }
    return folders;
  }

  async #lookAt(files: readonly string[], why: 'load' | 'event'): Promise<boolean> {
    let changed = false;
    let startMs = this.#clock.nowMs();
    for (const file of files) {
      if (this.#lookAtOne(file, why)) changed = true;
      if (this.#clock.nowMs() - startMs < SLICE_MS) continue;
      await yieldToLoop();
      startMs = this.#clock.nowMs();
    }
    if (why === 'event' || this.#doubts.size === 0) return changed;
    // At the start nobody waits for an answer yet, so the second look is part of the first.
    const doubted = [...this.#doubts.keys()];
    if (doubted.some((file) => isFresh(file, this.#clock.wallMs()))) await sleep(this.#clock, SETTLE_MS);
    this.#doubts.clear();
    for (const file of doubted) this.#look(file, 'forced', 'anew');
    return true;
  }

  #lookAtOne(file: string, why: 'load' | 'event'): boolean {
    const depth = this.#queue.get(file) ?? 'stamp';
    this.#queue.delete(file);
    const nowMs = this.#clock.nowMs();
    const sinceMs = this.#doubts.get(file);
    const trust = sinceMs === undefined ? 'first' : nowMs - sinceMs >= DOUBT_MAX_MS ? 'forced' : 'settled';
    const early = sinceMs !== undefined && nowMs - sinceMs < SETTLE_MS;
    const look = this.#look(file, early ? 'first' : trust, depth);
    if (look === 'doubtful') {
      this.#doubts.set(file, sinceMs ?? nowMs);
      if (why === 'event') this.#timer(`doubt ${file}`, SETTLE_MS, () => this.#lookAgain(file));
      return false;
    }
    this.#doubts.delete(file);
    if (look === 'gone') this.#walkSoon(SETTLE_MS);
    return look === 'changed';
  }

  #lookAgain(file: string): void {
    this.#cancels.delete(`doubt ${file}`);
    // What is wrong may be in a file that it names.
    this.#enqueue(file, 'anew');
    this.#work();
  }

  #look(file: string, trust: LookOptions['trust'], depth: Depth): string {
    const running = this.#runs.get(file);
    if (running !== undefined) {
      running.again = true;
      return 'same';
    }
    const look = this.#files.look(file, { trust, depth, nowMs: this.#clock.wallMs() });
    if (typeof look === 'string') return look;
    this.#runs.set(file, { ended: this.#run(file, look.run), again: false });
    return 'same';
  }

  /** Runs a module. Of changes meanwhile, only the last has it run again. */
  async #run(file: string, run: number): Promise<void> {
    const { runModule, log } = this.#options;
    const result = await (runModule?.(file) ?? noModules(file));
    for (const line of result.output) log.info(line, { file });
    const changed = this.#files.takeRun(file, { run, result, nowMs: this.#clock.wallMs() });
    const again = this.#runs.get(file)?.again ?? false;
    this.#runs.delete(file);
    if (again) this.#look(file, 'first', 'anew');
    if (!changed || this.#onChange === undefined) return;
    this.#tell();
    // It may import from folders that are not watched yet.
    this.#walkSoon(0);
  }

  async #runsEnded(): Promise<void> {
    while (this.#runs.size > 0) {
      // oxlint-disable-next-line no-await-in-loop -- a run may be followed by another of the same module
      await Promise.all([...this.#runs.values()].map(({ ended }) => ended));
    }
  }

  #tell(): void {
    this.#onChange?.(this.#loaded());
    this.#seenMs = undefined;
  }

  // What it all comes to.

  #loaded(): Loaded {
    const acceptances = this.#files.acceptances();
    const accepted = inForce(acceptances.flatMap(([, acceptance]) => acceptance.accepted));
    const resources = this.#identity.stamp(
      accepted.map(({ resource }) => resource),
      this.#clock.wallMs(),
    );
    // A stand-in is no version that could be served again.
    const versions = accepted.filter(({ standing }) => standing !== 'stand-in');
    this.#options.keep?.(() => versions.map((one) => ({ accepted: one, remembered: this.#identity.of(one.key) })));
    const tree = this.#tree!;
    const problems = [
      ...(this.#lastGood?.problem === undefined ? [] : [this.#lastGood.problem]),
      ...tree.problems,
      ...(tree.root === 'away' && accepted.length > 0 ? [keptNote(this.#path, accepted)] : []),
      ...acceptances.flatMap(([, acceptance]) => acceptance.problems),
    ];
    const states = acceptances.map(([, { broken }]) => broken);
    const all = tree.root === 'away' || (states.length > 0 && states.every((state) => state === 'all'));
    const some = tree.closed.length > 0 || states.some((state) => state !== 'no');
    const files = acceptances.map(([file]) => file);
    const seenMs = this.#seenMs ?? this.#clock.nowMs();
    return { resources, problems, files, broken: all ? 'all' : some ? 'some' : 'no', seenMs };
  }
}

/** What is written goes before what was kept, that before what stands in, and that before what is implied. */
function inForce(accepted: readonly Accepted[]): readonly Accepted[] {
  if (accepted.every(({ standing }) => standing === 'written')) return accepted;
  const taken = new Set<string>();
  for (const { key, standing } of accepted) if (standing === 'written') taken.add(key);
  const found: Accepted[] = [];
  for (const standing of ['kept', 'stand-in', 'implied']) {
    for (const one of accepted) {
      if (one.standing !== standing || taken.has(one.key)) continue;
      taken.add(one.key);
      found.push(one);
    }
  }
  const extra = new Set(found);
  return accepted.filter((one) => one.standing === 'written' || extra.has(one));
}

function keptNote(path: string, accepted: readonly Accepted[]): Problem {
  const message = `Still serving the ${counted(accepted.length)} that were read before "${path}" went away`;
  return { ...fileProblem(path, { code: 'source.last-good', message }), level: 'warning' };
}

function noModules(file: string): ReturnType<RunModule> {
  const result = { kind: 'failed', code: 'module.failed', reason: 'programs are not run here' } as const;
  return Promise.resolve({ files: [file], output: [], result });
}

/** Whether nothing can be said about a file because something above it cannot be read. */
function isUnreachable(tree: Tree, file: string): boolean {
  if (tree.root === 'away') return true;
  if (tree.closed.some((path) => file === path || file.startsWith(path + sep))) return true;
  // Left out because there are too many: what is there still counts.
  return tree.full && look(file) !== undefined;
}

function sameMessages(a: readonly Problem[], b: readonly Problem[]): boolean {
  return a.length === b.length && a.every(({ message }, i) => message === b[i]!.message);
}

/** Written so recently that it may still be going on. */
function isFresh(file: string, nowMs: number): boolean {
  const stats = look(file);
  return stats !== undefined && nowMs - stats.mtimeMs < DOUBT_MAX_MS;
}

function isFolder(path: string): boolean {
  return look(path)?.isDirectory() ?? false;
}

function folderId(path: string): string | undefined {
  const stats = look(path);
  return stats?.isDirectory() ? `${stats.dev}:${stats.ino}` : undefined;
}

function look(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}
