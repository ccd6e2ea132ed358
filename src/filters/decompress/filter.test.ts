import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import zlib from 'node:zlib';
import { Fault } from '../../base/fault.ts';
import { linesOf, makeEnv, makeExchange, makeResponse } from '../../filter/testing/exchange.ts';
import { clusterTo, type Got, Harness, request, routeOf, ruleTo, Upstream } from '../../proxy/testing/node-harness.ts';
import { check } from '../../schema/schema.ts';
import { decompress, DecompressConfig } from './config.ts';
import { code } from './filter.ts';

const MATCH = { matchedPath: '/' };

function configOf(config: object): DecompressConfig {
  const checked = check(DecompressConfig, config);
  assert.deepEqual(checked.issues, []);
  return checked.value!;
}

// ---- heads

const HEADS: [rule: string, config: object, coding: string, bodyLength: number, want: string, lines: string[]][] = [
  ['no coding is left alone', {}, 'identity', 10, 'as it is', []],
  ['no body is left alone', {}, 'gzip', 0, 'as it is', ['content-encoding: gzip']],
  ['a coding is taken off', {}, 'gzip', 10, 'read', []],
  ['its old name', {}, 'X-GZIP', 10, 'read', []],
  ['an unknown one is refused', {}, 'compress', 10, 'decompress.unknown-coding', ['content-encoding: compress']],
  ['one that is not wanted', { codings: ['br'] }, 'gzip', 10, 'decompress.unknown-coding', ['content-encoding: gzip']],
  ['two are one too many', {}, 'gzip, br', 10, 'decompress.unknown-coding', ['content-encoding: gzip, br']],
  ['two may be allowed', { codingsMax: 2 }, 'gzip, br', 10, 'read', []],
  [
    'a name that every object has',
    {},
    'constructor',
    10,
    'decompress.unknown-coding',
    ['content-encoding: constructor'],
  ],
];

for (const [rule, config, coding, bodyLength, want, lines] of HEADS) {
  test(`decompress: ${rule}`, () => {
    const filter = code.make(configOf(config), makeEnv());
    const headers = { 'content-encoding': coding };
    const x = makeExchange({ method: 'POST', headers, bodyLength });
    const said = filter.onRequest!(x, MATCH);
    if (said instanceof Fault) {
      assert.equal(said.code, want);
      const accepts = (config as { codings?: string[] }).codings ?? ['gzip', 'br', 'zstd', 'deflate'];
      assert.deepEqual(said.extras?.headers, [['accept-encoding', accepts.join(', ')]]);
    } else assert.equal(said === undefined ? 'as it is' : 'read', want);
    assert.deepEqual(linesOf(x.request.headers), lines);
    assert.equal(x.request.bodyLength, want === 'read' ? -1 : bodyLength);
    if (typeof said === 'object' && 'abort' in said) said.abort();
  });
}

test('decompress: fields that speak of the coded bytes go', () => {
  const filter = code.make(configOf({}), makeEnv());
  const headers = {
    'content-encoding': 'gzip',
    'content-digest': 'sha-256=:AA==:',
    digest: 'a',
    'content-type': 'a/b',
  };
  const x = makeExchange({ method: 'POST', headers, bodyLength: 10 });
  const stage = filter.onRequest!(x, MATCH);
  assert.deepEqual(linesOf(x.request.headers), ['content-type: a/b']);
  if (typeof stage === 'object' && 'abort' in stage) stage.abort();
});

test('decompress: at most bodiesMax bodies at a time', () => {
  const filter = code.make(configOf({ bodiesMax: 1 }), makeEnv());
  const ask = (): ReturnType<NonNullable<typeof filter.onRequest>> =>
    filter.onRequest!(makeExchange({ method: 'POST', headers: { 'content-encoding': 'br' }, bodyLength: -1 }), MATCH);
  const first = ask();
  const second = ask();
  assert.ok(second instanceof Fault && second.code === 'decompress.busy');
  if (typeof first === 'object' && 'abort' in first) first.abort();
  const third = ask();
  assert.ok(typeof third === 'object' && 'abort' in third);
  third.abort();
});

