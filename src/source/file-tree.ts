/**
 * What lies under a path: every manifest file with its stamp, every folder to
 * watch. Looks at names and stamps only, never into a file.
 */
import { type Dirent, readdirSync, type Stats, statSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import { setImmediate as yieldToLoop } from 'node:timers/promises';
import type { Problem } from '../base/problem.ts';
import { fileProblem, systemReason } from './file-problem.ts';

/** Two looks at a file that give the same stamp saw the same bytes. */
export interface Stamp {
  readonly dev: number;
  readonly ino: number;
  readonly bytes: number;
  readonly mtimeMs: number;
  /** Catches what keeps size and mtime: `cp -p` over a file, an edit within one tick of the file system. */
  readonly ctimeMs: number;
}

export interface Tree {
  /** `away`: nothing is there, or it cannot be listed. What was known under it is still good. */
  readonly root: 'file' | 'folder' | 'away';
  /** Device of the root, 0 when away: tells an emptied folder from a volume that was unmounted. */
  readonly dev: number;
  /** In the order of their names, so that two machines read the same folder alike. */
  readonly files: ReadonlyMap<string, Stamp>;
  /** Folders by path, each with its identity: another folder under the same path has another one. */
  readonly folders: ReadonlyMap<string, string>;
  /** Folders that are there and cannot be listed; what was known under them is still good. */
  readonly closed: readonly string[];
  /** There is more than may be read; what is not in `files` may be there all the same. */
  readonly full: boolean;
  readonly problems: readonly Problem[];
}

export interface TreeLimits {
  readonly filesMax: number;
  readonly foldersMax: number;
}

/** A folder of this size is a mistake: `fourways up /`. */
export const TREE_LIMITS: TreeLimits = { filesMax: 20_000, foldersMax: 5_000 };

const MANIFEST_EXTENSIONS = new Set(['.yaml', '.yml', '.json']);

/** These are programs: they are run, not read (module.ts). */
export const MODULE_NAMES: readonly string[] = [
  'fourways.config.ts',
  'fourways.config.mts',
  'fourways.config.js',
  'fourways.config.mjs',
];

/** JSON files that live beside manifests and never hold any: of other tools, and our own (last-good.ts). */
const FOREIGN_NAMES = new Set(['package.json', 'package-lock.json', 'tsconfig.json', 'last-good.json']);

/** Whether a file of this name is read when it lies in a folder. A file that was named by the operator always is. */
export function isSourceName(path: string): boolean {
  const name = basename(path);
  if (name.startsWith('.') || FOREIGN_NAMES.has(name)) return false;
  return MANIFEST_EXTENSIONS.has(extname(name).toLowerCase()) || MODULE_NAMES.includes(name);
}

export function isModuleName(path: string): boolean {
  return /\.[cm]?[jt]s$/.test(path);
}

/** The stamp of a regular file; undefined when there is none, symbolic links followed. @throws what `stat` throws but for ENOENT and ENOTDIR */
export function stampOf(path: string): Stamp | undefined {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined || !stats.isFile() ? undefined : stampFrom(stats);
}

export function sameStamp(a: Stamp, b: Stamp): boolean {
  return (
    a.mtimeMs === b.mtimeMs && a.bytes === b.bytes && a.ino === b.ino && a.ctimeMs === b.ctimeMs && a.dev === b.dev
  );
}

/**
 * Walks everything under `root`. Synchronous calls in short slices: 3,000 stat
 * calls cost 8 ms this way and 60 ms of two cores through the thread pool, and
 * the loop is never held for longer than a slice.
 *
 * Real files come before symbolic links, and a link is followed only when
 * nothing else led to its target: a Kubernetes volume (`a.yaml -> ..data/a.yaml`,
 * `..data -> ..2026_01_01`) is read once, a loop ends.
 */
export async function walkTree(root: string, limits: TreeLimits = TREE_LIMITS): Promise<Tree> {
  const walk = new Walk(limits);
  const start = look(root);
  if (start === undefined || 'reason' in start) return awayTree(root, start?.reason ?? 'no such file or directory');
  if (!start.isDirectory()) return walk.single(root, start);
  try {
    readdirSync(root);
  } catch (error) {
    return awayTree(root, systemReason(error));
  }
  walk.enter(root, start);
  while (walk.step()) await yieldToLoop();
  return walk.tree(start.dev);
}

/** @param reason  in words */
export function awayTree(root: string, reason: string): Tree {
  const problem = fileProblem(root, { code: 'source.away', message: `Cannot read "${root}": ${reason}` });
  return { root: 'away', dev: 0, files: new Map(), folders: new Map(), closed: [], full: false, problems: [problem] };
}

/** Entries looked at before the loop gets its turn: about 1 ms. */
const SLICE_ENTRIES = 256;

class Walk {
  readonly #limits: TreeLimits;
  readonly #files = new Map<string, Stamp>();
  readonly #folders = new Map<string, string>();
  readonly #closed: string[] = [];
  readonly #problems: Problem[] = [];
  /** Folders still to list, deepest last. */
  readonly #open: string[] = [];
  /** Entries of the folder that is being read. */
  #entries: { readonly folder: string; readonly list: readonly Dirent[]; at: number } | undefined;
  /** Links wait until everything real was seen. */
  readonly #links: string[] = [];
  readonly #seen = new Set<string>();
  #full = false;

  constructor(limits: TreeLimits) {
    this.#limits = limits;
  }

  single(path: string, stats: Stats): Tree {
    if (!stats.isFile()) return awayTree(path, 'it is neither a file nor a folder');
    this.#files.set(path, stampFrom(stats));
    return { ...this.tree(stats.dev), root: 'file' };
  }

  tree(dev: number): Tree {
    const files = new Map([...this.#files].toSorted(([a], [b]) => (a < b ? -1 : 1)));
    const { folders, closed, problems } = { folders: this.#folders, closed: this.#closed, problems: this.#problems };
    return { root: 'folder', dev, files, folders, closed, full: this.#full, problems };
  }

  enter(folder: string, stats: Stats): void {
    if (!this.#first(stats)) return;
    if (this.#folders.size >= this.#limits.foldersMax) return this.#overflow(folder, 'folders');
    this.#folders.set(folder, `${stats.dev}:${stats.ino}`);
    this.#open.push(folder);
  }

  /** Looks at one slice of entries. False when there is nothing left. */
  step(): boolean {
    for (let count = 0; count < SLICE_ENTRIES; count++) {
      const entries = this.#entries;
      if (entries !== undefined && entries.at < entries.list.length) {
        this.#entry(entries.folder, entries.list[entries.at++]!);
      } else if (this.#open.length > 0) {
        this.#list(this.#open.pop()!);
      } else {
        const link = this.#links.shift();
        if (link === undefined) return false;
        this.#visit(link);
      }
    }
    return !this.#full;
  }

  #list(folder: string): void {
    try {
      const list = readdirSync(folder, { withFileTypes: true }).toSorted((a, b) => (a.name < b.name ? -1 : 1));
      this.#entries = { folder, list, at: 0 };
    } catch (error) {
      if (isGone(error)) return;
      this.#closed.push(folder);
      const message = `Cannot list the folder "${folder}": ${systemReason(error)}`;
      this.#problems.push(fileProblem(folder, { code: 'source.unreadable', message }));
    }
  }

  #entry(folder: string, entry: Dirent): void {
    if (entry.name.startsWith('.') || entry.name === 'node_modules') return;
    const path = join(folder, entry.name);
    if (entry.isSymbolicLink()) this.#links.push(path);
    else if (entry.isDirectory() || (entry.isFile() && isSourceName(entry.name))) this.#visit(path);
  }

  #visit(path: string): void {
    const stats = look(path);
    if (stats === undefined) return; // gone between the listing and now, or a link that leads nowhere
    if ('reason' in stats) {
      if (!isSourceName(path)) return;
      const message = `Cannot read "${path}": ${stats.reason}`;
      this.#problems.push(fileProblem(path, { code: 'source.unreadable', message }));
      this.#closed.push(path);
    } else if (stats.isDirectory()) {
      this.enter(path, stats);
    } else if (stats.isFile() && isSourceName(path) && this.#first(stats)) {
      if (this.#files.size >= this.#limits.filesMax) return this.#overflow(path, 'files');
      this.#files.set(path, stampFrom(stats));
    }
  }

  #first({ dev, ino }: Stats): boolean {
    if (ino === 0) return true; // a file system without inode numbers
    const id = `${dev}:${ino}`;
    if (this.#seen.has(id)) return false;
    this.#seen.add(id);
    return true;
  }

  #overflow(path: string, what: 'files' | 'folders'): void {
    if (this.#full) return;
    this.#full = true;
    const max = what === 'files' ? this.#limits.filesMax : this.#limits.foldersMax;
    const message = `Cannot read more than ${max} ${what}: "${path}" and what comes after it is left out`;
    this.#problems.push(fileProblem(path, { code: 'source.too-many-files', message }));
  }
}

function look(path: string): Stats | { readonly reason: string } | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    return { reason: systemReason(error) };
  }
}

function stampFrom({ dev, ino, size, mtimeMs, ctimeMs }: Stats): Stamp {
  return { dev, ino, bytes: size, mtimeMs, ctimeMs };
}

function isGone(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
}
