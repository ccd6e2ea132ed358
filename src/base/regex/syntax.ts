/** The parts of a regular expression, and how one is refused. */

/** Longest expression, in characters: the longest value of a header match in Gateway API. Beyond: refused. */
export const REGEX_CHARS_MAX = 4096;

/** Steps of a compiled expression, counted repeats written out; one character costs a test at most this. Beyond: refused. */
export const REGEX_STEPS_MAX = 4096;

/** Largest count in `{n,m}`, as RE2 has it. Beyond: refused. */
export const REGEX_REPEAT_MAX = 1000;

/** Groups inside groups. Bounds the recursion of parser and compiler. Beyond: refused. */
export const REGEX_DEPTH_MAX = 100;

/** Characters as code units: `[first, last, first, last …]`, ascending, no two touching. */
export type Ranges = readonly number[];

export type Assertion = 'start' | 'end' | 'boundary' | 'no-boundary';

export type Syntax =
  | { readonly kind: 'one-of'; readonly ranges: Ranges }
  | { readonly kind: 'sequence'; readonly items: readonly Syntax[] }
  | { readonly kind: 'choice'; readonly items: readonly Syntax[] }
  | {
      readonly kind: 'repeat';
      readonly item: Syntax;
      readonly min: number;
      /** Infinity for no bound. */
      readonly max: number;
      /** Of the quantifier. */
      readonly offset: number;
    }
  | { readonly kind: 'assert'; readonly assertion: Assertion };

/** Thrown by the parser and the compiler, caught in safe-regex.ts: an expression is refused as a whole. */
export class Refusal {
  readonly message: string;
  readonly offset: number;

  constructor(message: string, offset: number) {
    this.message = message;
    this.offset = offset;
  }
}
