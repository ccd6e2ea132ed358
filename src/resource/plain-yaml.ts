/**
 * Reads the YAML that manifests are made of: block mappings and lists by
 * indentation, plain and quoted scalars on one line, literal blocks, flow
 * collections on one line, JSON. Everything else is left to the full parser
 * (yaml.ts): {@link readPlainYaml} then says so instead of guessing. A test
 * holds both equal on every document that this one takes.
 *
 * It is here for time: 5,000 small routes take 1.7 s with the full parser and
 * 0.1 s with this one, and finding the line of a field costs as little.
 */

import { jsonStringEnd } from './json.ts';

/** Returned for text that is more than plain: also for every mistake, so that the full parser words it. */
export const NOT_PLAIN = Symbol('not plain');

/** Deeper text is left to the full parser. */
const DEPTH_MAX = 64;

export interface Place {
  /** From 0. */
  readonly line: number;
  /** From 0. */
  readonly column: number;
}

/** Offsets into a text. */
export type Range = readonly [start: number, end: number];

/** The value of one YAML document, or {@link NOT_PLAIN}. */
export function readPlainYaml(text: string): unknown {
  return read(new PlainReader(text, undefined));
}

/**
 * Where the text has the fields and items that `paths` name, or of each the
 * deepest part that is there. One reading finds them all.
 */
export function locatePlainYaml(text: string, paths: readonly (readonly string[])[]): Place[] | typeof NOT_PLAIN {
  const root = new Wanted();
  const chains = paths.map((path) => root.add(path));
  if (read(new PlainReader(text, root)) === NOT_PLAIN) return NOT_PLAIN;
  return chains.map((chain) => placeOf(text, chain.findLast(({ at }) => at !== undefined)?.at ?? 0));
}

/** Offsets of the items of the list at `path`: where each begins, and where what follows it begins. */
export function itemRangesOfPlainYaml(text: string, path: readonly string[]): readonly Range[] | typeof NOT_PLAIN {
  const root = new Wanted();
  const ranges: [start: number, end: number][] = [];
  root.add(path).at(-1)!.items = ranges;
  return read(new PlainReader(text, root)) === NOT_PLAIN ? NOT_PLAIN : ranges;
}

/** A part of the text whose place is looked for, with those below it. */
class Wanted {
  /** Offset, once it was found. */
  at: number | undefined;
  /** Collects the ranges of the items below, when they are asked for. */
  items: [start: number, end: number][] | undefined;
  readonly below = new Map<string, Wanted>();

  /** Adds a path; gives the parts along it, from this one on. */
  add(path: readonly string[]): Wanted[] {
    const chain: Wanted[] = [this];
    for (const token of path) {
      const { below } = chain.at(-1)!;
      let next = below.get(token);
      if (next === undefined) below.set(token, (next = new Wanted()));
      chain.push(next);
    }
    return chain;
  }
}

export function placeOf(text: string, offset: number): Place {
  let line = 0;
  let start = 0;
  for (let end = text.indexOf('\n'); end !== -1 && end < offset; end = text.indexOf('\n', start)) {
    line++;
    start = end + 1;
  }
  return { line, column: offset - start };
}

function read(reader: PlainReader): unknown {
  try {
    return reader.document();
  } catch (thrown) {
    if (thrown === NOT_PLAIN) return NOT_PLAIN;
    throw thrown;
  }
}

/** Thrown, not returned: a hundred places would have to pass it on. Costs no stack, it is no Error. */
function notPlain(): never {
  // oxlint-disable-next-line typescript/only-throw-error
  throw NOT_PLAIN;
}

const NEWLINE = 0x0a;
const SPACE = 0x20;
const DOUBLE_QUOTE = 0x22;
const HASH = 0x23;
const SINGLE_QUOTE = 0x27;
const COMMA = 0x2c;
const HYPHEN = 0x2d;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_MAP = 0x7b;
const PIPE = 0x7c;
const CLOSE_MAP = 0x7d;

