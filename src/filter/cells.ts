/**
 * Exact counts over all workers of a process, in one SharedArrayBuffer.
 *
 *     [ key of the hash | locks, one a set | owners of chunks | holds | sets of 8 cells ]
 *
 * A cell is found by a keyed hash of 64 bits, in the set that the hash names, under the lock of that set. Cells that
 * have run out are free. In a full set the cell that runs out first is forgotten: whoever has used up most is
 * remembered longest, and nobody can aim at a cell, because the hash has a key that never leaves the process.
 *
 * Two kinds of cells share the table. Rates hold how much is used, which trickles away. Counts hold how many are at
 * work; each one is a hold, written down under its worker, so that those of a worker that died can be given back.
 */
import { CellLocks } from './cell-locks.ts';
import { type HashState, KeyedHash } from './keyed-hash.ts';

/** Words (4 bytes) of the head of the buffer, of which the first two are the key of the hash. */
const HEAD_WORDS = 1_024;

const CELLS_PER_SET = 8;

/** 8 bytes each: key, value, time of the value, time at which the cell has run out. */
const CELL_NUMBERS = 4;
const KEY = 0;
const VALUE = 1;
const AT_MS = 2;
const ENDS_MS = 3;

const SET_WORDS = CELLS_PER_SET * CELL_NUMBERS * 2;

/** An eighth of the buffer is for holds, 4 bytes each: 262,144 in 8 MiB. Beyond: nothing more is held. */
const HOLDS_SHARE = 8;

/** Holds that a worker takes for itself at a time. */
const CHUNK_HOLDS = 1_024;

/** Used and limit are compared with this slack: sums of parts of a unit are not exact. */
const SLACK = 1e-9;

/** Limits that one request may be counted against at a time. */
export const DEMANDS_MAX = 8;

/** What one request asks of one limit, and what it is told. Used again for the next request. */
export interface Demand {
  /** Both halves of the hash: {@link Cells.hash}. */
  lo: number;
  hi: number;
  cost: number;
  /** What may be used at once. */
  readonly burst: number;
  /** Time in which one unit trickles away. */
  readonly perUnitMs: number;
  /** Told: what is used now. */
  used: number;
  /** Told: after which time it would have been let through; 0 when it is. */
  waitMs: number;
}

/** What {@link Cells.hold} says instead of a hold. */
export const HOLD_REFUSED = -1;
export const HOLD_FULL = -2;

export interface CellsOptions {
  /** Number of the worker: no two that live have the same. */
  readonly worker: number;
  readonly randomBytes: (count: number) => Buffer;
}

const OPENED = new WeakMap<SharedArrayBuffer, Cells>();

/** The cells as this worker sees them: the same object for all filters of a worker. */
export function openCells(buffer: SharedArrayBuffer, options: CellsOptions): Cells {
  let cells = OPENED.get(buffer);
  if (cells === undefined) OPENED.set(buffer, (cells = new Cells(buffer, options)));
  return cells;
}

export class Cells {
  readonly hash: KeyedHash;
  /** Cells that the last call forgot because their set was full. */
  forgotten = 0;
  readonly #words: Int32Array;
  readonly #numbers: Float64Array;
  readonly #locks: CellLocks;
  readonly #worker: number;
  readonly #sets: number;
  readonly #chunks: number;
  readonly #chunksAt: number;
  readonly #holdsAt: number;
  /** Index of the first cell in `#numbers`. */
  readonly #cellsAt: number;
  /** Holds of this worker that are free. */
  readonly #free: number[] = [];
  // Of the call that runs: sets that are locked, in ascending order, and the cells of its demands.
  readonly #locked = new Int32Array(DEMANDS_MAX);
  readonly #tickets = new Int32Array(DEMANDS_MAX);
  readonly #found = new Int32Array(DEMANDS_MAX);
  #lockedCount = 0;

