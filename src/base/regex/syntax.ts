/** The parts of a regular expression, and how one is refused. */

/** Characters as code points: `[first, last, first, last …]`, ascending, no two touching. */
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
  | { readonly kind: 'assert'; readonly assertion: Assertion }
  | Look;

/** A lookaround: whether a text that matches begins here (`ahead`) or ends here (`behind`), or does not (`negated`). */
export interface Look {
  readonly kind: 'look';
  readonly item: Syntax;
  readonly direction: 'ahead' | 'behind';
  readonly negated: boolean;
}

/** Thrown by the parser and the compiler, caught in safe-regex.ts: an expression is refused as a whole. */
export class Refusal {
  readonly message: string;
  readonly offset: number;

  constructor(message: string, offset: number) {
    this.message = message;
    this.offset = offset;
  }
}
