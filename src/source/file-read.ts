/** One look into a file: its text, or in words why there is none. */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { MANIFEST_FILE_BYTES_MAX } from '../base/limits.ts';
import { systemReason } from './file-problem.ts';

export type FileText =
  | { readonly kind: 'text'; readonly text: string }
  /** Nothing is there: deleted, or never was. */
  | { readonly kind: 'gone' }
  /** `reason` in words: `permission denied`. */
  | { readonly kind: 'failed'; readonly reason: string };

// Without O_NONBLOCK, opening a named pipe would hold the process until somebody writes to it.
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

/** Strict: a manifest with bytes that are not UTF-8 would be served with replacement characters in it. */
const DECODER = new TextDecoder('utf-8', { fatal: true });

/** Synchronous: a manifest takes 20 µs this way and 100 µs through the thread pool. */
export function readFileText(path: string, bytesMax: number = MANIFEST_FILE_BYTES_MAX): FileText {
  let file: number;
  try {
    file = openSync(path, FLAGS);
  } catch (error) {
    const gone = error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR');
    return gone ? { kind: 'gone' } : { kind: 'failed', reason: systemReason(error) };
  }
  try {
    const stats = fstatSync(file);
    if (!stats.isFile()) return { kind: 'failed', reason: 'it is not a regular file' };
    if (stats.size > bytesMax) return { kind: 'failed', reason: `it has ${stats.size} bytes: ${bytesMax} are allowed` };
    return { kind: 'text', text: DECODER.decode(readBytes(file, stats.size, bytesMax)) };
  } catch (error) {
    const reason = error instanceof TypeError ? 'it is not UTF-8 text' : systemReason(error);
    return { kind: 'failed', reason };
  } finally {
    closeSync(file);
  }
}

/** Reads to the end, which may lie behind `size` when somebody is appending. */
function readBytes(file: number, size: number, bytesMax: number): Uint8Array {
  let bytes = Buffer.allocUnsafe(size + 1);
  let length = 0;
  for (;;) {
    const got = readSync(file, bytes, length, bytes.length - length, null);
    if (got === 0) return bytes.subarray(0, length);
    length += got;
    if (length > bytesMax) throw new RangeError(`it has more than ${bytesMax} bytes`);
    if (length === bytes.length) bytes = Buffer.concat([bytes], length * 2);
  }
}
