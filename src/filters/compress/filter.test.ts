import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { test } from 'node:test';
import zlib from 'node:zlib';
import { identityOf } from '../../filter/identity.ts';
import type { BodyStage } from '../../filter/filter.ts';
import {
  type ExchangeValues,
  linesOf,
  makeEnv,
  makeExchange,
  makeResponse,
  type TestEnv,
} from '../../filter/testing/exchange.ts';
import { clusterTo, Harness, routeOf, ruleTo, Upstream } from '../../proxy/testing/node-harness.ts';
import { check } from '../../schema/schema.ts';
import { compress, CompressConfig } from './config.ts';
import { code } from './filter.ts';
import { typeTest } from './types.ts';

const MATCH = { matchedPath: '/' };
const TEXT = { 'content-type': 'text/plain' };

function configOf(config: object): CompressConfig {
  const checked = check(CompressConfig, config);
  assert.deepEqual(checked.issues, []);
  return checked.value!;
}

interface Answered {
  readonly status?: number;
  readonly headers?: Record<string, string>;
  readonly bodyLength?: number;
}

type Row = [rule: string, config: object, request: ExchangeValues, answer: Answered, lines: string[], body: string];

const GZIP = { headers: { 'accept-encoding': 'gzip' } };
const VARY = 'vary: Accept-Encoding';
const AS_IT_IS = ['content-type: text/plain'];

