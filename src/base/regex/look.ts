/**
 * Looks for expressions with lookaround anywhere in a text, in time linear in the
 * text. Whether a lookaround holds is known of every place before the expression
 * around it is followed: what looks behind is followed once from the start of the
 * text, what looks ahead once from its end, with its parts the other way round
 * (Barrière and Pit-Claudel, Linear Matching of JavaScript Regexes, 2024).
 */
import { REGEX_LOOK_WORK_MAX, REGEX_STEPS_MAX } from '../limits.ts';
import { type Alphabet, alphabetOf } from './alphabet.ts';
import { PlaceSet } from './matcher.ts';
import { ASSERT, ASSERTIONS, FORK, LOOK, MATCH, type Program, programOf, TAKE } from './program.ts';
import { includes, WORD } from './ranges.ts';
import type { Assertion, Look, Syntax } from './syntax.ts';

/** Of each place in a text, 1 where what a lookaround looks for begins (ahead) or ends (behind). */
type Table = Uint8Array;

export class LookMatcher {
  readonly #whole: Follower;

  /** @throws {Refusal} when a part grows too large */
  constructor(syntax: Syntax) {
    this.#whole = new Follower({ item: syntax, direction: 'behind' });
  }

  /** Whether a part of the text matches. A text that is too long for {@link REGEX_LOOK_WORK_MAX} does not. */
  test(text: string): boolean {
    if (text.length * this.#whole.steps > REGEX_LOOK_WORK_MAX) return false;
    return this.#whole.run(Array.from(text, (character) => character.codePointAt(0)!));
  }
}

/** Follows one expression, the whole one or that of a lookaround, through a text; it may begin at every place. */
class Follower {
  /** Of its program and of all that are in it. */
  readonly steps: number;
  readonly #program: Program;
  readonly #alphabet: Alphabet;
  readonly #looks: readonly Follower[];
  readonly #isForward: boolean;

  constructor({ item, direction }: Pick<Look, 'item' | 'direction'>) {
    this.#isForward = direction === 'behind';
    this.#program = programOf(this.#isForward ? item : reversed(item));
    this.#alphabet = alphabetOf(this.#program.sets, 'no-words');
    this.#looks = this.#program.looks.map((look) => new Follower(look));
    this.steps = this.#looks.reduce((sum, { steps }) => sum + steps, this.#program.ops.length);
  }

  /** @returns whether it matches, told at the first place where nobody asks for all of them */
  run(codes: readonly number[], matches?: Table): boolean {
    const { length } = codes;
    const tables = this.#looks.map((look) => {
      const table = new Uint8Array(length + 1);
      look.run(codes, table);
      return table;
    });
    let [here, there] = SETS;
    here.clear();
    for (let taken = 0; taken <= length; taken++) {
      const at = this.#isForward ? taken : length - taken;
      this.#reach(this.#program.start, { codes, tables, at, to: here });
      there.clear();
      if (this.#takeOne(here, { codes, tables, at, to: there })) {
        if (matches === undefined) return true;
        matches[at] = 1;
      }
      [here, there] = [there, here];
    }
    return false;
  }

  /** Goes from all places of `here` past the next character. @returns whether one of them is the end */
  #takeOne(here: PlaceSet, { codes, tables, at, to }: Reaching): boolean {
    const { ops, next, arg } = this.#program;
    const { low, members } = this.#alphabet;
    const code = codes[this.#isForward ? at : at - 1];
    const letter = code === undefined ? -1 : code < 256 ? low[code]! : this.#alphabet.letterOf(code);
    const onward = { codes, tables, at: this.#isForward ? at + 1 : at - 1, to };
    let isEnd = false;
    for (let i = 0; i < here.count; i++) {
      const place = here.items[i]!;
      if (ops[place] === MATCH) isEnd = true;
      else if (ops[place] === TAKE && members[arg[place]!]![letter] === 1) this.#reach(next[place]!, onward);
    }
    return isEnd;
  }

  /** Adds every place that can be reached without taking a character. */
  #reach(from: number, { codes, tables, at, to }: Reaching): void {
    const { ops, next, arg } = this.#program;
    let open = 0;
    stack[open++] = from;
    while (open > 0) {
      const place = stack[--open]!;
      if (!to.add(place)) continue;
      switch (ops[place]) {
        case FORK:
          stack[open++] = arg[place]!;
          stack[open++] = next[place]!;
          break;
        case ASSERT:
          if (holds(ASSERTIONS[arg[place]!]!, codes, at)) stack[open++] = next[place]!;
          break;
        case LOOK:
          if ((tables[arg[place]! >> 1]![at] === 1) !== ((arg[place]! & 1) === 1)) stack[open++] = next[place]!;
          break;
        default: // taken later, with all others
      }
    }
  }
}

interface Reaching {
  readonly codes: readonly number[];
  readonly tables: readonly Table[];
  /** A place in the text: before the character of this index. */
  readonly at: number;
  readonly to: PlaceSet;
}

// Room for one step of one match, shared by all: a match never yields, and what is inside is followed before what is around it.
const SETS: readonly [PlaceSet, PlaceSet] = [new PlaceSet(), new PlaceSet()];
const stack = new Uint16Array(2 * REGEX_STEPS_MAX + 2);

function holds(assertion: Assertion, codes: readonly number[], at: number): boolean {
  switch (assertion) {
    case 'start':
      return at === 0;
    case 'end':
      return at === codes.length;
    case 'boundary':
      return isWord(codes[at - 1]) !== isWord(codes[at]);
    case 'no-boundary':
      return isWord(codes[at - 1]) === isWord(codes[at]);
  }
}

function isWord(code: number | undefined): boolean {
  return code !== undefined && includes(WORD, code);
}

/** What takes the same texts from their end to their start. Assertions and lookarounds speak of places, and stay. */
function reversed(syntax: Syntax): Syntax {
  switch (syntax.kind) {
    case 'sequence':
      return { ...syntax, items: syntax.items.map(reversed).toReversed() };
    case 'choice':
      return { ...syntax, items: syntax.items.map(reversed) };
    case 'repeat':
      return { ...syntax, item: reversed(syntax.item) };
    case 'one-of':
    case 'assert':
    case 'look':
      return syntax;
  }
}
