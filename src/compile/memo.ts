/**
 * What makes a compile cost only what changed: results are kept together with
 * the look-ups that led to them. On the next compile a result holds as long as
 * every look-up would still give the same object; then the same result object is
 * given again, and whoever looked at it holds too.
 */

import { settled } from './settled.ts';

/** Tables of objects by key. Objects are never changed; a change is another object. */
export type Tables = Readonly<Record<string, ReadonlyMap<string, unknown>>>;

type ValueOf<M> = M extends ReadonlyMap<string, infer V> ? V : never;

/** Reads one entry of a table, and remembers that it was read. */
export type Look<T extends Tables> = <K extends keyof T & string>(table: K, key: string) => ValueOf<T[K]> | undefined;

interface Entry<V> {
  readonly inputs: readonly unknown[];
  /** Bits of the tables that were looked into. */
  readonly tables: number;
  /** Bit and name of the table, key and found value of each look-up, flat. */
  readonly trace: readonly unknown[];
  readonly value: V;
}

const TRACE_STRIDE = 4;

/** Results by key, each with its trace. Keys that a compile did not ask for are forgotten at its end. */
export class Memo<T extends Tables, V, K = string> {
  #before = new Map<K, Entry<V>>();
  #now = new Map<K, Entry<V>>();
  #tables: T | undefined;
  #bits: ReadonlyMap<string, number> = new Map();
  #changed = 0;
  /** Names of this pass: thousands of routes look up the same ones, each with a text of its own. */
  readonly #names = new Map<string, string>();
  /** Results made, not taken from before, since the last {@link begin}. */
  made = 0;

