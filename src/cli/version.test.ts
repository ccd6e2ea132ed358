import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { runCommand } from './main.ts';
import { fakeIo } from './testing/fake-io.ts';

test('version: is the version of the package', async () => {
  const io = fakeIo();
  assert.equal(await runCommand(['version', '--json'], io), 0);
  const pack = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  assert.deepEqual(JSON.parse(io.outLines[0]!), { version: pack.version, node: 'v26.0.0', planFormat: 1 });
});
