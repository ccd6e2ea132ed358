/** What filters of this kind have in common in one worker, so that a policy costs the same on one rule and on a hundred. */
import type { Env } from '../../filter/env.ts';
import { Ledger } from './ledger.ts';

interface Closable {
  close(): void;
}

interface Used {
  readonly part: Closable;
  uses: number;
}

/** Outlives changes of the plan: a new one takes a part before the old one lets it go, so it is not made again. */
export class Shared {
  readonly ledger: Ledger;
  readonly #parts = new Map<string, Used>();

  constructor(env: Env) {
    this.ledger = new Ledger(env);
  }

  /** @param key  of all that the part is made from; to be given to {@link release} once for each `take` */
  take<T extends Closable>(key: string, make: () => T): T {
    let used = this.#parts.get(key);
    if (used === undefined) this.#parts.set(key, (used = { part: make(), uses: 0 }));
    used.uses++;
    return used.part as T;
  }

  release(key: string): void {
    const used = this.#parts.get(key);
    if (used === undefined || --used.uses > 0) return;
    this.#parts.delete(key);
    used.part.close();
  }
}
