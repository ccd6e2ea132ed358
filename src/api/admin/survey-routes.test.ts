import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientRequest, get, type IncomingMessage } from 'node:http';
import { after, before, test } from 'node:test';
import type { Asker } from '../../base/asking.ts';
import { systemClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import type { Askable, SurveyLine } from '../../control/survey.ts';
import { type AdminServer, startAdmin } from './server.ts';
import type { AdminView } from './view.ts';

const asked: { readonly ask: object; readonly asker: Asker }[] = [];
let taken = 0;
const PROXY: Askable = {
  instance: 'i-1',
  identity: 'spiffe://td/ns/shop/sa/orders',
  role: 'sidecar',
  services: ['shop/orders'],
  ask: (ask, asker) => {
    asked.push({ ask, asker });
    return () => taken++;
  },
};
const joinedTold = new Set<(proxy: Askable) => void>();
const view = {
  proxiesToAsk: {
    list: () => [PROXY],
    onJoined: (told) => (joinedTold.add(told), () => joinedTold.delete(told)),
  },
} satisfies Partial<AdminView> as unknown as AdminView;

let admin: AdminServer;
before(async () => {
  admin = await startAdmin({ host: '127.0.0.1', port: 0, view, clock: systemClock, log: silentLog });
});
after(() => admin.close());

async function ask(path: string): Promise<{ call: ClientRequest; answer: IncomingMessage }> {
  const call = get({ host: '127.0.0.1', port: admin.port, path, agent: false });
  call.on('error', () => undefined);
  const [answer] = (await once(call, 'response')) as [IncomingMessage];
  return { call, answer: answer.setEncoding('utf8') };
}

async function textOf(answer: IncomingMessage): Promise<string> {
  let text = '';
  for await (const part of answer) text += part;
  return text;
}

function linesOf(text: string): SurveyLine[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as SurveyLine);
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test('/connections: answers pass while they come, as lines; the last one says that it is over', async () => {
  const { answer } = await ask('/connections');
  assert.equal(answer.statusCode, 200);
  assert.equal(answer.headers['content-type'], 'application/x-ndjson');
  const { ask: question, asker } = asked.pop()!;
  assert.deepEqual(question, { topic: 'connections', body: {} });
  asker.answer({ rows: [] }, 0);
  asker.end({ kind: 'done' });
  const kinds = linesOf(await textOf(answer)).map(({ kind }) => kind);
  assert.deepEqual(kinds, ['asked', 'answer', 'over']);
  assert.equal(joinedTold.size, 0);
});

test('/requests: what is asked of proxies, and one that comes meanwhile is asked, too', async () => {
  const filter = 'response.status == 503';
  const { call, answer } = await ask(
    `/requests?rows=1&headers=show&service=orders&filter=${encodeURIComponent(filter)}`,
  );
  assert.deepEqual(asked[0]?.ask, { topic: 'requests', body: { filter, headers: true } });
  for (const told of joinedTold) told({ ...PROXY, instance: 'i-2' });
  for (const told of joinedTold)
    told({ ...PROXY, instance: 'i-3', identity: 'spiffe://td/ns/shop/sa/web', services: [] });
  assert.equal(asked.length, 2);
  asked[1]!.asker.answer({ requests: [{}], left: 0 }, 0);
  const lines = linesOf(await textOf(answer));
  assert.deepEqual(
    lines.map(({ kind }) => kind),
    ['asked', 'asked', 'answer', 'over'],
  );
  assert.equal((lines.at(-1) as { why: string }).why, 'rows');
  assert.equal(taken, 2);
  call.destroy();
  asked.length = 0;
});

test('/requests: a reader who goes takes the question back from every proxy', async () => {
  taken = 0;
  const { call } = await ask('/requests');
  call.destroy();
  await until(() => taken === 1);
  assert.equal(joinedTold.size, 0);
  asked.length = 0;
});

test('/requests: a reader who does not read loses answers, and hears how many', async () => {
  const { answer } = await ask('/requests?rows=1000000');
  const { asker } = asked.pop()!;
  const text = 'x'.repeat(200_000);
  for (let i = 0; i < 100; i++) asker.answer({ requests: [text], left: 0 }, 0);
  asker.end({ kind: 'gone', reason: 'It went' });
  const lines = linesOf(await textOf(answer));
  const over = lines.at(-1) as Extract<SurveyLine, { kind: 'over' }>;
  const heard = lines.filter(({ kind }) => kind === 'answer').length;
  assert.ok(heard > 5 && heard < 100, `${heard} of 100 were heard`);
  assert.equal(over.lost, 100 - heard);
  assert.deepEqual(
    over.unheard.map(({ kind }) => kind),
    ['gone'],
  );
});

const REFUSED: [path: string, status: number, detail: RegExp][] = [
  ['/requests?filter=response.state%20%3D%3D%201', 400, /at character/],
  ['/requests?filter=%27text%27', 400, /true or false/],
  ['/requests?seconds=0', 400, /"seconds" from 1 to 3600/],
  ['/requests?rows=x', 400, /"rows"/],
  ['/requests?headers=all', 400, /"headers"/],
  ['/connections?seconds=1', 400, /no parameter "seconds"/],
  ['/connections?service=nobody', 404, /No proxy/],
];

for (const [path, status, detail] of REFUSED) {
  test(`${path} is refused, and no proxy is asked`, async () => {
    const { answer } = await ask(path);
    assert.equal(answer.statusCode, status);
    assert.match((JSON.parse(await textOf(answer)) as { detail: string }).detail, detail);
    assert.equal(asked.length, 0);
  });
}

test('admin: only so many look at a time, and who closes ends them', async () => {
  const other = await startAdmin({ host: '127.0.0.1', port: 0, view, clock: systemClock, log: silentLog });
  const open = (): Promise<IncomingMessage> =>
    new Promise((resolve) => get({ host: '127.0.0.1', port: other.port, path: '/requests', agent: false }, resolve));
  const answers = [];
  for (let i = 0; i < 17; i++) answers.push(await open());
  assert.deepEqual(
    answers.map(({ statusCode }) => statusCode),
    [...Array.from({ length: 16 }, () => 200), 503],
  );
  taken = 0;
  const texts = answers.map((answer) => textOf(answer.setEncoding('utf8')));
  await other.close();
  await Promise.all(texts);
  assert.equal(taken, 16);
});
