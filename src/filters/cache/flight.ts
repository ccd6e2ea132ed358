/**
 * One request of several for the same thing goes to the origin; the others wait
 * for what becomes of it. They hold nothing but themselves, and not for ever.
 */

/**
 * - `look`: there is an answer in the store now.
 * - `stale`: the origin failed, what is there may be used.
 * - `alone`: the answer is for nobody else.
 * - `late`: it took too long. Who leads may be reading slowly on purpose, so others are not to wait for him either.
 * - `lead`: who led is gone; this one asks the origin now, and the others wait for it.
 */
export type Outcome = 'look' | 'stale' | 'alone' | 'late' | 'lead';

/** Waiting requests of one key. Each is a connection, or a stream of one; beyond, they ask the origin themselves. */
const FOLLOWERS_MAX = 10_000;

export interface Follower {
  readonly outcome: Promise<Outcome>;
  /** The client is gone, or has waited long enough. */
  leave(outcome: Outcome): void;
}

export class Flight {
  readonly #followers = new Set<(outcome: Outcome) => void>();
  readonly #over: () => void;

  /** @param over  called once, when nobody waits any more */
  constructor(over: () => void) {
    this.#over = over;
  }

  /** @returns undefined when too many wait */
  join(): Follower | undefined {
    if (this.#followers.size >= FOLLOWERS_MAX) return undefined;
    let settle!: (outcome: Outcome) => void;
    const outcome = new Promise<Outcome>((resolve) => (settle = resolve));
    this.#followers.add(settle);
    return {
      outcome,
      leave: (how) => {
        if (this.#followers.delete(settle)) settle(how);
      },
    };
  }

  /** The same for all that wait. */
  land(outcome: Outcome): void {
    this.#over();
    for (const settle of this.#followers) settle(outcome);
    this.#followers.clear();
  }

  /** Who led is gone: the next one leads. */
  passOn(): void {
    for (const settle of this.#followers) {
      this.#followers.delete(settle);
      return settle('lead');
    }
    this.#over();
  }
}
