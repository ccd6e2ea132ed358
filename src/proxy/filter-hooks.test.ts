/** What filters may do with both bodies, on real sockets. */
import assert from 'node:assert/strict';
import type http from 'node:http';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { Fault, faultKinds } from '../base/fault.ts';
import { declareFilter, type FilterDeclaration } from '../filter/declaration.ts';
import type { PlanFilter, PlanRule } from '../ir/plan.ts';
import { type BodyOut, type BodyStage, type Filter, type Reply, WHOLE_BODY } from '../filter/filter.ts';
import { Headers } from '../http/headers.ts';
import { Type } from '../schema/schema.ts';
import { clusterTo, Harness, request, routeOf, ruleTo, Upstream } from './testing/node-harness.ts';

const KINDS = faultKinds({
  'test.refused': {
    blame: 'client',
    retry: 'never',
    status: 422,
    grpc: 3,
    title: 'The test refuses it',
    advice: 'It is a test.',
  },
});
const REFUSED = new Fault(KINDS['test.refused'], 'By the test', {
  headers: [['retry-after', '7']],
  members: { wrong: ['a'] },
});

/** A filter of a test, by name. */
function filterOf(name: string, filter: Filter): FilterDeclaration {
  return declareFilter({
    name,
    phase: 'transform',
    config: Type.Object({}),
    composition: 'narrows',
    decides: 'yes',
    load: async () => ({ make: () => filter }),
  });
}

const echo: http.RequestListener = (asked, answer) => {
  const pieces: Buffer[] = [];
  asked.on('data', (bytes: Buffer) => pieces.push(bytes));
  asked.on('end', () => {
    const body = Buffer.concat(pieces);
    answer.setHeader('x-length', String(asked.headers['content-length'] ?? 'chunked'));
    answer.end(body.length === 0 ? 'nothing' : body);
  });
};

class Proxied implements AsyncDisposable {
  readonly proxy: Harness;
  readonly upstream: Upstream;

  private constructor(proxy: Harness, upstream: Upstream) {
    this.proxy = proxy;
    this.upstream = upstream;
  }

  static async start(
    filters: Readonly<Record<string, Filter>>,
    { listener = echo, audit = false }: { readonly listener?: http.RequestListener; readonly audit?: boolean } = {},
  ): Promise<Proxied> {
    const upstream = await Upstream.start(listener);
    const proxy = new Harness(Object.entries(filters).map(([name, filter]) => filterOf(name, filter)));
    const planned = Object.keys(filters).map((filter) => ({
      filter,
      config: {},
      owner: 'Policy d/p',
      ...(audit && { audit: true as const }),
    }));
    await proxy.start({
      routes: { r: routeOf(ruleTo({ filters: planned })) },
      clusters: { c: clusterTo([upstream.port]) },
    });
    return new Proxied(proxy, upstream);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]();
    await this.upstream[Symbol.asyncDispose]();
  }
}

/** Doubles each byte, waiting as it is told to. */
class Doubler implements BodyStage {
  #out: BodyOut | undefined;

  start(out: BodyOut): void {
    this.#out = out;
  }

  write(bytes: Buffer): boolean {
    const doubled = Buffer.alloc(bytes.length * 2);
    for (let i = 0; i < doubled.length; i++) doubled[i] = bytes[i >> 1]!;
    return this.#out!.bytes(doubled);
  }

  end(): void {
    this.#out!.end();
  }

  resume(): void {
    this.#out!.resume();
  }

  abort(): void {}
}

const later = <T>(value: T): Promise<T> => new Promise((resolve) => setTimeout(() => resolve(value), 5));
const upper = (body: Buffer): Buffer => Buffer.from(body.toString().toUpperCase());

