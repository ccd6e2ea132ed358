/**
 * Encoders of whole short bodies, one of each coding and level for a worker. The
 * calls of node:zlib for whole bodies make an encoder each time, with its hundreds
 * of kilobytes: that may take longer than to compress the body, and makes the
 * garbage collector run. The handle behind a stream can be used again, but is no
 * part of the documented interface: it is taken only where it is there and writes
 * the same bytes as those calls. (That of br forgets its level when it is reset.)
 */
import zlib from 'node:zlib';
import { brotliAt, encoderOf, QUICK_BYTES_MAX, type WrittenCoding, zstdAt } from './codings.ts';

type Encode = (body: Buffer) => Buffer;

/** By coding and level, of which there are 24 that are quick. */
const encoders = new Map<string, Encode>();

/** Compresses a body of which `isQuick`, in this thread. */
export function encodeWhole(coding: WrittenCoding, level: number, body: Buffer): Buffer {
  const key = `${coding} ${level}`;
  let encode = encoders.get(key);
  if (encode === undefined) encoders.set(key, (encode = makeEncode(coding, level)));
  return encode(body);
}

function makeEncode(coding: WrittenCoding, level: number): Encode {
  const anew = (body: Buffer): Buffer => encodeAnew(coding, level, body);
  const again = encodeAgain(coding, level);
  return again !== undefined && areAlike(again, anew) ? (body) => again(body) ?? anew(body) : anew;
}

/** The documented calls. */
export function encodeAnew(coding: WrittenCoding, level: number, body: Buffer): Buffer {
  switch (coding) {
    case 'gzip':
      return zlib.gzipSync(body, { level });
    case 'br':
      return zlib.brotliCompressSync(body, brotliAt(level));
    case 'zstd':
      return zlib.zstdCompressSync(body, zstdAt(level));
  }
}

/** What a stream of node:zlib has. */
interface Internals {
  readonly _handle?: {
    readonly reset?: () => void;
    readonly writeSync?: (
      flush: number,
      ...inAndOut: readonly [Buffer, offset: number, length: number, Buffer, offset: number, length: number]
    ) => void;
  };
  /** Bytes for which there was room yet, and bytes that were not read. */
  readonly _writeState?: Uint32Array;
}

/** Twice what a body may be: nothing becomes so much longer. */
const OUT_BYTES = 2 * QUICK_BYTES_MAX;
const out = Buffer.allocUnsafeSlow(OUT_BYTES);

/** Gives nothing when the encoder failed; undefined where there is none to use again. */
function encodeAgain(coding: WrittenCoding, level: number): ((body: Buffer) => Buffer | undefined) | undefined {
  if (coding === 'br') return undefined;
  const stream = encoderOf(coding, level);
  const { _handle: handle, _writeState: state } = stream as Internals;
  if (handle?.reset === undefined || handle.writeSync === undefined || state === undefined) return undefined;
  let isBroken = false;
  stream.once('error', () => (isBroken = true));
  const end = coding === 'gzip' ? zlib.constants.Z_FINISH : zlib.constants.ZSTD_e_end;
  return (body) => {
    if (isBroken || body.length > QUICK_BYTES_MAX) return undefined;
    handle.reset!();
    handle.writeSync!(end, body, 0, body.length, out, 0, OUT_BYTES);
    const [room, unread] = state;
    return room! > 0 && unread === 0 ? Buffer.from(out.subarray(0, OUT_BYTES - room!)) : undefined;
  };
}

/** The second body tells whether anything of the first one, or of the level, is lost. */
function areAlike(again: (body: Buffer) => Buffer | undefined, anew: Encode): boolean {
  try {
    return ['{"name":"one","tags":["one","two"]}', 'two'].every((text) => {
      const body = Buffer.from(text.repeat(100));
      return again(body)?.equals(anew(body)) === true;
    });
  } catch {
    return false;
  }
}
