/** Characters that no set of a program tells apart are one letter: tables need a column per letter only. */
import { includes, CODE_MAX, WORD } from './ranges.ts';
import type { Ranges } from './syntax.ts';

export interface Alphabet {
  /** Number of letters. */
  readonly size: number;
  /** Letter of each code point below 256. */
  readonly low: Uint16Array;
  /** Letter of a code point from 256 on. */
  letterOf(code: number): number;
  /** For each set of the program, 1 at the letters that it holds. */
  readonly members: readonly Uint8Array[];
  /** 1 at the letters that `\w` holds. */
  readonly word: Uint8Array;
}

/** @param words  whether letters must also tell word characters from others, for `\b` */
export function alphabetOf(sets: readonly Ranges[], words: 'words' | 'no-words'): Alphabet {
  const telling = words === 'words' ? [...sets, WORD] : sets;
  const starts = firstCodes(telling);
  const letters = new Map<string, number>();
  const letterByInterval = starts.map((code) => {
    const signature = telling.map((ranges) => (includes(ranges, code) ? '1' : '0')).join('');
    const known = letters.get(signature);
    if (known !== undefined) return known;
    letters.set(signature, letters.size);
    return letters.size - 1;
  });
  const signatures = [...letters.keys()];
  const column = (place: number): Uint8Array => Uint8Array.from(signatures, (signature) => Number(signature[place]));
  const letterOf = (code: number): number => letterByInterval[intervalOf(starts, code)]!;
  return {
    size: letters.size,
    low: Uint16Array.from({ length: 256 }, (_, code) => letterOf(code)),
    letterOf,
    members: sets.map((_, place) => column(place)),
    word: words === 'words' ? column(sets.length) : new Uint8Array(letters.size),
  };
}

/** First code of each stretch within which no set begins or ends; ascending, from 0. */
function firstCodes(sets: readonly Ranges[]): number[] {
  const starts = new Set([0]);
  for (const ranges of sets) {
    for (let i = 0; i < ranges.length; i += 2) {
      starts.add(ranges[i]!);
      if (ranges[i + 1]! < CODE_MAX) starts.add(ranges[i + 1]! + 1);
    }
  }
  return [...starts].sort((a, b) => a - b);
}

/** Place of the last start that is not after `code`. */
function intervalOf(starts: readonly number[], code: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (starts[middle]! <= code) low = middle;
    else high = middle - 1;
  }
  return low;
}