const ROWS: Row[] = [
  ['text is compressed', {}, GZIP, {}, [...AS_IT_IS, VARY, 'content-encoding: gzip'], 'coded'],
  ['a client that takes none', {}, {}, {}, [...AS_IT_IS, VARY], 'as it is'],
  [
    'a strong tag becomes weak, digests and ranges go',
    {},
    GZIP,
    {
      headers: {
        ...TEXT,
        etag: '"1"',
        'accept-ranges': 'bytes',
        'content-digest': 'sha-256=:AA==:',
        'repr-digest': 'sha-256=:AA==:',
        digest: 'sha-256=AA==',
        'content-md5': 'AA==',
      },
    },
    [...AS_IT_IS, VARY, 'content-encoding: gzip', 'etag: W/"1"'],
    'coded',
  ],
  ['a short answer stays', {}, GZIP, { bodyLength: 1023 }, AS_IT_IS, 'as it is'],
  ['a shortest one does not', {}, GZIP, { bodyLength: 1024 }, [...AS_IT_IS, VARY, 'content-encoding: gzip'], 'coded'],
  ['of an unknown length', {}, GZIP, { bodyLength: -1 }, [...AS_IT_IS, VARY, 'content-encoding: gzip'], 'coded'],
  [
    'a short answer to a client that refuses identity',
    {},
    { headers: { 'accept-encoding': 'br, identity;q=0' } },
    { bodyLength: 5 },
    [...AS_IT_IS, VARY, 'content-encoding: br'],
    'coded',
  ],
  ['no body', {}, GZIP, { bodyLength: 0 }, AS_IT_IS, 'as it is'],
  ['204', {}, GZIP, { status: 204, bodyLength: 0 }, AS_IT_IS, 'as it is'],
  ['a part', {}, GZIP, { status: 206 }, AS_IT_IS, 'as it is'],
  [
    'a part that calls itself whole',
    {},
    GZIP,
    { headers: { ...TEXT, 'content-range': 'bytes 0-9/99' } },
    [...AS_IT_IS, 'content-range: bytes 0-9/99'],
    'as it is',
  ],
  ['switched protocols', {}, GZIP, { status: 101, bodyLength: -1 }, AS_IT_IS, 'as it is'],
  ['a tunnel', {}, { ...GZIP, method: 'CONNECT' }, { bodyLength: -1 }, AS_IT_IS, 'as it is'],
  [
    'a coded answer is not coded again',
    {},
    GZIP,
    { headers: { ...TEXT, 'content-encoding': 'br' } },
    [...AS_IT_IS, 'content-encoding: br'],
    'as it is',
  ],
  [
    'no-transform of the service',
    {},
    GZIP,
    { headers: { ...TEXT, 'cache-control': 'no-transform' } },
    [...AS_IT_IS, 'cache-control: no-transform'],
    'as it is',
  ],
  [
    'no-transform of the client',
    {},
    { headers: { 'accept-encoding': 'gzip', 'cache-control': 'no-transform' } },
    {},
    AS_IT_IS,
    'as it is',
  ],
  ['another type', {}, GZIP, { headers: { 'content-type': 'image/png' } }, ['content-type: image/png'], 'as it is'],
  ['no type', {}, GZIP, { headers: {} }, [], 'as it is'],
  [
    'an answer to HEAD says what one to GET would',
    {},
    { ...GZIP, method: 'HEAD' },
    {},
    [...AS_IT_IS, VARY, 'content-encoding: gzip'],
    'as it is',
  ],
  [
    'not modified: the tag is the one that a cache has',
    {},
    GZIP,
    { status: 304, headers: { etag: '"1"' }, bodyLength: 0 },
    ['etag: W/"1"', VARY],
    'as it is',
  ],
  [
    'not modified, to a client that takes none',
    {},
    {},
    { status: 304, headers: { etag: '"1"' } },
    ['etag: "1"'],
    'as it is',
  ],
  [
    'BREACH: a page of another site, with cookies',
    {},
    { headers: { 'accept-encoding': 'gzip', cookie: 'a=b', 'sec-fetch-site': 'cross-site' } },
    {},
    [...AS_IT_IS, VARY],
    'as it is',
  ],
  [
    'a page of the same site, with cookies',
    {},
    { headers: { 'accept-encoding': 'gzip', cookie: 'a=b', 'sec-fetch-site': 'same-origin' } },
    {},
    [...AS_IT_IS, VARY, 'content-encoding: gzip'],
    'coded',
  ],
  [
    'leaveOut cookies',
    { leaveOut: ['cookies'] },
    { headers: { 'accept-encoding': 'gzip', cookie: 'a=b' } },
    {},
    [...AS_IT_IS, VARY],
    'as it is',
  ],
  [
    'leaveOut set-cookie',
    { leaveOut: ['set-cookie'] },
    GZIP,
    { headers: { ...TEXT, 'set-cookie': 'a=b' } },
    [...AS_IT_IS, 'set-cookie: a=b', VARY],
    'as it is',
  ],
  [
    'leaveOut identity',
    { leaveOut: ['identity'] },
    { ...GZIP, identity: identityOf({ method: 'jwt', subject: 'ann' }) },
    {},
    [...AS_IT_IS, VARY],
    'as it is',
  ],
  [
    'the order of the operator',
    { codings: ['gzip', 'br'] },
    { headers: { 'accept-encoding': 'br, gzip, zstd' } },
    {},
    [...AS_IT_IS, VARY, 'content-encoding: gzip'],
    'coded',
  ],
];

for (const [rule, config, request, { status = 200, headers = TEXT, bodyLength = 5000 }, lines, body] of ROWS) {
  test(`compress: ${rule}`, () => {
    const filter = code.make(configOf(config), makeEnv());
    const x = makeExchange(request);
    filter.onRequest!(x, MATCH);
    // What a filter behind this one asks of the service does not change what the client takes.
    x.request.headers.set('accept-encoding', 'identity');
    const response = { ...makeResponse(status, headers), bodyLength };
    const stage = filter.onResponse!(x, response);
    assert.deepEqual(linesOf(response.headers), lines);
    assert.equal(stage === undefined ? 'as it is' : 'coded', body);
    const isCoded = lines.includes(VARY) && response.headers.has('content-encoding');
    assert.equal(response.bodyLength, isCoded ? -1 : bodyLength);
    if (typeof stage === 'object' && 'abort' in stage) stage.abort();
  });
}

