/**
 * Matches whole texts against a program in time linear in the text: all ways
 * through the program are followed at once. Sets of places that were seen before
 * are states of a table (a DFA built as texts need it), so that a character
 * usually costs one read. The table is bounded: a text that would overfill it is
 * followed to its end without it, and the next text starts with an empty one.
 */
import { REGEX_CELLS_MAX, REGEX_PLACES_MAX, REGEX_STEPS_MAX } from '../limits.ts';
import { type Alphabet, alphabetOf } from './alphabet.ts';
import { ASSERT, ASSERTIONS, FORK, MATCH, type Program, TAKE } from './program.ts';

/** In the table: not known yet. */
const UNKNOWN = -1;
/** First state: no way leads to a match any more. */
const DEAD = 0;

// What lies before the place in the text. Only kept apart where assertions ask for it.
const AT_START = 1;
const AFTER_WORD = 2;

/** Where all ways through a program are at one place in a text. */
interface State {
  /** Places that the ways have reached, forks behind them included; ascending. */
  readonly places: Uint16Array;
  readonly before: number;
  /** Whether the text may end here; undefined until asked. */
  accepts: boolean | undefined;
}

export class Matcher {
  readonly #program: Program;
  readonly #alphabet: Alphabet;
  readonly #start: State;
  #states: State[] = [];
  #stateByKey = new Map<string, number>();
  /** Next state by state and letter; states are counted in cells. */
  #table = new Int32Array(0);
  #placesHeld = 0;
  #full = false;

  constructor(program: Program) {
    this.#program = program;
    this.#alphabet = alphabetOf(program.sets, program.asserts === 'words' ? 'words' : 'no-words');
    reachable.clear();
    this.#follow(program.start, reachable);
    const before = program.asserts === 'none' ? 0 : AT_START;
    this.#start = { places: reachable.sorted(), before, accepts: undefined };
    this.#empty();
  }

  /** Whether the whole text matches. */
  test(text: string): boolean {
    if (this.#full) this.#empty();
    const { low, size } = this.#alphabet;
    let table = this.#table;
    let cell = size; // the start state is the second one
    for (let at = 0; at < text.length; at++) {
      const unit = text.charCodeAt(at);
      let letter: number;
      if (unit < 256) letter = low[unit]!;
      else {
        const code = text.codePointAt(at)!;
        if (code > 0xffff) at++;
        letter = this.#alphabet.letterOf(code);
      }
      let next = table[cell + letter]!;
      if (next < 0) {
        next = this.#learn(cell, letter);
        if (next < 0) return this.#testWithoutTable({ state: this.#states[cell / size]!, letter, text, next: at + 1 });
        table = this.#table;
      }
      if (next === DEAD) return false;
      cell = next;
    }
    const state = this.#states[cell / size]!;
    return (state.accepts ??= this.#acceptsAt(state.places, state.before));
  }

  /** Back to the dead state and the start state. */
  #empty(): void {
    const { size } = this.#alphabet;
    this.#full = false;
    this.#states = [];
    this.#stateByKey = new Map();
    this.#placesHeld = 0;
    this.#table = new Int32Array(8 * size).fill(UNKNOWN);
    this.#hold({ places: new Uint16Array(0), before: 0, accepts: false });
    this.#table.fill(DEAD, 0, size);
    this.#hold(this.#start);
  }

  /** Works out one cell of the table. @returns the next state, or -1 when there is no room for it */
  #learn(cell: number, letter: number): number {
    const { size } = this.#alphabet;
    const { places, before } = this.#states[cell / size]!;
    this.#advance({ places, count: places.length, before, letter });
    const next = advanced.count === 0 ? DEAD : this.#hold(this.#stateOf(letter));
    if (next < 0) this.#full = true;
    else this.#table[cell + letter] = next;
    return next;
  }

  #stateOf(letter: number): State {
    return { places: advanced.sorted(), before: this.#beforeAfter(letter), accepts: undefined };
  }

