/**
 * Numbers that all workers of a process see at once. Each stands for many texts,
 * and grows when what was known of one of them is not true any more: whoever
 * keeps something beside the number that he saw can tell. Texts that share a
 * number are forgotten together: more than need be, never less.
 */
import { openCells } from './cells.ts';
import type { Env } from './env.ts';
import type { HashState, KeyedHash } from './keyed-hash.ts';

export class Marks {
  readonly #numbers: Int32Array;
  readonly #hash: KeyedHash;
  readonly #space: HashState;

  /** @param env  of any filter: all of a process see the same */
  constructor({ marks, cells, worker, randomBytes }: Pick<Env, 'marks' | 'cells' | 'worker' | 'randomBytes'>) {
    this.#numbers = new Int32Array(marks);
    // Keyed, so that nobody can choose a text that shares its number with a certain other one.
    this.#hash = openCells(cells, { worker: worker.number, randomBytes }).hash;
    this.#space = this.#hash.prefix('marks');
  }

  /** Where the number of a text is. */
  slotOf(text: string): number {
    this.#hash.read(this.#space, text);
    return (this.#hash.lo >>> 0) % this.#numbers.length;
  }

  read(slot: number): number {
    return Atomics.load(this.#numbers, slot);
  }

  /** What is known of the text is not true any more. It comes to the same number again after four billion times. */
  raise(text: string): void {
    Atomics.add(this.#numbers, this.slotOf(text), 1);
  }
}
