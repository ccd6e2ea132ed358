/**
 * JSON that two parsers read alike, or none: UTF-8 without a mark, no key twice, no half of a surrogate pair, no number
 * that is not finite, and only so deep (RFC 8259 sections 4, 8 and 9; RFC 7493).
 */

export type JsonRead =
  | {
      readonly ok: true;
      readonly value: unknown;
      readonly text: string;
      /** Some number has more digits than a double keeps. */
      readonly inexact: boolean;
    }
  /** Why not: nothing of what the text says. */
  | { readonly ok: false; readonly refused: string };

export interface JsonBounds {
  readonly depthMax: number;
}

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const refused = (reason: string): JsonRead => ({ ok: false, refused: reason });

export function readJson(bytes: Buffer, { depthMax }: JsonBounds): JsonRead {
  let text: string;
  let value: unknown;
  try {
    text = UTF8.decode(bytes);
  } catch {
    return refused('It is not UTF-8');
  }
  if (text.charCodeAt(0) === 0xfeff) return refused('It begins with a byte order mark');
  try {
    value = JSON.parse(text);
  } catch {
    return refused('It is not JSON');
  }
  const scan = new Scan(text, depthMax);
  const reason = scan.run();
  return reason === undefined ? { ok: true, value, text, inexact: scan.inexact } : refused(reason);
}

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Digits that every number may have and still be one double: 2^53 has 16. */
const EXACT_CHARS = 15;

/** One pass over a text that is known to be JSON. */
class Scan {
  inexact = false;
  readonly #text: string;
  readonly #depthMax: number;
  /** Keys of the objects around this place; undefined for a list. */
  readonly #around: (Set<string> | undefined)[] = [];
  #keyNext = false;

  constructor(text: string, depthMax: number) {
    this.#text = text;
    this.#depthMax = depthMax;
  }

  run(): string | undefined {
    const text = this.#text;
    for (let at = 0; at < text.length; at++) {
      const c = text.charCodeAt(at);
      if (c === QUOTE) {
        const end = this.#stringEnd(at);
        const reason = this.#string(at, end);
        if (reason !== undefined) return reason;
        at = end;
      } else if (c === OPEN_OBJECT || c === OPEN_LIST) {
        if (this.#around.length >= this.#depthMax) return `It is nested more than ${this.#depthMax} levels deep`;
        this.#around.push(c === OPEN_OBJECT ? new Set() : undefined);
        this.#keyNext = c === OPEN_OBJECT;
      } else if (c === CLOSE_OBJECT || c === CLOSE_LIST) {
        this.#around.pop();
        this.#keyNext = false;
      } else if (c === COMMA) this.#keyNext = this.#around.at(-1) !== undefined;
      else if (c === MINUS || (c >= 0x30 && c <= 0x39)) {
        const end = this.#numberEnd(at);
        if (!this.#number(text.slice(at, end))) return 'It has a number that is out of range';
        at = end - 1;
      }
    }
    return undefined;
  }

  #stringEnd(start: number): number {
    const text = this.#text;
    for (let end = text.indexOf('"', start + 1); ; end = text.indexOf('"', end + 1)) {
      let slashes = 0;
      while (text.charCodeAt(end - 1 - slashes) === BACKSLASH) slashes++;
      if (slashes % 2 === 0) return end;
    }
  }

  #string(start: number, end: number): string | undefined {
    const isKey = this.#keyNext;
    this.#keyNext = false;
    let text = this.#text.slice(start + 1, end);
    if (text.includes('\\u')) {
      text = JSON.parse(this.#text.slice(start, end + 1)) as string;
      if (!text.isWellFormed()) return 'It has half a character (a surrogate without its other half)';
    } else if (isKey && text.includes('\\')) text = JSON.parse(this.#text.slice(start, end + 1)) as string;
    if (!isKey) return undefined;
    const keys = this.#around.at(-1)!;
    if (keys.has(text)) return 'It has an object with the same key twice';
    keys.add(text);
    return undefined;
  }

  #numberEnd(start: number): number {
    const text = this.#text;
    let end = start + 1;
    for (; end < text.length; end++) {
      const c = text.charCodeAt(end);
      const isPart = (c >= 0x30 && c <= 0x39) || c === 0x2e || c === 0x2b || c === MINUS || (c | 0x20) === 0x65;
      if (!isPart) break;
    }
    return end;
  }

  #number(text: string): boolean {
    if (text.length <= EXACT_CHARS && !/[eE]/.test(text)) return true;
    const number = Number(text);
    if (!Number.isFinite(number)) return false;
    if (!sameNumber(text, String(number))) this.inexact = true;
    return true;
  }
}

/** Whether two spellings are one decimal number. */
function sameNumber(a: string, b: string): boolean {
  return a === b || decimalOf(a) === decimalOf(b);
}

/** `-1.50e3` as `-15e2`: the shortest whole number, and its exponent. */
function decimalOf(text: string): string {
  const [, sign, whole, fraction = '', exponent = '0'] = /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text)!;
  const digits = `${whole}${fraction}`.replace(/^0+/, '');
  const bare = digits.replace(/0+$/, '');
  if (bare === '') return '0';
  return `${sign}${bare}e${Number(exponent) - fraction.length + (digits.length - bare.length)}`;
}
