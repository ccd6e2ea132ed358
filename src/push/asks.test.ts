/** Questions to proxies over the stream: both ends in memory, on a clock moved by hand. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Ask, ASKS_MAX, type AskEnd, type Asker, type AskTo } from '../base/asking.ts';
import type { ProxyStream } from './feeds.ts';
import type { ServerSession } from './server-session.ts';
import { planOf } from './testing/plain-feeds.ts';
import { type TestProxy, World } from './testing/world.ts';

const ASK: Ask = { topic: 'connections', body: { rows: 3 } };

class Heard implements Asker {
  readonly answers: object[] = [];
  readonly ends: AskEnd[] = [];
  lost = 0;

  answer(body: object, lost: number): void {
    this.answers.push(body);
    this.lost += lost;
  }

  end(end: AskEnd): void {
    this.ends.push(end);
  }

  get kinds(): string[] {
    return this.ends.map(({ kind }) => kind);
  }
}

async function connected(): Promise<{ world: World; proxy: TestProxy; stream: ProxyStream }> {
  const world = new World(planOf('a.test'));
  const proxy = world.proxy();
  await world.run(20);
  const [stream] = world.feeds.streams.keys();
  return { world, proxy, stream: stream! };
}

/** A proxy that keeps whoever asks, and does nothing of its own. */
function keeping(proxy: TestProxy): { readonly asked: Ask[]; readonly askers: Asker[]; taken: number } {
  const kept = { asked: [] as Ask[], askers: [] as Asker[], taken: 0 };
  const askTo: AskTo = (ask, asker) => {
    kept.asked.push(ask);
    kept.askers.push(asker);
    return () => kept.taken++;
  };
  proxy.askTo = askTo;
  return kept;
}

test('asks: a proxy answers often, then says that it was all', async () => {
  const { world, proxy, stream } = await connected();
  const kept = keeping(proxy);
  const heard = new Heard();
  stream.ask(ASK, heard);
  await world.run(10);
  assert.deepEqual(kept.asked, [ASK]);
  kept.askers[0]!.answer({ row: 1 }, 0);
  kept.askers[0]!.answer({ row: 2 }, 4);
  kept.askers[0]!.end({ kind: 'done' });
  kept.askers[0]!.answer({ row: 3 }, 0);
  await world.run(10);
  assert.deepEqual(heard.answers, [{ row: 1 }, { row: 2 }]);
  assert.deepEqual([heard.lost, heard.kinds], [4, ['done']]);
});

test('asks: what is taken back is stopped at the proxy, and nobody hears of it any more', async () => {
  const { world, proxy, stream } = await connected();
  const kept = keeping(proxy);
  const heard = new Heard();
  const takeBack = stream.ask(ASK, heard);
  await world.run(10);
  kept.askers[0]!.answer({}, 0);
  takeBack();
  takeBack();
  await world.run(10);
  assert.equal(kept.taken, 1);
  kept.askers[0]!.answer({}, 0);
  await world.run(10);
  assert.deepEqual([heard.answers.length, heard.ends.length], [0, 0]);
  // Before it was sent it is not sent at all.
  proxy.net.isStalled = true;
  stream.ask(ASK, new Heard());
  stream.ask(ASK, new Heard())();
  proxy.net.resume();
  await world.run(10);
  assert.equal(kept.asked.length, 2);
});

const ENDS: [rule: string, askTo: AskTo, want: AskEnd][] = [
  [
    'a topic that is not known',
    (_, asker) => (asker.end({ kind: 'unsupported', reason: 'What is that?' }), () => undefined),
    { kind: 'unsupported', reason: 'What is that?' },
  ],
  [
    'a question without sense',
    (_, asker) => (asker.end({ kind: 'refused', reason: 'No' }), () => undefined),
    { kind: 'refused', reason: 'No' },
  ],
  ['silence', () => () => undefined, { kind: 'silent', reason: 'No answer in 5 s' }],
];

