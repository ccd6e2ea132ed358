/**
 * Locks in memory that all workers share, held for some hundred nanoseconds.
 *
 * A worker may die while it holds one (a heap that is full, an end by force), and the system may take the processor
 * from it. Whoever waits spins, then sleeps a little, and takes a lock over whose holder has not moved for
 * {@link STEAL_MS}: what a lock guards must be such that half a change does no harm that lasts.
 */

/** Looks before the waiter sleeps: some microseconds, many times as long as a lock is held. */
const SPINS = 500;

/** One sleep; nobody wakes it, because waking would cost every release and sleepers are rare. */
const NAP_MS = 1;

/** After this long with one and the same holder the lock is taken over. */
export const STEAL_MS = 20;

/** Bits of a ticket that count acquisitions, so that a waiter sees that the holder has moved. The rest is the worker: up to 2,046. */
const TURN_BITS = 20;

export class CellLocks {
  /** Locks that were taken over. */
  stolen = 0;
  readonly #words: Int32Array;
  readonly #first: number;
  readonly #count: number;
  readonly #worker: number;
  #turn = 0;

  /** @param first  index of the first of `count` words in `words` */
  constructor(words: Int32Array, { first, count, worker }: { first: number; count: number; worker: number }) {
    this.#words = words;
    this.#first = first;
    this.#count = count;
    this.#worker = worker;
  }

  /** @returns the ticket to release it with */
  acquire(lock: number): number {
    this.#turn = (this.#turn + 1) & (2 ** TURN_BITS - 1);
    const ticket = ((this.#worker + 1) << TURN_BITS) | this.#turn;
    const at = this.#first + lock;
    if (Atomics.compareExchange(this.#words, at, 0, ticket) !== 0) this.#wait(at, ticket);
    return ticket;
  }

  /** Does nothing when the lock was taken over meanwhile. */
  release(lock: number, ticket: number): void {
    Atomics.compareExchange(this.#words, this.#first + lock, ticket, 0);
  }

  /** Frees what a worker that is gone still holds. @returns those locks */
  freeAllOf(worker: number): number[] {
    const freed: number[] = [];
    for (let lock = 0; lock < this.#count; lock++) {
      const ticket = Atomics.load(this.#words, this.#first + lock);
      if (ticket >>> TURN_BITS !== worker + 1) continue;
      this.release(lock, ticket);
      freed.push(lock);
    }
    return freed;
  }

  #wait(at: number, ticket: number): void {
    const words = this.#words;
    let seen = 0;
    let spins = 0;
    let sleptMs = 0;
    for (;;) {
      const holder = Atomics.compareExchange(words, at, 0, ticket);
      if (holder === 0) return;
      if (holder !== seen) {
        seen = holder;
        spins = sleptMs = 0;
      } else if (++spins > SPINS) {
        if (sleptMs >= STEAL_MS && Atomics.compareExchange(words, at, seen, ticket) === seen) {
          this.stolen++;
          return;
        }
        Atomics.wait(words, at, seen, NAP_MS);
        sleptMs += NAP_MS;
      }
    }
  }
}
