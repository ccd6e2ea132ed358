/**
 * Finds what stands for a path among many patterns: by hash for paths and
 * prefixes, so that a request pays for the segments of its path and not for the
 * number of rules. Patterns with a star inside are tried one by one.
 */
import { globTest, type PathTest, prefixOf } from './path-pattern.ts';

const SLASH = 0x2f;

export class PathIndex<T> {
  readonly #exact = new Map<string, T[]>();
  readonly #prefixes = new Map<string, T[]>();
  readonly #globs: { readonly test: PathTest; readonly item: T }[] = [];
  /** Lengths that prefixes have, the shortest first: where else a path is cut makes no difference. */
  #lengths: readonly number[] = [];

  add(pattern: string, item: T): void {
    const prefix = prefixOf(pattern);
    if (!pattern.includes('*')) push(this.#exact, pattern, item);
    else if (prefix === undefined) this.#globs.push({ test: globTest(pattern), item });
    else {
      push(this.#prefixes, prefix, item);
      this.#lengths = [...new Set([...this.#lengths, prefix.length])].toSorted((a, b) => a - b);
    }
  }

  get isEmpty(): boolean {
    return this.#exact.size + this.#prefixes.size + this.#globs.length === 0;
  }

  /** The first item whose pattern takes the path and that is accepted. */
  find(path: string, accept: (item: T) => boolean): T | undefined {
    return (
      (this.#exact.size === 0 ? undefined : this.#exact.get(path)?.find(accept)) ??
      this.#findPrefix(path, accept) ??
      this.#globs.find(({ test, item }) => test(path) && accept(item))?.item
    );
  }

  /** By whole segments: `/a` takes `/a`, `/a/` and `/a/b`, never `/ab`. */
  #findPrefix(path: string, accept: (item: T) => boolean): T | undefined {
    for (const length of this.#lengths) {
      if (length > path.length) return undefined;
      if (length < path.length && path.charCodeAt(length) !== SLASH) continue;
      const found = this.#prefixes.get(path.slice(0, length))?.find(accept);
      if (found !== undefined) return found;
    }
    return undefined;
  }
}

function push<T>(map: Map<string, T[]>, key: string, item: T): void {
  const items = map.get(key);
  if (items === undefined) map.set(key, [item]);
  else items.push(item);
}