const wholeRequest = (decide: NonNullable<Filter['onRequestBody']>, more: Partial<Filter> = {}): Filter => ({
  onRequest: () => WHOLE_BODY,
  onRequestBody: decide,
  ...more,
});
const wholeAnswer = (decide: NonNullable<Filter['onResponseBody']>, more: Partial<Filter> = {}): Filter => ({
  onResponse: () => WHOLE_BODY,
  onResponseBody: decide,
  ...more,
});
const doubledRequest: Filter = {
  onRequest: (x) => {
    x.request.bodyLength = -1;
    return new Doubler();
  },
};
const doubledAnswer: Filter = {
  onResponse: (_, head) => {
    head.bodyLength = -1;
    return new Doubler();
  },
};
const REPLY: Reply = { kind: 'reply', status: 203, reason: 'test', headers: [['x-reply', 'yes']], body: 'instead' };

const ROWS: [rule: string, filters: Record<string, Filter>, body: string, want: string][] = [
  ['a whole request body passes as it is', { a: wholeRequest(() => undefined) }, 'abc', '200 3 abc'],
  ['it is changed', { a: wholeRequest((_, body) => upper(body)) }, 'abc', '200 3 ABC'],
  ['it is changed, later', { a: wholeRequest((_, body) => later(upper(body))) }, 'abc', '200 3 ABC'],
  ['it becomes longer', { a: wholeRequest((_, body) => Buffer.concat([body, body])) }, 'abc', '200 6 abcabc'],
  ['it becomes nothing', { a: wholeRequest(() => Buffer.alloc(0)) }, 'abc', '200 0 nothing'],
  ['there is none', { a: wholeRequest((_, body) => Buffer.from(`was ${body.length}`)) }, '', '200 5 was 0'],
  ['it is refused', { a: wholeRequest(() => REFUSED) }, 'abc', '422 test.refused'],
  ['it is answered', { a: wholeRequest(() => later(REPLY)) }, 'abc', '203 instead'],
  [
    'it is too long',
    { a: wholeRequest(() => REFUSED, { requestBound: { bytesMax: 2, beyond: 'refuse' } }) },
    'abc',
    '413 request.body-too-large',
  ],
  [
    'it is too long and passes',
    { a: wholeRequest(() => REFUSED, { requestBound: { bytesMax: 2, beyond: 'pass' } }) },
    'abc',
    '200 3 abc',
  ],
  [
    'its beginning is enough: all of it passes, whatever is said of the part',
    {
      a: wholeRequest(
        (x, body, extent) => {
          x.request.headers.add('x-seen', `${body.toString()} ${extent}`);
          return later(undefined);
        },
        { requestBound: { bytesMax: 2, beyond: 'part' } },
      ),
      b: wholeRequest((x, body) => Buffer.from(`${x.request.headers.get('x-seen')}, ${body.toString()}`)),
    },
    'abc',
    '200 12 ab part, abc',
  ],
  [
    'its beginning is all of it',
    {
      a: wholeRequest((_, body, extent) => Buffer.from(`${body.toString()} ${extent}`), {
        requestBound: { bytesMax: 3, beyond: 'part' },
      }),
    },
    'abc',
    '200 9 abc whole',
  ],
  [
    'its beginning is refused',
    { a: wholeRequest(() => later(REFUSED), { requestBound: { bytesMax: 2, beyond: 'part' } }) },
    'abc',
    '422 test.refused',
  ],
  [
    'two filters want it',
    {
      a: wholeRequest((_, body) => upper(body)),
      b: wholeRequest((_, body) => later(Buffer.from(`<${body.toString()}>`))),
    },
    'abc',
    '200 5 <ABC>',
  ],
  ['a stage', { a: doubledRequest }, 'abc', '200 chunked aabbcc'],
  ['two stages', { a: doubledRequest, b: doubledRequest }, 'ab', '200 chunked aaaabbbb'],
  ['a stage before a hold', { a: doubledRequest, b: wholeRequest((_, body) => upper(body)) }, 'abc', '200 6 AABBCC'],
  [
    'a stage behind a hold',
    { a: wholeRequest((_, body) => upper(body)), b: doubledRequest },
    'abc',
    '200 chunked AABBCC',
  ],
  [
    'a promise before a hold',
    { a: { onRequest: () => later(undefined) }, b: wholeRequest((_, body) => upper(body)) },
    'abc',
    '200 3 ABC',
  ],
  [
    'a promise for a hold',
    { a: { onRequest: () => later(WHOLE_BODY), onRequestBody: (_, body) => upper(body) } as Filter },
    'abc',
    '200 3 ABC',
  ],
  [
    'a promise behind a hold',
    { a: wholeRequest((_, body) => upper(body)), b: { onRequest: () => later(undefined) } },
    'abc',
    '200 3 ABC',
  ],
  ['a whole answer passes as it is', { a: wholeAnswer(() => undefined) }, 'abc', '200 3 abc'],
  ['an answer is changed', { a: wholeAnswer((_, __, body) => upper(body)) }, 'abc', '200 3 ABC'],
  ['an answer is changed, later', { a: wholeAnswer((_, __, body) => later(upper(body))) }, 'abc', '200 3 ABC'],
  ['an answer is refused by its head', { a: { onResponse: () => REFUSED } }, 'abc', '422 test.refused'],
  ['an answer is refused by its body', { a: wholeAnswer(() => REFUSED) }, 'abc', '422 test.refused'],
  ['another answer is given', { a: wholeAnswer(() => later(REPLY)) }, 'abc', '203 instead'],
  [
    'an answer is too long',
    { a: wholeAnswer(() => undefined, { responseBound: { bytesMax: 2, beyond: 'refuse' } }) },
    'abc',
    '502 upstream.answer-too-large',
  ],
  [
    'an answer is too long and passes',
    { a: wholeAnswer(() => REFUSED, { responseBound: { bytesMax: 2, beyond: 'pass' } }) },
    'abc',
    '200 3 abc',
  ],
  ['a stage of the answer', { a: doubledAnswer }, 'abc', '200 3 aabbcc'],
  [
    'answers meet filters the other way round',
    { a: doubledAnswer, b: wholeAnswer((_, __, body) => Buffer.from(`<${body.toString()}>`)) },
    'ab',
    '200 2 <<aabb>>',
  ],
  [
    'and a hold behind a stage',
    { a: wholeAnswer((_, __, body) => Buffer.from(`<${body.toString()}>`)), b: doubledAnswer },
    'ab',
    '200 2 <aabb>',
  ],
  [
    'a refusal meets the filters that are still to come',
    { a: doubledAnswer, b: wholeAnswer(() => REPLY) },
    'ab',
    '203 iinnsstteeaadd',
  ],
  [
    'a reply of a filter passes the others',
    { a: doubledAnswer, b: { onRequest: () => REPLY } },
    'ab',
    '203 iinnsstteeaadd',
  ],
  ['one that throws at a head', { a: { onRequest: () => fail() } }, 'a', '500 filter.failed'],
  ['one that throws at a body', { a: wholeRequest(() => fail()) }, 'a', '500 filter.failed'],
  ['one that rejects', { a: wholeRequest(() => Promise.reject(new Error('test'))) }, 'a', '500 filter.failed'],
  ['one that throws at an answer', { a: { onResponse: () => fail() } }, 'a', '500 filter.failed'],
  ['one that throws at the body of an answer', { a: wholeAnswer(() => fail()) }, 'a', '500 filter.failed'],
  [
    'one that throws at everything',
    { a: { onRequest: () => fail(), onResponse: () => fail() } },
    'a',
    '500 filter.failed',
  ],
];

