/**
 * Paths in normal form: one spelling for one resource, so that what is routed
 * and authorised is what is forwarded. The rules are laid out for operators, with
 * the attacks that they answer, in docs/guide/path-normalisation.md.
 *
 * @see RFC 3986 sections 3.3 (characters), 5.2.4 (dot segments), 6.2.2 (normal form)
 */
import type { PathPolicy } from '../base/path-policy.ts';

/** A path or query that is not accepted, and why. Free of anything that the client wrote. */
export interface Refused {
  readonly refused: string;
}

const refused = (reason: string): Refused => ({ refused: reason });

const NOT_ABSOLUTE = refused('The path does not start with a slash');
const BAD_CHARACTER = refused('The path holds a control character, a space, "#" or "?"');
const BAD_ESCAPE = refused('The path holds a "%" that is not followed by two hex digits');
const BAD_UTF8 = refused('The path holds an escaped NUL or escaped bytes that are not UTF-8');
const BACKSLASH = refused('The path holds a backslash');
const ENCODED_SLASH = refused('The path holds an encoded slash or backslash');
const EMPTY_SEGMENT = refused('The path holds an empty segment');
const PARAMETERS = refused('The path holds path parameters');
const DOT_SEGMENT = refused('The path holds a dot segment');
const ABOVE_ROOT = refused('The path climbs above its root');
const HIDDEN_DOTS = refused('The path holds a dot segment beside an encoded slash or with parameters');

// What to do about a byte of a path.
const PLAIN = 0;
/** Refused in any case. */
const BAD = 1;
/** Not allowed in a path, but harmless: written as an escape, the one form that RFC 3986 has for it. */
const ESCAPE = 2;
const DOT = 3;
const SLASH = 4;
const PERCENT = 5;
const BACK = 6;
const SEMICOLON = 7;

const KINDS = kindsOfBytes();

function kindsOfBytes(): Uint8Array {
  const kinds = new Uint8Array(256).fill(ESCAPE, 0x80);
  kinds.fill(BAD, 0, 0x21);
  for (const c of '#?\x7f') kinds[c.charCodeAt(0)] = BAD;
  for (const c of '"<>^`{|}') kinds[c.charCodeAt(0)] = ESCAPE;
  kinds[0x2e] = DOT;
  kinds[0x2f] = SLASH;
  kinds[0x25] = PERCENT;
  kinds[0x5c] = BACK;
  kinds[0x3b] = SEMICOLON;
  return kinds;
}

/**
 * The normal form of a path, or why it is refused. A path that is in normal form
 * already, as nearly all are, costs one scan and is given back as it is. The
 * normal form of a normal form is itself.
 *
 * @param path  of the request target, without query; latin1
 */
export function normalisePath(path: string, policy: PathPolicy): string | Refused {
  if (path.charCodeAt(0) !== 0x2f) return NOT_ABSOLUTE;
  for (let i = 1; i < path.length; i++) {
    const kind = KINDS[path.charCodeAt(i)];
    if (kind === PLAIN) continue;
    if (kind === DOT) {
      if (path.charCodeAt(i - 1) !== 0x2f || !maybeDots(path.charCodeAt(i + 1))) continue;
    } else if (kind === SLASH) {
      if (path.charCodeAt(i - 1) !== 0x2f || policy.emptySegments === 'keep') continue;
    } else if (kind === SEMICOLON) {
      if (policy.parameters === 'keep') continue;
    }
    return rewritten(path, policy);
  }
  return path;
}

/** Whether a segment that starts with a dot and goes on with this may be a dot segment in disguise. */
function maybeDots(next: number): boolean {
  // NaN: the path ends. Then "/", ".", "%" (an escaped dot), ";" (parameters) and "\" (a slash to some).
  return next !== next || next === 0x2f || next === 0x2e || next === 0x25 || next === 0x3b || next === 0x5c;
}

function rewritten(path: string, policy: PathPolicy): string | Refused {
  const spelled = respell(path, policy);
  return typeof spelled === 'string' ? resolve(spelled, policy) : spelled;
}

/** One spelling for every character; slashes that count as such are `/` after this. */
function respell(path: string, policy: PathPolicy): string | Refused {
  let out = '';
  let kept = 0;
  const utf8 = policy.invalidUtf8 === 'refuse' ? new Utf8Check() : undefined;
  for (let i = 0; i < path.length; i++) {
    const c = path.charCodeAt(i);
    const kind = KINDS[c] ?? BAD;
    if (kind === PLAIN || kind === DOT || kind === SLASH) {
      if (utf8?.bad(c)) return BAD_UTF8;
      continue;
    }
    const spelled = kind === PERCENT ? respellEscape(path, i, policy) : respellRaw(c, kind, policy);
    if (typeof spelled !== 'string') return spelled;
    const byte = kind === PERCENT ? byteAt(path, i) : c;
    if (utf8 !== undefined && (byte === 0 || utf8.bad(byte))) return BAD_UTF8;
    out += path.slice(kept, i) + spelled;
    if (kind === PERCENT) i += 2;
    kept = i + 1;
  }
  if (utf8?.unfinished) return BAD_UTF8;
  return kept === 0 ? path : out + path.slice(kept);
}

