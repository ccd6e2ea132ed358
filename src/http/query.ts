/** Query strings: `?name=value&name=value`, read where they lie. */

/**
 * Value of the first parameter of this name, decoded; undefined when there is
 * none. Servers differ on which of several values counts; Gateway API leaves it
 * open, and we take the first one, as most of them do.
 *
 * Names and values are percent-decoded as UTF-8 and `+` is a space (URL standard,
 * application/x-www-form-urlencoded); a `%` that starts no escape stands for
 * itself. Parameters are separated by `&` only; one without `=` has the value ''.
 *
 * @param query  with its `?`, or empty
 * @param name  decoded; names are case-sensitive
 */
export function queryValue(query: string, name: string): string | undefined {
  for (let start = 1; start < query.length;) {
    const stop = stopOf(query, start);
    const after = nameEnd(query, start, stop);
    if (isNamed(query, { start, after, name })) {
      return after === stop ? '' : decoded(query.slice(after + 1, stop));
    }
    start = stop + 1;
  }
  return undefined;
}

/** Values of all parameters of this name, decoded, in order. By the rules of {@link queryValue}. */
export function queryValues(query: string, name: string): string[] {
  const values: string[] = [];
  for (let start = 1; start < query.length;) {
    const stop = stopOf(query, start);
    const after = nameEnd(query, start, stop);
    if (isNamed(query, { start, after, name }))
      values.push(after === stop ? '' : decoded(query.slice(after + 1, stop)));
    start = stop + 1;
  }
  return values;
}

/** The query without the parameters of this name, however it is written; the others as they are. Empty when none is left. */
export function withoutParameter(query: string, name: string): string {
  let kept = '';
  let cut = false;
  for (let start = 1; start <= query.length;) {
    const stop = stopOf(query, start);
    if (isNamed(query, { start, after: nameEnd(query, start, stop), name })) cut = true;
    else kept += `&${query.slice(start, stop)}`;
    start = stop + 1;
  }
  if (!cut) return query;
  return kept === '' ? '' : `?${kept.slice(1)}`;
}

/** Names of all parameters, decoded, each once. */
export function queryNames(query: string): string[] {
  const names = new Set<string>();
  for (let start = 1; start < query.length;) {
    const stop = stopOf(query, start);
    if (stop > start) names.add(decoded(query.slice(start, nameEnd(query, start, stop))));
    start = stop + 1;
  }
  return [...names];
}

/** Offset of the `&` behind a parameter, or of the end of the query. */
function stopOf(query: string, start: number): number {
  const at = query.indexOf('&', start);
  return at < 0 ? query.length : at;
}

/** Offset of the first `=` of a parameter, or of its end. */
function nameEnd(query: string, start: number, stop: number): number {
  for (let at = start; at < stop; at++) if (query.charCodeAt(at) === EQUALS) return at;
  return stop;
}

interface Candidate {
  readonly start: number;
  readonly after: number;
  readonly name: string;
}

function isNamed(query: string, { start, after, name }: Candidate): boolean {
  if (after - start === name.length && query.startsWith(name, start) && isPlain(name)) return true;
  for (let at = start; at < after; at++) {
    const c = query.charCodeAt(at);
    if (c === PERCENT || c === PLUS || c > 0x7f) return decoded(query.slice(start, after)) === name;
  }
  return false;
}

/** Whether a name stands for itself in a query. */
function isPlain(name: string): boolean {
  return !name.includes('+') && !name.includes('%');
}

const EQUALS = 0x3d;
const PERCENT = 0x25;
const PLUS = 0x2b;

/** Form decoding of one name or value. */
function decoded(raw: string): string {
  let bytes = '';
  let kept = 0;
  let ascii = true;
  for (let at = 0; at < raw.length; at++) {
    const c = raw.charCodeAt(at);
    if (c > 0x7f) ascii = false;
    if (c !== PLUS && c !== PERCENT) continue;
    const byte = c === PLUS ? 0x20 : escapedByte(raw, at);
    if (byte < 0) continue;
    if (byte > 0x7f) ascii = false;
    bytes += raw.slice(kept, at) + String.fromCharCode(byte);
    if (c === PERCENT) at += 2;
    kept = at + 1;
  }
  const all = kept === 0 ? raw : bytes + raw.slice(kept);
  return ascii ? all : Buffer.from(all, 'latin1').toString('utf8');
}

/** The byte of the escape at this place, or -1. */
function escapedByte(text: string, at: number): number {
  const high = hexDigit(text.charCodeAt(at + 1));
  const low = hexDigit(text.charCodeAt(at + 2));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/** Value of an ASCII hex digit, or -1 (also for the NaN beyond the end of a text). */
function hexDigit(c: number): number {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  const lower = c | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
