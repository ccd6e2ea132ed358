import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import type { Fault } from '../../base/fault.ts';
import { makeEnv, makeExchange } from '../../filter/testing/exchange.ts';
import { RedisServer } from '../../store/testing/redis-server.ts';
import { check } from '../../schema/schema.ts';
import { RateLimitConfig } from './config.ts';
import { code } from './filter.ts';
import { hammer, type LeaseProxy, startProxy } from './testing/lease-proxy.ts';

const OVERSHOOT = 60;
const FOR_MS = 2_000;

function config(more: object = {}, whenAway: string = 'local', proxies: number = 3): object {
  return {
    limits: [{ name: 'all', requests: 400, per: '1s', burst: 100, ...more }],
    scope: 'global',
    global: { proxies, maxOvershoot: OVERSHOOT, whenAway },
  };
}

test('leases: three proxies in two processes exceed a limit by at most maxOvershoot, and do not fall short', async () => {
  await using server = await RedisServer.start();
  const settings = config();
  const child = fork(new URL('testing/lease-proxy.ts', import.meta.url), [
    server.url,
    JSON.stringify(settings),
    '2',
    String(FOR_MS),
  ]);
  await once(child, 'message');
  using proxy = await startProxy(server.url, settings);
  const startMs = performance.now();
  child.send('go');
  const theirs = once(child, 'message');
  const ours = await hammer([proxy], FOR_MS);
  const [admitted] = (await theirs) as [number];
  const tookMs = performance.now() - startMs;
  const sum = ours + admitted;
  const most = 100 + 0.4 * tookMs + OVERSHOOT;
  assert.ok(sum <= most, `${sum} of at most ${most}`);
  assert.ok(sum >= 0.7 * (100 + 0.4 * FOR_MS), `${sum} is far too few`);
});

test('leases: a slow limit is not exceeded by more, whoever is asked', async () => {
  await using server = await RedisServer.start();
  const settings = config({ requests: 50, per: '1h', burst: 50 });
  const proxies = await Promise.all([1, 2, 3].map(() => startProxy(server.url, settings)));
  const sum = await hammer(proxies, 500);
  assert.ok(sum >= 50 && sum <= 50 + OVERSHOOT, String(sum));
  // Everybody knows by now.
  assert.equal(await hammer(proxies, 200), 0);
  for (const proxy of proxies) proxy[Symbol.dispose]();
});

test('leases: one client that asks seldom is never refused, whichever proxy it meets', async () => {
  await using server = await RedisServer.start();
  const settings = config({ requests: 20, per: '1s', burst: 1 });
  const proxies = await Promise.all([1, 2, 3].map(() => startProxy(server.url, settings)));
  for (let i = 0; i < 9; i++) {
    assert.equal(proxies[i % 3]!.ask(), true, String(i));
    await new Promise((resolve) => setTimeout(resolve, 120));
  }
  for (const proxy of proxies) proxy[Symbol.dispose]();
});

async function untilUp(proxy: LeaseProxy, isUp: boolean): Promise<void> {
  while (proxy.redis.isUp !== isUp) await new Promise((resolve) => setTimeout(resolve, 5));
}

const AWAY: [whenAway: string, wantLeast: number, wantMost: number, code: string | undefined][] = [
  ['open', 1_000, Infinity, undefined],
  ['closed', 0, 0, 'rate-limit.undecidable'],
  // A third of the burst of 90.
  ['local', 30, 31, 'rate-limit.exceeded'],
];
for (const [whenAway, wantLeast, wantMost, wantCode] of AWAY) {
  test(`leases: Redis is killed under load and comes back, whenAway "${whenAway}"`, async () => {
    await using server = await RedisServer.start();
    using proxy = await startProxy(server.url, config({ requests: 90, per: '1h', burst: 90 }, whenAway));
    assert.ok((await hammer([proxy], 100)) >= 90);
    const load = hammer([proxy], 100);
    await server.kill();
    await load;
    await untilUp(proxy, false);
    using fresh = await freshOf(proxy, whenAway);
    const admitted = await hammer([fresh], 100);
    assert.ok(admitted >= wantLeast && admitted <= wantMost, String(admitted));
    const said = fresh.filter.onRequest!(makeExchange(), { matchedPath: '/' }) as Fault | undefined;
    assert.equal(said?.code, wantCode);

    await hammer([proxy], 20);
    assert.equal(proxy.env.counts.get('redis_lost'), 1);
    assert.ok(proxy.env.counts.get('away')! > 0);
    assert.deepEqual(proxy.env.warnings, [`Redis is away: rateLimit decides as whenAway says, "${whenAway}"`]);
    await server.resume();
    await untilUp(proxy, true);
    // What a call that failed leaves behind is over after a second.
    await hammer([proxy], 1_200);
    assert.equal(proxy.env.counts.get('redis_back'), 1);
    assert.equal(proxy.env.warnings.length, 1);
  });
}

/** The same proxy as if it had just met the rule: its share has not been used. */
async function freshOf({ redis, env }: LeaseProxy, whenAway: string): Promise<LeaseProxy> {
  const own = makeEnv({ redis, nowMs: () => env.nowMs(), after: (delayMs, run) => env.after(delayMs, run) });
  const value = check(RateLimitConfig, config({ requests: 90, per: '1h', burst: 90 }, whenAway)).value!;
  const filter = code.make(value, own);
  const ask = (): boolean => filter.onRequest!(makeExchange(), { matchedPath: '/' }) === undefined;
  return { redis, env: own, filter, ask, [Symbol.dispose]: () => filter.close!() };
}

test('leases: without a Redis it cannot be made', () => {
  const value = check(RateLimitConfig, config()).value!;
  assert.throws(() => code.make(value, makeEnv()), /has scope "global" and no Redis: start with --redis URL/);
});

test('leases: Redis holds no key of a client', async () => {
  await using server = await RedisServer.start();
  using proxy = await startProxy(server.url, config({ key: '"planted-" + request.method' }));
  await hammer([proxy], 50);
  const keys = (await proxy.redis.command('KEYS', '*')) as string[];
  assert.equal(keys.length, 1);
  assert.match(keys[0]!, /^fourways:rate:[\w-]{27}$/);
});
