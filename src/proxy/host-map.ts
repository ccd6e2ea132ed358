/**
 * Values by host pattern: `a.test`, `*.a.test` (one label or more before
 * `.a.test`) and `*`. Immutable. A lookup costs one step per label of the host at
 * most, however many patterns there are.
 */
export class HostMap<T> {
  /** By host, by what follows the star (`.a.test`), or by `*`; the three cannot clash. */
  readonly #values: ReadonlyMap<string, T>;
  /** Longer ends of a host need not be looked up: bounds the cost of a host made of a hundred labels. */
  readonly #suffixLengthMax: number;

  private constructor(values: ReadonlyMap<string, T>, suffixLengthMax: number) {
    this.#values = values;
    this.#suffixLengthMax = suffixLengthMax;
  }

  static empty<T>(): HostMap<T> {
    return new HostMap(new Map<string, T>(), 0);
  }

  static of<T>(values: Iterable<readonly [pattern: string, value: T]>): HostMap<T> {
    return HostMap.empty<T>().with(values);
  }

  get size(): number {
    return this.#values.size;
  }

  /** A map with these values; `undefined` takes a pattern out. */
  with(changes: Iterable<readonly [pattern: string, value: T | undefined]>): HostMap<T> {
    const values = new Map(this.#values);
    let suffixLengthMax = this.#suffixLengthMax;
    for (const [pattern, value] of changes) {
      const key = keyOf(pattern);
      if (value === undefined) values.delete(key);
      else values.set(key, value);
      if (key.startsWith('.')) suffixLengthMax = Math.max(suffixLengthMax, key.length);
    }
    return new HostMap(values, suffixLengthMax);
  }

  /** Value of exactly this pattern. */
  get(pattern: string): T | undefined {
    return this.#values.get(keyOf(pattern));
  }

  *entries(): Generator<[pattern: string, value: T]> {
    for (const [key, value] of this.#values) yield [key.startsWith('.') ? `*${key}` : key, value];
  }

  /**
   * Asks the values whose patterns take `host`, most specific first, until one
   * gives a result. `host` is lower case, without port and trailing dot.
   */
  ask<A, X>(host: string, question: (value: T, argument: A) => X | undefined, argument: A): X | undefined {
    // An end of a host is a key too: `.a.test` as a whole host must not find the wildcard.
    const exact = host.charCodeAt(0) === DOT ? undefined : this.#values.get(host);
    if (exact !== undefined) {
      const result = question(exact, argument);
      if (result !== undefined) return result;
    }
    if (this.#suffixLengthMax > 0) {
      // A wildcard stands for one label or more, so a dot at the very start is not one to cut at.
      let dot = host.indexOf('.', Math.max(1, host.length - this.#suffixLengthMax));
      for (; dot >= 0; dot = host.indexOf('.', dot + 1)) {
        const value = this.#values.get(host.slice(dot));
        if (value === undefined) continue;
        const result = question(value, argument);
        if (result !== undefined) return result;
      }
    }
    const any = this.#values.get('*');
    return any === undefined ? undefined : question(any, argument);
  }

  /** The value with the most specific pattern that takes `host`. */
  find(host: string): T | undefined {
    return this.ask(host, itself, undefined);
  }
}

const DOT = 0x2e;

function itself<T>(value: T): T {
  return value;
}

function keyOf(pattern: string): string {
  return pattern.startsWith('*.') ? pattern.slice(1) : pattern;
}
