import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSize } from './size.ts';

const ROWS: [rule: string, size: number | string, wantBytes: number | undefined][] = [
  ['a number is bytes', 8192, 8192],
  ['digits are bytes', '8192', 8192],
  ['Ki', '8Ki', 8192],
  ['Mi', '1Mi', 1_048_576],
  ['Gi', '2Gi', 2_147_483_648],
  ['zero', 0, 0],
  ['another unit is refused', '8k', undefined],
  ['a fraction is refused', '1.5Mi', undefined],
  ['nothing is refused', '', undefined],
];

for (const [rule, size, wantBytes] of ROWS) {
  test(`parseSize: ${rule}`, () => assert.equal(parseSize(size), wantBytes));
}
