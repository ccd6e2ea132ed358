import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Backoff } from './backoff.ts';
import { seededRandom } from './random.ts';

const BOUNDS = { leastMs: 1_000, mostMs: 30_000 };
const fixed = (unit: number): { unit(): number; bits32(): number } => ({ unit: () => unit, bits32: () => 0 });

const ROWS: [rule: string, unit: number, want: readonly number[]][] = [
  ['the luckiest always waits the least', 0, [1_000, 1_000, 1_000]],
  ['the unluckiest waits three times as long each time, up to the most', 1, [3_000, 9_000, 27_000, 30_000, 30_000]],
  ['what is drawn lies between the least and three times the wait before', 0.5, [2_000, 3_500, 5_750]],
];

for (const [rule, unit, want] of ROWS) {
  test(`Backoff: ${rule}`, () => {
    const backoff = new Backoff(BOUNDS, fixed(unit));
    assert.deepEqual(
      want.map(() => backoff.nextMs()),
      want,
    );
  });
}

test('Backoff: begins anew after a reset', () => {
  const backoff = new Backoff(BOUNDS, fixed(1));
  for (let i = 0; i < 5; i++) backoff.nextMs();
  backoff.reset();
  assert.equal(backoff.nextMs(), 3_000);
});

test('Backoff: a thousand that are cut at once come back spread evenly over the first waits', () => {
  const perSlot = Array.from({ length: 10 }, () => 0);
  const random = seededRandom(1, 2, 3, 4);
  for (let i = 0; i < 1_000; i++) {
    const waitMs = new Backoff(BOUNDS, random).nextMs();
    perSlot[Math.floor((waitMs - 1_000) / 200)]! += 1;
  }
  for (const count of perSlot) assert.ok(count > 60 && count < 140, perSlot.join());
});