  /** Starts a pass over these tables. Those that it looks into are complete. */
  begin(tables: T): void {
    this.#before = this.#now;
    this.#now = new Map();
    // A shift counts modulo 32: more tables share bits, which costs looks at look-ups, and never a wrong result.
    this.#bits = new Map(Object.keys(tables).map((name, i) => [name, 1 << i]));
    this.#changed = 0;
    for (const [name, bit] of this.#bits) {
      if (!sameEntries(this.#tables?.[name], tables[name]!)) this.#changed |= bit;
    }
    this.#tables = tables;
    this.#names.clear();
    this.made = 0;
  }

  /**
   * The result of `make`, or the one before when `inputs` are the same objects
   * and every look-up of it still holds. `make` must be a function of `inputs`
   * and of what it looks up, and nothing else.
   */
  get(key: K, inputs: readonly unknown[], make: (look: Look<T>) => V): V {
    const tables = this.#tables;
    if (tables === undefined) throw new RangeError('Cannot look up: no pass has begun');
    const known = this.#before.get(key);
    if (known !== undefined && sameItems(known.inputs, inputs) && this.#holds(known, tables)) {
      this.#now.set(key, known);
      return known.value;
    }
    const trace: unknown[] = [];
    let touched = 0;
    const value = make((table, name) => {
      const found = tables[table]?.get(name);
      const bit = this.#bits.get(table) ?? 0;
      trace.push(bit, table, this.#intern(name), found);
      touched |= bit;
      return found as ValueOf<T[typeof table]> | undefined;
    });
    this.#now.set(key, { inputs, trace: settled(trace), tables: touched, value });
    this.made++;
    return value;
  }

  #intern(name: string): string {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    this.#names.set(name, name);
    return name;
  }

  /** Every result of the pass before holds: nobody will ask for them one by one. */
  keepAll(): void {
    this.#now = new Map(this.#before);
  }

  /**
   * Keeps every result of the pass before that still holds, also where nobody asks for it in this pass. Only while the
   * inputs of all results are what they were, or `isSame` tells those that are not.
   *
   * @param isSame  whether the inputs of a result are those of now
   * @returns keys of those that hold no more
   */
  keepHolding(isSame: (key: K, inputs: readonly unknown[]) => boolean = () => true): K[] {
    const tables = this.#tables;
    if (tables === undefined) throw new RangeError('Cannot keep: no pass has begun');
    const lost: K[] = [];
    for (const [key, entry] of this.#before) {
      if (!isSame(key, entry.inputs) || !this.#holds(entry, tables)) lost.push(key);
    }
    // Of thousands mostly a few are lost: those of the pass before are taken over as they are.
    for (const key of lost) this.#before.delete(key);
    for (const [key, entry] of this.#now) this.#before.set(key, entry);
    this.#now = this.#before;
    return lost;
  }

  /** Results that are kept at the moment. */
  get size(): number {
    return this.#now.size;
  }

  /** Forgets all results: they are made again when they are asked for. */
  forget(): void {
    this.#now = new Map();
  }

  #holds({ tables: touched, trace }: Entry<V>, tables: T): boolean {
    // Most changes touch one table and most results looked into others: they hold without a look at each look-up.
    return (touched & this.#changed) === 0 || this.#holdsTrace(trace, tables);
  }

  #holdsTrace(trace: readonly unknown[], tables: T): boolean {
    const changed = this.#changed;
    for (let i = 0; i < trace.length; i += TRACE_STRIDE) {
      if (((trace[i] as number) & changed) === 0) continue;
      if (tables[trace[i + 1] as string]?.get(trace[i + 2] as string) !== trace[i + 3]) return false;
    }
    return true;
  }

  /** Whether one of these tables is another one than in the pass before. */
  changed(tables: readonly (keyof T & string)[]): boolean {
    return tables.some((name) => ((this.#bits.get(name) ?? 0) & this.#changed) !== 0);
  }
}

/** Comparing larger tables entry by entry costs more than it saves; those of resources keep their identity anyway. */
const COMPARED_ENTRIES_MAX = 20_000;

interface Compared {
  readonly with: ReadonlyMap<string, unknown>;
  /** Number of entries: a table that a pass was filling then is another one now. */
  readonly size: number;
  readonly outcome: boolean;
}

/** By the newer table. Every pass begins with the same tables: they are compared once for all. */
const compared = new WeakMap<ReadonlyMap<string, unknown>, Compared>();

function sameEntries(a: ReadonlyMap<string, unknown> | undefined, b: ReadonlyMap<string, unknown>): boolean {
  if (a === b) return true;
  if (a === undefined || a.size !== b.size || b.size > COMPARED_ENTRIES_MAX) return false;
  if (b.size < CACHED_ENTRIES_MIN) return haveSameEntries(a, b);
  const known = compared.get(b);
  if (known?.with === a && known.size === b.size) return known.outcome;
  const outcome = haveSameEntries(a, b);
  compared.set(b, { with: a, size: b.size, outcome });
  return outcome;
}

/** Smaller ones are compared sooner than found. */
const CACHED_ENTRIES_MIN = 100;

function haveSameEntries(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): boolean {
  for (const [key, value] of b) if (a.get(key) !== value) return false;
  return true;
}

/**
 * Groups items by key, giving the same array as before for a group whose items
 * are the same objects in the same order.
 */
export function groupBy<T>(
  items: Iterable<T>,
  keysOf: (item: T) => Iterable<string>,
  before: ReadonlyMap<string, readonly T[]> | undefined,
): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    for (const key of keysOf(item)) {
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [item]);
      else group.push(item);
    }
  }
  if (before === undefined) return groups;
  const kept = new Map<string, readonly T[]>();
  for (const [key, group] of groups) {
    const known = before.get(key);
    kept.set(key, known !== undefined && sameItems(known, group) ? known : group);
  }
  return kept;
}

/** Whether two lists hold the same objects in the same order. */
export function sameItems(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, i) => item === b[i]);
}

/** What came and what went between two lists of objects that are never changed. */
export interface ListDelta<T> {
  readonly added: readonly T[];
  readonly removed: readonly T[];
}

export function diffLists<T>(before: readonly T[], now: readonly T[]): ListDelta<T> {
  // An edit leaves all other items at their places; the sets are for when something came or went.
  if (before.length === now.length) {
    const places = now.flatMap((item, i) => (item === before[i] ? [] : [i]));
    if (places.length < now.length / 2) {
      return { added: places.map((i) => now[i]!), removed: places.map((i) => before[i]!) };
    }
  }
  // What comes is mostly at the end and what goes is one: sets of tens of thousands for that would cost more than all else.
  const [from, untilBefore, untilNow] = differingSpan(before, now);
  const [wasHere, isHere] = [before.slice(from, untilBefore), now.slice(from, untilNow)];
  const [was, is] = [new Set(wasHere), new Set(isHere)];
  return { added: isHere.filter((item) => !was.has(item)), removed: wasHere.filter((item) => !is.has(item)) };
}

/** Where two lists differ: behind what they begin with alike, before what they end with alike. */
function differingSpan<T>(
  before: readonly T[],
  now: readonly T[],
): [from: number, untilBefore: number, untilNow: number] {
  const least = Math.min(before.length, now.length);
  let from = 0;
  while (from < least && before[from] === now[from]) from++;
  let same = 0;
  while (same < least - from && before[before.length - 1 - same] === now[now.length - 1 - same]) same++;
  return [from, before.length - same, now.length - same];
}
