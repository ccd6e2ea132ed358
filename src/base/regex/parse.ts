/**
 * Parser of the regular expressions that operators write: the part that RE2 and
 * PCRE have in common and that can be matched in linear time. What is left out is
 * refused by name and place, never read as something else.
 */
import { REGEX_CHARS_MAX, REGEX_DEPTH_MAX, REGEX_REPEAT_MAX, REGEX_STEPS_MAX } from '../limits.ts';
import { propertyRanges } from './properties.ts';
import { ANYTHING, CODE_MAX, complement, DIGIT, foldCase, NOT_LINE_END, POSIX, SPACE, union, WORD } from './ranges.ts';
import { type Assertion, type Ranges, Refusal, type Syntax } from './syntax.ts';

/**
 * @param dialect  `wire`: of texts that are bytes as latin1. `schema`: of Unicode, with lookaround and `\p{…}`
 * @throws {Refusal}
 */
export function parseRegex(source: string, dialect: Dialect = 'wire'): Syntax {
  if (source.length > REGEX_CHARS_MAX) {
    throw new Refusal(
      `Expression is too long: ${source.length} characters, at most ${REGEX_CHARS_MAX}`,
      REGEX_CHARS_MAX,
    );
  }
  return new Parser(source, dialect).parse();
}

type Dialect = 'wire' | 'schema';

/** Flags in force: `i` and `s`. */
interface Flags {
  readonly ignoreCase: boolean;
  readonly dotAll: boolean;
}

const ASSERTIONS: Readonly<Record<string, Assertion>> = {
  '^': 'start',
  $: 'end',
  '\\A': 'start',
  '\\z': 'end',
  '\\b': 'boundary',
  '\\B': 'no-boundary',
};

/** Escapes that stand for a set of characters, inside and outside of brackets. */
const SETS: Readonly<Record<string, Ranges>> = {
  d: DIGIT,
  D: complement(DIGIT),
  w: WORD,
  W: complement(WORD),
  s: SPACE,
  S: complement(SPACE),
};

const CONTROLS: Readonly<Record<string, number>> = { a: 7, t: 9, n: 10, v: 11, f: 12, r: 13 };

const QUANTIFIER = /[*+?]|\{(\d+)(?:(,)(\d*))?\}/y;
const GROUP = /\((?:\?(?:P?<([A-Za-z_]\w*)>|(-?[A-Za-z]*(?:-[A-Za-z]*)?)([:)])))?/y;
const LOOK = /\(\?(<?)([=!])/y;
const PROPERTY = /[pP](?:\{(\^?)([\w=]+)\}|([A-Z]))/y;
const POSIX_CLASS = /\[:(\^?)([A-Za-z]*):\]/y;
/** Two halves of a pair are one character (ECMA-262, RegExpUnicodeEscapeSequence). */
const HEX_PAIR = /u([Dd][89ABab][0-9A-Fa-f]{2})\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})/y;
const HEX = /x(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,6})\})|u(?:([0-9A-Fa-f]{4})|\{([0-9A-Fa-f]{1,6})\})/y;

class Parser {
  readonly #source: string;
  readonly #dialect: Dialect;
  #at = 0;
  #depth = 0;
  #flags: Flags = { ignoreCase: false, dotAll: false };

  constructor(source: string, dialect: Dialect) {
    this.#source = source;
    this.#dialect = dialect;
  }

