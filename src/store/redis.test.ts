import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { redisName } from './redis.ts';
import { RedisServer } from './testing/redis-server.ts';
import { WatchedRedis } from './testing/watched-redis.ts';

test('redis: commands and scripts, of which a forgotten one is sent again', async () => {
  await using server = await RedisServer.start();
  using watched = new WatchedRedis(server.url);
  await watched.until('up');
  const { store } = watched;
  assert.equal(await store.command('SET', 'a', 1), 'OK');
  const script = 'return {redis.call("GET", KEYS[1]), ARGV[1]}';
  assert.deepEqual(await store.run(script, ['a'], [7]), ['1', '7']);
  await store.command('SCRIPT', 'FLUSH');
  assert.deepEqual(await store.run(script, ['a'], ['x']), ['1', 'x']);
  await assert.rejects(store.command('NONSENSE'), /unknown command/);
  assert.equal(store.isUp, true);
});

test('redis: one that is killed is away at once, rejects at once, and comes back by itself', async () => {
  await using server = await RedisServer.start();
  using watched = new WatchedRedis(server.url);
  await watched.until('up');
  const { store } = watched;
  await server.kill();
  await watched.until('away');
  const startMs = performance.now();
  await assert.rejects(store.command('PING'), /Redis is away/);
  assert.ok(performance.now() - startMs < 50);
  await server.resume();
  await watched.until('up');
  assert.equal(await store.command('PING'), 'PONG');
  // Said once each, however often it was tried.
  assert.deepEqual(
    watched.said.map((line) => line.replace(/\{.*/, '').trim()),
    ['debug Redis is there', 'warn Redis is away: it is tried again until it is back', 'info Redis is back'],
  );
});

test('redis: one that does not answer any more is away within a second', async () => {
  await using server = await RedisServer.start();
  using watched = new WatchedRedis(server.url);
  await watched.until('up');
  server.freeze();
  await assert.rejects(watched.store.command('PING'), /No answer in 1000 ms/);
  assert.equal(watched.store.isUp, false);
  server.thaw();
  await watched.until('up');
});

test('redis: what is there and silent is never up', async () => {
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as { port: number };
  using watched = new WatchedRedis(`redis://127.0.0.1:${port}`);
  const [socket] = (await once(silent, 'connection')) as [Socket];
  socket.resume();
  assert.equal(watched.store.isUp, false);
  await assert.rejects(watched.store.command('PING'), /Redis is away/);
  watched.store.close();
  await once(socket, 'close');
  silent.close();
});

test('redis: with a password, which is never written', async () => {
  const password = 'planted-secret';
  await using server = await RedisServer.start({ password });
  using right = new WatchedRedis(server.url);
  await right.until('up');
  assert.equal(await right.store.command('PING'), 'PONG');
  using wrong = new WatchedRedis(server.url.replace(password, 'planted-wrong'));
  while (wrong.said.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(wrong.store.isUp, false);
  assert.match(wrong.said[0]!, /WRONGPASS/);
  assert.doesNotMatch(JSON.stringify([right.said, wrong.said]), /planted/);
});

for (const [url, want] of [
  ['redis://user:secret@cache.test', 'redis://cache.test:6379'],
  ['rediss://:secret@cache.test:7000/3', 'rediss://cache.test:7000/3'],
] as const) {
  test(`redisName: ${want}`, () => assert.equal(redisName(url), want));
}
