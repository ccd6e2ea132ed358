/**
 * The values of expressions, and what is done with them. `undefined` is no
 * value: what could not be evaluated. An int is a bigint and a double a number;
 * a map is what made it: JSON, a literal, or a view of headers or of a query.
 */
import { EXPRESSION_LIST_MAX, EXPRESSION_STEPS_MAX, EXPRESSION_TEXT_CHARS_MAX } from '../base/limits.ts';
import type { Headers } from '../http/headers.ts';
import { queryNames, queryValues } from '../http/query.ts';

export type Value = unknown;

/** An optional (`a.?b`) that is not there. */
export const NONE: unique symbol = Symbol('none');

/** What is left of what one evaluation may cost: a step of a loop, or a value that is looked at in one, takes one. */
export class Purse {
  #left = EXPRESSION_STEPS_MAX;

  refill(): void {
    this.#left = EXPRESSION_STEPS_MAX;
  }

  /** @returns false when there is not enough: the expression has no value */
  spend(steps: number): boolean {
    return (this.#left -= steps) >= 0;
  }
}

/** Headers as a map of strings. Names are lower case. */
export class HeaderView {
  readonly #headers: Headers;

  constructor(headers: Headers) {
    this.#headers = headers;
  }

  /** Steps of a look-up in a loop: some hundred names are compared. */
  get weight(): number {
    return 8;
  }

  get(key: string): string | undefined {
    return this.#headers.combined(key);
  }

  has(key: string): boolean {
    return this.#headers.has(key);
  }

  keys(): string[] {
    const names = new Set<string>();
    this.#headers.forEach((name) => names.add(name.toLowerCase()));
    return [...names];
  }
}

/**
 * A query as a map of strings. A parameter that was given more than once is there
 * and has no value: which one of them counts is read differently by different
 * servers, so nothing is decided by it.
 */
export class QueryView {
  readonly #query: string;

  constructor(query: string) {
    this.#query = query;
  }