  /** Number of this state in cells, or -1 when there is no room for it. */
  #hold(state: State): number {
    const { size } = this.#alphabet;
    const key = `${state.before} ${String.fromCharCode(...state.places)}`;
    const known = this.#stateByKey.get(key);
    if (known !== undefined) return known;
    const cell = this.#states.length * size;
    this.#placesHeld += state.places.length;
    // Two states always fit: the dead one and the start.
    const tooMany = cell + size > REGEX_CELLS_MAX || this.#placesHeld > REGEX_PLACES_MAX;
    if (tooMany && this.#states.length >= 2) return -1;
    if (cell + size > this.#table.length) {
      const table = new Int32Array(Math.max(cell + size, this.#table.length * 2)).fill(UNKNOWN);
      table.set(this.#table);
      this.#table = table;
    }
    this.#states.push(state);
    this.#stateByKey.set(key, cell);
    return cell;
  }

  /** Follows the rest of the text, keeping only where the ways are now. */
  #testWithoutTable({ state, letter: first, text, next }: Rest): boolean {
    const { low } = this.#alphabet;
    let places: Uint16Array = state.places;
    let count = places.length;
    let before = state.before;
    let spare: Uint16Array = new Uint16Array(this.#program.ops.length);
    let used: Uint16Array = new Uint16Array(this.#program.ops.length);
    let at = next;
    let letter = first;
    for (;;) {
      this.#advance({ places, count, before, letter });
      count = advanced.copyTo(spare);
      if (count === 0) return false;
      before = this.#beforeAfter(letter);
      places = spare;
      spare = used;
      used = places;
      const code = text.codePointAt(at);
      if (code === undefined) return this.#acceptsAt(places.subarray(0, count), before);
      letter = code < 256 ? low[code]! : this.#alphabet.letterOf(code);
      at += code > 0xffff ? 2 : 1;
    }
  }

  #beforeAfter(letter: number): number {
    return this.#alphabet.word[letter] === 1 ? AFTER_WORD : 0;
  }

  /** Leaves in {@link advanced} where the ways are after one more letter. */
  #advance({ places, count, before, letter }: Advance): void {
    const { ops, next, arg, asserts } = this.#program;
    const { members, word } = this.#alphabet;
    advanced.clear();
    if (asserts === 'none') {
      for (let i = 0; i < count; i++) {
        const place = places[i]!;
        if (ops[place] === TAKE && members[arg[place]!]![letter] === 1) this.#follow(next[place]!, advanced);
      }
      return;
    }
    this.#settle({ places, count, before, after: word[letter] === 1 ? 'word' : 'other' });
    for (let i = 0; i < reachable.count; i++) {
      const place = reachable.items[i]!;
      if (ops[place] === TAKE && members[arg[place]!]![letter] === 1) this.#follow(next[place]!, advanced);
    }
  }

  #acceptsAt(places: Uint16Array, before: number): boolean {
    this.#settle({ places, count: places.length, before, after: 'end' });
    for (let i = 0; i < reachable.count; i++) if (this.#program.ops[reachable.items[i]!] === MATCH) return true;
    return false;
  }

  /** Leaves in {@link reachable} where the ways lead once it is known what comes next: past the assertions that hold. */
  #settle({ places, count, before, after }: Settle): void {
    const { ops, next, arg } = this.#program;
    reachable.clear();
    for (let i = 0; i < count; i++) reachable.add(places[i]!);
    // The set grows while it is read: an assertion may lead to another one.
    for (let i = 0; i < reachable.count; i++) {
      const place = reachable.items[i]!;
      if (ops[place] === ASSERT && holds(arg[place]!, before, after)) this.#follow(next[place]!, reachable);
    }
  }

  /** Adds every place that can be reached without taking a character or asserting. */
  #follow(from: number, to: PlaceSet): void {
    const { ops, next, arg } = this.#program;
    let open = 0;
    stack[open++] = from;
    while (open > 0) {
      const place = stack[--open]!;
      if (!to.add(place) || ops[place] !== FORK) continue;
      stack[open++] = arg[place]!;
      stack[open++] = next[place]!;
    }
  }
}

/** A text behind the place where the table is full. */
interface Rest {
  readonly state: State;
  /** The one that has no cell any more. */
  readonly letter: number;
  readonly text: string;
  /** Place in the text behind that letter. */
  readonly next: number;
}

interface Advance {
  readonly places: Uint16Array;
  readonly count: number;
  readonly before: number;
  readonly letter: number;
}

interface Settle {
  readonly places: Uint16Array;
  readonly count: number;
  readonly before: number;
  readonly after: 'word' | 'other' | 'end';
}

function holds(assertion: number, before: number, after: 'word' | 'other' | 'end'): boolean {
  switch (ASSERTIONS[assertion]!) {
    case 'start':
      return (before & AT_START) !== 0;
    case 'end':
      return after === 'end';
    case 'boundary':
      return ((before & AFTER_WORD) !== 0) !== (after === 'word');
    case 'no-boundary':
      return ((before & AFTER_WORD) !== 0) === (after === 'word');
  }
}

/** A set of places with constant-time add and clear (Briggs and Torczon, sparse sets). */
export class PlaceSet {
  readonly items = new Uint16Array(REGEX_STEPS_MAX);
  readonly #placeOf = new Uint16Array(REGEX_STEPS_MAX);
  count = 0;

  clear(): void {
    this.count = 0;
  }

  /** @returns false when it was there already */
  add(place: number): boolean {
    const at = this.#placeOf[place]!;
    if (at < this.count && this.items[at] === place) return false;
    this.#placeOf[place] = this.count;
    this.items[this.count++] = place;
    return true;
  }

  sorted(): Uint16Array {
    return this.items.slice(0, this.count).sort();
  }

  copyTo(places: Uint16Array): number {
    places.set(this.items.subarray(0, this.count));
    return this.count;
  }
}

// Room for one step of one match, shared by all: a match never yields.
const advanced = new PlaceSet();
const reachable = new PlaceSet();
/** Each place is put on it at most twice: a fork adds two, and is followed once. */
const stack = new Uint16Array(2 * REGEX_STEPS_MAX + 2);
