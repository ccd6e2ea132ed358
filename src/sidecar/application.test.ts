import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { Application, type ApplicationOptions } from './application.ts';

const node = process.execPath;

const ROWS: [rule: string, command: ApplicationOptions['command'], code: number, reason: RegExp][] = [
  ['one that ends well', [node, '-e', ''], 0, /exit code 0/],
  ['its exit code is passed on', [node, '-e', 'process.exit(7)'], 7, /exit code 7/],
  ['a signal that ended it is said as shells do', [node, '-e', 'process.kill(process.pid, "SIGKILL")'], 137, /SIGKILL/],
  ['one that is not there', ['no-such-program-of-ours'], 127, /no-such-program-of-ours/],
  ['one that cannot be run', ['/'], 126, /cannot be started/],
];

for (const [rule, command, code, reason] of ROWS) {
  test(`application: ${rule}`, async () => {
    const exit = await new Application({ command, env: process.env, output: 'inherit' }).exit;
    assert.equal(exit.code, code);
    assert.match(exit.reason, reason);
  });
}

test('application: it gets the signals and the environment that it is given', async () => {
  const script =
    'process.on("SIGTERM", () => process.exit(Number(process.env.CODE))); process.send?.(1); setInterval(() => 0, 1000)';
  const ready = `${script}; require("node:fs").writeFileSync(process.env.READY, "")`;
  const { mkdtempSync, rmSync, existsSync, watch } = await import('node:fs');
  const dir = mkdtempSync('/tmp/fourways-application-');
  try {
    const started = new Promise<void>((resolve) => {
      const watcher = watch(dir, () => {
        if (!existsSync(`${dir}/ready`)) return;
        watcher.close();
        resolve();
      });
    });
    const env = { ...process.env, CODE: '9', READY: `${dir}/ready` };
    const application = new Application({ command: [node, '-e', ready], env, output: 'inherit' });
    await started;
    assert.equal(application.signal('SIGTERM'), true);
    assert.equal((await application.exit).code, 9);
    assert.equal(application.signal('SIGTERM'), false);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test('what it writes can be handed on, to its last word', async () => {
  const [out, err] = [new PassThrough(), new PassThrough()];
  const program = 'process.stdout.write("o".repeat(100_000)); process.stderr.write("e"); process.exitCode = 3;';
  const application = new Application({ command: [node, '-e', program], env: process.env, output: { out, err } });
  const said = text(out);
  assert.equal((await application.exit).code, 3);
  await application.written;
  for (const stream of [out, err]) stream.end();
  assert.equal((await said).length, 100_000);
  assert.equal(await text(err), 'e');
});
