import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Turnstile } from './turnstile.ts';

test('as many jobs run at once as may, the others in order; failures make room too', async () => {
  const turnstile = new Turnstile(2);
  let running = 0;
  let most = 0;
  const started: number[] = [];
  const jobs = Array.from({ length: 9 }, (_, i) =>
    turnstile.run(async () => {
      started.push(i);
      most = Math.max(most, ++running);
      await new Promise((resolve) => setImmediate(resolve));
      running--;
      if (i % 3 === 1) throw new Error(`job ${i}`);
      return i;
    }),
  );
  const results = await Promise.allSettled(jobs);
  assert.equal(most, 2);
  assert.deepEqual(started, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
  assert.deepEqual(
    results.map((result) => (result.status === 'fulfilled' ? result.value : String(result.reason))),
    [0, 'Error: job 1', 2, 3, 'Error: job 4', 5, 6, 'Error: job 7', 8],
  );
});
