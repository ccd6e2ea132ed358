import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import type { Filter } from '../../filter/filter.ts';
import { makeEnv, type TestEnv } from '../../filter/testing/exchange.ts';
import { Headers } from '../../http/headers.ts';
import { check } from '../../schema/schema.ts';
import { JwtConfig } from './config.ts';
import { code } from './filter.ts';
import { asking, claimsOf, ISSUER, makeFilter, makeKey, outcome, sign, type TestKey } from './testing/tokens.ts';
import { VerifiedTokens } from './verified-tokens.ts';
import { KEYS_MAX, publicKeyOf, readKeySet } from './verify-key.ts';

const [ONE, TWO] = await Promise.all([makeKey('ES256', 'one'), makeKey('ES256', 'two')]);
const [BY_ONE, BY_TWO] = await Promise.all([sign(ONE, claimsOf()), sign(TWO, claimsOf())]);

const URI = 'https://id.test/jwks.json';
const BYTES = 'application/octet-stream';

/** An issuer at its address: what it answers can be changed, and how often it was asked is known. */
class Site {
  answer: () => Response | Promise<Response>;
  asked = 0;
  readonly env: TestEnv;
  readonly filter: Filter;
  readonly #config: object;

  constructor(answer: Site['answer'], jwks: object = {}) {
    this.answer = answer;
    this.env = makeEnv({
      randomBytes: (count) => Buffer.alloc(count, 255),
      fetch: async () => {
        this.asked++;
        return this.answer();
      },
    });
    this.#config = { issuers: [{ issuer: ISSUER, audiences: ['api'], jwks: { uri: URI, ...jwks } }] };
    this.filter = this.make();
  }

