import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Log, type LogFields, silentLog } from '../base/log.ts';
import type { PlanDelta } from '../ir/plan.ts';
import type { PortRefusals } from '../ir/port-state.ts';
import { ThreadMember } from './thread-member.ts';

const NOTHING = { ports: {}, listeners: {}, routes: {}, streams: {}, clusters: {}, secrets: {} };
const NOBODY = { ports: [], listeners: [], routes: [], streams: [], clusters: [], secrets: [] };

function to(version: string): PlanDelta {
  return { from: undefined, to: version, set: NOTHING, remove: NOBODY };
}

function start(written: 'all' | 'none' = 'all') {
  const said: [string, LogFields | undefined][] = [];
  const lines: string[] = [];
  const asked: string[] = [];
  const say = (message: string, fields?: LogFields) => void said.push([message, fields]);
  const log: Log = { ...silentLog, info: say, error: say };
  const member = new ThreadMember({
    worker: 1,
    url: new URL('./testing/fake-worker.ts', import.meta.url),
    thread: {},
    log,
    onSeries: () => undefined,
    async writeLines(text) {
      if (written === 'none') throw new Error('full');
      lines.push(text);
    },
    async askForService(name) {
      asked.push(name);
    },
  });
  return { member, said, lines, asked };
}

test('ThreadMember: asks, gets answers, hands on what the thread says', async () => {
  const { member, said, lines } = start();
  assert.deepEqual(await member.apply(to('v1'), {}), { kind: 'ack', version: 'v1', ports: {} });
  assert.equal((await member.stats()).version, 'v1');
  const order = { kind: 'purge', by: 'all' };
  assert.deepEqual(await member.order('cache', order), { kind: 'done', answer: { filter: 'cache', order } });
  const refused: PortRefusals = { 'a:1': { state: 'failed', address: 'a', port: 1, error: 'E', message: 'no' } };
  assert.deepEqual(await member.rebind(refused), refused);
  await assert.rejects(member.apply(to('throw'), {}), /it does not like it/);
  await member.drain(1_000);
  assert.deepEqual(lines, ['last line\n']);
  assert.deepEqual(said, [
    ['applied', { worker: 1, version: 'v1' }],
    ['written', { worker: 1 }],
  ]);
  await member.end();
  assert.equal(await member.gone, 'it was ended');
  await assert.rejects(member.stats(), /it was ended/);
});

test('ThreadMember: services that the thread wants are asked for, each once at a time', async () => {
  const { member, asked } = start();
  assert.equal((await member.apply(to('ask'), {})).kind, 'ack');
  assert.deepEqual(asked, ['orders', 'web']);
  assert.equal((await member.apply(to('ask'), {})).kind, 'ack');
  assert.deepEqual(asked, ['orders', 'web', 'orders', 'web']);
  await member.end();
});

test('ThreadMember: lines that cannot be written are said to be lost', async () => {
  const { member, said } = start('none');
  await member.drain(1_000);
  assert.deepEqual(said, [['lost', { worker: 1 }]]);
  await member.end();
});

test('ThreadMember: an uncaught error ends the thread and fails what was asked', async () => {
  const { member, said } = start();
  await assert.rejects(member.apply(to('die'), {}), /a defect/);
  assert.equal(await member.gone, 'a defect');
  assert.equal(said[0]![0], 'Uncaught error in a worker');
  assert.match(String(said[0]![1]!['stack']), /fake-worker/);
});

test('ThreadMember: a thread that exits fails what was asked', async () => {
  const { member } = start();
  await assert.rejects(member.apply(to('exit'), {}), /it ended with exit code 3/);
});

test('ThreadMember: a thread that hangs can be ended', async () => {
  const { member } = start();
  const apply = member.apply(to('hang'), {});
  const refused = assert.rejects(apply, /it was ended/);
  await new Promise((resolve) => setTimeout(resolve, 20));
  await member.end();
  await refused;
});

test('ThreadMember: questions go to the thread and their answers come back, until the end or until they are taken back', async () => {
  const { member, said } = start();
  const heard: unknown[] = [];
  const ask = (topic: string) =>
    new Promise<() => void>((resolve) => {
      const takeBack = member.ask(
        { topic, body: { a: 1 } },
        {
          answer: (body) => resolve((heard.push(body), takeBack)),
          end: (end) => heard.push(`${topic} ${end.kind}`),
        },
      );
    });
  await ask('brief');
  (await ask('long'))();
  await ask('longer');
  // In its order: behind this answer all of the above has been said.
  await member.stats();
  assert.deepEqual(heard, [
    { topic: 'brief', body: { a: 1 } },
    'brief done',
    { topic: 'long', body: { a: 1 } },
    { topic: 'longer', body: { a: 1 } },
  ]);
  assert.ok(said.some(([message, fields]) => message === 'taken back' && fields?.['topic'] === 'long'));
  await member.end();
  assert.equal(heard.at(-1), 'longer gone');
  member.ask({ topic: 'late', body: {} }, { answer: () => undefined, end: ({ kind }) => heard.push(`late ${kind}`) });
  assert.equal(heard.at(-1), 'late gone');
});
