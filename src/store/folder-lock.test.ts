import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { lockFolder } from './folder-lock.ts';

const scratch = mkdtempSync(join(tmpdir(), 'fourways-lock-'));
after(() => rmSync(scratch, { recursive: true, force: true }));

for (const [rule, name] of [
  ['a folder', 'short'],
  ['a folder whose name is longer than that of a socket may be', 'long-'.repeat(40)],
] as const) {
  test(`lock: ${rule} has one holder, and the next when it lets go`, async () => {
    const dir = join(scratch, name);
    const lock = await lockFolder(dir);
    assert.ok(lock !== undefined);
    assert.equal(await lockFolder(dir), undefined);
    await lock.release();
    assert.equal(existsSync(join(dir, 'lock')), false);
    const next = await lockFolder(dir);
    assert.ok(next !== undefined);
    await next.release();
  });
}

test('lock: a process that was killed holds it no longer', async () => {
  const dir = join(scratch, 'killed');
  const program = `
    import { lockFolder } from ${JSON.stringify(new URL('./folder-lock.ts', import.meta.url).href)};
    globalThis.lock = await lockFolder(${JSON.stringify(dir)});
    console.log(lock !== undefined);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  assert.equal(said.toString().trim(), 'true');
  assert.equal(await lockFolder(dir), undefined, 'while it lives');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const lock = await lockFolder(dir);
  assert.ok(lock !== undefined, 'after it was killed');
  await lock.release();
});