// ---- short bodies

const READERS: [coding: string, read: (body: Buffer) => Buffer][] = [
  ['gzip', (body) => zlib.gunzipSync(body)],
  ['br', (body) => zlib.brotliDecompressSync(body)],
  ['zstd', (body) => zlib.zstdDecompressSync(body)],
];

interface Taken {
  readonly pieces: Buffer[];
  ended: number;
  readonly faults: string[];
}

/** The stage of an answer, and what comes out of it while nobody lets the loop turn. */
function stageOf(config: object, accept: string, bodyLength: number): { stage: BodyStage; taken: Taken; env: TestEnv } {
  const env = makeEnv();
  const filter = code.make(configOf(config), env);
  const x = makeExchange({ headers: { 'accept-encoding': accept } });
  const stage = filter.onResponse!(x, { ...makeResponse(200, TEXT), bodyLength }) as BodyStage;
  const taken: Taken = { pieces: [], ended: 0, faults: [] };
  stage.start({
    bytes: (bytes) => {
      taken.pieces.push(bytes);
      return true;
    },
    end: () => void taken.ended++,
    fail: (fault) => void taken.faults.push(fault.code),
    resume: () => undefined,
  });
  return { stage, taken, env };
}

const QUICK: [rule: string, config: object, accept: string, bodyLength: number, want: 'at once' | 'later'][] = [
  ['16 KiB as gzip', {}, 'gzip', 16_384, 'at once'],
  ['16 KiB as br', {}, 'br', 16_384, 'at once'],
  ['16 KiB as zstd', {}, 'zstd', 16_384, 'at once'],
  ['a byte more', {}, 'gzip', 16_385, 'later'],
  ['of an unknown length', {}, 'gzip', -1, 'later'],
  ['gzip at its highest level', { levels: { gzip: 9 } }, 'gzip', 16_384, 'at once'],
  ['br at a level that takes milliseconds', { levels: { br: 7 } }, 'br', 16_384, 'later'],
  ['br at the level before', { levels: { br: 6 } }, 'br', 16_384, 'at once'],
  ['zstd at a level that takes milliseconds', { levels: { zstd: 10 } }, 'zstd', 16_384, 'later'],
  ['zstd at the level before', { levels: { zstd: 9 } }, 'zstd', 16_384, 'at once'],
];

for (const [rule, config, accept, bodyLength, want] of QUICK) {
  test(`compress: ${rule}: the answer is complete ${want}`, async () => {
    const { stage, taken, env } = stageOf(config, accept, bodyLength);
    const body = Buffer.from('some text '.repeat(2_000)).subarray(0, bodyLength < 0 ? 100 : bodyLength);
    const lent = Buffer.from(body);
    assert.equal(stage.write(lent.subarray(0, 50)), true);
    stage.write(lent.subarray(50));
    lent.fill(0); // the bytes were lent for these calls
    stage.end();
    assert.equal(taken.ended, want === 'at once' ? 1 : 0);
    if (want === 'later') {
      stage.abort();
      // The stream lets go when the thread pool has.
      while (!env.counts.has('bytes_out')) await new Promise(setImmediate);
      return;
    }
    const [, read] = READERS.find(([coding]) => coding === accept)!;
    assert.deepEqual(read(Buffer.concat(taken.pieces)), body);
    assert.deepEqual([env.counts.get('bytes_in'), taken.faults], [body.length, []]);
    assert.equal(env.counts.get('bytes_out'), Buffer.concat(taken.pieces).length);
  });
}

test('compress: a short answer that is given up gives nothing out, and makes room for another', () => {
  const { stage, taken } = stageOf({ bodiesMax: 1 }, 'gzip', 5_000);
  stage.write(Buffer.from('half'));
  stage.abort();
  stage.abort();
  stage.end();
  assert.deepEqual([taken.pieces, taken.ended], [[], 0]);
  const { stage: next } = stageOf({ bodiesMax: 1 }, 'gzip', 5_000);
  assert.notEqual(next, undefined);
  next.abort();
});

