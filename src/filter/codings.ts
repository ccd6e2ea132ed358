/** Content codings: what a client takes, and the streams that write and read them (RFC 9110 section 8.4, RFC 8878, RFC 7932). */
import type { Transform } from 'node:stream';
import zlib from 'node:zlib';
import type { Headers } from '../http/headers.ts';

/** What is written. `deflate` is only read: its two forms made it unusable (RFC 9110 section 8.4.1.2). */
export const WRITTEN_CODINGS = ['zstd', 'br', 'gzip'] as const;
export type WrittenCoding = (typeof WRITTEN_CODINGS)[number];

export const READ_CODINGS = ['gzip', 'br', 'zstd', 'deflate'] as const;
export type ReadCoding = (typeof READ_CODINGS)[number];

/** What becomes of an answer by its Accept-Encoding. */
export interface CodingChoice {
  /** The coding to write; undefined for none. */
  readonly coding: WrittenCoding | undefined;
  /** `identity;q=0`: the answer is not wanted without a coding. */
  readonly identityRefused: boolean;
}

/** Longer lists are no browser's. */
const ACCEPT_CHARS_MAX = 512;

const NO_CODING: CodingChoice = { coding: undefined, identityRefused: false };

/**
 * The coding that a client likes best among `offered`; of equals the first one offered (RFC 9110 section 12.5.3).
 * Without the field every coding may be sent, but who does not ask is not known to read any.
 */
export function chooseCoding(accept: string | undefined, offered: readonly WrittenCoding[]): CodingChoice {
  if (accept === undefined || accept === '' || accept.length > ACCEPT_CHARS_MAX) return NO_CODING;
  const qualities = qualitiesOf(accept);
  const others = qualities.get('*');
  let coding: WrittenCoding | undefined;
  let best = 0;
  for (const one of offered) {
    const quality = qualities.get(one) ?? others ?? 0;
    if (quality > best) {
      best = quality;
      coding = one;
    }
  }
  const identity = qualities.get('identity');
  // What is preferred to every coding is no coding.
  if (identity !== undefined && identity > best) coding = undefined;
  return { coding, identityRefused: (identity ?? (others === 0 ? 0 : 1)) === 0 };
}

function qualitiesOf(accept: string): ReadonlyMap<string, number> {
  const qualities = new Map<string, number>();
  for (const element of accept.split(',')) {
    const [name = '', ...parameters] = element.split(';');
    const coding = codingName(name);
    if (coding === '') continue;
    qualities.set(coding, qualityOf(parameters));
  }
  return qualities;
}

/** RFC 9110 section 12.4.2. What is no quality is the least one: nothing is sent that may not be wanted. */
function qualityOf(parameters: readonly string[]): number {
  const weight = parameters.map((text) => text.trim()).find((text) => /^q\s*=/i.test(text));
  if (weight === undefined) return 1;
  const value = /^q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/i.exec(weight)?.[1];
  return value === undefined ? 0 : Number(value);
}

function codingName(text: string): string {
  const name = text.trim().toLowerCase();
  // RFC 9110 section 8.4.1.3.
  return name === 'x-gzip' ? 'gzip' : name;
}

/** The codings of a body in the order in which they were applied, without `identity`; empty for none. Lower case. */
export function codingsOf(headers: Headers): readonly string[] {
  const value = headers.combined('content-encoding');
  if (value === undefined) return [];
  return value
    .split(',')
    .map(codingName)
    .filter((name) => name !== '' && name !== 'identity');
}

export function isReadCoding(name: string): name is ReadCoding {
  return (READ_CODINGS as readonly string[]).includes(name);
}

/** Window of what is written, as a power of two: 256 KiB keep an encoder of br or zstd at one to two megabytes. */
const WINDOW_BITS = 18;

/** RFC 9659 section 3: what is sent as `zstd` needs a window of 8 MB at most. */
const ZSTD_WINDOW_BITS_MAX = 23;

export function encoderOf(coding: WrittenCoding, level: number): Transform & zlib.Zlib {
  switch (coding) {
    case 'gzip':
      return zlib.createGzip({ level });
    case 'br':
      return zlib.createBrotliCompress(brotliAt(level));
    case 'zstd':
      return zlib.createZstdCompress(zstdAt(level));
  }
}

