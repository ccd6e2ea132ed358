import assert from 'node:assert/strict';
import { test } from 'node:test';
import { identityOf } from '../../filter/identity.ts';
import type { ExchangeValues } from '../../filter/testing/exchange.ts';
import { Driver, type OriginAnswer } from './testing/driver.ts';

type Fields = Readonly<Record<string, string | readonly string[]>>;

const FRESH: Fields = { 'cache-control': 'max-age=60' };
const ANN = identityOf({ method: 'jwt', subject: 'ann', issuer: 'i' });
const BOB = identityOf({ method: 'jwt', subject: 'bob', issuer: 'i' });

/** Two requests, a second apart: how often the origin was asked. */
interface Pair {
  readonly config?: object;
  readonly answer?: OriginAnswer;
  readonly first?: ExchangeValues;
  readonly second?: ExchangeValues;
  readonly apartMs?: number;
}

async function pair({ config = {}, answer = { headers: FRESH }, first = {}, second = first, apartMs = 1_000 }: Pair) {
  const driver = new Driver(config, () => ({ body: 'hello', ...answer }));
  const one = await driver.ask(first);
  driver.env.advance(apartMs);
  const two = await driver.ask(second);
  return { driver, one, two };
}

const STORED: [rule: string, pair: Pair][] = [
  ['a fresh answer', {}],
  ['an answer with Expires', { answer: { headers: { expires: 'Thu, 01 Jan 2026 01:00:00 GMT' } } }],
  ['s-maxage before max-age', { answer: { headers: { 'cache-control': 'max-age=0, s-maxage=60' } } }],
  ['a 404 that says so', { answer: { status: 404, headers: FRESH } }],
  ['a status that nobody knows, when it says so', { answer: { status: 299, headers: FRESH } }],
  ['an answer that says nothing, where the operator does', { config: { defaults: [{ lifetime: '1m' }] }, answer: {} }],
  [
    'a guess, where the operator wants one',
    {
      config: { heuristic: { lifetimeMax: '1h' } },
      answer: { headers: { 'last-modified': 'Wed, 31 Dec 2025 00:00:00 GMT' } },
    },
  ],
  ['HEAD from GET', { second: { method: 'HEAD' } }],
  ['the same in another case of the host, with the port that is meant', { second: { url: 'http://SHOP.test:80/' } }],
  [
    'parameters in another order, where that means nothing',
    {
      config: { key: { query: { sort: true } } },
      first: { url: 'http://shop.test/?a=1&b=2' },
      second: { url: 'http://shop.test/?b=2&a=1' },
    },
  ],
  [
    'a parameter that is ignored',
    {
      config: { key: { query: { ignore: ['utm_*'] } } },
      first: { url: 'http://shop.test/?utm_source=a' },
      second: { url: 'http://shop.test/?utm_source=b' },
    },
  ],
  [
    'only parameters that count',
    {
      config: { key: { query: { allow: ['id'] } } },
      first: { url: 'http://shop.test/?id=1&x=1' },
      second: { url: 'http://shop.test/?id=1&y=2' },
    },
  ],
  [
    'what the targeted field says',
    { answer: { headers: { 'cache-control': 'no-store', 'cdn-cache-control': 'max-age=60' } } },
  ],
  [
    'what our own field says, before all others',
    { answer: { headers: { 'cdn-cache-control': 'no-store', 'fourways-cache-control': 'max-age=60' } } },
  ],
  [
    'what may be public, of somebody authenticated',
    {
      first: { identity: ANN },
      second: { identity: BOB },
      answer: { headers: { 'cache-control': 'public, max-age=60' } },
    },
  ],
  [
    'with Authorization and s-maxage',
    { first: { headers: { authorization: 'a' } }, second: {}, answer: { headers: { 'cache-control': 's-maxage=60' } } },
  ],
  [
    'with Authorization and must-revalidate',
    {
      first: { headers: { authorization: 'a' } },
      answer: { headers: { 'cache-control': 'max-age=60, must-revalidate' } },
    },
  ],
  ['somebody authenticated, on his own', { config: { perIdentity: true }, first: { identity: ANN } }],
  ['what was stored for all, also for somebody authenticated', { second: { headers: { authorization: 'a' } } }],
  [
    'the same variant',
    {
      first: { headers: { 'accept-encoding': 'gzip, br' } },
      second: { headers: { 'accept-encoding': 'br;q=1.0,gzip, zstd;q=0' } },
      answer: { headers: { ...FRESH, vary: 'Accept-Encoding' } },
    },
  ],
  [
    'without the cookies, where that is asked for',
    { config: { setCookie: 'strip' }, answer: { headers: { ...FRESH, 'set-cookie': 'a=b' } } },
  ],
  [
    'an image by a name of another',
    { answer: { headers: { ...FRESH, 'content-type': 'image/webp' } }, first: { url: 'http://shop.test/a.png' } },
  ],
  [
    'the same field of the key',
    { config: { key: { headers: ['X-Tenant'] } }, first: { headers: { 'x-tenant': 'a' } } },
  ],
  [
    'an unkeyed header that is in the key',
    { config: { key: { headers: ['X-Host'] } }, first: { headers: { 'x-host': 'a' } } },
  ],
  [
    'must-understand of a status that is understood',
    { answer: { headers: { 'cache-control': 'must-understand, no-store, max-age=60' } } },
  ],
  [
    'the same by an expression',
    { config: { key: { expression: 'request.headers["x-a"]' } }, first: { headers: { 'x-a': '1' } } },
  ],
];

