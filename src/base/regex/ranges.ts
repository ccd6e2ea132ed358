/** Sets of characters as sorted ranges of code points. */
import type { Ranges } from './syntax.ts';

/** Largest code point of Unicode. */
export const CODE_MAX = 0x10ffff;

export const DIGIT: Ranges = [0x30, 0x39];
export const WORD: Ranges = [0x30, 0x39, 0x41, 0x5a, 0x5f, 0x5f, 0x61, 0x7a];
/** Tab, LF, VT, FF, CR, space. */
export const SPACE: Ranges = [0x09, 0x0d, 0x20, 0x20];
const LINE_ENDS: Ranges = [0x0a, 0x0a, 0x0d, 0x0d, 0x2028, 0x2029];
/** What `.` takes: anything but the end of a line. */
export const NOT_LINE_END: Ranges = complement(LINE_ENDS);
export const ANYTHING: Ranges = [0, CODE_MAX];

/** Classes by their POSIX names, as in `[[:alpha:]]`. */
export const POSIX: ReadonlyMap<string, Ranges> = new Map([
  ['alnum', [0x30, 0x39, 0x41, 0x5a, 0x61, 0x7a]],
  ['alpha', [0x41, 0x5a, 0x61, 0x7a]],
  ['digit', DIGIT],
  ['lower', [0x61, 0x7a]],
  ['punct', [0x21, 0x2f, 0x3a, 0x40, 0x5b, 0x60, 0x7b, 0x7e]],
  ['space', SPACE],
  ['upper', [0x41, 0x5a]],
  ['word', WORD],
  ['xdigit', [0x30, 0x39, 0x41, 0x46, 0x61, 0x66]],
]);

/** Sorts, and joins what overlaps or touches. */
export function union(ranges: Ranges): Ranges {
  const pairs: [first: number, last: number][] = [];
  for (let i = 0; i < ranges.length; i += 2) pairs.push([ranges[i]!, ranges[i + 1]!]);
  pairs.sort((a, b) => a[0] - b[0]);
  const joined: number[] = [];
  for (const [first, last] of pairs) {
    const before = joined.length - 1;
    if (before > 0 && first <= joined[before]! + 1) joined[before] = Math.max(joined[before]!, last);
    else joined.push(first, last);
  }
  return joined;
}

export function complement(ranges: Ranges): Ranges {
  const rest: number[] = [];
  let from = 0;
  for (let i = 0; i < ranges.length; i += 2) {
    if (ranges[i]! > from) rest.push(from, ranges[i]! - 1);
    from = ranges[i + 1]! + 1;
  }
  if (from <= CODE_MAX) rest.push(from, CODE_MAX);
  return rest;
}

/** With the other case of each ASCII letter. Beyond ASCII, cases are kept apart: text on the wire is bytes. */
export function foldCase(ranges: Ranges): Ranges {
  const folded = [...ranges];
  for (let i = 0; i < ranges.length; i += 2) {
    addShifted(folded, { first: Math.max(ranges[i]!, 0x41), last: Math.min(ranges[i + 1]!, 0x5a), by: 0x20 });
    addShifted(folded, { first: Math.max(ranges[i]!, 0x61), last: Math.min(ranges[i + 1]!, 0x7a), by: -0x20 });
  }
  return union(folded);
}

function addShifted(to: number[], { first, last, by }: { first: number; last: number; by: number }): void {
  if (first <= last) to.push(first + by, last + by);
}

export function includes(ranges: Ranges, code: number): boolean {
  for (let i = 0; i < ranges.length; i += 2) if (code >= ranges[i]! && code <= ranges[i + 1]!) return true;
  return false;
}