for (const [rule, askTo, want] of ENDS) {
  test(`asks: ${rule} is an end of this one question`, async () => {
    const { world, proxy, stream } = await connected();
    proxy.askTo = askTo;
    const heard = new Heard();
    stream.ask(ASK, heard);
    await world.pass(6_000);
    assert.deepEqual(heard.ends, [want]);
    assert.equal(proxy.client.state.kind, 'live');
    assert.equal(world.hub.size, 1);
  });
}

test('asks: after the first answer there is time', async () => {
  const { world, proxy, stream } = await connected();
  const kept = keeping(proxy);
  const heard = new Heard();
  stream.ask(ASK, heard);
  await world.run(10);
  kept.askers[0]!.answer({}, 0);
  await world.pass(60_000);
  kept.askers[0]!.answer({}, 0);
  await world.run(10);
  assert.deepEqual([heard.answers.length, heard.ends.length], [2, 0]);
});

test('asks: a stream that is cut ends them at both ends, and a new one knows nothing of them', async () => {
  const { world, proxy, stream } = await connected();
  const kept = keeping(proxy);
  const heard = new Heard();
  stream.ask(ASK, heard);
  await world.run(10);
  proxy.net.cut();
  await world.pass(4_000);
  assert.deepEqual([heard.kinds, kept.taken, proxy.client.state.kind], [['gone'], 1, 'live']);
  kept.askers[0]!.answer({}, 0);
  const late = new Heard();
  stream.ask(ASK, late);
  assert.deepEqual(late.kinds, ['gone']);
});

test('asks: only so many are open at a time, and only short ones', async () => {
  const { world, proxy, stream } = await connected();
  const kept = keeping(proxy);
  for (let i = 0; i < ASKS_MAX; i++) stream.ask(ASK, new Heard());
  const heard = new Heard();
  stream.ask(ASK, heard);
  assert.deepEqual(heard.kinds, ['busy']);
  await world.run(10);
  kept.askers[0]!.end({ kind: 'done' });
  await world.run(10);
  stream.ask({ topic: 't', body: { text: 'x'.repeat(20_000) } }, heard);
  assert.deepEqual(heard.kinds, ['busy', 'refused']);
});

test('asks: who answers faster than the stream takes loses answers, which is said; the plan is not held up', async () => {
  const { world, proxy, stream } = await connected();
  const kept = keeping(proxy);
  const heard = new Heard();
  stream.ask(ASK, heard);
  await world.run(10);
  const text = 'x'.repeat(100_000);
  proxy.net.isBackStalled = true;
  for (let i = 0; i < 40; i++) kept.askers[0]!.answer({ text }, 0);
  proxy.net.resumeBack();
  await world.run(10);
  assert.equal(heard.answers.length, 21);
  kept.askers[0]!.answer({ late: true }, 0);
  await world.run(10);
  assert.deepEqual([heard.answers.length, heard.lost, heard.ends.length], [22, 19, 0]);
  kept.askers[0]!.answer({ text: 'x'.repeat(300_000) }, 0);
  kept.askers[0]!.end({ kind: 'done' });
  await world.run(10);
  assert.deepEqual(heard.kinds, ['overdone']);
});

test('asks: who answers more than anybody takes is told to stop', async () => {
  const { world, proxy, stream } = await connected();
  const kept = keeping(proxy);
  const heard = new Heard();
  stream.ask(ASK, heard);
  await world.run(10);
  for (let i = 0; i < 50 && heard.ends.length === 0; i++) {
    kept.askers[0]!.answer({ text: 'x'.repeat(250_000) }, 0);
    await world.run(3);
  }
  assert.deepEqual(heard.kinds, ['overdone']);
  await world.run(10);
  assert.equal(kept.taken, 1);
  assert.equal(world.hub.size, 1);
});

test('asks: an answer that cannot be read ends its question, and nothing else', async () => {
  const { world, stream } = await connected();
  const heard = new Heard();
  stream.ask(ASK, heard);
  const answer = { kind: 'answer', id: 1, lost: 0, last: false, end: { kind: 'done' } } as const;
  const session = stream as ServerSession;
  session.receive({ ...answer, id: 77, body: '{}' });
  session.receive({ ...answer, body: 'no JSON' });
  assert.deepEqual(heard.kinds, ['refused']);
  assert.equal(world.hub.size, 1);
});
