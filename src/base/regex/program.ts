/**
 * A regular expression as a program of steps (Thompson's construction): each step
 * takes a character, forks, asserts, or says that the text matched.
 */
import { REGEX_STEPS_MAX } from '../limits.ts';
import { type Assertion, type Look, type Ranges, Refusal, type Syntax } from './syntax.ts';

export const MATCH = 0;
/** Takes a character of set `arg`, goes on at `next`. */
export const TAKE = 1;
/** Goes on at `next` and at `arg`. */
export const FORK = 2;
/** Goes on at `next` where assertion `arg` holds. */
export const ASSERT = 3;

/** Goes on at `next` where lookaround `arg >> 1` holds, or does not where `arg & 1`. */
export const LOOK = 4;

/** Values of `arg` for {@link ASSERT}. */
export const ASSERTIONS: readonly Assertion[] = ['start', 'end', 'boundary', 'no-boundary'];

export interface Program {
  readonly ops: readonly number[];
  readonly next: readonly number[];
  readonly arg: readonly number[];
  readonly start: number;
  /** The different sets of characters, by number. */
  readonly sets: readonly Ranges[];
  readonly asserts: 'none' | 'ends' | 'words';
  /** The different lookarounds, by number. */
  readonly looks: readonly Look[];
}

/** @throws {Refusal} when the program grows beyond {@link REGEX_STEPS_MAX} */
export function programOf(syntax: Syntax): Program {
  return new Builder().build(syntax);
}

class Builder {
  readonly #ops: number[] = [];
  readonly #next: number[] = [];
  readonly #arg: number[] = [];
  readonly #sets: Ranges[] = [];
  readonly #setByText = new Map<string, number>();
  readonly #looks: Look[] = [];
  #asserts: Program['asserts'] = 'none';
  /** Of the innermost quantifier being written out, to say where a program grew too large. */
  #repeatOffset = 0;

  build(syntax: Syntax): Program {
    const start = this.#emit(syntax, this.#step(MATCH, 0, 0));
    return {
      ops: this.#ops,
      next: this.#next,
      arg: this.#arg,
      start,
      sets: this.#sets,
      asserts: this.#asserts,
      looks: this.#looks,
    };
  }

  /** Writes the steps of `syntax` that go on at `next`; gives the place of the first. */
  #emit(syntax: Syntax, next: number): number {
    switch (syntax.kind) {
      case 'one-of':
        return this.#step(TAKE, next, this.#setOf(syntax.ranges));
      case 'assert': {
        const { assertion } = syntax;
        if (assertion === 'boundary' || assertion === 'no-boundary') this.#asserts = 'words';
        else if (this.#asserts === 'none') this.#asserts = 'ends';
        return this.#step(ASSERT, next, ASSERTIONS.indexOf(assertion));
      }
      case 'sequence':
        return syntax.items.reduceRight((after, item) => this.#emit(item, after), next);
      case 'choice':
        return syntax.items
          .map((item) => this.#emit(item, next))
          .reduceRight((others, item) => this.#step(FORK, item, others));
      case 'repeat':
        return this.#emitRepeat(syntax, next);
      case 'look':
        return this.#step(LOOK, next, 2 * this.#lookOf(syntax) + (syntax.negated ? 1 : 0));
    }
  }

  /** Counted repeats are written out: `x{2,4}` is `xx(x(x)?)?`. */
  #emitRepeat({ item, min, max, offset }: Syntax & { kind: 'repeat' }, next: number): number {
    this.#repeatOffset = offset;
    let at = next;
    let copies = min;
    if (max === Infinity) {
      const loop = this.#step(FORK, 0, next);
      this.#next[loop] = this.#emit(item, loop);
      // x+ enters its loop through the item, x* through the fork.
      at = min === 0 ? loop : this.#next[loop];
      copies = Math.max(0, min - 1);
    } else {
      for (let k = min; k < max; k++) at = this.#step(FORK, this.#emit(item, at), next);
    }
    for (let k = 0; k < copies; k++) at = this.#emit(item, at);
    return at;
  }

  #step(op: number, next: number, arg: number): number {
    if (this.#ops.length >= REGEX_STEPS_MAX) {
      const message = `Expression is too large: more than ${REGEX_STEPS_MAX} steps with its repeats written out`;
      throw new Refusal(message, this.#repeatOffset);
    }
    this.#ops.push(op);
    this.#next.push(next);
    this.#arg.push(arg);
    return this.#ops.length - 1;
  }

  /** A repeat that is written out asks the same one each time. */
  #lookOf(look: Look): number {
    const known = this.#looks.indexOf(look);
    return known >= 0 ? known : this.#looks.push(look) - 1;
  }

  #setOf(ranges: Ranges): number {
    const text = ranges.join(' ');
    const known = this.#setByText.get(text);
    if (known !== undefined) return known;
    this.#setByText.set(text, this.#sets.length);
    return this.#sets.push(ranges) - 1;
  }
}
