/** Node's own reader and writer of Latin-1 bytes, which its type declarations leave out. `toString` would look the encoding up each time. */
interface Latin1Bytes {
  latin1Slice(start: number, end: number): string;
  latin1Write(text: string, at: number): number;
}

/** The bytes from `start` to `end` as one character each. */
export function latin1(bytes: Buffer, start = 0, end = bytes.length): string {
  return (bytes as unknown as Latin1Bytes).latin1Slice(start, end);
}

/** Up to this length a loop is faster than leaving JavaScript. */
const LOOP_CHARS_MAX = 20;

/** Writes one byte for each character at `at`. There must be room. @returns the offset behind */
export function writeLatin1(text: string, into: Buffer, at: number): number {
  const { length } = text;
  if (length > LOOP_CHARS_MAX) return at + (into as unknown as Latin1Bytes).latin1Write(text, at);
  for (let i = 0; i < length; i++) into[at + i] = text.charCodeAt(i);
  return at + length;
}