for (const [rule, row] of STORED) {
  test(`cache: answers from the store: ${rule}`, async () => {
    const { driver, one, two } = await pair(row);
    assert.equal(driver.count, 1);
    assert.equal(two.status, one.status);
    assert.equal(two.age, '1');
    assert.match(two.cache!, /^fourways; hit; ttl=\d+$/);
    assert.equal(two.body, row.second?.method === 'HEAD' ? '' : one.body);
    assert.equal(two.bodyLength, 5);
    assert.equal(two.get('set-cookie'), undefined);
  });
}

const NOT: [rule: string, pair: Pair, detail?: string][] = [
  ['no-store', { answer: { headers: { 'cache-control': 'no-store, max-age=60' } } }, 'no-store'],
  ['private', { answer: { headers: { 'cache-control': 'private, max-age=60' } } }, 'private'],
  ['private of named fields', { answer: { headers: { 'cache-control': 'max-age=60, private="x"' } } }, 'private'],
  [
    'a directive beyond what is read',
    { answer: { headers: { 'cache-control': `max-age=60, x="${'x'.repeat(5_000)}", private` } } },
    'no-store',
  ],
  ['nothing said', { answer: {} }, 'no-lifetime'],
  ['nothing said but a validator', { answer: { headers: { etag: '"a"' } } }, 'no-lifetime'],
  ['old already', { answer: { headers: { ...FRESH, age: '90' } } }, 'stale'],
  [
    'a part, whatever it says',
    { answer: { status: 206, headers: { ...FRESH, 'content-range': 'bytes 0-4/10' } } },
    'status',
  ],
  ['Set-Cookie', { answer: { headers: { ...FRESH, 'set-cookie': 'a=b' } } }, 'set-cookie'],
  ['Vary by the address of the client', { answer: { headers: { ...FRESH, vary: 'X-Forwarded-For' } } }, 'vary'],
  ['Vary by the certificate of the client', { answer: { headers: { ...FRESH, vary: 'a, client-cert' } } }, 'vary'],
  ['Vary: *', { answer: { headers: { ...FRESH, vary: 'accept, *' } } }, 'vary'],
  [
    'Vary of more than anybody means',
    { answer: { headers: { ...FRESH, vary: Array.from({ length: 17 }, (_, i) => `x-${i}`).join(',') } } },
    'vary',
  ],
  ['a body that is longer than may be', { config: { objectBytesMax: 4 } }, 'too-large'],
  ['of somebody authenticated', { first: { identity: ANN } }, 'authorization'],
  ['with Authorization', { first: { headers: { authorization: 'Bearer x' } } }, 'authorization'],
  [
    'a page by the name of a style sheet',
    {
      first: { url: 'http://shop.test/account/x.css' },
      answer: { headers: { ...FRESH, 'content-type': 'text/html' } },
    },
    'type',
  ],
  [
    'must-understand of a status that is not',
    { answer: { status: 299, headers: { 'cache-control': 'must-understand, max-age=60' } } },
    'status',
  ],
  ['a failure of the upstream', { answer: { status: 503, headers: {} } }, 'no-lifetime'],
];

