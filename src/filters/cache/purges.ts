/** Where an answer stands in the row of purges and changes: when it was asked for. */
export interface Since {
  readonly purges: number;
  /** Of the marks that all workers share: the number of the URI, and what it was. */
  readonly slot: number;
  readonly mark: number;
}

/**
 * What was purged lately, for answers that were asked for before a purge and
 * come after it: they are not to be kept.
 */
export interface Purge {
  readonly kind: 'uri' | 'prefix' | 'tag' | 'all';
  /** Empty for `all`. */
  readonly value: string;
}

/** Beyond, answers that began before the oldest of them are not kept: safe, and rare. */
const RECENT_MAX = 256;

export class Purges {
  readonly #recent: Purge[] = [];
  #count = 0;

  /** Grows with every purge. */
  get count(): number {
    return this.#count;
  }

  add(purge: Purge): void {
    this.#recent[this.#count++ % RECENT_MAX] = purge;
  }

  /** Whether an answer that was asked for when there were `since` purges is purged by now. */
  hit(since: number, uri: string, tags: readonly string[]): boolean {
    if (since === this.#count) return false;
    if (this.#count - since > RECENT_MAX) return true;
    for (let i = since; i < this.#count; i++) if (concerns(this.#recent[i % RECENT_MAX]!, uri, tags)) return true;
    return false;
  }
}

function concerns({ kind, value }: Purge, uri: string, tags: readonly string[]): boolean {
  switch (kind) {
    case 'uri':
      return uri === value;
    case 'prefix':
      return uri.startsWith(value);
    case 'tag':
      return tags.includes(value);
    case 'all':
      return true;
  }
}
