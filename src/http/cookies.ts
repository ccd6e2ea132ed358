/** Cookies of a request, read where they lie (RFC 6265 section 4.2.1). Names are case-sensitive. */
import type { Headers } from './headers.ts';

/** Values of all cookies of this name, in all Cookie lines, in order; without the quotes around a quoted one. */
export function cookieValues(headers: Headers, name: string): string[] {
  const values: string[] = [];
  if (!headers.has('cookie')) return values;
  for (const line of headers.getAll('cookie')) {
    for (const pair of line.split(';')) {
      const value = valueOf(pair, name);
      if (value !== undefined) values.push(value);
    }
  }
  return values;
}

/** Takes all cookies of this name out; the others stay byte for byte, in their order. */
export function deleteCookie(headers: Headers, name: string): void {
  if (!headers.has('cookie')) return;
  const lines = headers.getAll('cookie');
  if (!lines.some((line) => line.split(';').some((pair) => valueOf(pair, name) !== undefined))) return;
  headers.delete('cookie');
  for (const line of lines) {
    const rest = line.split(';').filter((pair) => valueOf(pair, name) === undefined);
    const kept = withoutSpace(rest.join(';'));
    if (kept !== '') headers.add('cookie', kept);
  }
}

function valueOf(pair: string, name: string): string | undefined {
  const equals = pair.indexOf('=');
  if (equals < 0 || withoutSpace(pair.slice(0, equals)) !== name) return undefined;
  const value = withoutSpace(pair.slice(equals + 1));
  return value.length >= 2 && value.startsWith('"') && value.endsWith('"') ? value.slice(1, -1) : value;
}

/** RFC 9110 section 5.6.3: spaces and tabs, nothing else that `trim` would take. In linear time, which an expression would not be. */
function withoutSpace(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isSpace(text.charCodeAt(start))) start++;
  while (end > start && isSpace(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function isSpace(c: number): boolean {
  return c === 0x20 || c === 0x09;
}
