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
  return read(new PlainReader(text, []));
}

/**
 * Where the text has the field or item that `path` names, or the deepest part of
 * it that is there.
 */
export function locatePlainYaml(text: string, path: readonly string[]): Place | typeof NOT_PLAIN {
  const reader = new PlainReader(text, path);
  return read(reader) === NOT_PLAIN ? NOT_PLAIN : placeOf(text, reader.foundAt);
}

/** Offsets of the items of the list at `path`: where each begins, and where what follows it begins. */
export function itemRangesOfPlainYaml(text: string, path: readonly string[]): readonly Range[] | typeof NOT_PLAIN {
  const reader = new PlainReader(text, path);
  return read(reader) === NOT_PLAIN ? NOT_PLAIN : reader.items;
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
const DOUBLE_QUOTED = /"(?:[^"\\\n]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const SINGLE_QUOTED = /'(?:[^'\n]|'')*'/y;
const FLOW_SCALAR =
  /[^\s,[\]{}#&*!|>'"%@`?:-](?:[^\s,[\]{}:#]| +(?=[^\s,[\]{}:#])|:(?=[^\s,[\]{}]))*|-(?=[0-9.])[^\s,[\]{}:#]*/y;

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

  readonly #path: readonly string[];
  /** How many fields and items the reader is inside of. */
  #level = 0;
  /** How many parts of the path were found; infinite when the search is over. */
  #found = 0;
  /** Offset of the deepest part that was found. */
  foundAt = 0;
  /** Ranges of the items of the list that the path leads to. */
  readonly items: [start: number, end: number][] = [];

  constructor(text: string, path: readonly string[]) {
    this.#text = text;
    this.#path = path;
  }

  document(): unknown {
    if (STRANGE.test(this.#text)) notPlain();
    this.#toLine(0);
    if (this.#text.startsWith('---', this.#at) && this.#column === 0) {
      this.#at += 3;
      this.#endLine();
    }
    if (this.#column === -1) return null;
    this.foundAt = this.#at;
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
    const pattern = code === DOUBLE_QUOTE ? DOUBLE_QUOTED : code === SINGLE_QUOTE ? SINGLE_QUOTED : KEY;
    pattern.lastIndex = this.#at;
    return pattern.test(this.#text) ? pattern.lastIndex : -1;
  }

  #map(column: number): Record<string, unknown> {
    const map: Record<string, unknown> = {};
    while (this.#column === column) {
      if (!this.#isKey()) notPlain();
      const end = this.#keyEnd();
      const key = this.#keyText(end);
      if (Object.hasOwn(map, key)) notPlain();
      const onPath = this.#enter(key);
      this.#at = end + 1;
      map[key] = this.#mapValue(column);
      this.#leave(onPath);
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
    const onPath = this.#enter(index);
    let value: unknown;
    if (onNewLine) value = this.#block();
    else if (this.#isItem() || this.#isKey()) {
      // `- name: web` and `- - web`: a collection in the column of its first character.
      this.#column = column + 1 + (this.#at - start);
      value = this.#block();
    } else value = this.#inline(column);
    this.#leave(onPath);
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

    const all = `${lines.join('\n')}\n`;
    if (sign === '+') return all;
    const body = all.replace(/\n+$/, '');
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

  #flowText(): string {
    FLOW_SCALAR.lastIndex = this.#at;
    const found = FLOW_SCALAR.exec(this.#text);
    if (found === null) notPlain();
    this.#at = FLOW_SCALAR.lastIndex;
    return found[0];
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
      const onPath = this.#enter(key);
      const wasQuoted = this.#code() === DOUBLE_QUOTE;
      this.#at = end;
      if (this.#code() !== COLON) notPlain();
      this.#at++;
      // After a quoted key the value may follow at once, as in JSON.
      if (!wasQuoted && !isBlank(this.#code())) notPlain();
      this.#space(over);
      map[key] = this.#flow(over);
      this.#leave(onPath);
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
      const onPath = this.#enter(list.length);
      list.push(this.#flow(over));
      this.#leave(onPath);
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

  /** Goes below a field or item; remembers its place when the path that is looked for leads through it. */
  #enter(token: string | number): boolean {
    if (typeof token === 'number' && this.#inList()) this.items.push([this.#at, this.#at]);
    const onPath = this.#found === this.#level && this.#path[this.#level] === String(token);
    this.#level++;
    if (onPath) {
      this.#found++;
      this.foundAt = this.#at;
    }
    return onPath;
  }

  /** Coming back from the path means that all of it that is there was seen. */
  #leave(onPath: boolean): void {
    this.#level--;
    if (this.#inList() && this.items.length > 0) this.items.at(-1)![1] = this.#at;
    if (onPath) this.#found = Infinity;
  }

  /** Whether the whole path was found and this is right below it. */
  #inList(): boolean {
    return this.#level === this.#path.length && this.#found === this.#level;
  }
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
