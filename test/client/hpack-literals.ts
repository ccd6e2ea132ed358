/** As much of HPACK (RFC 7541) as a test needs that says every field in full: strings out, and a status in. */

/** A string without Huffman coding, whatever it holds; latin1. */
export function literal(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  return Buffer.concat([Buffer.from(integer(bytes.length, 0x7f)), bytes]);
}

/** RFC 7541 section 5.1. */
function integer(value: number, prefixMax: number): number[] {
  if (value < prefixMax) return [value];
  const bytes = [prefixMax];
  let rest = value - prefixMax;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}

/** RFC 7541 appendix A: the statuses from index 8. */
const STATUSES = ['200', '204', '206', '304', '400', '404', '500'];

const STATUS_INDEX = 8;

/** RFC 7541 appendix B: `0` to `2` take 5 bits, `3` to `9` take 6. */
const DIGITS = new Map([
  ['00000', '0'],
  ['00001', '1'],
  ['00010', '2'],
  ...Array.from({ length: 7 }, (_, i): [string, string] => [(0x19 + i).toString(2).padStart(6, '0'), String(3 + i)]),
]);

/** The status of a block that begins with one; undefined when it does not. */
export function statusOf(block: Buffer): string | undefined {
  let at = 0;
  // Section 6.3: sizes of a table that is not used.
  while ((block[at]! & 0xe0) === 0x20) at++;
  const kind = block[at++]!;
  if ((kind & 0x80) !== 0) return STATUSES[(kind & 0x7f) - STATUS_INDEX];
  const index = (kind & 0x40) !== 0 ? kind & 0x3f : kind & 0x0f;
  if (index < STATUS_INDEX || index >= STATUS_INDEX + STATUSES.length) return undefined;
  const length = block[at]! & 0x7f;
  const value = block.subarray(at + 1, at + 1 + length);
  return (block[at]! & 0x80) === 0 ? value.toString('latin1') : digitsOf(value);
}

function digitsOf(coded: Buffer): string {
  const bits = Array.from(coded, (byte) => byte.toString(2).padStart(8, '0')).join('');
  let digits = '';
  for (let from = 0, to = 5; to <= bits.length; to++) {
    const digit = DIGITS.get(bits.slice(from, to));
    if (digit === undefined) continue;
    digits += digit;
    from = to;
    to += 4;
  }
  return digits;
}
