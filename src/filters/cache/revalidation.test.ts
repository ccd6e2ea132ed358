import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Driver, type OriginAnswer } from './testing/driver.ts';

const ETAG = '"v1"';
const MODIFIED = 'Wed, 31 Dec 2025 00:00:00 GMT';
const FRESH = { 'cache-control': 'max-age=60', etag: ETAG, 'last-modified': MODIFIED, 'content-type': 'text/plain' };

/** An origin that knows what 304 is. */
function origin(
  headers: Record<string, string> = FRESH,
  body = 'hello world',
): (request: { headers: { get(name: string): string | undefined } }) => OriginAnswer {
  return ({ headers: asked }) =>
    asked.get('if-none-match') === headers['etag']
      ? { status: 304, headers: { ...headers, 'x-round': '2' } }
      : { headers: { ...headers, 'x-round': '1' }, body };
}

test('cache: what is stale is asked about, and a 304 makes it fresh', async () => {
  const driver = new Driver({}, origin());
  await driver.ask();
  driver.env.advance(61_000);
  const two = await driver.ask();
  assert.equal(driver.asked[1]!.headers.get('if-none-match'), ETAG);
  assert.equal(driver.asked[1]!.headers.get('if-modified-since'), MODIFIED);
  assert.deepEqual([two.status, two.body, two.bodyLength], [200, 'hello world', 11]);
  assert.equal(two.get('x-round'), '2');
  assert.equal(two.cache, 'fourways; fwd=stale; fwd-status=304');
  assert.equal((await driver.ask()).cache, 'fourways; hit; ttl=60');
  assert.equal(driver.count, 2);
});

test('cache: a new answer takes the place of what was stale', async () => {
  const driver = new Driver({}, (_, count) => ({ headers: { ...FRESH, etag: `"v${count}"` }, body: `body ${count}` }));
  await driver.ask();
  driver.env.advance(61_000);
  assert.equal((await driver.ask()).body, 'body 2');
  assert.equal((await driver.ask()).body, 'body 2');
  assert.equal(driver.count, 2);
});

test('cache: no-cache is kept and never used unasked', async () => {
  const driver = new Driver({}, origin({ 'cache-control': 'no-cache', etag: ETAG }));
  await driver.ask();
  for (let i = 0; i < 3; i++) assert.equal((await driver.ask()).body, 'hello world');
  assert.equal(driver.count, 4);
  assert.equal(driver.env.counts.get('revalidated'), 3);
});

test('cache: a 304 of another answer updates nothing, and is believed once', async () => {
  const driver = new Driver({}, (_, count) =>
    count === 2 ? { status: 304, headers: { ...FRESH, etag: '"other"' } } : { headers: FRESH, body: `body ${count}` },
  );
  await driver.ask();
  driver.env.advance(61_000);
  const two = await driver.ask();
  assert.deepEqual([two.status, two.body, two.get('etag')], [200, 'body 1', ETAG]);
  assert.equal((await driver.ask()).body, 'body 3');
});

test('cache: a 304 that forbids keeping is the end of what was kept', async () => {
  const driver = new Driver({}, (_, count) =>
    count === 2 ? { status: 304, headers: { etag: ETAG, 'cache-control': 'no-store' } } : { headers: FRESH, body: 'x' },
  );
  await driver.ask();
  driver.env.advance(61_000);
  assert.equal((await driver.ask()).status, 200);
  await driver.ask();
  assert.equal(driver.count, 3);
});

test('cache: lines that a 304 must not bring are those of the stored answer', async () => {
  const driver = new Driver({}, (_, count) =>
    count === 2
      ? {
          status: 304,
          headers: { etag: ETAG, 'content-encoding': 'br', connection: 'x', 'cache-control': 'max-age=60' },
        }
      : { headers: { ...FRESH, 'content-encoding': 'gzip' }, body: 'x' },
  );
  await driver.ask();
  driver.env.advance(61_000);
  assert.equal((await driver.ask()).get('content-encoding'), 'gzip');
});