function respellRaw(c: number, kind: number, policy: PathPolicy): string | Refused {
  switch (kind) {
    case ESCAPE:
      return ESCAPES[c]!;
    case BACK:
      return policy.backslash === 'slash' ? '/' : BACKSLASH;
    case SEMICOLON:
      return policy.parameters === 'keep' ? ';' : PARAMETERS;
    default:
      return BAD_CHARACTER;
  }
}

function respellEscape(path: string, at: number, policy: PathPolicy): string | Refused {
  const byte = byteAt(path, at);
  if (byte < 0) return BAD_ESCAPE;
  if (isUnreserved(byte)) return String.fromCharCode(byte);
  if (byte !== 0x2f && byte !== 0x5c) return ESCAPES[byte]!;
  if (policy.encodedSlash === 'refuse') return ENCODED_SLASH;
  if (policy.encodedSlash === 'keep') return ESCAPES[byte]!;
  return byte === 0x2f ? '/' : respellRaw(byte, BACK, policy);
}

/** `%00` to `%FF`. RFC 3986 section 6.2.2.1: upper case. */
const ESCAPES: readonly string[] = Array.from(
  { length: 256 },
  (_, byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`,
);

/** Resolves dot segments and empty ones. */
function resolve(path: string, policy: PathPolicy): string | Refused {
  const segments = path.split('/');
  const last = segments.length - 1;
  const out: string[] = [];
  for (let i = 1; i <= last; i++) {
    const segment = segments[i]!;
    if (segment === '' && i < last) {
      if (policy.emptySegments === 'refuse') return EMPTY_SEGMENT;
      if (policy.emptySegments === 'merge') continue;
    } else if (segment === '.' || segment === '..') {
      if (policy.dotSegments === 'refuse') return DOT_SEGMENT;
      if (segment === '..' && out.pop() === undefined) return ABOVE_ROOT;
      if (i === last) out.push('');
      continue;
    } else if (hidesDots(segment)) return HIDDEN_DOTS;
    out.push(segment);
  }
  return `/${out.join('/')}`;
}

/**
 * Whether a server that decodes `%2F`, or that strips `;parameters`, would find a
 * dot segment here that we did not. No honest client writes one.
 */
function hidesDots(segment: string): boolean {
  return segment.includes('.') && /(?:^|%2F|%5C)\.\.?(?:;|%3B|%00|%2F|%5C|$)/.test(segment);
}

/** RFC 3986 section 2.3. */
function isUnreserved(byte: number): boolean {
  const lower = byte | 0x20;
  if (byte < 0x80 && lower >= 0x61 && lower <= 0x7a) return true;
  return (byte >= 0x30 && byte <= 0x39) || byte === 0x2d || byte === 0x2e || byte === 0x5f || byte === 0x7e;
}

/** The byte of the escape at this place, or -1 when it is not one. */
function byteAt(path: string, at: number): number {
  const high = hexDigit(path.charCodeAt(at + 1));
  const low = hexDigit(path.charCodeAt(at + 2));
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/** Value of an ASCII hex digit, or -1 (also for the NaN beyond the end of a text). */
function hexDigit(c: number): number {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  const lower = c | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** Follows a byte stream and says when it stops being UTF-8 (Unicode 15, table 3-7: no overlong forms, no surrogates). */
class Utf8Check {
  #missing = 0;
  #least = 0x80;
  #most = 0xbf;

  /** Whether the stream ends inside a character. */
  get unfinished(): boolean {
    return this.#missing > 0;
  }

  bad(byte: number): boolean {
    if (this.#missing > 0) {
      const inside = byte >= this.#least && byte <= this.#most;
      this.#missing--;
      this.#least = 0x80;
      this.#most = 0xbf;
      return !inside;
    }
    if (byte < 0x80) return false;
    if (byte < 0xc2 || byte > 0xf4) return true;
    this.#missing = 1 + Number(byte >= 0xe0) + Number(byte >= 0xf0);
    if (byte === 0xe0) this.#least = 0xa0;
    if (byte === 0xed) this.#most = 0x9f;
    if (byte === 0xf0) this.#least = 0x90;
    if (byte === 0xf4) this.#most = 0x8f;
    return false;
  }
}

const QUERY_BAD = refused('The query holds a control character, a space or "#"');

/**
 * Why a query is refused, or undefined. Queries are forwarded as they came: only
 * what RFC 3986 section 3.4 leaves no room for, and what would end the query or
 * the request line for another reader, is refused.
 *
 * @param query  with its `?`, or empty; latin1
 */
export function checkQuery(query: string): Refused | undefined {
  for (let i = 0; i < query.length; i++) {
    const c = query.charCodeAt(i);
    if (c <= 0x20 || c === 0x23 || c === 0x7f) return QUERY_BAD;
  }
  return undefined;
}