  /** One more rule that asks the same. */
  make(): Filter {
    return code.make(check(JwtConfig, this.#config).value!, this.env);
  }

  /** Lets time pass, and what was begun then come to its end. */
  async pass(ms: number): Promise<void> {
    this.env.advance(ms);
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  outcome(token: string): Promise<string> {
    return outcome(this.filter, asking(token));
  }
}

function setOf(...keys: TestKey[]): string {
  return JSON.stringify({ keys: keys.map(({ jwk }) => jwk) });
}

function answering(body: string, headers: Record<string, string> = {}): () => Response {
  return () => new Response(body, { headers: { 'content-type': BYTES, ...headers } });
}

const AWAY = (): never => {
  throw new Error('connect ECONNREFUSED');
};

test('jwt keys: they are fetched when the plan comes; requests before wait for that one fetch', async () => {
  let go = (): void => undefined;
  const gate = new Promise<void>((resolve) => (go = resolve));
  const site = new Site(() => gate.then(answering(setOf(ONE))));
  const waiting = [site.outcome(BY_ONE), site.outcome(BY_ONE)];
  go();
  assert.deepEqual(await Promise.all(waiting), ['alice', 'alice']);
  assert.equal(site.asked, 1);
});

test('jwt keys: while there are none, 503, at once, and they are asked for less and less often', async () => {
  const site = new Site(AWAY);
  assert.equal(await site.outcome(BY_ONE), 'jwt.keys-unavailable');
  const asked: number[] = [];
  for (const ms of [999, 1, 2_000, 4_000, 8_000, 16_000, 32_000, 59_999, 1]) {
    await site.pass(ms);
    asked.push(site.asked);
    assert.equal(await site.outcome(BY_ONE), 'jwt.keys-unavailable');
  }
  assert.deepEqual(asked, [1, 2, 3, 4, 5, 6, 7, 7, 8]);
  site.answer = answering(setOf(ONE));
  await site.pass(60_000);
  assert.equal(await site.outcome(BY_ONE), 'alice');
});

test('jwt keys: a fetch that hangs is given up, and whoever waited is told', async () => {
  let aborted = false;
  const env = makeEnv({
    fetch: (_, init) =>
      new Promise((_resolve, reject) => {
        init!.signal!.addEventListener('abort', () => {
          aborted = true;
          reject(new Error('aborted'));
        });
      }),
  });
  const issuers = [{ issuer: ISSUER, audiences: ['api'], jwks: { uri: URI, timeout: '2s' } }];
  const filter = code.make(check(JwtConfig, { issuers }).value!, env);
  const waiting = outcome(filter, asking(BY_ONE));
  await new Promise((resolve) => setImmediate(resolve));
  env.advance(2_000);
  assert.equal(await waiting, 'jwt.keys-unavailable');
  assert.equal(aborted, true);
  assert.match(env.warnings[0]!, /no answer in 2000 ms/);
});

test('jwt keys: rotation is seen by the first token of a new key, and what the old key signed is not believed any more', async () => {
  const site = new Site(answering(setOf(ONE)));
  assert.equal(await site.outcome(BY_ONE), 'alice');
  await site.pass(30_000);
  site.answer = answering(setOf(TWO));
  assert.equal(await site.outcome(BY_TWO), 'alice');
  // It was verified and remembered before.
  assert.equal(await site.outcome(BY_ONE), 'jwt.invalid');
});

test('jwt keys: a key that stays through a rotation keeps its tokens', async () => {
  const site = new Site(answering(setOf(ONE)));
  await site.outcome(BY_ONE);
  await site.pass(30_000);
  site.answer = answering(setOf(TWO, ONE));
  assert.equal(await site.outcome(BY_TWO), 'alice');
  assert.ok(!(site.filter.authenticate!(asking(BY_ONE)) instanceof Promise));
});

test('jwt keys: tokens of made-up keys do not make the issuer be asked, but once in a while', async () => {
  const site = new Site(answering(setOf(ONE)));
  await site.outcome(BY_ONE);
  for (let i = 0; i < 200; i++) {
    const token = await sign(TWO, claimsOf(), { kid: `made-up-${i}` });
    assert.equal(await site.outcome(token), 'jwt.invalid');
  }
  assert.equal(site.asked, 1);
  await site.pass(30_000);
  const crowd = Array.from({ length: 50 }, (_, i) => sign(TWO, claimsOf(), { kid: `more-${i}` }));
  const outcomes = await Promise.all((await Promise.all(crowd)).map((token) => site.outcome(token)));
  assert.ok(outcomes.every((one) => one === 'jwt.invalid'));
  assert.equal(site.asked, 2);
});

test('jwt keys: the last good ones are used while the issuer is away, for as long as is allowed', async () => {
  const site = new Site(answering(setOf(ONE)), { staleMax: '1h' });
  await site.outcome(BY_ONE);
  site.answer = AWAY;
  await site.pass(3_590_000);
  const late = await sign(ONE, claimsOf({ exp: (claimsOf()['exp'] as number) + 7_200 }));
  assert.equal(await site.outcome(late), 'alice');
  await site.pass(400_000);
  assert.equal(await site.outcome(late), 'jwt.keys-unavailable');
});

const FRESH: [rule: string, headers: Record<string, string>, wantS: number][] = [
  ['without Cache-Control, as configured', {}, 300],
  ['max-age', { 'cache-control': 'public, max-age=600' }, 600],
  ['max-age less the age', { 'cache-control': 'max-age=600', age: '200' }, 400],
  ['not more often than allowed', { 'cache-control': 'max-age=1' }, 60],
  ['not more often than allowed, whatever is said', { 'cache-control': 'no-store, max-age=900' }, 60],
  ['not less often than allowed', { 'cache-control': 'max-age=99999999' }, 3_600],
  ['s-maxage is for shared caches', { 'cache-control': 's-maxage=600' }, 300],
];

for (const [rule, headers, wantS] of FRESH) {
  test(`jwt keys: fetched again ${rule}`, async () => {
    const site = new Site(answering(setOf(ONE), headers));
    await site.pass(0);
    await site.pass(wantS * 1000 - 1);
    assert.equal(site.asked, 1);
    await site.pass(1);
    assert.equal(site.asked, 2);
  });
}

const BAD: [rule: string, answer: () => Response][] = [
  ['a failure', () => new Response('no', { status: 500 })],
  ['a huge set', answering(`{"keys":[],"x":"${'x'.repeat(300_000)}"}`)],
  ['a set of very many keys', answering(setOf(...Array.from({ length: KEYS_MAX + 1 }, () => TWO)))],
  ['no JSON', answering('<html>')],
  ['null', answering('null')],
  ['a list', answering('[]')],
  ['an empty set', answering('{"keys":[]}')],
  ['a set of nothing', answering('{"keys":[null,1,"a",[]]}')],
  ['a set for something else', answering(JSON.stringify({ keys: [{ ...TWO.jwk, use: 'enc' }] }))],
  ['a set of secrets', answering(JSON.stringify({ keys: [{ kty: 'oct', k: 'AAAA', kid: 'two' }] }))],
];

for (const [rule, answer] of BAD) {
  test(`jwt keys: ${rule} changes nothing`, async () => {
    const site = new Site(answering(setOf(ONE)));
    await site.outcome(BY_ONE);
    site.answer = answer;
    await site.pass(300_000);
    assert.equal(site.asked, 2);
    assert.equal(site.env.counts.get('keys_failed'), 1);
    assert.equal(await site.outcome(BY_ONE), 'alice');
    assert.equal(await site.outcome(BY_TWO), 'jwt.invalid');
  });
}

test('jwt keys: a huge answer is not read to its end', async () => {
  let pulled = 0;
  const endless = (): Response =>
    new Response(
      new ReadableStream({
        pull(controller) {
          pulled++;
          controller.enqueue(new Uint8Array(65_536));
        },
      }),
    );
  const site = new Site(endless);
  assert.equal(await site.outcome(BY_ONE), 'jwt.keys-unavailable');
  assert.ok(pulled < 10, `${pulled} pieces`);
});

test('jwt keys: all rules are one client, and a new plan begins with the keys of the last one', async () => {
  const site = new Site(answering(setOf(ONE)));
  const others = Array.from({ length: 20 }, () => site.make());
  assert.equal(await outcome(others[7]!, asking(BY_ONE)), 'alice');
  assert.equal(site.asked, 1);
  site.filter.close!();
  for (const other of others) other.close!();
  const last = site.make();
  assert.equal(await outcome(last, asking(BY_ONE)), 'alice');
  assert.equal(site.asked, 2, 'once nobody uses them they are forgotten');
  const next = site.make();
  last.close!();
  site.answer = AWAY;
  assert.equal(await outcome(next, asking(BY_ONE)), 'alice');
  assert.equal(site.asked, 2);
  site.answer = answering(setOf(TWO));
  await site.pass(300_000);
  assert.equal(site.asked, 3, 'and still fetched again in time');
});

test('jwt keys: plans that follow each other quickly do not put the next fetch off', async () => {
  const site = new Site(answering(setOf(ONE)));
  let current = site.filter;
  await site.pass(0);
  for (let i = 0; i < 4; i++) {
    await site.pass(100_000);
    const next = site.make();
    current.close!();
    current = next;
  }
  assert.equal(site.asked, 2);
});

test('jwt keys: of a service, asked by the proxy', async () => {
  const targets: string[] = [];
  const { filter } = makeFilter(
    {
      issuers: [{ issuer: ISSUER, audiences: ['api'], jwks: { backendRef: { name: 'id', port: 80 }, path: '/keys' } }],
    },
    {
      upstream: () => ({
        ask: ({ target, answerBytesMax }) => {
          targets.push(`${target} ${answerBytesMax}`);
          return Promise.resolve({
            status: 200,
            headers: new Headers(),
            body: Buffer.from(setOf(ONE)),
            trailers: undefined,
          });
        },
      }),
    },
  );
  assert.equal(await outcome(filter, asking(BY_ONE)), 'alice');
  assert.deepEqual(targets, ['/keys 262144']);
});

test('jwt keys: of a file that is not there at first, then wrong, then right', async () => {
  let text: string | undefined;
  let changed = (): void => undefined;
  const { filter, env } = makeFilter(
    { issuers: [{ issuer: ISSUER, audiences: ['api'], jwks: { file: 'keys.json' } }] },
    {
      readFile: () => {
        if (text === undefined) throw new Error('no such file');
        return Buffer.from(text);
      },
      watchFile: (_, onChange) => {
        changed = onChange;
        return () => undefined;
      },
    },
  );
  assert.equal(await outcome(filter, asking(BY_ONE)), 'jwt.keys-unavailable');
  text = '{';
  changed();
  assert.equal(await outcome(filter, asking(BY_ONE)), 'jwt.keys-unavailable');
  assert.equal(env.warnings.length, 2);
  text = setOf(ONE);
  changed();
  assert.equal(await outcome(filter, asking(BY_ONE)), 'alice');
});

test('jwt keys: of a file that changes; one that is not good changes nothing', async () => {
  let text = setOf(ONE);
  let changed = (): void => undefined;
  const { filter, env } = makeFilter(
    { issuers: [{ issuer: ISSUER, audiences: ['api'], jwks: { file: 'keys.json' } }] },
    {
      readFile: () => Buffer.from(text),
      watchFile: (_, onChange) => {
        changed = onChange;
        return () => undefined;
      },
    },
  );
  assert.equal(await outcome(filter, asking(BY_ONE)), 'alice');
  text = '{';
  changed();
  assert.equal(await outcome(filter, asking(BY_ONE)), 'alice');
  assert.equal(env.warnings.length, 1);
  text = setOf(TWO);
  changed();
  assert.equal(await outcome(filter, asking(BY_ONE)), 'jwt.invalid');
  assert.equal(await outcome(filter, asking(BY_TWO)), 'alice');
});

test('jwt keys: of a Secret; a set that is none refuses the plan', async () => {
  const config = { issuers: [{ issuer: ISSUER, audiences: ['api'], jwks: { secret: { name: 'a', key: 'b' } } }] };
  const { filter } = makeFilter(config, { secret: () => setOf(ONE) });
  assert.equal(await outcome(filter, asking(BY_ONE)), 'alice');
  assert.throws(() => makeFilter(config, { secret: () => 'x' }), /no usable key set: it is not JSON/);
});

test('jwt keys: a private key in a set is only used for its public part', async () => {
  const jwk = ONE.privateKey.export({ format: 'jwk' });
  const key = publicKeyOf(jwk as never, ['ES256']);
  assert.ok(typeof key !== 'string');
  assert.equal(key.key.type, 'public');
});

const REFUSED: [rule: string, jwk: object][] = [
  ['a short RSA key', generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey.export({ format: 'jwk' })],
  ['a curve that is not on the list', { kty: 'EC', crv: 'secp256k1', x: 'AAAA', y: 'AAAA' }],
  ['a point that is not on its curve', { ...ONE.jwk, y: ONE.jwk.x }],
  ['a kind that every object has', { kty: 'constructor', crv: 'prototype' }],
  ['an id that is no text', { ...ONE.jwk, kid: 7 }],
  ['another operation', { ...ONE.jwk, key_ops: ['sign'] }],
  ['another algorithm', { ...ONE.jwk, alg: 'ES384' }],
];

for (const [rule, jwk] of REFUSED) {
  test(`jwt keys: ${rule} is left out`, () => {
    const set = readKeySet(JSON.stringify({ keys: [jwk] }), ['ES256', 'RS256', 'ES384']);
    assert.equal(set, 'it has no key for the algorithms that are taken');
  });
}

test('jwt: the memory of verified tokens is bounded, and what is used stays longest', () => {
  const tokens = new VerifiedTokens({ entriesMax: 3, bytesMax: 30 });
  const key = publicKeyOf(ONE.jwk as never, ['ES256']);
  const verified = { key, untilMs: 10 } as never;
  for (const token of ['a', 'b', 'c']) tokens.set(token, verified);
  tokens.get('a', 0);
  tokens.set('d', verified);
  assert.deepEqual(
    ['a', 'b', 'c', 'd'].filter((token) => tokens.get(token, 0) !== undefined),
    ['a', 'c', 'd'],
  );
  tokens.set('e'.repeat(29), verified);
  assert.deepEqual([tokens.size, tokens.bytes], [2, 30]);
  tokens.set('f'.repeat(31), verified);
  assert.equal(tokens.get('f'.repeat(31), 0), undefined);
  assert.equal(tokens.get('e'.repeat(29), 10), undefined, 'what expired is gone');
  assert.deepEqual([tokens.size, tokens.bytes], [1, 1]);
});