const KNOWN: [rule: string, headers: Record<string, string>, status: number][] = [
  ['the same tag', { 'if-none-match': ETAG }, 304],
  ['one of several', { 'if-none-match': '"x", W/"v1"' }, 304],
  ['a tag with a comma inside', { 'if-none-match': '"a,b", "v1"' }, 304],
  ['any', { 'if-none-match': '*' }, 304],
  ['another tag', { 'if-none-match': '"v2"' }, 200],
  ['the same date', { 'if-modified-since': MODIFIED }, 304],
  ['a later date', { 'if-modified-since': 'Thu, 01 Jan 2026 00:00:00 GMT' }, 304],
  ['an earlier date', { 'if-modified-since': 'Tue, 30 Dec 2025 00:00:00 GMT' }, 200],
  ['no date', { 'if-modified-since': 'yesterday' }, 200],
  ['another tag, whatever the date', { 'if-none-match': '"v2"', 'if-modified-since': MODIFIED }, 200],
];

for (const [rule, headers, status] of KNOWN) {
  test(`cache: a condition is answered from the store: ${rule}`, async () => {
    const driver = new Driver({}, origin());
    const cold = await driver.ask({ headers });
    const warm = await driver.ask({ headers });
    // The first was asked for whole, so that it could be kept.
    assert.equal(driver.asked[0]!.headers.get('if-none-match'), undefined);
    assert.equal(driver.count, 1);
    assert.deepEqual([cold.status, warm.status], [status, status]);
    assert.equal(warm.body, status === 304 ? '' : 'hello world');
    assert.equal(cold.body, warm.body);
    assert.equal(warm.get('content-type'), status === 304 ? undefined : 'text/plain');
    assert.equal(warm.get('etag'), ETAG);
  });
}

const RANGES: [
  rule: string,
  headers: Record<string, string>,
  status: number,
  body: string,
  range: string | undefined,
][] = [
  ['the begin', { range: 'bytes=0-4' }, 206, 'hello', 'bytes 0-4/11'],
  ['the rest', { range: 'bytes=6-' }, 206, 'world', 'bytes 6-10/11'],
  ['the end', { range: 'bytes=-5' }, 206, 'world', 'bytes 6-10/11'],
  ['more than there is', { range: 'bytes=6-100' }, 206, 'world', 'bytes 6-10/11'],
  ['beyond the end', { range: 'bytes=11-' }, 416, '', 'bytes */11'],
  ['nothing', { range: 'bytes=-0' }, 416, '', 'bytes */11'],
  ['another unit', { range: 'lines=1-2' }, 200, 'hello world', undefined],
  ['what is no range', { range: 'bytes=4-1' }, 200, 'hello world', undefined],
  ['the same tag', { range: 'bytes=0-4', 'if-range': ETAG }, 206, 'hello', 'bytes 0-4/11'],
  ['another tag', { range: 'bytes=0-4', 'if-range': '"v2"' }, 200, 'hello world', undefined],
  ['a weak tag', { range: 'bytes=0-4', 'if-range': 'W/"v1"' }, 200, 'hello world', undefined],
  ['the same date', { range: 'bytes=0-4', 'if-range': MODIFIED }, 206, 'hello', 'bytes 0-4/11'],
  ['what the client has', { range: 'bytes=0-4', 'if-none-match': ETAG }, 304, '', undefined],
  [
    'too many parts',
    { range: `bytes=${Array.from({ length: 17 }, () => '0-0').join(',')}` },
    200,
    'hello world',
    undefined,
  ],
  ['parts that overlap to more than the whole', { range: 'bytes=0-10,0-10' }, 200, 'hello world', undefined],
];

for (const [rule, headers, status, body, range] of RANGES) {
  test(`cache: a part of what is stored: ${rule}`, async () => {
    const driver = new Driver({}, origin());
    await driver.ask();
    const got = await driver.ask({ headers });
    assert.deepEqual([got.status, got.body, got.get('content-range')], [status, body, range]);
    assert.equal(got.bodyLength, body.length);
    assert.equal(driver.count, 1);
  });
}