const TYPES: [type: string, types: string[], want: string][] = [
  ['text/html; charset=utf-8', ['text/html'], 'yes'],
  ['Text/HTML', ['text/*'], 'yes'],
  ['application/problem+json', ['application/*+json'], 'yes'],
  ['application/json', ['application/*+json'], 'no'],
  ['application/vnd.api+json', ['application/json'], 'no'],
  ['video/mp4', ['*'], 'yes'],
  ['application/grpc+proto', ['*', 'application/*'], 'no'],
  ['text/event-stream', ['*', 'text/*'], 'no'],
  ['text/event-stream;charset=utf-8', ['text/event-stream'], 'events'],
  ['', ['*'], 'no'],
  ['text', ['*'], 'no'],
  ['text/', ['*'], 'no'],
];

for (const [type, types, want] of TYPES) {
  test(`compress: "${type}" is of ${types.join(', ')}: ${want}`, () => {
    assert.equal(typeTest(types)(type), want);
  });
}

test('compress: at most bodiesMax bodies are compressed at a time, over all rules', () => {
  const env = makeEnv();
  const filters = [1, 2].map(() => code.make(configOf({ bodiesMax: 1 }), env));
  const stages = filters.map((filter) => {
    const x = makeExchange(GZIP);
    return filter.onResponse!(x, { ...makeResponse(200, TEXT), bodyLength: -1 });
  });
  assert.deepEqual(
    stages.map((stage) => stage === undefined),
    [false, true],
  );
  assert.equal(env.counts.get('busy'), 1);
  for (const stage of stages) if (typeof stage === 'object' && 'abort' in stage) stage.abort();
  const again = filters[1]!.onResponse!(makeExchange(GZIP), { ...makeResponse(200, TEXT), bodyLength: -1 });
  assert.notEqual(again, undefined);
  if (typeof again === 'object' && 'abort' in again) again.abort();
});

// ---- with sockets

async function gateway(upstream: Upstream, config: object): Promise<Harness> {
  const proxy = new Harness([compress]);
  const filters = [{ filter: 'compress', config: configOf(config), owner: 'Policy d/p' }];
  await proxy.start({ routes: { r: routeOf(ruleTo({ filters })) }, clusters: { c: clusterTo([upstream.port]) } });
  return proxy;
}