  constructor(buffer: SharedArrayBuffer, { worker, randomBytes }: CellsOptions) {
    const words = new Int32Array(buffer);
    const holds = Math.floor(words.length / HOLDS_SHARE / CHUNK_HOLDS) * CHUNK_HOLDS;
    this.#words = words;
    this.#numbers = new Float64Array(buffer);
    this.#worker = worker;
    this.#chunks = holds / CHUNK_HOLDS;
    this.#chunksAt = HEAD_WORDS;
    this.#holdsAt = HEAD_WORDS + this.#chunks;
    const rest = words.length - this.#holdsAt - holds;
    // One word less for the cells to begin at a whole number.
    this.#sets = Math.floor((rest - 1) / (SET_WORDS + 1));
    const locksAt = this.#holdsAt + holds;
    this.#cellsAt = Math.ceil((locksAt + this.#sets) / 2);
    this.#locks = new CellLocks(words, { first: locksAt, count: this.#sets, worker });
    const random = randomBytes(8);
    this.hash = new KeyedHash(this.#agree(0, random.readInt32LE(0)), this.#agree(1, random.readInt32LE(4)));
    this.recover(worker);
  }

  /** Locks that were taken over from a holder that did not move. */
  get stolen(): number {
    return this.#locks.stolen;
  }

  /** The first worker says what the word is. */
  #agree(word: number, proposed: number): number {
    const mine = proposed | 1;
    return Atomics.compareExchange(this.#words, word, 0, mine) || mine;
  }

  /** The state from which keys of one limit are hashed. Names of limits have no NUL. */
  space(name: string): HashState {
    return this.hash.prefix(name);
  }

  // --- rates -------------------------------------------------------------------------------------------------------

  /**
   * Lets a request through when every demand has room, and counts it then; counts nothing otherwise.
   *
   * This is GCRA in its other form, the leaky bucket as a meter: with the amount used instead of a time of arrival,
   * whole costs at one time add up exactly.
   *
   * @param demands  the first `count` are meant, at most {@link DEMANDS_MAX}; no two of the same key
   * @param nowMs  of one clock for all workers
   */
  spend(demands: readonly Demand[], count: number, nowMs: number): boolean {
    this.forgotten = 0;
    this.#lockSets(demands, count);
    let admits = true;
    for (let i = 0; i < count; i++) {
      const demand = demands[i]!;
      const cell = this.#find(demand);
      this.#found[i] = cell;
      demand.used = cell < 0 ? 0 : this.#usedAt(cell, demand, nowMs);
      const excess = demand.used + demand.cost - demand.burst;
      demand.waitMs = excess > SLACK ? excess * demand.perUnitMs : 0;
      if (excess > SLACK) admits = false;
    }
    if (admits) {
      for (let i = 0; i < count; i++) this.#write(demands[i]!, i, { count, nowMs });
    }
    this.#unlockSets();
    return admits;
  }

  #usedAt(cell: number, { burst, perUnitMs }: Demand, nowMs: number): number {
    const numbers = this.#numbers;
    const elapsedMs = nowMs - numbers[cell + AT_MS]!;
    const before = numbers[cell + VALUE]!;
    const used = elapsedMs > 0 ? before - elapsedMs / perUnitMs : before;
    if (!(used > 0)) return 0;
    // More than all can only be of a limit that was higher before.
    return used < burst ? used : burst;
  }

