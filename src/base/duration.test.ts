import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseDuration } from './duration.ts';

const ROWS: [rule: string, text: string, wantMs: number | undefined][] = [
  ['seconds', '10s', 10_000],
  ['milliseconds', '500ms', 500],
  ['minutes', '2m', 120_000],
  ['hours', '1h', 3_600_000],
  ['parts add up', '1h30m10s500ms', 5_410_500],
  ['zero', '0s', 0],
  ['five digits', '99999s', 99_999_000],
  ['a number without a unit is refused', '10', undefined],
  ['six digits are refused', '100000s', undefined],
  ['a fraction is refused', '1.5s', undefined],
  ['a sign is refused', '-1s', undefined],
  ['a space is refused', '1 s', undefined],
  ['five parts are refused', '1h1m1s1ms1s', undefined],
  ['nothing is refused', '', undefined],
  ['another unit is refused', '1d', undefined],
];

for (const [rule, text, wantMs] of ROWS) {
  test(`parseDuration: ${rule}`, () => assert.equal(parseDuration(text), wantMs));
}