const ANSWERS: [rule: string, status: number, headers: Record<string, string>, lines: string[], want: string][] = [
  [
    'a coded answer is read',
    200,
    { 'content-encoding': 'gzip', etag: '"1"', 'accept-ranges': 'bytes' },
    ['vary: Accept-Encoding', 'etag: W/"1"'],
    'read',
  ],
  ['another one is not', 200, { etag: '"1"' }, ['etag: "1"'], 'as it is'],
  [
    'an unknown coding is left to the client',
    200,
    { 'content-encoding': 'sdch' },
    ['content-encoding: sdch'],
    'as it is',
  ],
  [
    '304 says what the answer said that it confirms',
    304,
    { etag: '"a"', 'content-encoding': 'gzip' },
    ['etag: W/"a"', 'vary: Accept-Encoding'],
    'as it is',
  ],
  ['304 without a coding', 304, { etag: '"a"' }, ['etag: W/"a"'], 'as it is'],
  ['a part cannot be read', 206, { 'content-encoding': 'gzip' }, ['content-encoding: gzip'], 'as it is'],
  [
    'no-transform',
    200,
    { 'content-encoding': 'gzip', 'cache-control': 'no-transform' },
    ['content-encoding: gzip', 'cache-control: no-transform'],
    'as it is',
  ],
];

for (const [rule, status, headers, lines, want] of ANSWERS) {
  test(`decompress answers: ${rule}`, () => {
    const filter = code.make(configOf({ answers: true }), makeEnv());
    const response = { ...makeResponse(status, headers), bodyLength: 10 };
    const stage = filter.onResponse!(makeExchange(), response);
    assert.deepEqual(linesOf(response.headers), lines);
    assert.equal(stage === undefined ? 'as it is' : 'read', want);
    if (typeof stage === 'object' && 'abort' in stage) stage.abort();
  });
}

// ---- bodies, with sockets

const TEXT = Array.from({ length: 20_000 }, (_, i) => `line ${i}\n`).join('');
const GZIP = zlib.gzipSync(TEXT);
const ZEROS = Buffer.alloc(16 * 1024 * 1024);
const MEGABYTE = 1024 * 1024;

/** Twice is what a bomb in a bomb is made of. */
const TWICE = zlib.gzipSync(zlib.gzipSync(Buffer.alloc(64 * MEGABYTE)));

interface Sent {
  readonly coding: string;
  readonly body: Buffer;
}

const BODIES: [rule: string, config: object, sent: Sent, status: number, want: string][] = [
  ['gzip', {}, { coding: 'gzip', body: GZIP }, 200, TEXT],
  ['br', {}, { coding: 'br', body: zlib.brotliCompressSync(TEXT) }, 200, TEXT],
  ['zstd', {}, { coding: 'zstd', body: zlib.zstdCompressSync(TEXT) }, 200, TEXT],
  ['deflate', {}, { coding: 'deflate', body: zlib.deflateSync(TEXT) }, 200, TEXT],
  ['deflate in its bare form', {}, { coding: 'deflate', body: zlib.deflateRawSync(TEXT) }, 200, TEXT],
  [
    'what was applied last comes off first',
    { codingsMax: 2 },
    { coding: 'gzip, br', body: zlib.brotliCompressSync(GZIP) },
    200,
    TEXT,
  ],
  ['not what it says', {}, { coding: 'gzip', body: Buffer.from('plain text') }, 400, 'decompress.malformed'],
  ['another coding than it says', {}, { coding: 'br', body: GZIP }, 400, 'decompress.malformed'],
  ['cut short', {}, { coding: 'gzip', body: GZIP.subarray(0, -9) }, 400, 'decompress.malformed'],
  [
    'br cut short',
    {},
    { coding: 'br', body: zlib.brotliCompressSync(TEXT).subarray(0, -9) },
    400,
    'decompress.malformed',
  ],
  ['a wrong checksum', {}, { coding: 'gzip', body: flipped(GZIP, -6) }, 400, 'decompress.malformed'],
  ['a second body behind it', {}, { coding: 'gzip', body: Buffer.concat([GZIP, GZIP]) }, 400, 'decompress.malformed'],
  [
    'bytes behind it',
    {},
    { coding: 'zstd', body: Buffer.concat([zlib.zstdCompressSync(TEXT), randomBytes(8)]) },
    400,
    'decompress.malformed',
  ],
  [
    'bytes behind br',
    {},
    { coding: 'br', body: Buffer.concat([zlib.brotliCompressSync(TEXT), randomBytes(8)]) },
    400,
    'decompress.malformed',
  ],
  ['longer than bytesMax', { bytesMax: 100_000 }, { coding: 'gzip', body: GZIP }, 413, 'decompress.too-large'],
  ['a bomb of gzip', {}, { coding: 'gzip', body: zlib.gzipSync(ZEROS) }, 413, 'decompress.too-large'],
  ['a bomb of br', {}, { coding: 'br', body: zlib.brotliCompressSync(ZEROS) }, 413, 'decompress.too-large'],
  ['a bomb of zstd', {}, { coding: 'zstd', body: zlib.zstdCompressSync(ZEROS) }, 413, 'decompress.too-large'],
  ['a bomb of deflate', {}, { coding: 'deflate', body: zlib.deflateSync(ZEROS) }, 413, 'decompress.too-large'],
  ['a bomb in a bomb', { codingsMax: 2 }, { coding: 'gzip, gzip', body: TWICE }, 413, 'decompress.too-large'],
  [
    'a dense body is no bomb while it is short',
    {},
    { coding: 'gzip', body: zlib.gzipSync(Buffer.alloc(MEGABYTE, 97)) },
    200,
    'a'.repeat(MEGABYTE),
  ],
  [
    'zstd with a window that readers need not have (RFC 9659)',
    {},
    {
      coding: 'zstd',
      body: zlib.zstdCompressSync(randomBytes(9 * MEGABYTE), { params: { [zlib.constants.ZSTD_c_windowLog]: 27 } }),
    },
    400,
    'decompress.malformed',
  ],
];

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes);
  copy[copy.length + at]! ^= 0xff;
  return copy;
}

