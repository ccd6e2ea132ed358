/** Parts of a stored answer (RFC 9110 section 14). */

export interface ByteRange {
  readonly first: number;
  /** Inclusive. */
  readonly last: number;
}

/** Parts of one answer. Whoever asks for more gets all of it. */
const RANGES_MAX = 16;

const CHARS_MAX = 512;

/** `whole`: the field is not understood, or asks for too much, and is as if it were not there (section 14.2). */
export function parseRanges(value: string, length: number): readonly ByteRange[] | 'whole' | 'unsatisfiable' {
  const set = value.length > CHARS_MAX ? null : /^bytes=(.+)$/i.exec(value);
  if (set === null) return 'whole';
  const ranges: ByteRange[] = [];
  const specs = set[1]!.split(',');
  if (specs.length > RANGES_MAX) return 'whole';
  let bytes = 0;
  for (const spec of specs) {
    const range = readRange(spec.trim(), length);
    if (range === undefined) return 'whole';
    if (range === 'beyond') continue;
    ranges.push(range);
    bytes += range.last - range.first + 1;
  }
  if (ranges.length === 0) return 'unsatisfiable';
  // Parts that overlap would make more of it than there is.
  return ranges.length > 1 && bytes > length ? 'whole' : ranges;
}

function readRange(spec: string, length: number): ByteRange | 'beyond' | undefined {
  const found = /^(\d{0,15})-(\d{0,15})$/.exec(spec);
  if (found === null) return undefined;
  const [, from = '', to = ''] = found;
  if (from === '') {
    if (to === '') return undefined;
    const suffix = Number(to);
    if (suffix === 0 || length === 0) return 'beyond';
    return { first: Math.max(0, length - suffix), last: length - 1 };
  }
  const first = Number(from);
  if (to !== '' && Number(to) < first) return undefined;
  if (first >= length) return 'beyond';
  return { first, last: to === '' ? length - 1 : Math.min(Number(to), length - 1) };
}

export function contentRange({ first, last }: ByteRange, length: number): string {
  return `bytes ${first}-${last}/${length}`;
}

export interface Multipart {
  readonly contentType: string;
  readonly body: Buffer;
}

/** RFC 9110 section 14.6. @param boundary  must not stand in the body: random */
export function multipart(
  body: Buffer,
  ranges: readonly ByteRange[],
  type: { readonly contentType: string | undefined; readonly boundary: string },
): Multipart {
  const { contentType, boundary } = type;
  const typeLine = contentType === undefined ? '' : `content-type: ${contentType}\r\n`;
  const pieces = ranges.flatMap((range) => [
    Buffer.from(`\r\n--${boundary}\r\n${typeLine}content-range: ${contentRange(range, body.length)}\r\n\r\n`, 'latin1'),
    body.subarray(range.first, range.last + 1),
  ]);
  pieces.push(Buffer.from(`\r\n--${boundary}--\r\n`, 'latin1'));
  return { contentType: `multipart/byteranges; boundary=${boundary}`, body: Buffer.concat(pieces) };
}
