/** Reads IP addresses into words, without making anything: one runs for each request. */

/** Where an address is read to. */
export class IpWords {
  readonly of: Uint32Array = new Uint32Array(4);
  /** 1 for IPv4, 4 for IPv6. */
  count: 1 | 4 = 1;
}

/** Reads an address; IPv4-mapped IPv6 is IPv4. @returns false for what is none; `into` is then of no use */
export function readIp(text: string, into: IpWords): boolean {
  // An address of IPv6 has its first colon within five characters.
  if (text.lastIndexOf(':', 4) < 0) {
    const word = readIpv4(text);
    into.of[0] = word;
    into.count = 1;
    return word >= 0;
  }
  if (!readGroups(text)) return false;
  const { of } = into;
  for (let i = 0; i < 4; i++) of[i] = (GROUPS[i * 2]! << 16) | GROUPS[i * 2 + 1]!;
  into.count = of[0] === 0 && of[1] === 0 && of[2] === 0xffff ? 1 : 4;
  if (into.count === 1) of[0] = of[3]!;
  return true;
}

const DOT = 0x2e;
const COLON = 0x3a;
const ZERO = 0x30;

/** Four decimal numbers, or -1. No zeros in front: some read them as octal. */
export function readIpv4(text: string): number {
  return readIpv4From(text, 0);
}

function readIpv4From(text: string, start: number): number {
  const end = text.length;
  if (end - start > 15) return -1;
  let word = 0;
  let at = start;
  for (let parts = 0; parts < 4; parts++) {
    const first = at;
    let part = 0;
    for (; at < end; at++) {
      const digit = text.charCodeAt(at) - ZERO;
      if (!(digit >= 0 && digit <= 9)) break;
      part = part * 10 + digit;
    }
    const digits = at - first;
    if (digits === 0 || part > 255 || (digits > 1 && text.charCodeAt(first) === ZERO)) return -1;
    word = word * 256 + part;
    if (parts === 3) break;
    if (text.charCodeAt(at) !== DOT) return -1;
    at++;
  }
  return at === end ? word : -1;
}

/** The groups of the address that was read last. */
const GROUPS = new Uint16Array(8);

/** RFC 4291 section 2.2. The end of an address may be in IPv4 spelling. */
function readGroups(text: string): boolean {
  const end = text.length;
  if (end > 45) return false;
  let count = 0;
  /** Number of groups before `::`; -1 without. */
  let gap = -1;
  let at = 0;
  if (text.charCodeAt(0) === COLON) {
    if (text.charCodeAt(1) !== COLON) return false;
    gap = 0;
    at = 2;
  }
  while (at < end) {
    if (count === 8) return false;
    const start = at;
    let group = 0;
    for (; at < end && at - start < 4; at++) {
      const digit = hexDigit(text.charCodeAt(at));
      if (digit < 0) break;
      group = group * 16 + digit;
    }
    if (text.charCodeAt(at) === DOT) {
      const word = count > 6 ? -1 : readIpv4From(text, start);
      if (word < 0) return false;
      GROUPS[count++] = word >>> 16;
      GROUPS[count++] = word;
      break;
    }
    if (at === start) return false;
    GROUPS[count++] = group;
    if (at === end) break;
    if (text.charCodeAt(at++) !== COLON || at === end) return false;
    if (text.charCodeAt(at) !== COLON) continue;
    if (gap >= 0) return false;
    gap = count;
    at++;
  }
  if (gap < 0) return count === 8;
  if (count === 8) return false;
  GROUPS.copyWithin(gap + 8 - count, gap, count);
  GROUPS.fill(0, gap, gap + 8 - count);
  return true;
}

/** Value of an ASCII hex digit, or -1 (also for the NaN beyond the end of a text). */
function hexDigit(c: number): number {
  if (c >= 0x30 && c <= 0x39) return c - 0x30;
  const lower = c | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}
