/**
 * What makes a compile cost only what changed: results are kept together with
 * the look-ups that led to them. On the next compile a result holds as long as
 * every look-up would still give the same object; then the same result object is
 * given again, and whoever looked at it holds too.
 */

/** Tables of objects by key. Objects are never changed; a change is another object. */
export type Tables = Readonly<Record<string, ReadonlyMap<string, unknown>>>;

type ValueOf<M> = M extends ReadonlyMap<string, infer V> ? V : never;

/** Reads one entry of a table, and remembers that it was read. */
export type Look<T extends Tables> = <K extends keyof T & string>(table: K, key: string) => ValueOf<T[K]> | undefined;

interface Entry<V> {
  readonly inputs: readonly unknown[];
  /** Table, key and found value of each look-up, flat. */
  readonly trace: readonly unknown[];
  readonly value: V;
}

const TRACE_STRIDE = 3;

/** Results by key, each with its trace. Keys that a compile did not ask for are forgotten at its end. */
export class Memo<T extends Tables, V> {
  #before: ReadonlyMap<string, Entry<V>> = new Map();
  #now = new Map<string, Entry<V>>();
  #tables: T | undefined;
  /** Results made, not taken from before, since the last {@link begin}. */
  made = 0;

  /** Starts a compile over these tables. They are filled while the compile runs, each before its first reader. */
  begin(tables: T): void {
    this.#before = this.#now;
    this.#now = new Map();
    this.#tables = tables;
    this.made = 0;
  }

  /**
   * The result of `make`, or the one before when `inputs` are the same objects
   * and every look-up of it still holds. `make` must be a function of `inputs`
   * and of what it looks up, and nothing else.
   */
  get(key: string, inputs: readonly unknown[], make: (look: Look<T>) => V): V {
    const tables = this.#tables;
    if (tables === undefined) throw new RangeError('Cannot look up: no compile has begun');
    const known = this.#before.get(key);
    if (known !== undefined && sameItems(known.inputs, inputs) && holds(known.trace, tables)) {
      this.#now.set(key, known);
      return known.value;
    }
    const trace: unknown[] = [];
    const value = make((table, name) => {
      const found = tables[table]?.get(name);
      trace.push(table, name, found);
      return found as ValueOf<T[typeof table]> | undefined;
    });
    this.#now.set(key, { inputs, trace, value });
    this.made++;
    return value;
  }
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

function holds(trace: readonly unknown[], tables: Tables): boolean {
  for (let i = 0; i < trace.length; i += TRACE_STRIDE) {
    if (tables[trace[i] as string]?.get(trace[i + 1] as string) !== trace[i + 2]) return false;
  }
  return true;
}
