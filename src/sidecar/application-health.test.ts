import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '../base/testing/manual-clock.ts';
import { ApplicationHealth } from './application-health.ts';

type Row = [rule: string, answers: readonly (string | undefined)[], want: readonly (string | undefined)[]];

const ROWS: Row[] = [
  ['the first answer is told, good', [undefined], [undefined]],
  ['or bad', ['refused'], ['refused']],
  ['while it starts, the same again is not told', ['refused', 'refused', 'refused'], ['refused']],
  ['that it has started is', ['refused', undefined], ['refused', undefined]],
  ['one bad answer between good ones is not believed', [undefined, 'late', undefined], [undefined]],
  ['two in a row are', [undefined, 'late', 'late'], [undefined, 'late']],
  ['one good answer is', [undefined, 'late', 'late', undefined], [undefined, 'late', undefined]],
];

for (const [rule, answers, want] of ROWS) {
  test(`health of the application: ${rule}`, async () => {
    const clock = new ManualClock();
    const told: (string | undefined)[] = [];
    let asked = 0;
    const health = new ApplicationHealth({
      clock,
      probe: () => Promise.resolve(answers[asked++]),
      onChange: (wrong) => told.push(wrong),
    });
    await turn();
    while (asked < answers.length) {
      clock.advance(2_000);
      // oxlint-disable-next-line no-await-in-loop -- one answer after the other
      await turn();
    }
    assert.deepEqual(told, want);
    assert.equal(health.isWell, answers.at(-1) === undefined);
    health.close();
    clock.advance(10_000);
    await turn();
    assert.equal(asked, answers.length);
  });
}

test('health of the application: one that starts is asked ten times a second', async () => {
  const clock = new ManualClock();
  let asked = 0;
  const health = new ApplicationHealth({
    clock,
    probe: () => Promise.resolve((asked++, 'refused')),
    onChange: () => undefined,
  });
  await turn();
  for (let i = 0; i < 10; i++) {
    clock.advance(100);
    // oxlint-disable-next-line no-await-in-loop -- one answer after the other
    await turn();
  }
  assert.equal(asked, 11);
  health.close();
});

test('health of the application: one that was well is asked each second, and at once again when it fails', async () => {
  const clock = new ManualClock();
  const told: (string | undefined)[] = [];
  const answers = [undefined, 'refused', 'refused', undefined];
  let asked = 0;
  const health = new ApplicationHealth({
    clock,
    probe: () => Promise.resolve(answers[asked++]),
    onChange: (wrong) => told.push(wrong),
  });
  await turn();
  const after = async (ms: number): Promise<number> => {
    clock.advance(ms);
    await turn();
    return asked;
  };
  assert.deepEqual([await after(999), await after(1), await after(100), await after(1_000)], [1, 2, 3, 4]);
  assert.deepEqual(told, [undefined, 'refused', undefined]);
  health.close();
});

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
