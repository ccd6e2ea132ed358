import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import { RedisServer } from '../../store/testing/redis-server.ts';
import { WatchedRedis } from '../../store/testing/watched-redis.ts';
import { code } from './filter.ts';
import { Driver, type OriginAnswer } from './testing/driver.ts';
import type { Zones } from './zones.ts';

let server: RedisServer;
let redis: WatchedRedis;
before(async () => {
  server = await RedisServer.start();
  redis = new WatchedRedis(server.url);
  await redis.until('up');
});
afterEach(() => redis.store.command('FLUSHALL'));
after(async () => {
  redis[Symbol.dispose]();
  await server[Symbol.asyncDispose]();
});

const FRESH = { 'cache-control': 'max-age=60', 'cache-tag': 'a b' };

/** As in real time: the test's own clock stands still, so that what is waited for is Redis alone. */
function timer(delayMs: number, run: () => void): () => void {
  const started = setTimeout(run, delayMs);
  return () => clearTimeout(started);
}

/** Caches of two proxies with one Redis. */
function proxies(answer: OriginAnswer, config: object = { wait: '5s' }): [Driver, Driver] {
  const make = (): Driver => new Driver({ redis: config }, () => answer, { redis: redis.store, after: timer });
  return [make(), make()];
}

/** What was sent before has been done when this is answered. */
const done = (): Promise<unknown> => redis.store.command('PING');

function order(driver: Driver, what: Record<string, unknown>): void {
  code.order!(
    { kind: 'purge', ...what },
    driver.env.shared<Zones>(() => assert.fail()),
  );
}

test('cache in Redis: what one proxy keeps, another one gives', async () => {
  const body = Buffer.from([...Array.from({ length: 256 }, (_, i) => i), 13, 10]);
  const [one, two] = proxies({ headers: { ...FRESH, etag: '"ä"' }, body });
  const first = await one.ask();
  one.env.advance(5_000);
  await done();
  two.env.advance(10_000);
  const second = await two.ask();
  assert.deepEqual([one.count, two.count], [1, 0]);
  assert.equal(second.body, first.body);
  assert.deepEqual([second.age, second.cache, second.get('etag')], ['10', 'fourways; hit; ttl=50', '"ä"']);
  assert.equal(second.notes.get('cache'), 'redis');
  // From now on it is in memory.
  assert.equal((await two.ask()).notes.get('cache'), 'hit');
  assert.equal(two.env.counts.get('redis_hit'), 1);
});

test('cache in Redis: variants', async () => {
  const [one, two] = proxies({ headers: { ...FRESH, vary: 'x-a' }, body: 'x' });
  for (const value of ['1', '2']) await one.ask({ headers: { 'x-a': value } });
  await done();
  for (const value of ['1', '2', '3']) await two.ask({ headers: { 'x-a': value } });
  assert.equal(two.count, 1);
});

test('cache in Redis: a condition is answered from there', async () => {
  const [one, two] = proxies({ headers: { ...FRESH, etag: '"v1"' }, body: 'hello world' });
  await one.ask();
  await done();
  const got = await two.ask({ headers: { 'if-none-match': '"v1"' } });
  assert.deepEqual([got.status, got.body, two.count], [304, '', 0]);
});

for (const [rule, what] of [
  ['a URL', { by: 'url', value: 'http://shop.test/' }],
  ['a prefix', { by: 'prefix', value: 'http://shop.test/' }],
  ['a tag', { by: 'tag', value: 'b' }],
  ['everything', { by: 'all' }],
] as const) {
  test(`cache in Redis: ${rule} is purged, and what is kept later is not`, async () => {
    const [one, two] = proxies({ headers: FRESH });
    await one.ask();
    order(one, what);
    await done();
    await done();
    await two.ask();
    assert.equal(two.count, 1);
    one.env.advance(1);
    const later = new Driver({ redis: { wait: '5s' } }, () => ({ headers: FRESH }), {
      redis: redis.store,
      after: timer,
    });
    later.env.advance(1);
    await later.ask({ url: 'http://shop.test/?later' });
    await done();
    const last = new Driver({ redis: { wait: '5s' } }, () => ({}), { redis: redis.store, after: timer });
    await last.ask({ url: 'http://shop.test/?later' });
    assert.equal(last.count, 0);
  });
}

test('cache in Redis: what an unsafe request changes', async () => {
  const [one, two] = proxies({ headers: FRESH });
  await one.ask();
  await one.ask({ method: 'POST' });
  await done();
  await two.ask();
  assert.equal(two.count, 1);
});

test('cache in Redis: long bodies, and what is fresh for less than a second, stay in memory', async () => {
  const [long, other] = proxies({ headers: FRESH, body: 'x'.repeat(100) }, { objectBytesMax: 50, wait: '5s' });
  await long.ask();
  await done();
  await other.ask();
  assert.equal(other.count, 1);
  assert.equal((await redis.store.command('DBSIZE')) as number, 0);
});

test('cache in Redis: away, memory alone counts, and nobody waits; back, it is used again', async () => {
  const [one] = proxies({ headers: FRESH });
  await server.kill();
  await one.ask();
  await one.ask();
  assert.equal(one.count, 1);
  await one.ask({ url: 'http://shop.test/other' });
  assert.equal(one.count, 2);

  await server.resume();
  await redis.until('up');
  const [three, four] = proxies({ headers: FRESH });
  await three.ask();
  await done();
  await four.ask();
  assert.equal(four.count, 0);
});

test('cache in Redis: slow, it is not waited for', async () => {
  const [one] = proxies({ headers: FRESH }, { wait: '20ms' });
  server.freeze();
  // It would wait for ever.
  await one.ask();
  assert.equal(one.count, 1);
  assert.equal(one.env.counts.get('redis_failed'), 1);
  server.thaw();
  await done();
});

test('cache in Redis: without one, it is said once', () => {
  const driver = new Driver({ redis: {} }, () => ({}));
  assert.equal(driver.env.warnings.length, 1);
});