  /** Steps of a look-up in a loop: the query is read from end to end. */
  get weight(): number {
    return 1 + (this.#query.length >> 6);
  }

  get(key: string): string | undefined {
    return soleQueryValue(this.#query, key);
  }

  has(key: string): boolean {
    return queryValues(this.#query, key).length > 0;
  }

  keys(): string[] {
    return queryNames(this.#query);
  }
}

export function soleQueryValue(query: string, name: string): string | undefined {
  if (query.length < 2) return undefined;
  const values = queryValues(query, name);
  return values.length === 1 ? values[0] : undefined;
}

/** What comes from outside is JSON: an object that is no list is a map. */
function isMap(value: Value): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The value under a key of a map or list; undefined when there is none. */
export function elementOf(whole: Value, key: Value): Value {
  if (Array.isArray(whole)) {
    const index = typeof key === 'bigint' ? Number(key) : key;
    return typeof index === 'number' && Number.isInteger(index) && index >= 0 ? whole[index] : undefined;
  }
  if (whole instanceof Map) return whole.get(keyForm(key));
  if (typeof key !== 'string' || !isMap(whole)) return undefined;
  if (whole instanceof HeaderView || whole instanceof QueryView) return whole.get(key);
  return Object.hasOwn(whole, key) ? (whole as Record<string, unknown>)[key] : undefined;
}

/** Whether a map has a key; undefined when it is no map. */
export function hasKey(whole: Value, key: Value): boolean | undefined {
  if (whole instanceof Map) return whole.has(keyForm(key));
  if (!isMap(whole)) return undefined;
  if (typeof key !== 'string') return false;
  if (whole instanceof HeaderView || whole instanceof QueryView) return whole.has(key);
  return Object.hasOwn(whole, key);
}

/** Equal keys are one key: `1` and `1.0`. */
export function keyForm(key: Value): Value {
  return typeof key === 'number' && Number.isInteger(key) ? BigInt(key) : key;
}

/** What a loop goes over: elements of a list, keys of a map. */
export function itemsOf(whole: Value): readonly Value[] | undefined {
  if (Array.isArray(whole)) return whole;
  if (!isMap(whole)) return undefined;
  if (whole instanceof Map) return [...whole.keys()];
  return whole instanceof HeaderView || whole instanceof QueryView ? whole.keys() : Object.keys(whole);
}

/** Characters (code points) of a text, elements of a list or map. */
export function sizeOf(value: Value): bigint | undefined {
  if (typeof value === 'string') {
    let size = value.length;
    for (let i = 0; i < value.length - 1; i++) {
      if ((value.charCodeAt(i) & 0xfc00) === 0xd800 && (value.charCodeAt(i + 1) & 0xfc00) === 0xdc00) size--;
    }
    return BigInt(size);
  }
  const items = itemsOf(value);
  return items === undefined ? undefined : BigInt(items.length);
}

/** Steps for looking through a value. Reading a character costs a fraction of one, and so does an element. */
export function weightOf(value: Value): number {
  if (typeof value === 'string') return value.length >> 6;
  if (value instanceof QueryView || value instanceof HeaderView) return value.weight;
  return (itemsOf(value)?.length ?? 0) >> 2;
}

/** By value, numbers across their types, lists and maps by what they hold; undefined when it costs too much. */
export function areEqual(a: Value, b: Value, purse: Purse): boolean | undefined {
  if (a === b) return true;
  if (typeof a === 'bigint' && typeof b === 'number') return Number.isInteger(b) && BigInt(b) === a;
  if (typeof a === 'number' && typeof b === 'bigint') return areEqual(b, a, purse);
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const ofA = itemsOf(a)!;
  const ofB = itemsOf(b)!;
  if (!purse.spend((ofA.length + ofB.length) >> 1)) return undefined;
  if (ofA.length !== ofB.length) return false;
  for (const [i, item] of ofA.entries()) {
    const isThere = Array.isArray(a) || hasKey(b, item) === true;
    if (!isThere) return false;
    const same = Array.isArray(a)
      ? areEqual(item, ofB[i], purse)
      : areEqual(elementOf(a, item), elementOf(b, item), purse);
    if (same !== true) return same;
  }
  return true;
}

/** Whether a list holds a value, or a map a key. */
export function isIn(value: Value, whole: Value, purse: Purse): boolean | undefined {
  if (!Array.isArray(whole)) return hasKey(whole, value);
  if (!purse.spend(whole.length)) return undefined;
  if (typeof value === 'string') return whole.includes(value);
  for (const item of whole) {
    const same = areEqual(item, value, purse);
    if (same !== false) return same;
  }
  return false;
}

export type Order = '<' | '<=' | '>' | '>=';

/** Texts with texts, numbers with numbers, false before true. */
export function compare(op: Order, a: Value, b: Value): boolean | undefined {
  const comparable = typeof a === typeof b ? isOrdered(a) : isNumeric(a) && isNumeric(b);
  if (!comparable) return undefined;
  const [left, right] = [a as string, b as string];
  switch (op) {
    case '<':
      return left < right;
    case '<=':
      return left <= right;
    case '>':
      return left > right;
    case '>=':
      return left >= right;
  }
}

function isOrdered(value: Value): boolean {
  return typeof value === 'string' || typeof value === 'boolean' || isNumeric(value);
}

function isNumeric(value: Value): value is number | bigint {
  return typeof value === 'number' || typeof value === 'bigint';
}

/** Concatenation: of texts and lists, to their bound. */
function joined(a: Value, b: Value): Value {
  if (typeof a === 'string' && typeof b === 'string') {
    return a.length + b.length > EXPRESSION_TEXT_CHARS_MAX ? undefined : a + b;
  }
  if (!Array.isArray(a) || !Array.isArray(b) || a.length + b.length > EXPRESSION_LIST_MAX) return undefined;
  return [...(a as Value[]), ...(b as Value[])];
}

export type Arithmetic = '+' | '-' | '*' | '/' | '%';

/** Ints are of 64 bits. Of an int and a double, which only JSON can bring together, a double comes. */
export function calculate(op: Arithmetic, a: Value, b: Value): Value {
  if (typeof a === 'bigint' && typeof b === 'bigint') return ofInts(op, a, b);
  if (isNumeric(a) && isNumeric(b)) return ofDoubles(op, Number(a), Number(b));
  return op === '+' ? joined(a, b) : undefined;
}

function ofInts(op: Arithmetic, a: bigint, b: bigint): bigint | undefined {
  if (op === '+') return int64(a + b);
  if (op === '-') return int64(a - b);
  if (op === '*') return int64(a * b);
  if (b === 0n) return undefined;
  return int64(op === '/' ? a / b : a % b);
}

function ofDoubles(op: Arithmetic, a: number, b: number): number | undefined {
  if (op === '+') return a + b;
  if (op === '-') return a - b;
  if (op === '*') return a * b;
  return op === '/' ? a / b : undefined;
}

export function int64(value: bigint): bigint | undefined {
  return BigInt.asIntN(64, value) === value ? value : undefined;
}

/** A value as the rest of the program has it: ints as numbers, maps as objects; undefined when it is too large. */
export function plainOf(value: Value, purse: Purse): unknown {
  if (typeof value === 'bigint') {
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : String(value);
  }
  if (typeof value !== 'object' || value === null) return value === NONE ? undefined : value;
  const items = itemsOf(value)!;
  if (!purse.spend(items.length)) return undefined;
  if (Array.isArray(value)) return items.map((item) => plainOf(item, purse));
  return Object.fromEntries(items.map((key) => [String(key), plainOf(elementOf(value, key), purse)]));
}