async function exchanged(config: object, { coding, body }: Sent, length: 'known' | 'unknown'): Promise<Got> {
  await using upstream = await Upstream.start((asked, answer) => {
    const pieces: Buffer[] = [];
    asked.on('data', (bytes: Buffer) => pieces.push(bytes));
    asked.on('end', () => {
      assert.equal(asked.headers['content-encoding'], undefined);
      answer.end(Buffer.concat(pieces));
    });
  });
  await using proxy = new Harness([decompress]);
  const filters = [{ filter: 'decompress', config: configOf(config), owner: 'Policy d/p' }];
  await proxy.start({ routes: { r: routeOf(ruleTo({ filters })) }, clusters: { c: clusterTo([upstream.port]) } });
  const framing = length === 'known' ? { 'content-length': body.length } : { 'transfer-encoding': 'chunked' };
  const headers = { 'content-encoding': coding, ...framing };
  return await request(proxy.port, { method: 'POST', headers, body });
}

for (const [rule, config, sent, status, want] of BODIES) {
  for (const length of ['known', 'unknown'] as const) {
    test(`decompress: ${rule}, length ${length}`, async () => {
      const got = await exchanged(config, sent, length);
      assert.equal(got.status, status, got.body.slice(0, 300));
      if (status === 200) assert.ok(got.body === want, `${got.body.length} bytes`);
      else assert.equal((JSON.parse(got.body) as { code: string }).code, want);
    });
  }
}

test('decompress: a bomb costs the memory of its bound, not of its contents', async () => {
  // 512 MB in half a megabyte, as bytesMax allows none of it.
  const bomb = zlib.gzipSync(Buffer.alloc(512 * MEGABYTE), { level: 9 });
  const before = process.memoryUsage().rss;
  const got = await exchanged({ bytesMax: MEGABYTE, ratioMax: 100_000 }, { coding: 'gzip', body: bomb }, 'known');
  assert.equal(got.status, 413);
  const grown = process.memoryUsage().rss - before;
  assert.ok(grown < 64 * MEGABYTE, `${Math.round(grown / MEGABYTE)} MB more`);
});

test('decompress: a broken answer is a fault of the upstream', async () => {
  await using upstream = await Upstream.start((asked, answer) => {
    answer.setHeader('content-encoding', 'gzip');
    answer.end(asked.url === '/good' ? zlib.gzipSync('good') : 'no gzip');
  });
  await using proxy = new Harness([decompress]);
  const filters = [{ filter: 'decompress', config: configOf({ answers: true }), owner: 'Policy d/p' }];
  await proxy.start({ routes: { r: routeOf(ruleTo({ filters })) }, clusters: { c: clusterTo([upstream.port]) } });
  const good = await request(proxy.port, { path: '/good' });
  assert.equal(good.body, 'good');
  assert.equal(good.headers['content-encoding'], undefined);
  // The head may have gone: then the answer is visibly cut.
  await request(proxy.port, { path: '/bad' }).then(
    ({ status }) => assert.equal(status, 502),
    (error: Error) => assert.match(error.message, /aborted|hang up|Parse/),
  );
  while (proxy.lines().length < 2) await new Promise((resolve) => setTimeout(resolve, 2));
  assert.equal(proxy.log[1]!['fault'], 'decompress.answer-malformed');
});