function fail(): never {
  throw new TypeError('secret of the request');
}

for (const [rule, filters, body, want] of ROWS) {
  test(`filter hooks: ${rule}`, async () => {
    await using proxied = await Proxied.start(filters);
    for (const framing of ['length', 'chunked'] as const) {
      const got = await request(proxied.proxy.port, {
        method: 'POST',
        ...(framing === 'length'
          ? { headers: { 'content-length': String(body.length) } }
          : { headers: { 'transfer-encoding': 'chunked' } }),
        body,
      });
      const code = /"code":"([^"]*)"/.exec(got.body)?.[1];
      const seen = got.headers['x-length'];
      const length = framing === 'chunked' && seen === 'chunked' ? /^\d+ (\w+)/.exec(want)?.[1] : seen;
      const said =
        code !== undefined
          ? `${got.status} ${code}`
          : `${got.status} ${length === undefined ? '' : `${String(length)} `}${got.body}`;
      assert.equal(said, want, framing);
      assert.doesNotMatch(JSON.stringify([got, proxied.proxy.said]), /secret of the request/);
    }
  });
}

test('filter hooks: a reply that brings all of its head gets neither Date nor Server, and other filters see it', async () => {
  const head = (): Headers => Headers.of([['Date', 'Thu, 01 Jan 2026 00:00:00 GMT']]);
  const reply: Filter = { onRequest: () => ({ ...REPLY, head: head() }) };
  const marks: Filter = { onResponse: (_, { headers }) => headers.add('x-mark', '1') };
  await using proxied = await Proxied.start({ a: marks, b: reply });
  const got = await request(proxied.proxy.port);
  const { date, server, 'x-mark': mark, 'x-reply': listed } = got.headers;
  assert.deepEqual(
    [got.status, got.body, date, server, mark, listed],
    [203, 'instead', 'Thu, 01 Jan 2026 00:00:00 GMT', undefined, '1', undefined],
  );
});