test('cache: several parts', async () => {
  const driver = new Driver({}, origin());
  await driver.ask();
  const got = await driver.ask({ headers: { range: 'bytes=0-1, -2' } });
  const boundary = /^multipart\/byteranges; boundary=([0-9a-f]{36})$/.exec(got.get('content-type')!)![1];
  const part = (range: string, text: string): string =>
    `\r\n--${boundary}\r\ncontent-type: text/plain\r\ncontent-range: bytes ${range}/11\r\n\r\n${text}`;
  assert.equal(got.body, `${part('0-1', 'he')}${part('9-10', 'ld')}\r\n--${boundary}--\r\n`);
});

test('cache: a part of what is not stored is not asked for whole, and not kept', async () => {
  const driver = new Driver({}, () => ({
    status: 206,
    headers: { ...FRESH, 'content-range': 'bytes 0-1/11' },
    body: 'he',
  }));
  const got = await driver.ask({ headers: { range: 'bytes=0-1' } });
  assert.equal(driver.asked[0]!.headers.get('range'), 'bytes=0-1');
  assert.deepEqual([got.status, got.cache], [206, 'fourways; fwd=partial']);
  await driver.ask();
  assert.equal(driver.count, 2);
});

const DIRECTIVES: [rule: string, asked: string, afterMs: number, want: 'store' | 'origin' | 'refused'][] = [
  ['no-cache', 'no-cache', 1_000, 'origin'],
  ['max-age that it has', 'max-age=5', 1_000, 'store'],
  ['max-age that it is older than', 'max-age=5', 6_000, 'origin'],
  ['min-fresh that it has', 'min-fresh=30', 1_000, 'store'],
  ['min-fresh that it has not', 'min-fresh=30', 40_000, 'origin'],
  ['max-stale', 'max-stale', 3_600_000, 'store'],
  ['max-stale that it is within', 'max-stale=10', 65_000, 'store'],
  ['max-stale that it is beyond', 'max-stale=10', 75_000, 'origin'],
  ['only-if-cached, and it is', 'only-if-cached', 1_000, 'store'],
  ['only-if-cached, and it is stale', 'only-if-cached', 61_000, 'refused'],
  ['no-store of what is stored', 'no-store', 1_000, 'store'],
];

for (const [rule, asked, afterMs, want] of DIRECTIVES) {
  test(`cache: a client asks with ${rule}`, async () => {
    const driver = new Driver({ requestDirectives: 'honour' }, () => ({ headers: FRESH, body: 'x' }));
    await driver.ask();
    driver.env.advance(afterMs);
    const got = await driver.ask({ headers: { 'cache-control': asked } });
    assert.equal(driver.count, want === 'origin' ? 2 : 1);
    assert.equal(got.status, want === 'refused' ? 504 : 200);

    const deaf = new Driver({}, () => ({ headers: FRESH, body: 'x' }));
    await deaf.ask();
    await deaf.ask({ headers: { 'cache-control': asked } });
    assert.equal(deaf.count, 1);
  });
}

test('cache: a client that asks with no-store leaves nothing behind', async () => {
  const driver = new Driver({ requestDirectives: 'honour' }, () => ({ headers: FRESH }));
  await driver.ask({ headers: { 'cache-control': 'no-store' } });
  await driver.ask();
  assert.equal(driver.count, 2);
});

test('cache: Pragma counts where nothing else is said', async () => {
  const driver = new Driver({ requestDirectives: 'honour' }, () => ({ headers: FRESH }));
  await driver.ask();
  await driver.ask({ headers: { pragma: 'no-cache' } });
  assert.equal(driver.count, 2);
});

const STALE: [rule: string, config: object, cacheControl: string, afterMs: number, status: number][] = [
  ['as the origin says', {}, 'max-age=60, stale-if-error=600', 100_000, 200],
  ['for as long as it says', {}, 'max-age=60, stale-if-error=600', 700_000, 503],
  ['as the operator says', { staleIfError: '10m' }, 'max-age=60', 100_000, 200],
  ['not without a word', {}, 'max-age=60', 100_000, 503],
  [
    'not beside must-revalidate',
    { staleIfError: '10m' },
    'max-age=60, must-revalidate, stale-if-error=600',
    100_000,
    503,
  ],
  ['not beside proxy-revalidate', { staleIfError: '10m' }, 'max-age=60, proxy-revalidate', 100_000, 503],
  ['not beside s-maxage, by the operator alone', { staleIfError: '10m' }, 's-maxage=60', 100_000, 503],
  ['beside s-maxage, by the origin', {}, 's-maxage=60, stale-if-error=600', 100_000, 200],
  ['not beside no-cache', { staleIfError: '10m' }, 'no-cache', 100_000, 503],
];

