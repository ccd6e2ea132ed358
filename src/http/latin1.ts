/** Node's own reader of Latin-1 bytes, which its type declarations leave out. `toString` would look the encoding up each time. */
interface Latin1Bytes {
  latin1Slice(start: number, end: number): string;
}

/** The bytes from `start` to `end` as one character each. */
export function latin1(bytes: Buffer, start = 0, end = bytes.length): string {
  return (bytes as unknown as Latin1Bytes).latin1Slice(start, end);
}