interface Coded {
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

function get(port: number, acceptEncoding: string, method = 'GET'): Promise<Coded> {
  return new Promise((resolve, reject) => {
    const headers = { 'accept-encoding': acceptEncoding };
    const sent = http.request({ host: '127.0.0.1', port, method, headers, agent: false }, (answer) => {
      const pieces: Buffer[] = [];
      answer.on('data', (bytes: Buffer) => pieces.push(bytes));
      answer.on('error', reject);
      answer.on('end', () => resolve({ headers: answer.headers, body: Buffer.concat(pieces) }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

const LONG = Array.from({ length: 60_000 }, (_, i) => `line ${i} of a long answer\n`).join('');

for (const [coding, read] of READERS) {
  test(`compress: a short answer as ${coding}, through a proxy`, async () => {
    const short = LONG.slice(0, 5_000);
    await using upstream = await Upstream.start((_, answer) => {
      answer.writeHead(200, { 'content-type': 'text/plain', 'content-length': short.length }).end(short);
    });
    await using proxy = await gateway(upstream, {});
    const { headers, body } = await get(proxy.port, coding);
    assert.equal(headers['content-encoding'], coding);
    assert.equal(read(body).toString(), short);
  });

  test(`compress: a long answer as ${coding}, of a known and of an unknown length, and the answer to HEAD`, async () => {
    await using upstream = await Upstream.start((request, answer) => {
      answer.setHeader('content-type', 'text/plain');
      if (request.url === '/known') answer.setHeader('content-length', Buffer.byteLength(LONG));
      answer.end(request.method === 'HEAD' ? '' : LONG);
    });
    await using proxy = await gateway(upstream, {});
    for (let round = 0; round < 2; round++) {
      const { headers, body } = await get(proxy.port, coding);
      assert.equal(headers['content-encoding'], coding);
      assert.equal(headers['content-length'], undefined);
      assert.equal(read(body).toString(), LONG);
      assert.ok(body.length < LONG.length / 4, `${body.length}`);
    }
    const head = await get(proxy.port, coding, 'HEAD');
    assert.equal(head.headers['content-encoding'], coding);
    assert.equal(head.headers['content-length'], undefined);
    assert.equal(head.body.length, 0);
  });
}

for (const [type, config] of [
  ['text/event-stream', { types: ['text/event-stream'] }],
  ['application/x-ndjson', { flushMs: 1 }],
] as const) {
  test(`compress: pieces of ${type} are read before the next one is sent`, async () => {
    let answering: http.ServerResponse | undefined;
    await using upstream = await Upstream.start((_, answer) => {
      answer.writeHead(200, { 'content-type': type });
      answer.write('piece 0\n\n');
      answering = answer;
    });
    await using proxy = await gateway(upstream, config);
    for (const [coding, open] of [
      ['gzip', () => zlib.createGunzip()],
      ['br', () => zlib.createBrotliDecompress()],
      ['zstd', () => zlib.createZstdDecompress()],
    ] as const) {
      const headers = { 'accept-encoding': coding };
      const sent = http.get({ host: '127.0.0.1', port: proxy.port, headers, agent: false });
      const [answer] = (await once(sent, 'response')) as [http.IncomingMessage];
      assert.equal(answer.headers['content-encoding'], coding);
      const plain = answer.pipe(open());
      let i = 0;
      for await (const piece of plain) {
        assert.equal((piece as Buffer).toString(), `piece ${i}\n\n`);
        if (++i < 5) answering!.write(`piece ${i}\n\n`);
        else answering!.end();
      }
      assert.equal(i, 5);
    }
  });
}

test('compress: a client that does not read makes the upstream wait, and one that goes away frees the stream', async () => {
  // Bytes that cannot be made shorter: what is read here must be held or wait there.
  const noise = randomBytes(1024 * 1024);
  const all = 64;
  let written = 0;
  const left = Promise.withResolvers<void>();
  const stuck = Promise.withResolvers<void>();
  await using upstream = await Upstream.start((_, answer) => {
    answer.writeHead(200, { 'content-type': 'text/plain' }).flushHeaders();
    const more = (): void => {
      while (written < all) {
        written++;
        if (!answer.write(noise)) {
          const timer = setTimeout(() => stuck.resolve(), 300);
          answer.once('drain', () => {
            clearTimeout(timer);
            more();
          });
          return;
        }
      }
    };
    answer.on('close', () => left.resolve());
    more();
  });
  await using proxy = await gateway(upstream, { bodiesMax: 1 });
  const sent = http.get({
    host: '127.0.0.1',
    port: proxy.port,
    headers: { 'accept-encoding': 'gzip' },
    agent: false,
  });
  const [answer] = (await once(sent, 'response')) as [http.IncomingMessage];
  answer.pause();
  answer.on('error', () => undefined);
  await stuck.promise;
  assert.ok(written < all, 'the whole answer was read');
  answer.destroy();
  await left.promise;
  while (proxy.lines().length === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  assert.equal(proxy.log[0]!['fault'], 'request.aborted');
  // The one place is free again: the next answer is compressed.
  written = all;
  const next = http.get({ host: '127.0.0.1', port: proxy.port, headers: { 'accept-encoding': 'gzip' }, agent: false });
  next.on('error', () => undefined);
  const [second] = (await once(next, 'response')) as [http.IncomingMessage];
  assert.equal(second.headers['content-encoding'], 'gzip');
  second.destroy();
});