for (const [rule, config, cacheControl, afterMs, status] of STALE) {
  test(`cache: a stale answer when the upstream fails: ${rule}`, async () => {
    const headers = { 'cache-control': cacheControl, etag: ETAG };
    const driver = new Driver(config, (_, count) =>
      count === 1 ? { headers, body: 'old' } : { status: 503, body: 'sorry, no' },
    );
    await driver.ask();
    driver.env.advance(afterMs);
    const got = await driver.ask();
    assert.equal(got.status, status);
    assert.equal(got.body, status === 200 ? 'old' : 'sorry, no');
    assert.equal(got.bodyLength, got.body.length);
    if (status !== 200) return;
    assert.equal(got.age, String(afterMs / 1_000));
    assert.equal(got.cache, 'fourways; fwd=stale; fwd-status=503; detail=stale-if-error');
    // It is left alone for a second, and asked again afterwards.
    assert.equal((await driver.ask()).body, 'old');
    assert.equal(driver.count, 2);
    driver.env.advance(1_001);
    await driver.ask();
    assert.equal(driver.count, 3);
  });
}

/** Lets what was begun in the background come to its end. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('cache: a stale answer at once, and a fresh one for the next', async () => {
  const headers = { 'cache-control': 'max-age=60, stale-while-revalidate=600', server: 'shown' };
  const driver = new Driver({}, (_, count) => ({ headers: { ...headers, server: 'hidden' }, body: `body ${count}` }));
  await driver.ask();
  driver.env.advance(100_000);
  const asked = { headers: { range: 'bytes=0-3', 'if-none-match': '"x"' } };
  const [one, two] = await Promise.all([driver.ask(asked), driver.ask()]);
  assert.deepEqual([one.body, two.body], ['body', 'body 1']);
  assert.equal(two.cache, 'fourways; hit; ttl=-40');
  await settled();
  assert.equal(driver.count, 2);
  assert.equal(driver.asked[1]!.headers.get('range'), undefined);
  assert.equal(driver.asked[1]!.headers.get('if-none-match'), undefined);
  assert.equal((await driver.ask()).body, 'body 2');
  driver.env.advance(700_000);
  assert.equal((await driver.ask()).body, 'body 3');
});

test('cache: a refresh that is confirmed, fails, or may not be kept', async () => {
  const headers = { 'cache-control': 'max-age=60, stale-while-revalidate=6000', etag: ETAG };
  const later: OriginAnswer[] = [
    { status: 304, headers },
    { status: 500 },
    { headers: { 'cache-control': 'private' }, body: 'mine' },
  ];
  const driver = new Driver({}, (_, count) => later[count - 2] ?? { headers, body: `body ${count}` });
  await driver.ask();
  driver.env.advance(100_000);
  await driver.ask();
  await settled();
  assert.equal((await driver.ask()).cache, 'fourways; hit; ttl=60');
  driver.env.advance(100_000);
  await driver.ask();
  await settled();
  // After the failure it is left alone.
  await driver.ask();
  assert.equal(driver.count, 3);
  driver.env.advance(1_001);
  assert.equal((await driver.ask()).body, 'body 1');
  await settled();
  assert.equal((await driver.ask()).body, 'body 5');
  assert.equal(driver.count, 5);
});

test('cache: HEAD shows that what is stored is old', async () => {
  let etag = ETAG;
  const driver = new Driver({}, () => ({ headers: { ...FRESH, 'cache-control': 'max-age=60', etag }, body: 'x' }));
  await driver.ask();
  driver.env.advance(61_000);
  etag = '"v2"';
  assert.equal((await driver.ask({ method: 'HEAD' })).cache, 'fourways; fwd=request');
  await driver.ask();
  assert.equal(driver.asked[2]!.headers.get('if-none-match'), undefined);
});
