import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
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
    assert.deepEqual(readdirSync(dir), []);
    const next = await lockFolder(dir);
    assert.ok(next !== undefined);
    await next.release();
  });
}

/** A process that tries for the lock, says whether it has it, and lives until it is ended. */
async function holder(dir: string): Promise<{ readonly child: ChildProcess; readonly holds: boolean }> {
  const program = `
    import { lockFolder } from ${JSON.stringify(new URL('./folder-lock.ts', import.meta.url).href)};
    globalThis.lock = await lockFolder(${JSON.stringify(dir)});
    console.log(lock !== undefined);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, holds: said.toString().trim() === 'true' };
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await once(child, 'exit');
}

test('lock: a process that was killed holds it no longer', async () => {
  const dir = join(scratch, 'killed');
  const { child, holds } = await holder(dir);
  assert.equal(holds, true);
  assert.equal(await lockFolder(dir), undefined, 'while it lives');
  await kill(child);
  const lock = await lockFolder(dir);
  assert.ok(lock !== undefined, 'after it was killed');
  await lock.release();
  assert.deepEqual(readdirSync(dir), []);
});

test('lock: of many that find what a killed process left, one gets it', async () => {
  const left = join(scratch, 'left');
  await kill((await holder(left)).child);
  for (let round = 0; round < 30; round++) {
    const dir = join(scratch, `left-${round}`);
    mkdirSync(dir);
    for (const name of readdirSync(left)) linkSync(join(left, name), join(dir, name));
    const locks = await Promise.all(Array.from({ length: 2 + (round % 4) }, () => lockFolder(dir)));
    const held = locks.filter((lock) => lock !== undefined);
    assert.equal(held.length, 1, `round ${round}`);
    assert.equal(await lockFolder(dir), undefined);
    await held[0]!.release();
    assert.deepEqual(readdirSync(dir), []);
  }
});

test('lock: of processes that start together, one gets it', async () => {
  const dir = join(scratch, 'together');
  await kill((await holder(dir)).child);
  const all = await Promise.all([holder(dir), holder(dir), holder(dir), holder(dir)]);
  assert.equal(all.filter(({ holds }) => holds).length, 1);
  await Promise.all(all.map(({ child }) => kill(child)));
});

test('lock: who lets go does not take it from the next one', async () => {
  const dir = join(scratch, 'next');
  let lock = await lockFolder(dir);
  for (let round = 0; round < 30; round++) {
    const releasing = lock!.release();
    const next = (await lockFolder(dir)) ?? (await releasing.then(() => lockFolder(dir)));
    await releasing;
    assert.ok(next !== undefined);
    assert.equal(await lockFolder(dir), undefined, `round ${round}`);
    lock = next;
  }
  await lock!.release();
});

test('lock: one that is stopped holds it', async () => {
  const dir = join(scratch, 'stopped');
  const { child } = await holder(dir);
  child.kill('SIGSTOP');
  for (let i = 0; i < 3; i++) assert.equal(await lockFolder(dir), undefined);
  await kill(child);
});

test('lock: a draft that a process did not live to rename is removed', async () => {
  const dir = join(scratch, 'draft');
  mkdirSync(dir);
  writeFileSync(join(dir, 'lock-0000000000000000.draft'), '');
  const lock = await lockFolder(dir);
  assert.equal(readdirSync(dir).length, 1);
  await lock!.release();
});
