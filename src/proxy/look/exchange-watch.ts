/** Whoever wants to see exchanges at their end. While nobody does, that is one look at an undefined field. */
import type { Exchange } from '../../filter/filter.ts';
import type { AccessEntry } from '../../observe/access-log.ts';
import type { StreamEntry } from '../../observe/stream-log.ts';

export interface Watcher {
  /** Both may be used again after the call. */
  onExchange(x: Exchange, entry: AccessEntry): void;
  onStream(entry: StreamEntry): void;
}

export class ExchangeWatch {
  readonly #watchers = new Set<Watcher>();
  /** Undefined while nobody watches. */
  on: Watcher | undefined;

  /** @returns ends it */
  add(watcher: Watcher): () => void {
    this.#watchers.add(watcher);
    this.#choose();
    return () => {
      this.#watchers.delete(watcher);
      this.#choose();
    };
  }

  #choose(): void {
    const [only] = this.#watchers;
    this.on = this.#watchers.size > 1 ? this.#all : only;
  }

  readonly #all: Watcher = {
    onExchange: (x, entry) => {
      for (const watcher of this.#watchers) watcher.onExchange(x, entry);
    },
    onStream: (entry) => {
      for (const watcher of this.#watchers) watcher.onStream(entry);
    },
  };
}
