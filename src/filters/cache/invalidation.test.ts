import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeExchange } from '../../filter/testing/exchange.ts';
import { code } from './filter.ts';
import { Driver, type OriginAnswer } from './testing/driver.ts';
import type { Zones } from './zones.ts';

const FRESH = { 'cache-control': 'max-age=60' };

const CHANGES: [rule: string, method: string, answer: OriginAnswer, url: string, want: 'forgotten' | 'kept'][] = [
  ['POST', 'POST', {}, 'http://shop.test/a', 'forgotten'],
  ['PUT', 'PUT', { status: 204 }, 'http://shop.test/a', 'forgotten'],
  ['DELETE that sends on', 'DELETE', { status: 303 }, 'http://shop.test/a', 'forgotten'],
  ['a method that nobody knows', 'M-SEARCH', {}, 'http://shop.test/a', 'forgotten'],
  ['POST that fails', 'POST', { status: 500 }, 'http://shop.test/a', 'kept'],
  ['POST that is refused', 'POST', { status: 403 }, 'http://shop.test/a', 'kept'],
  ['OPTIONS', 'OPTIONS', {}, 'http://shop.test/a', 'kept'],
  ['POST elsewhere', 'POST', {}, 'http://shop.test/b', 'kept'],
  [
    'POST elsewhere that names it in Location',
    'POST',
    { status: 201, headers: { location: '/x/../a' } },
    'http://shop.test/b',
    'forgotten',
  ],
  [
    'POST elsewhere that names it in Content-Location',
    'POST',
    { headers: { 'content-location': 'http://shop.test/a' } },
    'http://shop.test/b',
    'forgotten',
  ],
  [
    'POST of another host that names it',
    'POST',
    { headers: { location: 'http://shop.test/a' } },
    'http://evil.test/b',
    'kept',
  ],
];

for (const [rule, method, answer, url, want] of CHANGES) {
  test(`cache: what was stored is ${want} after ${rule}`, async () => {
    const driver = new Driver({}, (request) => (request.method === 'GET' ? { headers: FRESH } : answer));
    await driver.ask({ url: 'http://shop.test/a' });
    const got = await driver.ask({ method, url, bodyLength: 3 });
    assert.equal(got.cache, 'fourways; fwd=method');
    await driver.ask({ url: 'http://shop.test/a' });
    assert.equal(driver.count, want === 'kept' ? 2 : 3);
  });
}

test('cache: whatever else chose an answer, all of its URL are forgotten', async () => {
  const driver = new Driver({ key: { headers: ['x-a'] } }, () => ({ headers: FRESH }));
  for (const value of ['1', '2']) await driver.ask({ headers: { 'x-a': value } });
  await driver.ask({ method: 'POST' });
  assert.equal(driver.env.counts.get('invalidated'), 2);
});

/** As an operator orders in a worker. */
function order(driver: Driver, what: Record<string, unknown>): unknown {
  const shared = driver.env.shared<Zones>(() => assert.fail());
  return code.order!({ kind: 'purge', ...what }, shared);
}

const URLS = [
  'http://shop.test/a',
  'http://shop.test/a/b?c=1',
  'http://shop.test/ab',
  'https://shop.test/a',
  'http://other.test/a',
];

const PURGES: [rule: string, what: Record<string, unknown>, gone: string[]][] = [
  ['one URL', { by: 'url', value: 'http://shop.test/a' }, ['http://shop.test/a']],
  [
    'one URL, as it may be written',
    { by: 'url', value: 'HTTP://Shop.test:80/a/../a/b?c=1' },
    ['http://shop.test/a/b?c=1'],
  ],
  ['a URL that is not there', { by: 'url', value: 'http://shop.test/c' }, []],
  ['a prefix', { by: 'prefix', value: 'http://shop.test/a/' }, ['http://shop.test/a/b?c=1']],
  ['a host', { by: 'prefix', value: 'http://shop.test/' }, URLS.slice(0, 3)],
  ['a tag', { by: 'tag', value: 'odd' }, [URLS[1]!, URLS[3]!]],
  ['everything', { by: 'all' }, URLS],
  ['everything of this policy', { by: 'all', policy: 'test/test' }, URLS],
  ['everything of another policy', { by: 'all', policy: 'test/other' }, []],
];

for (const [rule, what, gone] of PURGES) {
  test(`cache: purges ${rule}`, async () => {
    const driver = new Driver({}, (_, count) => ({
      headers: { ...FRESH, 'cache-tag': count % 2 === 0 ? 'x,odd' : 'even' },
    }));
    for (const url of URLS) await driver.ask({ url });
    assert.deepEqual(order(driver, what), { purged: gone.length });
    for (const url of URLS) {
      const before = driver.count;
      await driver.ask({ url });
      assert.equal(driver.count - before, gone.includes(url) ? 1 : 0, url);
    }
  });
}

const SENSELESS: [order: Record<string, unknown>, message: RegExp][] = [
  [{ by: 'url', value: '/a' }, /"\/a" is no URL/],
  [{ by: 'url' }, /should be a text/],
  [{ by: 'tag', value: '' }, /should be a text/],
  [{ by: 'nothing', value: 'x' }, /By should be/],
  [{ by: 'all', policy: 5 }, /NAMESPACE\/NAME/],
  [{ kind: 'dance' }, /cannot "dance"/],
];

for (const [what, message] of SENSELESS) {
  test(`cache: an order that makes no sense: ${JSON.stringify(what)}`, () => {
    const driver = new Driver({}, () => ({}));
    assert.throws(() => order(driver, what), { name: 'RangeError', message });
  });
}

for (const [rule, purge] of [
  ['its URL', { by: 'url', value: 'http://shop.test/' }],
  ['its tag', { by: 'tag', value: 'a' }],
  ['everything', { by: 'all' }],
] as const) {
  test(`cache: an answer on its way is not kept when ${rule} is purged`, async () => {
    const driver = new Driver({}, () => ({ headers: { ...FRESH, 'cache-tag': 'a' } }));
    const x = makeExchange();
    assert.equal(await driver.filter.onRequest!(x, { matchedPath: undefined }), undefined);
    order(driver, purge);
    await driver.answer(x);
    await driver.ask();
    assert.equal(driver.count, 2);
    assert.equal((await driver.ask()).age, '0');
    assert.equal(driver.count, 2);
  });
}

test('cache: tells what it holds, and forgets with the last of its filters', async () => {
  const driver = new Driver({}, () => ({ headers: FRESH, body: 'x'.repeat(1_000) }));
  await driver.ask();
  const { zones } = order(driver, { kind: 'stats' }) as { zones: { bytes: number; entries: number }[] };
  assert.equal(zones.length, 1);
  assert.equal(zones[0]!.entries, 1);
  assert.ok(zones[0]!.bytes > 1_000 && zones[0]!.bytes < 4_000);
  driver.filter.close!();
  assert.deepEqual(order(driver, { kind: 'stats' }), { zones: [] });
});
