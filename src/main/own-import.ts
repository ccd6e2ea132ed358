/**
 * Imports modules of users with filters in them, in the thread that calls: each
 * version anew, with the files of its own that it imports, and with
 * `fourways/filter` as the copy that runs. Notes which files took part.
 */
import { statSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { DefinedFilter } from '../filter/own.ts';
import { isDefinedFilter, whatIsDefined } from '../filter/own-registry.ts';
import type { LoweredModule } from '../filter/own-program.ts';
import { messageOf } from '../filter/own-run.ts';
import { ownExport } from './own-exports.ts';

/** Tells two states of a file apart. */
export interface FileStamp {
  readonly path: string;
  readonly mtimeMs: number;
  readonly size: number;
}

export interface ImportAsked {
  readonly module: LoweredModule;
  readonly filter: string | undefined;
  /** Files are loaded once for each version. */
  readonly version: number;
  readonly onFile: (stamp: FileStamp) => void;
}

/** Stands in the address of each file of a version. */
const MARK = 'fourways-version';

/** Address of the module that is asked for, which is looked up as if a file of the folder had imported it. */
const ASKED = 'fourways-asked:';

/** Files of one version that are watched. */
const FILES_MAX = 1_000;

let hooked = false;
const listeners = new Map<string, (stamp: FileStamp) => void>();

function hookOnce(): void {
  if (hooked) return;
  hooked = true;
  registerHooks({
    resolve(specifier, context, next) {
      const ours = ownExport(specifier);
      if (ours !== undefined) return { url: ours, shortCircuit: true };
      if (specifier.startsWith(ASKED)) {
        const [version = '', from = '', ...name] = specifier.slice(ASKED.length).split(':').map(decodeURIComponent);
        const parentURL = pathToFileURL(join(from, 'fourways.yaml')).href;
        return marked(next(name.join(':'), { ...context, parentURL }), version);
      }
      const version = context.parentURL === undefined ? undefined : versionOf(context.parentURL);
      const found = next(specifier, context);
      return version === undefined ? found : marked(found, version);
    },
  });
}

function versionOf(url: string): string | undefined {
  return url.startsWith('file:') ? (new URL(url).searchParams.get(MARK) ?? undefined) : undefined;
}

/** Files of the user get an address of their own for each version; packages that they import are loaded once. */
function marked<F extends { url: string }>(found: F, version: string): F {
  if (!found.url.startsWith('file:')) return found;
  const url = new URL(found.url);
  const path = fileURLToPath(url);
  if (path.includes('/node_modules/')) return found;
  const stamp = stampOf(path);
  if (stamp !== undefined) listeners.get(version)?.(stamp);
  url.searchParams.set(MARK, version);
  return { ...found, url: url.href };
}

/** Undefined for a file that is not there. */
export function stampOf(path: string): FileStamp | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? undefined : { path, mtimeMs: stat.mtimeMs, size: stat.size };
}

/** Imports one after the other: what is defined meanwhile belongs to the one that is imported. */
let last: Promise<unknown> = Promise.resolve();

/** @returns the filter, or in words why there is none */
export function importFilter(asked: ImportAsked): Promise<DefinedFilter | string> {
  hookOnce();
  const run = last.then(() => importNow(asked));
  last = run;
  return run;
}

async function importNow({ module, filter, version, onFile }: ImportAsked): Promise<DefinedFilter | string> {
  const { specifier, from } = module;
  const isFile = specifier.startsWith('/');
  let files = 0;
  listeners.set(String(version), (stamp) => {
    if (files++ < FILES_MAX) onFile(stamp);
  });
  if (isFile && stampOf(specifier) === undefined) {
    // Watched, so that it is found when it comes.
    onFile({ path: specifier, mtimeMs: 0, size: -1 });
    return 'there is no such file';
  }
  try {
    const name = isFile ? pathToFileURL(specifier).href : specifier;
    const address = ASKED + [String(version), from, name].map(encodeURIComponent).join(':');
    const { result, defined } = await whatIsDefined(() => import(address) as Promise<Record<string, unknown>>);
    return chosen([...Object.values(result).filter(isDefinedFilter), ...defined], filter);
  } catch (error) {
    return messageOf(error);
  } finally {
    listeners.delete(String(version));
  }
}

function chosen(found: readonly DefinedFilter[], wanted: string | undefined): DefinedFilter | string {
  const byName = new Map(found.toReversed().map((filter) => [filter.name, filter]));
  const names = [...byName.keys()].toSorted().join(', ');
  if (byName.size === 0) return 'it defines no filter: expected one that defineFilter of "fourways/filter" has made';
  if (wanted !== undefined) return byName.get(wanted) ?? `it defines no filter "${wanted}": it has ${names}`;
  return byName.size === 1 ? [...byName.values()][0]! : `it defines several filters: name one of ${names} in "filter"`;
}
