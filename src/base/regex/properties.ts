/** Characters by their Unicode properties (`\p{L}`, `\p{Script=Greek}`, `\p{Greek}`), as this JavaScript engine knows them. */
import { CODE_MAX, union } from './ranges.ts';
import type { Ranges } from './syntax.ts';

/** Properties whose characters are kept: expressions use few, and there are some three hundred. Thrown away when there are more. */
const KEPT_MAX = 64;

/** Code points that are looked at in one text. Surrogates of either kind fill whole blocks, so that no two make a pair. */
const BLOCK = 0x400;

const kept = new Map<string, Ranges>();

/** Undefined when there is no such property. A script may be named by itself, as in RE2 and PCRE. */
export function propertyRanges(name: string): Ranges | undefined {
  const known = kept.get(name);
  if (known !== undefined) return known;
  const run = runOf(name) ?? runOf(`Script=${name}`);
  if (run === undefined) return undefined;
  const ranges = scan(run);
  if (kept.size >= KEPT_MAX) kept.clear();
  kept.set(name, ranges);
  return ranges;
}

/** The name was looked at: of nothing but letters, digits, `_` and `=`, so that it stays inside its braces. */
function runOf(name: string): RegExp | undefined {
  try {
    return new RegExp(`\\p{${name}}+`, 'gu');
  } catch {
    return undefined;
  }
}

function scan(run: RegExp): Ranges {
  const found: number[] = [];
  for (let start = 0; start <= CODE_MAX; start += BLOCK) {
    const block = String.fromCodePoint(...Array.from({ length: BLOCK }, (_, i) => start + i));
    const width = start > 0xffff ? 2 : 1;
    for (const { index, 0: text } of block.matchAll(run)) {
      const first = start + index / width;
      found.push(first, first + text.length / width - 1);
    }
  }
  return union(found);
}
