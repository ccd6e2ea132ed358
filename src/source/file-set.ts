/** The files of a source and what counts of each. Knows no time and no events: folder.ts says when to look. */
import type { Problem } from '../base/problem.ts';
import type { Resource } from '../resource/resource.ts';
import { type Acceptance, type Accepted, acceptContent, acceptFailure, keepAll } from './accept.ts';
import { type FileContent, moduleContent, readContent } from './file-content.ts';
import { readFileText } from './file-read.ts';
import { isModuleName, sameStamp, type Stamp, stampOf } from './file-tree.ts';
import type { ModuleRun } from './module.ts';

interface Entry {
  /** Undefined before the first look. */
  readonly stamp: Stamp | undefined;
  /** As read last, whether or not it was believed. */
  readonly content: FileContent | undefined;
  /** Hash of the content that `acceptance` was made of; undefined when there was none. */
  readonly believed: string | undefined;
  readonly acceptance: Acceptance;
  /** Another look is due before this is believed; what counts is as it was. */
  readonly doubted: Stamp | undefined;
  /** Number of the newest run of a module; what an older run gives comes too late. */
  readonly run: number;
}

const NOTHING: Acceptance = { accepted: [], problems: [], broken: 'no' };
const NEW: Entry = {
  stamp: undefined,
  content: undefined,
  believed: undefined,
  acceptance: NOTHING,
  doubted: undefined,
  run: 0,
};

/**
 * What a look at a file came to.
 * `doubtful`: it may be half written, look again in a moment.
 * `gone`: it is not there; nothing was done about that.
 * `run`: it is a module, which the caller runs and hands to {@link FileSet.takeRun}.
 */
export type Look = 'same' | 'changed' | 'doubtful' | 'gone' | { readonly run: number };

/**
 * How much is believed to be as it was. `stamp`: all, if the stamp is the same.
 * `text`: the stamp is not asked, because within one tick of the file system two
 * writes leave the same one. `anew`: nothing, because a file that it is made from
 * changed.
 */
export type Depth = 'stamp' | 'text' | 'anew';

export interface LookOptions {
  /**
   * `first`: what looks half written is doubted. `settled`: it is believed if it
   * is what was doubted before. `forced`: it is believed.
   */
  readonly trust: 'first' | 'settled' | 'forced';
  readonly depth: Depth;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
}

export class FileSet {
  readonly #files = new Map<string, Entry>();
  /** By dependency: its stamp when it was last used, and the files made from it. */
  readonly #dependencies = new Map<string, { stamp: Stamp | undefined; readonly users: Set<string> }>();
  readonly #before: (file: string) => readonly Accepted[];
  #runs = 0;

  /** @param before  what counted of a file in an earlier run */
  constructor(before: (file: string) => readonly Accepted[]) {
    this.#before = before;
  }

  has(file: string): boolean {
    return this.#files.has(file);
  }

