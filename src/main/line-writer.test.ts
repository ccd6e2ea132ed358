import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileSink, LineWriter, type Sink } from './line-writer.ts';

test('LineWriter: what waits is bounded, and what does not fit is refused', async () => {
  const open: (() => void)[] = [];
  const sink: Sink = (_, done) => open.push(() => done(undefined));
  const writer = new LineWriter(sink, 10);
  const first = writer.write('12345678');
  await assert.rejects(writer.write('9ab'), /the reader is too slow/);
  writer.line('9ab');
  let idle = false;
  const done = writer.idle().then(() => (idle = true));
  await Promise.resolve();
  assert.equal(idle, false);
  open.shift()!();
  await first;
  await done;
  assert.equal(writer.dropped, 1);
  const second = writer.write('12345678');
  open.shift()!();
  await second;
});

test('LineWriter: a reader that has gone is an answer', async () => {
  const writer = new LineWriter((_, done) => done(new Error('EPIPE')));
  await assert.rejects(writer.write('x'), /EPIPE/);
  await writer.idle();
});

test('fileSink: batches arrive in order', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'fourways-lines-'));
  t.after(() => rm(folder, { recursive: true }));
  const path = join(folder, 'log');
  const fd = openSync(path, 'w');
  t.after(() => closeSync(fd));
  const writer = new LineWriter(fileSink(fd));
  const batches = Array.from({ length: 50 }, (_, i) => `${i}:${'x'.repeat(10_000)}\n`);
  await Promise.all(batches.map((batch) => writer.write(batch)));
  assert.equal(readFileSync(path, 'latin1'), batches.join(''));
});

test('fileSink: a full disk is an answer', { skip: process.platform !== 'linux' }, async (t) => {
  const fd = openSync('/dev/full', 'w');
  t.after(() => closeSync(fd));
  const writer = new LineWriter(fileSink(fd));
  await assert.rejects(writer.write('x\n'), { code: 'ENOSPC' });
});

test('LineWriter: a pipe that nobody reads neither blocks the process nor keeps it from ending', async () => {
  const program = `
    import { LineWriter, sinkOf } from ${JSON.stringify(new URL('./line-writer.ts', import.meta.url).href)};
    const writer = new LineWriter(sinkOf(1, process.stdout));
    writer.write('x'.repeat(1 << 20)).then(() => process.stderr.write('written'), () => process.stderr.write('refused'));
    setTimeout(() => { process.stderr.write('alive'); process.exit(7); }, 50);
  `;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const [code] = (await once(child, 'exit')) as [number];
  child.stdout.destroy();
  assert.deepEqual([code, said], [7, 'alive']);
});

test('LineWriter: a program that is started does not make a pipe block, in which nobody reads', async () => {
  const program = `
    import { spawn } from 'node:child_process';
    import { LineWriter, sinkOf } from ${JSON.stringify(new URL('./line-writer.ts', import.meta.url).href)};
    const writer = new LineWriter(sinkOf(1, process.stdout));
    spawn('true', { stdio: 'inherit' }).once('exit', () => {
      writer.write('x'.repeat(1 << 20)).catch(() => undefined);
      setTimeout(() => { process.stderr.write('alive'); process.exit(7); }, 50);
    });
  `;
  const shell = `"$0" --input-type=module -e "$1" | sleep 20; exit "\${PIPESTATUS[0]}"`;
  const child = spawn('bash', ['-c', shell, process.execPath, program], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
    // Whoever reads nothing need not be waited for.
    spawn('pkill', ['-P', String(child.pid), 'sleep']);
  });
  const [code] = (await once(child, 'exit')) as [number];
  assert.equal(code, 7);
  assert.match(said, /^alive/);
});
