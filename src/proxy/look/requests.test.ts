import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AskEnd } from '../../base/asking.ts';
import { ManualClock } from '../../base/testing/manual-clock.ts';
import type { EndedExchange } from '../../filter/ended.ts';
import { makeExchange } from '../../filter/testing/exchange.ts';
import { TAPPED_SECOND_MAX, type TapAnswer } from '../../ir/observed.ts';
import type { AccessEntry } from '../../observe/access-log.ts';
import type { StreamEntry } from '../../observe/stream-log.ts';
import { ExchangeWatch } from './exchange-watch.ts';
import { answerTopic, type TopicsOptions } from './topics.ts';

const ENTRY = {
  listener: 'Inbound/shop/orders/80',
  cluster: 'Inbound/shop/orders/80',
  method: 'GET',
  host: 'orders',
  path: '/a',
  query: '?token=planted',
  status: 200,
  grpcStatus: -1,
  rule: 'r',
  endpoint: '127.0.0.1:80',
  clientIp: '192.0.2.1',
  marks: { startMs: 0, endMs: 5, connectedMs: 1, answeredMs: 3 },
} as unknown as AccessEntry;

class World {
  readonly clock = new ManualClock();
  readonly watch = new ExchangeWatch();
  readonly answers: TapAnswer[] = [];
  readonly ends: AskEnd[] = [];
  readonly open: Record<string, number> = {};
  readonly options: TopicsOptions;

  constructor(options: Partial<TopicsOptions> = {}) {
    const { watch, clock, open } = this;
    this.options = {
      watch,
      clock,
      workers: 1,
      connections: undefined as never,
      requestFilter: async (source) =>
        source === 'bad'
          ? 'it is bad'
          : ({ ended }: EndedExchange) => (ended.status === 0 ? undefined : ended.status >= 500),
      asksOpen: (topic) => ({ add: (amount) => (open[topic] = (open[topic] ?? 0) + amount) }),
      ...options,
    };
  }

  ask(topic: string, body: object): () => void {
    return answerTopic(
      { topic, body },
      { answer: (answer) => this.answers.push(answer as TapAnswer), end: (end) => this.ends.push(end) },
      this.options,
    );
  }

  http(entry: Partial<AccessEntry> = {}): void {
    const x = makeExchange({ url: 'http://orders/a?token=planted', headers: { authorization: 'planted', 'x-a': 'b' } });
    this.watch.on?.onExchange(x, { ...ENTRY, ...entry });
  }

  get shown(): number {
    return this.answers.reduce((sum, { requests }) => sum + requests.length, 0);
  }

  get left(): number {
    return this.answers.reduce((sum, { left }) => sum + left, 0);
  }
}

test('requests: so many a second are shown and the others counted; the next second has its own', () => {
  const world = new World();
  const takeBack = world.ask('requests', {});
  for (let i = 0; i < TAPPED_SECOND_MAX + 30; i++) world.http();
  world.clock.advance(500);
  assert.deepEqual([world.shown, world.left], [TAPPED_SECOND_MAX, 30]);
  world.clock.advance(500);
  world.http();
  world.clock.advance(500);
  assert.deepEqual([world.shown, world.left], [TAPPED_SECOND_MAX + 1, 30]);
  takeBack();
  world.http();
  assert.deepEqual([world.watch.on, world.clock.pending], [undefined, 0]);
});

test('requests: workers of one proxy share its bound', () => {
  const world = new World({ workers: 4 });
  world.ask('requests', {});
  for (let i = 0; i < TAPPED_SECOND_MAX; i++) world.http();
  world.clock.advance(500);
  assert.deepEqual([world.shown, world.left], [TAPPED_SECOND_MAX / 4, (TAPPED_SECOND_MAX * 3) / 4]);
});

test('requests: what a filter does not take, or has no value for, costs nothing of the bound', async () => {
  const world = new World();
  world.ask('requests', { filter: 'f' });
  await Promise.resolve();
  for (let i = 0; i < 500; i++) world.http({ status: i % 2 === 0 ? 200 : 0 });
  world.http({ status: 503 });
  world.watch.on?.onStream({ listener: 'Inbound/shop/orders/90' } as StreamEntry);
  world.clock.advance(500);
  assert.deepEqual([world.shown, world.left], [1, 0]);
  assert.equal(world.answers.at(-1)!.requests[0]!.status, 503);
});

test('requests: no query, and header fields only when they are asked for', () => {
  for (const headers of [undefined, true]) {
    const world = new World();
    world.ask('requests', { headers });
    world.http();
    world.clock.advance(500);
    const [request] = world.answers.at(-1)!.requests;
    assert.equal(request!.path, '/a');
    assert.deepEqual(request!.headers, headers === undefined ? undefined : { authorization: '(redacted)', 'x-a': 'b' });
    assert.doesNotMatch(JSON.stringify(world.answers), /planted/);
  }
});

test('topics: how many are open is counted, whoever ends them', async () => {
  const world = new World();
  const first = world.ask('requests', {});
  world.ask('requests', { filter: 'bad' });
  assert.equal(world.open['requests'], 2);
  await Promise.resolve();
  await Promise.resolve();
  assert.deepEqual(world.ends, [{ kind: 'refused', reason: 'it is bad' }]);
  assert.equal(world.open['requests'], 1);
  first();
  first();
  assert.equal(world.open['requests'], 0);
  world.ask('weather', {});
  assert.deepEqual([world.ends.at(-1)!.kind, world.open], ['unsupported', { requests: 0 }]);
});