  files(): readonly string[] {
    return [...this.#files.keys()];
  }

  stampOf(file: string): Stamp | undefined {
    return this.#files.get(file)?.stamp;
  }

  look(file: string, { trust, depth, nowMs }: LookOptions): Look {
    const entry = this.#files.get(file) ?? NEW;
    const found = tryStamp(file);
    if (found === undefined) return 'gone';
    if ('reason' in found) return this.#fail(file, found.reason);
    if (depth === 'stamp' && entry.doubted === undefined && isSame(entry.stamp, found)) return 'same';
    if (isModuleName(file)) return this.#startRun(file, found);

    const read = readFileText(file);
    if (read.kind === 'gone') return 'gone';
    if (read.kind === 'failed') return this.#fail(file, read.reason);
    const content = readContent(read.text, file, entry.content);
    if (depth !== 'anew' && content.hash === entry.believed) {
      this.#files.set(file, { ...entry, stamp: found, content, doubted: undefined });
      return 'same';
    }
    const settled = trust === 'forced' || (trust === 'settled' && isSame(entry.doubted, found));
    if (!settled && isDoubtful(content, entry, found)) {
      this.#files.set(file, { ...entry, content, doubted: found });
      return 'doubtful';
    }
    return this.#accept(file, content, { stamp: found, nowMs });
  }

  /** @returns whether it changed anything; a run that a newer one has overtaken does not */
  takeRun(file: string, { run, result, nowMs }: { run: number; result: ModuleRun; nowMs: number }): boolean {
    const entry = this.#files.get(file);
    if (entry === undefined || entry.run !== run) return false;
    const content = moduleContent(result, file, entry.content);
    this.#accept(file, content, { stamp: entry.stamp, nowMs });
    return true;
  }

  /** The file was deleted on purpose. */
  drop(file: string): void {
    this.#depend(file, []);
    this.#files.delete(file);
  }

  /** A file that cannot be looked at, because its folder cannot: what counted goes on. */
  keep(file: string): void {
    const accepted = keepAll(this.#accepted(file));
    const entry = this.#files.get(file) ?? NEW;
    const acceptance: Acceptance = { accepted, problems: [], broken: 'all' };
    this.#files.set(file, { ...entry, stamp: undefined, believed: undefined, acceptance });
  }

  dependencies(): readonly string[] {
    return [...this.#dependencies.keys()];
  }

  /** Files made from a dependency. */
  usersOf(dependency: string): readonly string[] {
    return [...(this.#dependencies.get(dependency)?.users ?? [])];
  }

  /** Files made from a dependency, if that has another stamp than when it was used. */
  usersOfChanged(dependency: string): readonly string[] {
    const known = this.#dependencies.get(dependency);
    if (known === undefined) return [];
    const found = tryStamp(dependency);
    const stamp = found === undefined || 'reason' in found ? undefined : found;
    if (stamp === known.stamp || (stamp !== undefined && isSame(known.stamp, stamp))) return [];
    known.stamp = stamp;
    return [...known.users];
  }

  /** By file, in the order of their names. */
  acceptances(): readonly (readonly [file: string, acceptance: Acceptance])[] {
    return [...this.#files]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([file, { acceptance }]) => [file, acceptance] as const);
  }

  /** What counts of a file until now; before the first acceptance, what an earlier run left. */
  #accepted(file: string): readonly Accepted[] {
    const { acceptance } = this.#files.get(file) ?? NEW;
    return acceptance === NOTHING ? this.#before(file) : acceptance.accepted;
  }

  #startRun(file: string, stamp: Stamp): Look {
    const entry = this.#files.get(file) ?? NEW;
    const run = ++this.#runs;
    this.#files.set(file, { ...entry, stamp, run });
    return { run };
  }

  /** Without a stamp, so that every walk tries again: a full table of open files is over before the file changes. */
  #fail(file: string, reason: string): Look {
    const entry = this.#files.get(file) ?? NEW;
    const acceptance = acceptFailure(file, reason, this.#accepted(file));
    const same = sameProblems(entry.acceptance.problems, acceptance.problems);
    this.#files.set(file, { ...entry, stamp: undefined, believed: undefined, doubted: undefined, acceptance });
    return same ? 'same' : 'changed';
  }

  #accept(
    file: string,
    content: FileContent,
    { stamp, nowMs }: { stamp: Stamp | undefined; nowMs: number },
  ): 'changed' {
    const { acceptance: old, run } = this.#files.get(file) ?? NEW;
    const acceptance = sinceWhen(
      acceptContent(content, nowMs, () => this.#accepted(file)),
      old.accepted,
    );
    this.#files.set(file, { stamp, content, believed: content.hash, acceptance, doubted: undefined, run });
    this.#depend(file, content.dependencies);
    return 'changed';
  }

  #depend(file: string, dependencies: readonly string[]): void {
    for (const [path, { users }] of this.#dependencies) {
      if (!users.delete(file) || users.size > 0 || dependencies.includes(path)) continue;
      this.#dependencies.delete(path);
    }
    for (const path of dependencies) {
      const found = tryStamp(path);
      const stamp = found === undefined || 'reason' in found ? undefined : found;
      const known = this.#dependencies.get(path);
      if (known === undefined) this.#dependencies.set(path, { stamp, users: new Set([file]) });
      else known.users.add(file);
    }
  }
}

/** A resource that did not change was read when it was read first. */
function sinceWhen(acceptance: Acceptance, old: readonly Accepted[]): Acceptance {
  const readMs = new Map<Resource, number>(old.map((one) => [one.resource, one.readMs]));
  const accepted = acceptance.accepted.map((one) => ({ ...one, readMs: readMs.get(one.resource) ?? one.readMs }));
  return { ...acceptance, accepted };
}

/**
 * Text with mistakes, and text in the same file that says less than before, may
 * be the first half of what somebody is writing.
 */
function isDoubtful(content: FileContent, entry: Entry, stamp: Stamp): boolean {
  if (content.problems.some(({ level }) => level === 'error')) return true;
  if (entry.stamp?.ino !== stamp.ino) return false;
  const keys = new Set(content.documents.map(({ key }) => key));
  return entry.acceptance.accepted.some(({ key }) => !keys.has(key));
}

function isSame(a: Stamp | undefined, b: Stamp): boolean {
  return a !== undefined && sameStamp(a, b);
}

function sameProblems(a: readonly Problem[], b: readonly Problem[]): boolean {
  return a.length === b.length && a.every(({ message }, i) => message === b[i]!.message);
}

function tryStamp(file: string): Stamp | { readonly reason: string } | undefined {
  try {
    return stampOf(file);
  } catch (error) {
    return { reason: error instanceof Error ? error.message : String(error) };
  }
}
