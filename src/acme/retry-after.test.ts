import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readRetryAfter } from './retry-after.ts';
import { clean } from './refusal.ts';

const NOW_MS = Date.parse('2027-01-01T00:00:00Z');

const ROWS: [value: unknown, want: number | undefined][] = [
  ['120', 120_000],
  ['Fri, 01 Jan 2027 00:01:00 GMT', 60_000],
  ['Fri, 01 Jan 2026 00:01:00 GMT', 0],
  ['soon', undefined],
  ['', undefined],
  [undefined, undefined],
  ['-5', undefined],
];

for (const [value, want] of ROWS) {
  test(`readRetryAfter: "${String(value)}"`, () => assert.equal(readRetryAfter(value, NOW_MS), want));
}

test('what a server wrote is one line with an end', () => {
  assert.equal(clean('a\r\nb\u001b[31mc'), 'a b [31mc');
  assert.equal(clean('x'.repeat(10_000)).length, 500);
});