test('filter hooks: a fault of a filter says its headers and members', async () => {
  await using proxied = await Proxied.start({ a: { onRequest: () => REFUSED } });
  const got = await request(proxied.proxy.port);
  assert.equal(got.headers['retry-after'], '7');
  assert.deepEqual((JSON.parse(got.body) as { wrong: unknown }).wrong, ['a']);
  assert.equal(proxied.proxy.lines()[0]!['fault'], 'test.refused');
});

test('filter hooks: in an audit everything is decided, noted and let through', async () => {
  const decided: Filter = {
    onRequest: () => REFUSED,
    onResponse: () => WHOLE_BODY,
    onResponseBody: () => REPLY,
  };
  await using proxied = await Proxied.start({ a: decided, b: wholeRequest(() => later(REFUSED)) }, { audit: true });
  const got = await request(proxied.proxy.port, { method: 'POST', body: 'abc' });
  assert.deepEqual([got.status, got.body], [200, 'abc']);
  assert.deepEqual(proxied.proxy.lines()[0]!['filters'], { 'audit.a': '203 test', 'audit.b': 'test.refused' });
});

const failing = (): never => {
  throw new TypeError('of the test');
};
const rejecting = (): Promise<never> => Promise.reject(new TypeError('of the test'));

/** Hooks of a filter that fails, in a turn or later. */
const FAILING: readonly [hook: string, of: (fails: typeof failing | typeof rejecting) => Filter][] = [
  ['onRequest', (fails) => ({ onRequest: () => fails() })],
  ['onRequestBody', (fails) => wholeRequest(() => fails())],
  ['onResponse', (fails) => ({ onResponse: () => fails() })],
  ['onResponseBody', (fails) => ({ onResponse: () => WHOLE_BODY, onResponseBody: () => fails() })],
];

for (const [hook, of] of FAILING) {
  for (const [how, fails] of [
    ['throws', failing],
    ['rejects', rejecting],
  ] as const) {
    test(`filter hooks: ${hook} that ${how} answers 500; in an audit it is noted, and the request goes on`, async () => {
      const asked = { method: 'POST', body: 'abc' };
      await using enforced = await Proxied.start({ a: of(fails) });
      assert.equal((await request(enforced.proxy.port, asked)).status, 500);
      const { fault, detail } = enforced.proxy.lines()[0]!;
      assert.deepEqual([fault, detail], ['filter.failed', 'Filter "a" failed: TypeError']);
      await using audited = await Proxied.start({ a: of(fails) }, { audit: true });
      const got = await request(audited.proxy.port, asked);
      assert.deepEqual([got.status, got.body], [200, 'abc']);
      assert.deepEqual(audited.proxy.lines()[0]!['filters'], { 'audit.a': 'filter.failed' });
    });
  }
}

test('filter hooks: a large answer through a stage waits for its reader', async () => {
  const big = Buffer.alloc(8 * 1024 * 1024, 'x');
  await using proxied = await Proxied.start({ a: doubledAnswer }, { listener: (_, answer) => void answer.end(big) });
  const socket = net.connect(proxied.proxy.port, '127.0.0.1');
  try {
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
    await once(socket, 'readable');
    socket.pause();
    const before = process.memoryUsage().rss;
    await later(undefined);
    assert.ok(process.memoryUsage().rss - before < 32 * 1024 * 1024);
    let bytes = 0;
    for await (const piece of socket) bytes += (piece as Buffer).length;
    assert.ok(bytes > big.length * 2, String(bytes));
  } finally {
    // The proxy would wait for it, and a failure would look like a test without end.
    socket.destroy();
  }
});

