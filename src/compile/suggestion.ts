/** "Did you mean" for references to what does not exist. */
import { nearest } from '../base/problem.ts';
import { describeKey, resourceKey } from '../resource/resource.ts';
import type { Absent } from './finding.ts';
import { type CompileTables, isKind } from './tables.ts';

/** A search walks all names of a kind, so a broken folder gets its first hints and no more; also those that are known by now. */
const HINTS_MAX = 20;

interface Known {
  /** Names that were searched: another table means that a name came or went. */
  readonly table: unknown;
  readonly hint: string;
}

/** Remembers what it found: a reference that stays broken is searched for once. */
export class Suggestions {
  #before: ReadonlyMap<string, Known> = new Map();
  #now = new Map<string, Known>();
  #tables: CompileTables | undefined;
  #hints = 0;

  begin(tables: CompileTables): void {
    this.#before = this.#now;
    this.#now = new Map();
    this.#tables = tables;
    this.#hints = 0;
  }

  /** `: did you mean Service shop/web`, or nothing. */
  hint(absent: Absent): string {
    const { kind, namespace, name } = absent;
    const table = isKind(kind) ? this.#tables?.[kind] : undefined;
    if (table === undefined) return '';
    const key = resourceKey(kind, namespace, name);
    const given = this.#now.get(key);
    if (given !== undefined) return given.hint;
    if (++this.#hints > HINTS_MAX) return '';
    const known = this.#before.get(key);
    if (known?.table === table) {
      this.#now.set(key, known);
      return known.hint;
    }
    const near = nearestTo(absent, table.keys());
    const hint = near === undefined ? '' : `: did you mean ${describeKey(near)}`;
    this.#now.set(key, { table, hint });
    return hint;
  }
}

/** A near name in the same namespace, else the same name in another one. */
function nearestTo({ kind, namespace, name }: Absent, keys: Iterable<string>): string | undefined {
  const inside: string[] = [];
  let elsewhere: string | undefined;
  for (const key of keys) {
    const [, otherNamespace, otherName] = key.split('/') as [string, string, string];
    if (otherNamespace === namespace) inside.push(otherName);
    else if (otherName === name) elsewhere ??= key;
  }
  const near = nearest(name, inside);
  return near === undefined ? elsewhere : resourceKey(kind, namespace, near);
}