for (const [rule, row, detail] of NOT) {
  test(`cache: does not keep: ${rule}`, async () => {
    const { driver, one } = await pair(row);
    assert.equal(driver.count, 2);
    assert.equal(one.cache, `fourways; fwd=uri-miss; detail=${detail}`);
    assert.equal(one.body, 'hello');
  });
}

const APART: [rule: string, pair: Pair][] = [
  ['another path', { second: { url: 'http://shop.test/a' } }],
  ['another query', { second: { url: 'http://shop.test/?a' } }],
  ['another host', { second: { url: 'http://shop2.test/' } }],
  ['another port: an origin may repeat it', { second: { url: 'http://shop.test:1337/' } }],
  ['another scheme', { second: { url: 'https://shop.test/' } }],
  [
    'somebody else, each on his own',
    { config: { perIdentity: true }, first: { identity: ANN }, second: { identity: BOB } },
  ],
  ['nobody, after somebody on his own', { config: { perIdentity: true }, first: { identity: ANN }, second: {} }],
  [
    'another variant',
    {
      first: { headers: { 'accept-language': 'de' } },
      second: { headers: { 'accept-language': 'fr' } },
      answer: { headers: { ...FRESH, vary: 'accept-language' } },
    },
  ],
  [
    'without what chose the variant',
    { first: { headers: { 'x-a': '' } }, second: {}, answer: { headers: { ...FRESH, vary: 'x-a' } } },
  ],
  [
    'another field of the key',
    {
      config: { key: { headers: ['x-tenant'] } },
      first: { headers: { 'x-tenant': 'a' } },
      second: { headers: { 'x-tenant': 'b' } },
    },
  ],
  [
    'another value of the expression',
    {
      config: { key: { expression: 'request.headers["x-a"]' } },
      first: { headers: { 'x-a': '1' } },
      second: { headers: { 'x-a': '2' } },
    },
  ],
  [
    'a field that ends like another key',
    {
      config: { key: { headers: ['a', 'b'] } },
      first: { headers: { a: 'x', b: 'y' } },
      second: { headers: { a: 'x b=y' } },
    },
  ],
  [
    'a parameter that is ignored, with another behind a semicolon',
    {
      config: { key: { query: { ignore: ['utm_*'] } } },
      first: { url: 'http://shop.test/?utm_source=a' },
      second: { url: 'http://shop.test/?utm_source=a;callback=evil' },
    },
  ],
  [
    'a parameter that is written like one that is ignored',
    {
      config: { key: { query: { ignore: ['utm_*'] } } },
      first: { url: 'http://shop.test/?utm_source=a' },
      second: { url: 'http://shop.test/?utm%5fsource=a' },
    },
  ],
  ['what a trusted hop says of the scheme', { first: { told: 'https shop.test 443' }, second: {} }],
  [
    'what a trusted hop says of the host',
    { first: { told: 'http evil.test 80' }, second: { told: 'http shop.test 80' } },
  ],
];

for (const [rule, row] of APART) {
  test(`cache: keeps apart: ${rule}`, async () => {
    const { driver } = await pair(row);
    assert.equal(driver.count, 2);
  });
}

const BYPASSED: [rule: string, first: ExchangeValues][] = [
  ['a GET with a body', { bodyLength: 3 }],
  ['a GET with a body of unknown length', { bodyLength: -1 }],
  ['X-Forwarded-Host', { headers: { 'x-forwarded-host': 'evil.test' } }],
  ['X-Original-URL', { headers: { 'x-original-url': '/admin' } }],
  ['X-Rewrite-URL', { headers: { 'X-Rewrite-URL': '/admin' } }],
  ['X-HTTP-Method-Override', { headers: { 'x-http-method-override': 'POST' } }],
  ['X-Forwarded-Scheme', { headers: { 'x-forwarded-scheme': 'http' } }],
  ['If-Match', { headers: { 'if-match': '"a"' } }],
  ['If-Unmodified-Since', { headers: { 'if-unmodified-since': 'Thu, 01 Jan 2026 00:00:00 GMT' } }],
  ['the expression of the operator', { headers: { 'x-no': 'yes' } }],
];

