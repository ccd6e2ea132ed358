/** Cookies of a request and of an answer (RFC 6265): values in pieces where they are long. */
import type { Headers } from '../../http/headers.ts';

/** RFC 6265 section 6.1: browsers keep 4096 bytes of name, value and attributes. */
const PIECE_CHARS = 3_800;

/** 19 KB in all: heads of requests have bounds too. */
const PIECES_MAX = 5;

export type Cookies = ReadonlyMap<string, string>;

const NO_COOKIES: Cookies = new Map();

/** All cookies; of two with one name the first counts, as a browser sends the one of the longest path first. */
export function readCookies(headers: Headers): Cookies {
  const lines = headers.getAll('cookie');
  if (lines.length === 0) return NO_COOKIES;
  const cookies = new Map<string, string>();
  for (const pair of lines.join(';').split(';')) {
    const at = pair.indexOf('=');
    const name = pair.slice(0, at).trim();
    if (at > 0 && !cookies.has(name)) cookies.set(name, pair.slice(at + 1).trim());
  }
  return cookies;
}

/** Takes cookies out whose name begins with `prefix`, and leaves the others as they are. */
export function stripCookies(headers: Headers, prefix: string): void {
  const lines = headers.getAll('cookie');
  if (!lines.some((line) => line.includes(prefix))) return;
  headers.delete('cookie');
  for (const line of lines) {
    const kept = line.split(';').filter((pair) => !pair.trimStart().startsWith(prefix));
    const text = kept.join(';').trim();
    if (text !== '') headers.add('cookie', text);
  }
}

export interface CookieStyle {
  /** `; Path=/; …`, all but the age. */
  readonly attributes: string;
}

export function styleOf(transport: 'https' | 'any'): CookieStyle {
  return { attributes: `; Path=/; HttpOnly; SameSite=Lax${transport === 'https' ? '; Secure' : ''}` };
}

/** Undefined when it is longer than cookies may be. The first piece says how many there are. */
export function writePieces(
  name: string,
  value: string,
  maxAgeS: number,
  { attributes }: CookieStyle,
): string[] | undefined {
  const count = Math.ceil(value.length / PIECE_CHARS);
  if (count > PIECES_MAX) return undefined;
  return Array.from({ length: count }, (_, i) => {
    const piece = value.slice(i * PIECE_CHARS, (i + 1) * PIECE_CHARS);
    return `${pieceName(name, i)}=${i === 0 ? `${count}~` : ''}${piece}; Max-Age=${maxAgeS}${attributes}`;
  });
}

export function readPieces(name: string, cookies: Cookies): string | undefined {
  const first = cookies.get(name) ?? '';
  const count = first.charCodeAt(0) - 0x30;
  if (first[1] !== '~' || !(count >= 1 && count <= PIECES_MAX)) return undefined;
  let value = first.slice(2);
  for (let i = 1; i < count; i++) {
    const piece = cookies.get(pieceName(name, i));
    if (piece === undefined) return undefined;
    value += piece;
  }
  return value;
}

/** Lines that take away what the browser has of it, beyond the first `kept` pieces. */
export function clearPieces(name: string, cookies: Cookies, style: CookieStyle, kept = 0): string[] {
  const names = Array.from({ length: PIECES_MAX }, (_, i) => pieceName(name, i)).slice(kept);
  return names.filter((piece) => cookies.has(piece)).map((piece) => clearCookie(piece, style));
}

export function clearCookie(name: string, { attributes }: CookieStyle): string {
  return `${name}=; Max-Age=0${attributes}`;
}

function pieceName(name: string, i: number): string {
  return i === 0 ? name : `${name}.${i}`;
}
