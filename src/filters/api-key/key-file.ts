/** Key files, and keys that stand in a policy, as tables. */
import { type Reading, SharedFiles } from '../../filter/shared-file.ts';
import { KeyTable } from './key-table.ts';
import { KEYS_MAX, LINE_BYTES_MAX } from './record.ts';

/** Lines between which requests go on: some milliseconds. */
const LINES_AT_ONCE = 1_000;
const COUNTED_AT_ONCE = 20_000;

const LF = 0x0a;
const SPACE = 0x20;

/** @throws {Error} with the number of the line that is wrong */
export const readKeys: Reading<KeyTable> = function* (bytes) {
  const lines = yield* countLines(bytes);
  if (lines > KEYS_MAX) throw new Error(`Expected at most ${KEYS_MAX} lines, got ${lines}`);
  const table = new KeyTable(lines);
  /** Lines of the keys, in order, where some line holds none. */
  const lineOf = new Uint32Array(lines);
  let line = 0;
  for (let start = 0; start < bytes.length;) {
    const stop = lineEnd(bytes, start);
    line++;
    if (stop - start > LINE_BYTES_MAX) {
      throw new Error(`line ${line}: Expected at most ${LINE_BYTES_MAX} bytes, got ${stop - start}`);
    }
    if (!isBlank(bytes, start, stop)) {
      lineOf[table.size] = line;
      const same = addLine(table, { bytes, start, stop, line });
      if (same !== undefined) throw new Error(`line ${line}: The same key as in line ${lineOf[same]}`);
    }
    start = stop + 1;
    if (line % LINES_AT_ONCE === 0) yield;
  }
  return table.seal();
};

interface Line {
  readonly bytes: Buffer;
  readonly start: number;
  readonly stop: number;
  readonly line: number;
}

function addLine(table: KeyTable, { bytes, start, stop, line }: Line): number | undefined {
  try {
    table.reader.read(bytes, start, stop);
  } catch (error) {
    throw new Error(`line ${line}: ${(error as Error).message}`, { cause: error });
  }
  return table.add(table.reader.entry);
}

function isBlank(bytes: Buffer, start: number, stop: number): boolean {
  for (let i = start; i < stop; i++) if (bytes[i]! > SPACE) return false;
  return true;
}

function* countLines(bytes: Buffer): Generator<undefined, number> {
  let lines = 0;
  for (let start = 0; start < bytes.length; start = lineEnd(bytes, start) + 1) {
    lines++;
    if (lines % COUNTED_AT_ONCE === 0) yield;
  }
  return lines;
}

function lineEnd(bytes: Buffer, start: number): number {
  const stop = bytes.indexOf(LF, start);
  return stop < 0 ? bytes.length : stop;
}

/** Files that some rule of this worker uses. */
export const KEY_FILES = new SharedFiles(readKeys);
