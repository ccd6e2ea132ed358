/** A small mesh in the simulation: large ones are for `npm run sim`. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { controlRestart } from './sim/restart.ts';
import { NO_JITTER } from './sim/scenario.ts';
import { SCENARIOS } from './sim/scenarios.ts';

const SIZE = { seed: 7, proxies: 60, services: 100, endpoints: 400, uses: 8 };
const SIM = fileURLToPath(new URL('sim/run.ts', import.meta.url));

for (const scenario of SCENARIOS) {
  test(`sim: ${scenario.name} holds, the same for the same seed and otherwise for another`, async () => {
    const first = await scenario.run(SIZE);
    assert.deepEqual(first.broken, []);
    const { figures, broken } = await scenario.run(SIZE);
    assert.deepEqual({ figures, broken }, { figures: first.figures, broken: [] });
    assert.notDeepEqual((await scenario.run({ ...SIZE, seed: 8 })).figures, first.figures);
  });
}

test('sim: proxies that wait without jitter are found as a herd', async () => {
  const { broken } = await controlRestart(SIZE, NO_JITTER);
  assert.match(broken.join('\n'), /^a herd: 60 of 60 proxies came within 100 ms/);
});

test('sim: the last line says what held, and the exit code whether all did', async () => {
  const size = ['--seed', '3', '--proxies', '40', '--services', '60', '--endpoints', '200', '--uses', '5'];
  const sim = (...more: string[]): Promise<{ stdout: string }> =>
    promisify(execFile)(process.execPath, [SIM, ...size, ...more]);
  const { stdout } = await sim('--scenario', 'change');
  assert.match(stdout.trimEnd().split('\n').at(-1)!, /^held: change \([\da-f]{16}\)$/);
  await assert.rejects(
    sim('--scenario', 'restart', '--no-jitter', '--json'),
    (error: { code: number; stdout: string }) => {
      assert.equal(error.code, 1);
      assert.match((JSON.parse(error.stdout) as { held: string }).held, /^BROKEN: restart: a herd: 40 of 40/);
      return true;
    },
  );
});
