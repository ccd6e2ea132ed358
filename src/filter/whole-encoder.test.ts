import assert from 'node:assert/strict';
import { test } from 'node:test';
import zlib from 'node:zlib';
import { seededRandom } from '../base/random.ts';
import { isQuick, QUICK_BYTES_MAX, WRITTEN_CODINGS, type WrittenCoding } from './codings.ts';
import { encodeAnew, encodeWhole } from './whole-encoder.ts';

const DECODE: Readonly<Record<WrittenCoding, (body: Buffer) => Buffer>> = {
  gzip: (body) => zlib.gunzipSync(body),
  br: (body) => zlib.brotliDecompressSync(body),
  zstd: (body) => zlib.zstdDecompressSync(body),
};

/** Some that compress well, some that become longer. */
function bodies(): Buffer[] {
  const random = seededRandom(31, 32, 33, 34);
  const noise = Buffer.from(Array.from({ length: QUICK_BYTES_MAX }, () => random.bits32() & 0xff));
  const text = Buffer.from('{"id":7,"name":"a name","tags":["a","b"]},'.repeat(400)).subarray(0, QUICK_BYTES_MAX);
  const lengths = [0, 1, 17, 1_000, 16_383, QUICK_BYTES_MAX];
  return lengths.flatMap((length) => [text.subarray(0, length), noise.subarray(0, length), Buffer.alloc(length, 'x')]);
}

for (const coding of WRITTEN_CODINGS) {
  test(`whole encoder: ${coding} is what the call of node:zlib writes, whatever was encoded before`, () => {
    for (let level = 1; isQuick(coding, level, QUICK_BYTES_MAX); level++) {
      for (const body of bodies()) {
        const encoded = encodeWhole(coding, level, body);
        assert.ok(encoded.equals(encodeAnew(coding, level, body)), `level ${level}, ${body.length} bytes`);
        assert.ok(DECODE[coding](encoded).equals(body));
      }
    }
  });

  test(`whole encoder: what ${coding} gave stays as it is when another body is encoded`, () => {
    const [first, second] = [Buffer.from('first '.repeat(50)), Buffer.from('second '.repeat(50))];
    const encoded = encodeWhole(coding, 1, first);
    encodeWhole(coding, 1, second);
    assert.ok(DECODE[coding](encoded).equals(first));
  });
}

for (const coding of ['gzip', 'zstd'] as const) {
  test(`whole encoder: ${coding} makes no encoder for each body`, () => {
    const body = Buffer.from('{"id":7}'.repeat(20));
    const cpuOf = (encode: () => void): number => {
      for (let i = 0; i < 200; i++) encode();
      let best = Infinity;
      for (let round = 0; round < 7; round++) {
        const start = process.cpuUsage();
        for (let i = 0; i < 300; i++) encode();
        const { user, system } = process.cpuUsage(start);
        best = Math.min(best, user + system);
      }
      return best;
    };
    const ratio = cpuOf(() => encodeWhole(coding, 3, body)) / cpuOf(() => encodeAnew(coding, 3, body));
    assert.ok(ratio < 0.8, `${ratio.toFixed(2)} of the time`);
  });
}
