import assert from 'node:assert/strict';
import { after, afterEach, before, test } from 'node:test';
import type { Env } from '../../filter/env.ts';
import { makeEnv, TEST_WALL_MS, type TestEnv } from '../../filter/testing/exchange.ts';
import { RedisServer } from '../../store/testing/redis-server.ts';
import { WatchedRedis } from '../../store/testing/watched-redis.ts';
import type { Ended } from './logout-token.ts';
import { Revocations } from './revocations.ts';
import type { Session } from './session.ts';

const HOUR_MS = 3_600_000;
const CLIENT = { issuer: 'https://id.test', clientId: 'shop' };

/** A session of an hour ago. */
function sessionOf(more: Partial<Session> = {}): Session {
  const startS = TEST_WALL_MS / 1000 - 3_600;
  return {
    ...CLIENT,
    id: 'x',
    turn: 0,
    provider: 'id',
    subject: 'ann',
    sid: 'one',
    claims: {},
    scopes: [],
    startS,
    freshS: startS,
    ...more,
  };
}

const { sid: _, ...NAMELESS } = sessionOf();

function ended(sessionId: string | undefined, subject: string | undefined): Ended {
  return { sessionId, subject, jti: 'j' };
}

const open: Revocations[] = [];
afterEach(() => open.splice(0).forEach((one) => one.close()));

function make(env: Env = makeEnv(), revokedMax?: number): Revocations {
  const made = new Revocations(env, revokedMax);
  made.keepFor(24 * HOUR_MS);
  open.push(made);
  return made;
}

/** What was said to another thread, or another object of this one, comes in a later turn. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve));
}

const ROWS: [rule: string, told: Ended, session: Session, want: 'over' | 'goes on'][] = [
  ['the session by its name', ended('one', undefined), sessionOf(), 'over'],
  ['the session by its name, with its user', ended('one', 'ann'), sessionOf(), 'over'],
  ['another session of the user', ended('two', 'ann'), sessionOf(), 'goes on'],
  ['all sessions of the user', ended(undefined, 'ann'), sessionOf(), 'over'],
  ['a session without a name, by its user', ended('two', 'ann'), NAMELESS, 'over'],
  ['a session without a name, by another one', ended('two', undefined), NAMELESS, 'goes on'],
  ['another user', ended(undefined, 'bob'), sessionOf(), 'goes on'],
  ['a user whose name is that of the session', ended(undefined, 'one'), sessionOf(), 'goes on'],
  ['the same names at another provider', ended('one', 'ann'), sessionOf({ issuer: 'https://b.test' }), 'goes on'],
  ['the same names of another client', ended('one', 'ann'), sessionOf({ clientId: 'blog' }), 'goes on'],
  ['one that began as it was told', ended(undefined, 'ann'), sessionOf({ startS: TEST_WALL_MS / 1000 }), 'over'],
  ['one that began later', ended(undefined, 'ann'), sessionOf({ startS: TEST_WALL_MS / 1000 + 1 }), 'goes on'],
];

for (const [rule, told, session, want] of ROWS) {
  test(`oidc revocations: ${rule}`, () => {
    const revocations = make();
    assert.equal(revocations.isRevoked(session), false);
    revocations.revoke(CLIENT, told);
    assert.equal(revocations.isRevoked(session) ? 'over' : 'goes on', want);
  });
}

test('oidc revocations: other workers are told, and one that begins later asks', async () => {
  const [one, two] = [make(), make()];
  one.revoke(CLIENT, ended('one', 'ann'));
  await until(() => two.isRevoked(sessionOf()));
  const late = make();
  await until(() => late.isRevoked(sessionOf()));
  assert.equal(late.isRevoked(sessionOf({ sid: 'two' })), false);
});

test('oidc revocations: forgotten when no session can be so old', () => {
  const env = makeEnv();
  const revocations = make(env);
  revocations.revoke(CLIENT, ended('one', undefined));
  env.advance(24 * HOUR_MS);
  revocations.revoke(CLIENT, ended('two', undefined));
  assert.equal(revocations.size, 2);
  env.advance(1);
  revocations.revoke(CLIENT, ended('three', undefined));
  assert.equal(revocations.size, 2);
  const newer = TEST_WALL_MS / 1000 + 25 * 3_600;
  assert.equal(revocations.isRevoked(sessionOf({ sid: 'four', startS: newer })), false, 'nothing had to make room');
});

test('oidc revocations: bounded; where one makes room, sessions from before it are over, whosever they are', () => {
  const env = makeEnv();
  const revocations = make(env, 100);
  for (let i = 0; i < 101; i++) {
    revocations.revoke(CLIENT, ended(`s${i}`, undefined));
    env.advance(1_000);
  }
  assert.equal(revocations.size, 100);
  const startS = TEST_WALL_MS / 1000;
  assert.equal(revocations.isRevoked(sessionOf({ sid: 's0', startS })), true);
  assert.equal(revocations.isRevoked(sessionOf({ sid: 'else', startS })), true);
  assert.equal(revocations.isRevoked(sessionOf({ sid: 'else', startS: startS + 1 })), false);
  assert.equal(revocations.isRevoked(sessionOf({ sid: 's100', startS: startS + 100 })), true);
});

// ---- proxies that share a Redis

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

/** Only what a proxy of its own has: it hears nothing of the other threads. */
function proxy(env: TestEnv = makeEnv({ redis: redis.store })): { readonly env: TestEnv; readonly its: Revocations } {
  const its = make(env);
  return { env, its };
}

/** Lets time pass until it has looked into Redis. */
async function untilSeen({ env, its }: ReturnType<typeof proxy>, session: Session): Promise<void> {
  while (!its.isRevoked(session)) {
    env.advance(2_000);
    await redis.store.command('PING');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

test('oidc revocations: a proxy that is started later knows them from Redis', async () => {
  const first = proxy();
  first.its.revoke(CLIENT, ended('one', 'ann'));
  first.its.close();
  while ((await redis.store.command('ZCARD', 'fourways:oidc:revoked')) !== 2) await redis.store.command('PING');
  const second = proxy();
  assert.equal(second.its.isRevoked(sessionOf()), false);
  await untilSeen(second, sessionOf());
  assert.equal(second.its.isRevoked(sessionOf({ sid: 'two' })), false);
  const names = String(await redis.store.command('ZRANGE', 'fourways:oidc:revoked', 0, -1));
  assert.doesNotMatch(names, /ann|one|shop/);
  const leftMs = Number(await redis.store.command('PTTL', 'fourways:oidc:revoked'));
  assert.ok(leftMs > 23 * HOUR_MS && leftMs <= 24 * HOUR_MS, String(leftMs));
});

test('oidc revocations: what Redis could not be told is told when it is there again', async () => {
  let isAway = true;
  const command: WatchedRedis['store']['command'] = (...words) =>
    isAway ? Promise.reject(new Error('away')) : redis.store.command(...words);
  const env = makeEnv({ redis: { isUp: true, run: () => Promise.reject(new Error('no scripts')), command } });
  const first = proxy(env);
  first.its.revoke(CLIENT, ended('one', undefined));
  await until(() => env.warnings.length > 0);
  assert.match(env.warnings.join(), /Cannot tell other proxies/);
  isAway = false;
  while ((await redis.store.command('ZCARD', 'fourways:oidc:revoked')) !== 1) {
    env.advance(2_000);
    await new Promise((resolve) => setImmediate(resolve));
  }
});
