/** Header fields as filters of users see them: a copy that notes what was changed, and refuses what would break a message. */
import { Headers } from '../http/headers.ts';
import { FORBIDDEN_FIELDS } from './fields.ts';

/** One change, in the order in which they were made. */
export type FieldEdit =
  | readonly [kind: 'set' | 'add', name: string, value: string]
  | readonly [kind: 'delete', lowerName: string];

/** RFC 9110 section 5.1. */
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$/;

/** RFC 9110 section 5.5, as latin1 characters. */
const VALUE = /^(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?$/;

export class Fields {
  readonly #lines: Headers;
  #edits: FieldEdit[] = [];

  constructor(lines: Iterable<readonly [name: string, value: string]>) {
    this.#lines = Headers.of(lines);
  }

  /** All values of this name, in any case, joined with `, `; undefined when there is none. */
  get(name: string): string | undefined {
    return this.#lines.combined(name.toLowerCase());
  }

  /** Value of each line of this name. For Set-Cookie, which cannot be joined. */
  getAll(name: string): string[] {
    return this.#lines.getAll(name.toLowerCase());
  }

  has(name: string): boolean {
    return this.#lines.has(name.toLowerCase());
  }

  /**
   * One line of this name with this value, whatever was there.
   *
   * @throws {TypeError} on what is no valid line, and on names that frame the message or belong to the connection
   */
  set(name: string, value: string): void {
    checkField(name, value);
    this.#lines.set(name, value);
    this.#edits.push(['set', name, value]);
  }

  /** A line behind all others. @throws {TypeError} as `set` */
  add(name: string, value: string): void {
    checkField(name, value);
    this.#lines.add(name, value);
    this.#edits.push(['add', name, value]);
  }

  /** Every line of this name. @throws {TypeError} on names that frame the message or belong to the connection */
  delete(name: string): void {
    checkField(name, '');
    const lowerName = name.toLowerCase();
    this.#lines.delete(lowerName);
    this.#edits.push(['delete', lowerName]);
  }

  /** Names as they are written, in order. */
  *[Symbol.iterator](): IterableIterator<[name: string, value: string]> {
    yield* linesOf(this.#lines);
  }

  /** What was changed since the last time. */
  takeEdits(): readonly FieldEdit[] {
    const edits = this.#edits;
    if (edits.length > 0) this.#edits = [];
    return edits;
  }
}

/** @throws {TypeError} without the value, which is the client's business */
export function checkField(name: string, value: string): void {
  if (typeof name !== 'string' || !NAME.test(name)) throw new TypeError(`Expected the name of a header field`);
  const lowerName = name.toLowerCase();
  if (FORBIDDEN_FIELDS.has(lowerName)) throw new TypeError(`Cannot change "${lowerName}": it belongs to the proxy`);
  if (lowerName === 'host') throw new TypeError('Cannot change "host": set request.authority');
  if (typeof value !== 'string' || !VALUE.test(value)) {
    throw new TypeError(`Expected a value for "${lowerName}" of visible latin1 characters with spaces inside only`);
  }
}

/** As people write them: a list of values makes as many lines. */
export type WrittenFields = Readonly<Record<string, string | readonly string[]>>;

export function linesFrom(fields: WrittenFields): [name: string, value: string][] {
  return Object.entries(fields).flatMap(([name, value]) =>
    (typeof value === 'string' ? [value] : value).map((one): [string, string] => [name, one]),
  );
}

export function linesOf(headers: Headers): [name: string, value: string][] {
  const lines: [string, string][] = [];
  headers.forEach((name, value) => void lines.push([name, value]));
  return lines;
}

export function applyFieldEdits(headers: Headers, edits: readonly FieldEdit[]): void {
  for (const [kind, name, value] of edits) {
    if (kind === 'delete') headers.delete(name);
    else headers[kind](name, value);
  }
}
