import { randomBytes } from 'node:crypto';

/** Randomness, lent: seeded in tests. Not for secrets. */
export interface Random {
  /** Uniform in [0, 1). */
  unit(): number;
  /** Unsigned 32 bits. */
  bits32(): number;
}

/** xoshiro128**: 4 words of state, a few nanoseconds a number. @see https://prng.di.unimi.it/ */
export function seededRandom(a: number, b: number, c: number, d: number): Random {
  const bits32 = (): number => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const t = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = rotate(d, 11);
    return result;
  };
  return { bits32, unit: () => bits32() / 0x1_0000_0000 };
}

export function systemRandom(): Random {
  const seed = randomBytes(16);
  return seededRandom(seed.readInt32LE(0) | 1, seed.readInt32LE(4), seed.readInt32LE(8), seed.readInt32LE(12));
}

function rotate(x: number, k: number): number {
  return (x << k) | (x >>> (32 - k));
}
