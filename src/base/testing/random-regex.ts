import type { Random } from '../random.ts';

interface RandomRegex {
  readonly random: Random;
  /** Of groups in groups. */
  readonly depth: number;
  /** Whether there may be lookaround. */
  readonly looks: 'looks' | 'no-looks';
}

/** A random expression in the dialect that JavaScript shares. */
export function randomSource({ random, depth, looks }: RandomRegex): string {
  const pick = <T>(items: readonly T[]): T => items[random.bits32() % items.length]!;
  const inner = (): string => randomSource({ random, depth: depth - 1, looks });
  const atom = (): string => {
    if (depth > 0 && random.unit() < 0.35) return `${pick(['(', '(?:'])}${inner()})`;
    return pick([
      'a',
      'b',
      'c',
      '.',
      '[ab]',
      '[^a]',
      '[a-c]',
      '\\d',
      '\\w',
      '\\W',
      '[\\d_-]',
      '1',
      '-',
      '\\.',
      '\xe9',
      '/',
    ]);
  };
  const piece = (): string => {
    if (random.unit() < 0.12) return pick(['\\b', '\\B', '^', '$']);
    if (looks === 'looks' && depth > 0 && random.unit() < 0.2) return `(${pick(['?=', '?!', '?<=', '?<!'])}${inner()})`;
    return atom() + pick(['', '', '', '*', '+', '?', '{2}', '{1,2}', '{0,1}', '{2,}', '*?', '+?']);
  };
  const branch = (): string => Array.from({ length: random.bits32() % 4 }, piece).join('');
  return Array.from({ length: 1 + (random.unit() < 0.25 ? 1 + (random.bits32() % 2) : 0) }, branch).join('|');
}