for (const [rule, first] of BYPASSED) {
  test(`cache: has no part in ${rule}`, async () => {
    const config = { bypass: '"x-no" in request.headers' };
    const { driver, one } = await pair({ config, first, second: {} });
    // Neither was it kept, nor is what was kept for others given.
    assert.equal(driver.count, 2);
    assert.equal(one.cache, 'fourways; fwd=bypass');
    const third = await driver.ask(first);
    assert.equal(third.cache, 'fourways; fwd=bypass');
    assert.equal(driver.count, 3);
  });
}

test('cache: an expression without a value is no permission', async () => {
  const { driver } = await pair({ config: { bypass: 'request.headers["x-a"] == "1"' } });
  assert.equal(driver.count, 2);
  const { driver: other } = await pair({ config: { key: { expression: 'request.headers["x-a"]' } } });
  assert.equal(other.count, 2);
});

test('cache: what is not in the key does not reach the upstream', async () => {
  const driver = new Driver({ key: { query: { ignore: ['utm_*'] } } }, () => ({ headers: FRESH }));
  await driver.ask({ url: 'http://shop.test/?a=1&utm_source=<script>&b=2' });
  assert.equal(driver.asked[0]!.target, 'GET /?a=1&b=2');
});

test('cache: a hit has the head of the origin, an age, and nothing of one hop', async () => {
  const headers = {
    ...FRESH,
    'content-type': 'text/plain',
    server: 'origin',
    age: '5',
    warning: '110 - "old"',
    'proxy-authenticate': 'Basic',
    'keep-alive': 'timeout=5',
    'fourways-cache-control': 'max-age=30',
    'cache-tag': 'a b',
  };
  const { one, two } = await pair({ answer: { headers } });
  assert.deepEqual(two.lines, [
    'cache-control: max-age=60',
    'content-type: text/plain',
    'server: origin',
    'date: Thu, 01 Jan 2026 00:00:00 GMT',
    'age: 6',
    'cache-status: fourways; hit; ttl=24',
  ]);
  assert.equal(one.get('cache-tag'), undefined);
  assert.equal(one.get('fourways-cache-control'), undefined);
  assert.equal(one.cache, 'fourways; fwd=uri-miss; stored');
});

test('cache: says nothing of itself where that is not wanted, and keeps tags where they are', async () => {
  const config = { cacheStatus: 'omit', tags: { toClients: 'keep' } };
  const { one, two } = await pair({ config, answer: { headers: { ...FRESH, 'surrogate-key': 'a' } } });
  assert.deepEqual([one.cache, two.cache], [undefined, undefined]);
  assert.deepEqual([one.get('surrogate-key'), two.get('surrogate-key')], ['a', 'a']);
});

test('cache: many values of a field push out only each other', async () => {
  const answer = { headers: { ...FRESH, vary: 'x-a' }, body: 'x' };
  const driver = new Driver({ variantsMax: 4 }, () => answer);
  await driver.ask({ url: 'http://shop.test/other' });
  for (let i = 0; i < 100; i++) await driver.ask({ headers: { 'x-a': String(i) } });
  assert.equal(driver.env.counts.get('evicted'), 96);
  await driver.ask({ headers: { 'x-a': '99' } });
  await driver.ask({ url: 'http://shop.test/other' });
  assert.equal(driver.count, 101);
});

for (const [rule, answer] of [
  ['cut', { body: 'hel', bodyLength: 5 }],
  ['aborted', { body: 'hello', cut: 'yes' }],
  ['longer than it may be, which nobody knew', { body: 'x'.repeat(100), bodyLength: -1 }],
] as const) {
  test(`cache: a body that is ${rule} is not kept, and passed on as it is`, async () => {
    const { driver, one } = await pair({ config: { objectBytesMax: 50 }, answer: { headers: FRESH, ...answer } });
    assert.equal(driver.count, 2);
    assert.equal(one.body, answer.body);
    assert.equal(driver.env.counts.get('refused'), 2);
    assert.equal(driver.env.counts.get('stored'), undefined);
  });
}
