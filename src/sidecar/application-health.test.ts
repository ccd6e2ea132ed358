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

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