/** Longest body for `encodeWhole`, in bytes: as long as a piece of a body, which a turn of the loop passes on anyway. */
export const QUICK_BYTES_MAX = 16 * 1024;

/** The highest levels at which as many bytes take less than a millisecond (measured with JSON). */
const QUICK_LEVELS_MAX: Readonly<Record<WrittenCoding, number>> = { gzip: 9, br: 6, zstd: 9 };

/** Whether a body takes longer to go to the thread pool and back than to be compressed here. Not when its length is not known (-1). */
export function isQuick(coding: WrittenCoding, level: number, bodyLength: number): boolean {
  return bodyLength >= 0 && bodyLength <= QUICK_BYTES_MAX && level <= QUICK_LEVELS_MAX[coding];
}

export function brotliAt(level: number): zlib.BrotliOptions {
  const { constants } = zlib;
  return { params: { [constants.BROTLI_PARAM_QUALITY]: level, [constants.BROTLI_PARAM_LGWIN]: WINDOW_BITS } };
}

export function zstdAt(level: number): zlib.ZstdOptions {
  const { constants } = zlib;
  return { params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_windowLog]: WINDOW_BITS } };
}

/** How what was written so far is completed, so that a reader has all of it. */
export function flushKindOf(coding: WrittenCoding): number {
  const { constants } = zlib;
  switch (coding) {
    case 'gzip':
      return constants.Z_SYNC_FLUSH;
    case 'br':
      return constants.BROTLI_OPERATION_FLUSH;
    case 'zstd':
      return constants.ZSTD_e_flush;
  }
}

/**
 * Bytes behind the end are refused: some readers pass them over, others take them for a second body.
 *
 * @param first  first byte of the body, which tells the two forms of `deflate` apart
 */
export function decoderOf(coding: ReadCoding, first: number): Transform & zlib.Zlib {
  const strict = { rejectGarbageAfterEnd: true };
  switch (coding) {
    case 'gzip':
      return zlib.createGunzip(strict);
    case 'br':
      return zlib.createBrotliDecompress(strict);
    case 'zstd':
      return zlib.createZstdDecompress({
        ...strict,
        params: { [zlib.constants.ZSTD_d_windowLogMax]: ZSTD_WINDOW_BITS_MAX },
      });
    case 'deflate':
      // RFC 1950 section 2.2: method 8 in the low bits. Without it, it is the bare form that some clients send.
      return (first & 0x0f) === 8 ? zlib.createInflate(strict) : zlib.createInflateRaw(strict);
  }
}

/** Fields that speak of the bytes of a body, and are not true of other bytes (RFC 9530, RFC 3230, RFC 1864). */
const DIGESTS = ['content-digest', 'repr-digest', 'digest', 'content-md5'] as const;

/** The body becomes other bytes: what the head says of its length and its bytes is taken back. */
export function forgetBytes(head: { readonly headers: Headers; bodyLength: number }): void {
  head.bodyLength = -1;
  for (const name of DIGESTS) head.headers.delete(name);
}

/** Other bytes than those that the tag was made of: the same to a reader, not byte by byte (RFC 9110 section 8.8.1). */
export function weakenTag(headers: Headers): void {
  const tag = headers.get('etag');
  if (tag?.startsWith('"') === true) headers.set('etag', `W/${tag}`);
}

/** Once, whatever other names are there (RFC 9110 section 12.5.5). */
export function addVary(headers: Headers, name: string): void {
  const vary = headers.combined('vary');
  const named = vary?.split(',').map((one) => one.trim().toLowerCase()) ?? [];
  if (!named.includes(name.toLowerCase()) && !named.includes('*')) headers.add('vary', name);
}

/** RFC 9110 section 7.7, RFC 9111 sections 5.2.1.6 and 5.2.2.6. */
export function forbidsTransform(headers: Headers): boolean {
  const control = headers.combined('cache-control');
  return control !== undefined && /(?:^|[,\s])no-transform(?:$|[,\s])/i.test(control);
}