  parse(): Syntax {
    const whole = this.#choice();
    if (this.#at < this.#source.length) throw this.#refusal('Unmatched ")"');
    return whole;
  }

  #choice(): Syntax {
    const items = [this.#sequence()];
    while (this.#source[this.#at] === '|') {
      this.#at++;
      items.push(this.#sequence());
    }
    return items.length === 1 ? items[0]! : { kind: 'choice', items };
  }

  #sequence(): Syntax {
    const items: Syntax[] = [];
    while (this.#at < this.#source.length && !'|)'.includes(this.#source[this.#at]!)) {
      const item = this.#atom();
      if (item !== undefined) items.push(this.#repeated(item));
    }
    return items.length === 1 ? items[0]! : { kind: 'sequence', items };
  }

  /** One item; undefined for a group of flags, which is nothing by itself. */
  #atom(): Syntax | undefined {
    const source = this.#source;
    const c = source[this.#at]!;
    if (c === '(') return this.#group();
    if (c === '[') return this.#oneOf(this.#brackets());
    if (c === '\\') return this.#escape();
    if (this.#match(QUANTIFIER) !== undefined) throw this.#refusal(`Nothing to repeat before "${c}"`);
    const code = source.codePointAt(this.#at)!;
    this.#at += code > 0xffff ? 2 : 1;
    const assertion = ASSERTIONS[c];
    if (assertion !== undefined) return { kind: 'assert', assertion };
    if (c === '.') return { kind: 'one-of', ranges: this.#flags.dotAll ? ANYTHING : NOT_LINE_END };
    return this.#oneOf([code, code]);
  }

  /** An item with the quantifier behind it, if there is one. */
  #repeated(item: Syntax): Syntax {
    const offset = this.#at;
    const found = this.#match(QUANTIFIER);
    if (found === undefined) return item;
    if (item.kind === 'assert' || item.kind === 'look') throw this.#refusal(`Nothing to repeat before "${found[0]}"`);
    this.#at += found[0].length;
    // A lazy quantifier takes the same texts: only which part is whose would differ.
    if (this.#source[this.#at] === '?') this.#at++;
    else if (this.#source[this.#at] === '+') throw this.#refusal('Possessive quantifiers are not supported');
    const { min, max } = boundsOf(found);
    if (max < min) throw new Refusal(`Repeat counts are the wrong way round: "${found[0]}"`, offset);
    // In schemas counts stand for lengths, and are bounded by what the expression grows to.
    const most = this.#dialect === 'schema' ? REGEX_STEPS_MAX : REGEX_REPEAT_MAX;
    if (min > most || (max !== Infinity && max > most)) {
      throw new Refusal(`Repeat count is too large: "${found[0]}", at most ${most}`, offset);
    }
    if (this.#match(QUANTIFIER) !== undefined) {
      throw this.#refusal('Quantifier follows a quantifier: put the first one and what it repeats in a group');
    }
    return { kind: 'repeat', item, min, max, offset };
  }

  #group(): Syntax | undefined {
    const open = this.#at;
    const look = this.#dialect === 'schema' ? this.#match(LOOK) : undefined;
    if (look !== undefined) return this.#look(look);
    const found = this.#match(GROUP)!;
    const [whole, , flags, end] = found;
    if (whole === '(' && this.#source[open + 1] === '?') throw new Refusal(refusedGroup(this.#source, open), open);
    const outer = this.#flags;
    if (flags !== undefined) this.#flags = this.#withFlags(flags, open);
    this.#at += whole.length;
    if (end === ')') return undefined;
    const inside = this.#inside(open);
    this.#flags = outer;
    // So that "(^)*" is a repeat of a group, as elsewhere, and "^*" is not one of an assertion.
    return inside.kind === 'assert' || inside.kind === 'look' ? { kind: 'sequence', items: [inside] } : inside;
  }

  #look([whole, behind, sign]: RegExpExecArray): Syntax {
    const open = this.#at;
    this.#at += whole.length;
    const outer = this.#flags;
    const item = this.#inside(open);
    this.#flags = outer;
    return { kind: 'look', item, direction: behind === '<' ? 'behind' : 'ahead', negated: sign === '!' };
  }

  /** What is in a group, and its end. */
  #inside(open: number): Syntax {
    if (++this.#depth > REGEX_DEPTH_MAX)
      throw new Refusal(`Groups are nested too deep: at most ${REGEX_DEPTH_MAX}`, open);
    const inside = this.#choice();
    if (this.#source[this.#at] !== ')') throw new Refusal('Unmatched "("', open);
    this.#at++;
    this.#depth--;
    return inside;
  }

  #withFlags(flags: string, offset: number): Flags {
    const [on = '', off = ''] = flags.split('-');
    const unknown = /[^is]/.exec(on + off)?.[0];
    if (unknown !== undefined) throw new Refusal(`Flag "${unknown}" is not supported: only "i" and "s" are`, offset);
    const { ignoreCase, dotAll } = this.#flags;
    return {
      ignoreCase: (ignoreCase || on.includes('i')) && !off.includes('i'),
      dotAll: (dotAll || on.includes('s')) && !off.includes('s'),
    };
  }

  #escape(): Syntax {
    const assertion = ASSERTIONS[this.#source.slice(this.#at, this.#at + 2)];
    if (assertion !== undefined) {
      this.#at += 2;
      return { kind: 'assert', assertion };
    }
    return this.#oneOf(this.#escapedSet());
  }

  /** The characters that an escape stands for, from its backslash on. */
  #escapedSet(): Ranges {
    const offset = this.#at++;
    const c = this.#source[this.#at];
    if (c === undefined) throw new Refusal('Expression ends with a backslash', offset);
    const pair = this.#match(HEX_PAIR);
    const hex = pair ?? this.#match(HEX);
    if (hex !== undefined) {
      this.#at += hex[0].length;
      const code =
        pair === undefined
          ? Number.parseInt(
              hex.slice(1).find((digits) => digits !== undefined)!,
              16,
            )
          : joined(pair);
      if (code > CODE_MAX) throw new Refusal(`Character is none of Unicode: "\\${hex[0]}"`, offset);
      return [code, code];
    }
    const property = this.#dialect === 'schema' ? this.#match(PROPERTY) : undefined;
    if (property !== undefined) return this.#property(property, offset);
    const code = CONTROLS[c] ?? this.#source.codePointAt(this.#at)!;
    this.#at += code > 0xffff ? 2 : 1;
    const set = SETS[c];
    if (set !== undefined) return set;
    if (CONTROLS[c] === undefined && /[0-9A-Za-z]/.test(c)) throw new Refusal(refusedEscape(c), offset);
    return [code, code];
  }

  #property([text, not, long, short]: RegExpExecArray, offset: number): Ranges {
    const ranges = propertyRanges((long ?? short)!);
    if (ranges === undefined) throw new Refusal(`Unicode class is not known: "\\${text}"`, offset);
    this.#at += text.length;
    return (text[0] === 'P') !== (not === '^') ? complement(ranges) : ranges;
  }

  #brackets(): Ranges {
    const open = this.#at++;
    const negated = this.#source[this.#at] === '^';
    if (negated) this.#at++;
    // Perl takes "]" here as a character, JavaScript as the end: nobody should have to know.
    if (this.#source[this.#at] === ']') throw this.#refusal('Class is empty: write "\\]" for a bracket');
    const ranges: number[] = [];
    while (this.#source[this.#at] !== ']') {
      if (this.#at >= this.#source.length) throw new Refusal('Unmatched "["', open);
      ranges.push(...this.#classRange());
    }
    this.#at++;
    const folded = this.#flags.ignoreCase ? foldCase(union(ranges)) : union(ranges);
    return negated ? complement(folded) : folded;
  }

  /** One item of a class: a set, a character, or a range of characters. */
  #classRange(): Ranges {
    const offset = this.#at;
    const first = this.#classItem();
    const isRange = this.#source[this.#at] === '-' && (this.#source[this.#at + 1] ?? ']') !== ']';
    if (!isRange) return first;
    this.#at++;
    const last = this.#classItem();
    if (!isSingle(first) || !isSingle(last)) throw new Refusal('Range needs a character at both ends', offset);
    if (last[0]! < first[0]!) throw new Refusal('Range is the wrong way round', offset);
    return [first[0]!, last[0]!];
  }

  #classItem(): Ranges {
    const posix = this.#match(POSIX_CLASS);
    if (posix !== undefined) {
      const set = POSIX.get(posix[2]!);
      if (set === undefined) throw this.#refusal(`Class "${posix[0]}" is not known: ${[...POSIX.keys()].join(', ')}`);
      this.#at += posix[0].length;
      return posix[1] === '^' ? complement(set) : set;
    }
    if (this.#source[this.#at] === '\\') return this.#escapedSet();
    const code = this.#source.codePointAt(this.#at)!;
    this.#at += code > 0xffff ? 2 : 1;
    return [code, code];
  }

  #oneOf(ranges: Ranges): Syntax {
    return { kind: 'one-of', ranges: this.#flags.ignoreCase ? foldCase(ranges) : ranges };
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    return pattern.exec(this.#source) ?? undefined;
  }

  #refusal(message: string): Refusal {
    return new Refusal(message, this.#at);
  }
}

function isSingle(ranges: Ranges): boolean {
  return ranges.length === 2 && ranges[0] === ranges[1];
}

/** RFC 2781 section 2.2. */
function joined([, high, low]: RegExpExecArray): number {
  return String.fromCharCode(Number.parseInt(high!, 16), Number.parseInt(low!, 16)).codePointAt(0)!;
}

function boundsOf([text, min, comma, max]: RegExpExecArray): { min: number; max: number } {
  if (text === '*') return { min: 0, max: Infinity };
  if (text === '+') return { min: 1, max: Infinity };
  if (text === '?') return { min: 0, max: 1 };
  if (comma === undefined) return { min: Number(min), max: Number(min) };
  return { min: Number(min), max: max === '' || max === undefined ? Infinity : Number(max) };
}

/** Why `(?…` is refused, by what follows. */
function refusedGroup(source: string, open: number): string {
  const start = source.slice(open, open + 4);
  if (/^\(\?(?:[=!]|<[=!])/.test(start)) {
    return `Lookaround is not supported: "${/^\(\?<?[=!]/.exec(start)![0]}" cannot be matched in linear time`;
  }
  if (start.startsWith('(?>')) return 'Atomic groups are not supported: "(?>"';
  if (start.startsWith('(?#')) return 'Comments are not supported: "(?#"';
  return `Group is not supported: "${start}"`;
}

function refusedEscape(c: string): string {
  if (/[1-9kg]/.test(c)) return `Backreferences are not supported: "\\${c}" cannot be matched in linear time`;
  if (/[pP]/.test(c)) return `Unicode classes are not supported: "\\${c}"`;
  return `Escape is not known: "\\${c}"`;
}