/** A tab changes what indentation means; a lone CR ends a line for some; the rest YAML does not allow. */
const STRANGE = /[\0-\x09\x0b-\x1f\x7f\ufeff]/;

const KEY = /[A-Za-z_][A-Za-z0-9_./-]*/y;
/** Words and numbers of the core schema (YAML 1.2.2 section 10.3.2). */
const NULL = /^(?:null|Null|NULL|~)$/;
const TRUE = /^(?:true|True|TRUE)$/;
const FALSE = /^(?:false|False|FALSE)$/;
const SIMPLE_NUMBER = /^-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?$/;
const ANY_NUMBER =
  /^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/;

/** First characters that mean more than text (YAML 1.2.2 section 5.3), or may begin a word or number of the core schema. */
const INDICATORS = new Set('[]{},#&*!|>\'"%@`');

class PlainReader {
  readonly #text: string;
  /** Offset of what is read next. */
  #at = 0;
  /** Column of {@link #at} when it stands at the first character of a line; -1 at the end of the text. */
  #column = 0;
  #depth = 0;

  /** What is looked for at this depth. */
  #wanted: Wanted | undefined;

  constructor(text: string, wanted: Wanted | undefined) {
    this.#text = text;
    this.#wanted = wanted;
  }

  document(): unknown {
    if (STRANGE.test(this.#text)) notPlain();
    this.#toLine(0);
    if (this.#text.startsWith('---', this.#at) && this.#column === 0) {
      this.#at += 3;
      this.#endLine();
    }
    if (this.#column === -1) return null;
    if (this.#wanted !== undefined) this.#wanted.at = this.#at;
    const value = this.#code() === OPEN_MAP || this.#code() === OPEN_LIST ? this.#flowDocument() : this.#block();
    return this.#column === -1 ? value : notPlain();
  }

  #code(): number {
    return this.#text.charCodeAt(this.#at);
  }

  /** Goes on to the next line with content, from the start of a line at `offset`. */
  #toLine(offset: number): void {
    const text = this.#text;
    let at = offset;
    for (;;) {
      const start = at;
      while (text.charCodeAt(at) === SPACE) at++;
      const code = text.charCodeAt(at);
      if (at >= text.length) {
        this.#at = text.length;
        this.#column = -1;
        return;
      }
      if (code === HASH) {
        at = text.indexOf('\n', at);
        if (at === -1) at = text.length - 1;
        at++;
      } else if (code === NEWLINE) at++;
      else {
        this.#at = at;
        this.#column = at - start;
        return;
      }
    }
  }

  /** What is left of this line is white space or a comment; goes on to the next line with content. */
  #endLine(): void {
    if (!this.#atLineEnd()) notPlain();
    const end = this.#text.indexOf('\n', this.#at);
    this.#toLine(end === -1 ? this.#text.length : end + 1);
  }

  /** Skips spaces, and says whether nothing but a comment follows. */
  #atLineEnd(): boolean {
    const start = this.#at;
    while (this.#code() === SPACE) this.#at++;
    const code = this.#code();
    return Number.isNaN(code) || code === NEWLINE || (code === HASH && this.#at > start);
  }

  /** A collection or scalar that begins at the start of a line. */
  #block(): unknown {
    if (++this.#depth > DEPTH_MAX) notPlain();
    const value = this.#isItem() ? this.#list(this.#column) : this.#isKey() ? this.#map(this.#column) : notPlain();
    this.#depth--;
    return value;
  }

  #isItem(): boolean {
    return this.#code() === HYPHEN && isBlank(this.#text.charCodeAt(this.#at + 1));
  }

  /** Whether a key and a colon stand here. Leaves the offset alone. */
  #isKey(): boolean {
    const end = this.#keyEnd();
    return end !== -1 && this.#text.charCodeAt(end) === COLON && isBlank(this.#text.charCodeAt(end + 1));
  }

  #keyEnd(): number {
    const code = this.#code();
    if (code === DOUBLE_QUOTE) return jsonStringEnd(this.#text, this.#at);
    if (code === SINGLE_QUOTE) return this.#singleQuotedEnd();
    KEY.lastIndex = this.#at;
    return KEY.test(this.#text) ? KEY.lastIndex : -1;
  }

  #singleQuotedEnd(): number {
    const text = this.#text;
    for (let at = text.indexOf("'", this.#at + 1); at !== -1; at = text.indexOf("'", at + 2)) {
      if (text.charCodeAt(at + 1) !== SINGLE_QUOTE) return text.slice(this.#at, at).includes('\n') ? -1 : at + 1;
    }
    return -1;
  }

  #map(column: number): Record<string, unknown> {
    const map: Record<string, unknown> = {};
    while (this.#column === column) {
      if (!this.#isKey()) notPlain();
      const end = this.#keyEnd();
      const key = this.#keyText(end);
      if (Object.hasOwn(map, key)) notPlain();
      const outer = this.#enter(key);
      this.#at = end + 1;
      map[key] = this.#mapValue(column);
      this.#leave(outer);
    }
    if (this.#column > column) notPlain();
    return map;
  }

  #keyText(end: number): string {
    const raw = this.#text.slice(this.#at, end);
    const first = raw.charCodeAt(0);
    if (first === DOUBLE_QUOTE) return ownKey(JSON.parse(raw) as string);
    if (first === SINGLE_QUOTE) return ownKey(raw.slice(1, -1).replaceAll("''", "'"));
    if (NULL.test(raw) || TRUE.test(raw) || FALSE.test(raw)) notPlain();
    return ownKey(raw);
  }

  #mapValue(column: number): unknown {
    if (!this.#atLineEnd()) return this.#inline(column);
    this.#endLine();
    if (this.#column > column) return this.#block();
    // A list may stand in the column of its key.
    return this.#column === column && this.#isItem() ? this.#list(column) : null;
  }

  #list(column: number): unknown[] {
    if (++this.#depth > DEPTH_MAX) notPlain();
    const list: unknown[] = [];
    while (this.#column === column && this.#isItem()) {
      this.#at++;
      list.push(this.#itemValue(column, list.length));
    }
    if (this.#column > column) notPlain();
    this.#depth--;
    return list;
  }

  #itemValue(column: number, index: number): unknown {
    const start = this.#at;
    let onNewLine = false;
    if (this.#atLineEnd()) {
      this.#endLine();
      if (this.#column <= column) return null;
      onNewLine = true;
    }
    const outer = this.#enter(index);
    let value: unknown;
    if (onNewLine) value = this.#block();
    else if (this.#isItem() || this.#isKey()) {
      // `- name: web` and `- - web`: a collection in the column of its first character.
      this.#column = column + 1 + (this.#at - start);
      value = this.#block();
    } else value = this.#inline(column);
    this.#leave(outer);
    return value;
  }

  /** A scalar or flow collection on the rest of this line, in a collection at `column`. */
  #inline(column: number): unknown {
    const code = this.#code();
    if (code === PIPE) return this.#literal(column);
    const value =
      code === OPEN_MAP || code === OPEN_LIST
        ? this.#flow()
        : code === DOUBLE_QUOTE || code === SINGLE_QUOTE
          ? this.#quoted()
          : this.#plainScalar();
    this.#endLine();
    // A deeper line would go on with this scalar.
    if (this.#column > column) notPlain();
    return value;
  }

  #quoted(): string {
    const end = this.#keyEnd();
    if (end === -1) notPlain();
    const raw = this.#text.slice(this.#at, end);
    this.#at = end;
    if (raw.charCodeAt(0) === SINGLE_QUOTE) return raw.slice(1, -1).replaceAll("''", "'");
    return raw.includes('\\') ? (JSON.parse(raw) as string) : raw.slice(1, -1);
  }

  #plainScalar(): unknown {
    const text = this.#text;
    const start = this.#at;
    const first = text[start]!;
    if (INDICATORS.has(first)) notPlain();
    if ((first === '-' || first === '?' || first === ':') && isBlank(text.charCodeAt(start + 1))) notPlain();
    let end = text.indexOf('\n', start);
    if (end === -1) end = text.length;
    for (let at = start; at < end; at++) {
      const code = text.charCodeAt(at);
      if (code === COLON && isBlank(text.charCodeAt(at + 1))) notPlain();
      if (code === HASH && text.charCodeAt(at - 1) === SPACE) end = at;
    }
    this.#at = end;
    while (text.charCodeAt(end - 1) === SPACE) end--;
    if (this.#code() === HASH) this.#at = end;
    return scalar(text.slice(start, end));
  }

  /** `|`, `|-` and `|+`, without an indentation indicator (YAML 1.2.2 section 8.1). */
  #literal(column: number): string {
    const text = this.#text;
    this.#at++;
    const sign = text[this.#at];
    if (sign === '-' || sign === '+') this.#at++;
    if (!this.#atLineEnd()) notPlain();
    let at = text.indexOf('\n', this.#at) + 1;
    if (at === 0) notPlain();

    const lines: string[] = [];
    let indent = -1;
    while (at < text.length) {
      let end = text.indexOf('\n', at);
      // Whether a last line without its end counts as ended is a matter for the full parser.
      if (end === -1) end = notPlain();
      let first = at;
      while (text.charCodeAt(first) === SPACE) first++;
      if (first >= end) {
        if (indent === -1 && end > at) notPlain();
        lines.push(indent === -1 ? '' : text.slice(at + indent, end));
      } else {
        if (indent === -1) indent = first - at;
        if (indent <= column) notPlain();
        if (first - at < indent) break;
        lines.push(text.slice(at + indent, end));
      }
      at = end + 1;
    }
    if (indent === -1) notPlain();
    this.#toLine(at);
    if (this.#column > column) notPlain();

    if (sign === '+') return `${lines.join('\n')}\n`;
    while (lines.at(-1) === '') lines.pop();
    const body = lines.join('\n');
    return sign === '-' ? body : `${body}\n`;
  }

  /** A document that is one flow collection, over any number of lines: JSON. */
  #flowDocument(): unknown {
    const value = this.#flow('lines');
    this.#endLine();
    return value;
  }

  #flow(over: 'line' | 'lines' = 'line'): unknown {
    const code = this.#code();
    if (code === DOUBLE_QUOTE || code === SINGLE_QUOTE) return this.#quoted();
    if (code !== OPEN_MAP && code !== OPEN_LIST) return scalar(this.#flowText());
    if (++this.#depth > DEPTH_MAX) notPlain();
    const value = code === OPEN_MAP ? this.#flowMap(over) : this.#flowList(over);
    this.#depth--;
    return value;
  }

  /** A plain scalar inside a flow collection: ends before what may mean more. */
  #flowText(): string {
    const text = this.#text;
    const start = this.#at;
    const isNumber = this.#code() === HYPHEN && /[0-9.]/.test(text[start + 1] ?? '');
    if (!isNumber && (INDICATORS.has(text[start] ?? ',') || /[-?:\n]/.test(text[start]!))) notPlain();
    let at = start;
    for (;;) {
      const code = text.charCodeAt(at);
      if (isFlowEnd(code)) break;
      // Other alphabets have white space of their own.
      if (code > 0x7e) notPlain();
      if (code === SPACE || code === COLON) {
        let next = at + 1;
        while (code === SPACE && text.charCodeAt(next) === SPACE) next++;
        const after = text.charCodeAt(next);
        if (isNumber || isFlowEnd(after) || after === SPACE || (code === SPACE && after === COLON)) break;
        at = next;
      } else at++;
    }
    this.#at = at;
    return text.slice(start, at);
  }

  #flowMap(over: 'line' | 'lines'): Record<string, unknown> {
    const map: Record<string, unknown> = {};
    this.#at++;
    this.#space(over);
    while (this.#code() !== CLOSE_MAP) {
      const end = this.#keyEnd();
      if (end === -1) notPlain();
      const key = this.#keyText(end);
      if (Object.hasOwn(map, key)) notPlain();
      const outer = this.#enter(key);
      const wasQuoted = this.#code() === DOUBLE_QUOTE;
      this.#at = end;
      if (this.#code() !== COLON) notPlain();
      this.#at++;
      // After a quoted key the value may follow at once, as in JSON.
      if (!wasQuoted && !isBlank(this.#code())) notPlain();
      this.#space(over);
      map[key] = this.#flow(over);
      this.#leave(outer);
      this.#comma(CLOSE_MAP, over);
    }
    this.#at++;
    return map;
  }

  #flowList(over: 'line' | 'lines'): unknown[] {
    const list: unknown[] = [];
    this.#at++;
    this.#space(over);
    while (this.#code() !== CLOSE_LIST) {
      const outer = this.#enter(list.length);
      list.push(this.#flow(over));
      this.#leave(outer);
      this.#comma(CLOSE_LIST, over);
    }
    this.#at++;
    return list;
  }

  /** A comma and another member, or the end. A comma before the end is YAML, but not plain. */
  #comma(close: number, over: 'line' | 'lines'): void {
    this.#space(over);
    if (this.#code() === close) return;
    if (this.#code() !== COMMA) notPlain();
    this.#at++;
    if (over === 'line' && !isBlank(this.#code())) notPlain();
    this.#space(over);
    if (this.#code() === close) notPlain();
  }

  #space(over: 'line' | 'lines'): void {
    for (let code = this.#code(); code === SPACE || (code === NEWLINE && over === 'lines'); code = this.#code())
      this.#at++;
  }

  /** Goes below a field or item, and notes its place when it is wanted. Gives what {@link leave} takes. */
  #enter(token: string | number): Wanted | undefined {
    const outer = this.#wanted;
    if (outer === undefined) return undefined;
    if (typeof token === 'number') outer.items?.push([this.#at, this.#at]);
    this.#wanted = outer.below.get(String(token));
    if (this.#wanted !== undefined) this.#wanted.at = this.#at;
    return outer;
  }

  #leave(outer: Wanted | undefined): void {
    this.#wanted = outer;
    const last = outer?.items?.at(-1);
    if (last !== undefined) last[1] = this.#at;
  }
}

/** What ends a plain scalar in a flow collection, whatever follows it. A hash only after a space, but why guess. */
function isFlowEnd(code: number): boolean {
  const isBracket = code === OPEN_LIST || code === CLOSE_LIST || code === OPEN_MAP || code === CLOSE_MAP;
  return isBracket || code === COMMA || code === HASH || code === NEWLINE || Number.isNaN(code);
}

function isBlank(code: number): boolean {
  return code === SPACE || code === NEWLINE || Number.isNaN(code);
}

/** Setting `__proto__` would set the prototype. */
function ownKey(key: string): string {
  return key === '__proto__' ? notPlain() : key;
}

/** The value of a plain scalar in the core schema; numbers that need thought are left to the full parser. */
function scalar(text: string): unknown {
  const first = text.charCodeAt(0);
  const mayBeNumber = first < COLON && first >= 0x2b;
  if (mayBeNumber) {
    if (SIMPLE_NUMBER.test(text)) return Number(text);
    return ANY_NUMBER.test(text) ? notPlain() : text;
  }
  if (text.length > 5) return text;
  if (NULL.test(text)) return null;
  if (TRUE.test(text)) return true;
  return FALSE.test(text) ? false : text;
}