  #write(demand: Demand, i: number, { count, nowMs }: { readonly count: number; readonly nowMs: number }): void {
    demand.used += demand.cost;
    let cell = this.#found[i]!;
    if (cell < 0) {
      cell = this.#claim(demand, count, nowMs);
      this.#found[i] = cell;
    }
    // No cell can be had: all of the set hold counts. The request is let through uncounted.
    if (cell < 0) return;
    const numbers = this.#numbers;
    numbers[cell + VALUE] = demand.used;
    // Another worker may be ahead by what its clock was read later.
    if (!(numbers[cell + AT_MS]! > nowMs)) numbers[cell + AT_MS] = nowMs;
    numbers[cell + ENDS_MS] = nowMs + demand.used * demand.perUnitMs;
  }

  // --- counts ------------------------------------------------------------------------------------------------------

  /**
   * Takes one of `max` of a key.
   *
   * @returns the hold, to be given to {@link release}; {@link HOLD_REFUSED} when all are taken; {@link HOLD_FULL} when
   * no more can be written down
   */
  hold(key: { readonly lo: number; readonly hi: number }, max: number, nowMs: number): number {
    this.forgotten = 0;
    const slot = this.#free.pop() ?? this.#takeChunk();
    if (slot === undefined) return HOLD_FULL;
    const set = this.#setOf(key);
    const ticket = this.#locks.acquire(set);
    let cell = this.#find(key);
    const count = cell < 0 ? 0 : this.#numbers[cell + VALUE]!;
    let said = slot;
    if (count >= max) said = HOLD_REFUSED;
    else if (cell < 0 && (cell = this.#claim(key, 0, nowMs)) < 0) said = HOLD_FULL;
    else {
      // In this order: a worker that dies between them leaves one too few, which ends with the last of the key, and
      // never one too many, which would not.
      Atomics.store(this.#words, this.#holdsAt + slot, cell);
      this.#numbers[cell + VALUE] = count + 1;
      this.#numbers[cell + ENDS_MS] = Infinity;
    }
    this.#locks.release(set, ticket);
    if (said !== slot) this.#free.push(slot);
    return said;
  }

  /** Gives a hold back, once. */
  release(hold: number): void {
    const cell = this.#words[this.#holdsAt + hold]!;
    if (cell === 0) return;
    this.#giveBack(hold, cell);
    this.#free.push(hold);
  }

  /** How many are held of a key, by all workers. */
  held(key: { readonly lo: number; readonly hi: number }): number {
    const set = this.#setOf(key);
    const ticket = this.#locks.acquire(set);
    const cell = this.#find(key);
    const count = cell < 0 ? 0 : this.#numbers[cell + VALUE]!;
    this.#locks.release(set, ticket);
    return count;
  }

  /**
   * Gives back what a worker held that is gone. Called by the thread that sees it go, and by whoever takes its number.
   */
  recover(worker: number): void {
    const torn = new Set(this.#locks.freeAllOf(worker));
    for (let chunk = 0; chunk < this.#chunks; chunk++) {
      if (Atomics.load(this.#words, this.#chunksAt + chunk) !== worker + 1) continue;
      const first = chunk * CHUNK_HOLDS;
      for (let hold = first; hold < first + CHUNK_HOLDS; hold++) {
        const cell = Atomics.load(this.#words, this.#holdsAt + hold);
        if (cell === 0) continue;
        if (torn.has(this.#setOfCell(cell))) Atomics.store(this.#words, this.#holdsAt + hold, 0);
        else this.#giveBack(hold, cell);
      }
      Atomics.store(this.#words, this.#chunksAt + chunk, 0);
    }
    for (const set of torn) this.#recount(set);
  }

  #giveBack(hold: number, cell: number): void {
    const set = this.#setOfCell(cell);
    const ticket = this.#locks.acquire(set);
    const left = this.#numbers[cell + VALUE]! - 1;
    this.#numbers[cell + VALUE] = left > 0 ? left : 0;
    if (!(left > 0)) this.#numbers[cell + ENDS_MS] = 0;
    Atomics.store(this.#words, this.#holdsAt + hold, 0);
    this.#locks.release(set, ticket);
  }

  /** The worker died inside this set: what is written down counts. */
  #recount(set: number): void {
    const ticket = this.#locks.acquire(set);
    const first = this.#cellsAt + set * CELLS_PER_SET * CELL_NUMBERS;
    for (let cell = first; cell < first + CELLS_PER_SET * CELL_NUMBERS; cell += CELL_NUMBERS) {
      if (this.#numbers[cell + ENDS_MS] !== Infinity) continue;
      let count = 0;
      for (let hold = 0; hold < this.#chunks * CHUNK_HOLDS; hold++) {
        if (Atomics.load(this.#words, this.#holdsAt + hold) === cell) count++;
      }
      this.#numbers[cell + VALUE] = count;
      if (count === 0) this.#numbers[cell + ENDS_MS] = 0;
    }
    this.#locks.release(set, ticket);
  }

  /** @returns one hold of the chunk; the others are free */
  #takeChunk(): number | undefined {
    for (let chunk = 0; chunk < this.#chunks; chunk++) {
      if (Atomics.compareExchange(this.#words, this.#chunksAt + chunk, 0, this.#worker + 1) !== 0) continue;
      for (let i = CHUNK_HOLDS - 1; i >= 0; i--) this.#free.push(chunk * CHUNK_HOLDS + i);
      return this.#free.pop();
    }
    return undefined;
  }

  // --- sets --------------------------------------------------------------------------------------------------------

  #setOf({ hi }: { readonly hi: number }): number {
    return (hi >>> 0) % this.#sets;
  }

  #setOfCell(cell: number): number {
    return Math.floor((cell - this.#cellsAt) / (CELLS_PER_SET * CELL_NUMBERS));
  }

  /** @returns index of the cell in `#numbers`, or -1 */
  #find(key: { readonly lo: number; readonly hi: number }): number {
    const first = this.#cellsAt + this.#setOf(key) * CELLS_PER_SET * CELL_NUMBERS;
    const end = first + CELLS_PER_SET * CELL_NUMBERS;
    for (let cell = first; cell < end; cell += CELL_NUMBERS) {
      const word = (cell + KEY) * 2;
      if (this.#words[word] !== key.lo || this.#words[word + 1] !== key.hi) continue;
      if (this.#numbers[cell + ENDS_MS]! > 0) return cell;
    }
    return -1;
  }

  /** A cell for a key that has none: the one that runs out first, which counts as forgotten if it has not yet. */
  #claim(key: { readonly lo: number; readonly hi: number }, count: number, nowMs: number): number {
    const numbers = this.#numbers;
    const first = this.#cellsAt + this.#setOf(key) * CELLS_PER_SET * CELL_NUMBERS;
    let chosen = -1;
    let chosenMs = Infinity;
    for (let cell = first; cell < first + CELLS_PER_SET * CELL_NUMBERS; cell += CELL_NUMBERS) {
      const endsMs = numbers[cell + ENDS_MS]!;
      if (endsMs >= chosenMs || this.#isFound(cell, count)) continue;
      chosen = cell;
      chosenMs = endsMs;
      if (endsMs <= nowMs) break;
    }
    if (chosen < 0) return -1;
    if (chosenMs > nowMs) this.forgotten++;
    // Not a cell while it is neither the old one nor the new one.
    numbers[chosen + ENDS_MS] = 0;
    this.#words[(chosen + KEY) * 2] = key.lo;
    this.#words[(chosen + KEY) * 2 + 1] = key.hi;
    numbers[chosen + VALUE] = 0;
    numbers[chosen + AT_MS] = 0;
    return chosen;
  }

  /** Whether a cell is that of another demand of this call. */
  #isFound(cell: number, count: number): boolean {
    for (let i = 0; i < count; i++) if (this.#found[i] === cell) return true;
    return false;
  }

  /** In ascending order, each once: so no two calls wait for each other. */
  #lockSets(demands: readonly Demand[], count: number): void {
    const sets = this.#locked;
    let locked = 0;
    for (let i = 0; i < count; i++) {
      const set = this.#setOf(demands[i]!);
      let place = locked;
      while (place > 0 && sets[place - 1]! > set) place--;
      if (place > 0 && sets[place - 1] === set) continue;
      for (let k = locked; k > place; k--) sets[k] = sets[k - 1]!;
      sets[place] = set;
      locked++;
    }
    for (let i = 0; i < locked; i++) this.#tickets[i] = this.#locks.acquire(sets[i]!);
    this.#lockedCount = locked;
  }

  #unlockSets(): void {
    for (let i = 0; i < this.#lockedCount; i++) this.#locks.release(this.#locked[i]!, this.#tickets[i]!);
  }
}
