/** Every example as its README has it: it is checked, run on free ports, and every step is held to what it claims. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { copyExample, type Example, exampleNames, startExample, tryStep } from '../examples/example.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), 'fourways-examples-'));

after(() => rmSync(scratch, { recursive: true, force: true }));

// Three at a time: an example mostly waits for what it shows.
describe('examples', { concurrency: 3 }, () => {
  for (const name of exampleNames()) {
    test(name, async (t) => {
      const example = await copyExample(name, join(scratch, name));
      assert.notEqual(example.steps.length, 0);
      for (const step of example.steps) assert.notEqual(step.wants.length, 0, `"${step.shows}" claims nothing`);

      const running = await startExample(example, { data: join(scratch, `${name}-data`), output: 'ignore' });
      try {
        await t.test('fourways check finds no problem', () => check(example));
        for (const step of example.steps) {
          await t.test(step.shows, async () => {
            const lack = await tryStep(step, example);
            if (lack !== undefined) assert.fail(lack);
          });
        }
      } finally {
        assert.equal(await running.stop(), 0, 'SIGTERM ends the gateway with 0');
      }
    });
  }
});

test('there are examples', () => {
  assert.ok(exampleNames().length >= 16, `found ${exampleNames().join(', ')}`);
});

/** After it was started, because some make their certificates then. */
async function check({ folder }: Example): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<{ readonly code: unknown; readonly output: string }>();
  execFile(join(ROOT, 'bin/fourways'), ['check', folder, '--strict', '--json'], (error, stdout, stderr) =>
    resolve({ code: error === null ? 0 : error.code, output: stdout + stderr }),
  );
  const { code, output } = await promise;
  assert.equal(code, 0, output);
  assert.deepEqual((JSON.parse(output) as { readonly problems: unknown }).problems, [], output);
}
