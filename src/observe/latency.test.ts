import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../base/random.ts';
import { LATENCY_FIELDS, latencyParts, type Marks, milliseconds } from './latency.ts';

const NEVER = -1;

/** Parts in milliseconds by name: client, filters, retries, queue, connect, upstream, body. */
const ROWS: [rule: string, marks: number[], want: number[]][] = [
  ['each part is the distance between two marks', [0, 1, 3, 3, 6, 10, 15, 21], [1, 2, 0, 3, 4, 5, 6]],
  ['attempts before the last are retries', [0, 1, 2, 50, 50, 51, 60, 61], [1, 1, 48, 0, 1, 9, 1]],
  ['an answer of our own has no upstream', [0, 1, 3, NEVER, NEVER, NEVER, 3, 5], [1, 2, 0, 0, 0, 0, 2]],
  [
    'a request that waited in vain spent its time in the queue',
    [0, 1, 2, 2, NEVER, NEVER, 90, 91],
    [1, 1, 0, 88, 0, 0, 1],
  ],
  ['a connection that failed spent it connecting', [0, 1, 2, 2, 3, NEVER, 90, 91], [1, 1, 0, 1, 87, 0, 1]],
  ['an upstream that never answered', [0, 1, 2, 2, 3, 4, NEVER, 91], [1, 1, 0, 1, 1, 87, 0]],
  ['a head that never came', [0, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, 90], [90, 0, 0, 0, 0, 0, 0]],
  ['marks out of order give no part below zero', [0, 5, 3, 9, 2, 1, 8, 7], [1, 0, 0, 0, 0, 6, 0]],
  ['an end before the start is no time', [5, 6, 7, 8, 9, 9, 9, 4], [0, 0, 0, 0, 0, 0, 0]],
];

function marksOf(at: readonly number[]): Marks {
  const [startMs, headMs, filteredMs, attemptMs, admittedMs, connectedMs, answeredMs, endMs] = at as number[] & {
    length: 8;
  };
  return {
    startMs: startMs!,
    headMs: headMs!,
    filteredMs: filteredMs!,
    attemptMs: attemptMs!,
    admittedMs: admittedMs!,
    connectedMs: connectedMs!,
    answeredMs: answeredMs!,
    endMs: endMs!,
  };
}

for (const [rule, marks, want] of ROWS) {
  test(`latency: ${rule}`, () => {
    const parts = latencyParts(marksOf(marks));
    assert.deepEqual(
      LATENCY_FIELDS.map(({ part }) => parts[part] / 1_000),
      want,
    );
  });
}

test('latency: the parts add up to the whole, whatever the marks are', () => {
  const random = seededRandom(5, 6, 7, 8);
  for (let i = 0; i < 20_000; i++) {
    const startMs = random.unit() * 1e9;
    const marks = Array.from({ length: 7 }, () =>
      random.unit() < 0.2 ? NEVER : startMs + (random.unit() - 0.1) * 1_000,
    );
    const parts = latencyParts(marksOf([startMs, ...marks.slice(0, 6), startMs + random.unit() * 1_000]));
    let sumUs = 0;
    for (const { part } of LATENCY_FIELDS) {
      assert.ok(Number.isInteger(parts[part]) && parts[part] >= 0);
      sumUs += parts[part];
    }
    assert.equal(sumUs, parts.durationUs);
  }
});

const FIGURES: [us: number, want: string][] = [
  [0, '0.000'],
  [7, '0.007'],
  [70, '0.070'],
  [999, '0.999'],
  [1_000, '1.000'],
  [1_234_567, '1234.567'],
];
for (const [us, want] of FIGURES)
  test(`latency: ${us} us prints as ${want} ms`, () => assert.equal(milliseconds(us), want));