test('filter hooks: a client that goes while its body is held takes everything with it', async () => {
  let asked = 0;
  const ended: string[] = [];
  await using proxied = await Proxied.start({
    a: wholeRequest(
      () => {
        asked++;
        return undefined;
      },
      { onEnd: () => ended.push('end') },
    ),
  });
  const socket = net.connect(proxied.proxy.port, '127.0.0.1');
  socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc');
  while (proxied.proxy.node.stats().exchanges === 0) await later(undefined);
  socket.destroy();
  while (ended.length === 0) await later(undefined);
  assert.deepEqual([asked, ended, proxied.proxy.node.stats().exchanges], [0, ['end'], 0]);
});

test('filter hooks: a client that waits for 100 gets it when its body is wanted', async () => {
  await using proxied = await Proxied.start({ a: wholeRequest((_, body) => upper(body)) });
  const socket = net.connect(proxied.proxy.port, '127.0.0.1');
  socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n');
  const [first] = (await once(socket, 'data')) as [Buffer];
  assert.match(first.toString(), /^HTTP\/1\.1 100 /);
  socket.write('abc');
  let text = '';
  for await (const piece of socket) text += (piece as Buffer).toString();
  assert.match(text, /^HTTP\/1\.1 200 [^]*ABC$/);
});

test('filter hooks: one that cannot be made closes its rule, is logged once, and nothing else of the plan is lost', async () => {
  const broken = declareFilter({
    name: 'broken',
    phase: 'transform',
    config: Type.Object({}),
    composition: 'narrows',
    decides: 'yes',
    load: async () => ({
      make: () => {
        throw new Error('its Secret holds no key');
      },
    }),
  });
  await using upstream = await Upstream.start(echo);
  await using proxy = new Harness([broken]);
  const filter = { filter: 'broken', config: {}, owner: 'Policy d/p' };
  const rule = (name: string, filters: PlanFilter[]): PlanRule => ({
    ...ruleTo({ filters }),
    name: `HTTPRoute/d/r/${name}`,
    matches: [{ path: { kind: 'prefix', value: `/${name}` }, headers: [], query: [] }],
  });
  const rules = [
    rule('a', [filter]),
    rule('b', [filter]),
    rule('audited', [{ ...filter, audit: true }]),
    rule('fine', []),
  ];
  await proxy.start({ routes: { r: routeOf(...rules) }, clusters: { c: clusterTo([upstream.port]) } });
  const statuses: number[] = [];
  for (const path of ['/a', '/b', '/audited', '/fine']) statuses.push((await request(proxy.port, { path })).status);
  assert.deepEqual(statuses, [500, 500, 200, 200]);
  assert.deepEqual(proxy.node.stats().failing, [
    { filter: 'broken', owner: 'Policy d/p', why: 'its Secret holds no key' },
  ]);
  assert.deepEqual(
    proxy.said.map(({ message, reason, filter: name }) => [message, reason, name]),
    [['A filter cannot be made: requests that it is for answer 500', 'its Secret holds no key', 'broken']],
  );
  assert.equal(proxy.lines()[0]!['fault'], 'filter.failed');
});

test('filter hooks: a connection is kept after a refusal, also of a request with a body', async () => {
  await using proxied = await Proxied.start({ a: { onRequest: () => REFUSED } });
  const socket = net.connect(proxied.proxy.port, '127.0.0.1');
  const answers: string[] = [];
  socket.on('data', (bytes: Buffer) => answers.push(bytes.toString()));
  for (let i = 1; i <= 3; i++) {
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc');
    while (answers.join('').split('HTTP/1.1 422').length <= i) await once(socket, 'data');
  }
  assert.doesNotMatch(answers.join(''), /connection: close/i);
  socket.destroy();
});
