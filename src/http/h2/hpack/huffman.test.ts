import assert from 'node:assert/strict';
import { test } from 'node:test';
import { huffmanDecode, huffmanEncode, huffmanLength } from './huffman.ts';

/** Codes as RFC 7541 appendix B prints them: some of each length, first and last among them. */
const CODES: [symbol: number, bits: number, code: number][] = [
  [0x30, 5, 0x0],
  [0x74, 5, 0x9],
  [0x20, 6, 0x14],
  [0x75, 6, 0x2d],
  [0x3a, 7, 0x5c],
  [0x7a, 7, 0x7b],
  [0x26, 8, 0xf8],
  [0x5a, 8, 0xfd],
  [0x3f, 10, 0x3fc],
  [0x7c, 11, 0x7fc],
  [0x3e, 12, 0xffb],
  [0, 13, 0x1ff8],
  [0x7e, 13, 0x1ffd],
  [0x7d, 14, 0x3ffd],
  [0x7b, 15, 0x7ffe],
  [0x5c, 19, 0x7fff0],
  [208, 19, 0x7fff2],
  [128, 20, 0xfffe6],
  [226, 20, 0xfffed],
  [153, 21, 0x1fffdc],
  [230, 21, 0x1fffe8],
  [129, 22, 0x3fffd2],
  [233, 22, 0x3fffeb],
  [1, 23, 0x7fffd8],
  [239, 23, 0x7ffff4],
  [9, 24, 0xffffea],
  [237, 24, 0xfffff5],
  [199, 25, 0x1ffffec],
  [235, 25, 0x1ffffef],
  [192, 26, 0x3ffffe0],
  [255, 26, 0x3ffffee],
  [203, 27, 0x7ffffde],
  [254, 27, 0x7fffff0],
  [2, 28, 0xfffffe2],
  [249, 28, 0xffffffe],
  [10, 30, 0x3ffffffc],
  [13, 30, 0x3ffffffd],
  [22, 30, 0x3ffffffe],
];

for (const [symbol, bits, code] of CODES) {
  test(`code of symbol ${symbol}`, () => {
    const size = Math.ceil(bits / 8);
    const padded = (BigInt(code) << BigInt(size * 8 - bits)) | ((1n << BigInt(size * 8 - bits)) - 1n);
    const bytes = Buffer.alloc(8);
    const end = huffmanEncode(String.fromCharCode(symbol), bytes, 0);
    assert.equal(bytes.toString('hex', 0, end), padded.toString(16).padStart(size * 2, '0'));
  });
}

test('every pair of symbols comes back', () => {
  const bytes = Buffer.alloc(16);
  const into = Buffer.alloc(16);
  for (let a = 0; a < 256; a++) {
    for (let b = 0; b < 256; b++) {
      const text = String.fromCharCode(a, b, 0x61);
      const end = huffmanEncode(text, bytes, 1);
      assert.equal(end - 1, huffmanLength(text));
      assert.equal(huffmanDecode(bytes, 1, end, into), 3);
      if (into.toString('latin1', 0, 3) !== text) assert.fail(`${a} ${b}`);
    }
  }
});

test('what does not fit is counted and not written', () => {
  const bytes = Buffer.alloc(16);
  const end = huffmanEncode('abcdef', bytes, 0);
  const into = Buffer.alloc(3);
  assert.equal(huffmanDecode(bytes, 0, end, into), 6);
  assert.equal(into.toString(), 'abc');
});
