/** The cache in a real proxy, with real clients and an origin that counts. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type http from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { TrustedHops } from '../../base/trusted-hops.ts';
import { type FilterDeclaration, declareFilter } from '../../filter/declaration.ts';
import type { Harness as HarnessType } from '../../proxy/testing/node-harness.ts';
import { clusterTo, Harness, LISTENER, request, routeOf, ruleTo, Upstream } from '../../proxy/testing/node-harness.ts';
import type { PlanBackend } from '../../ir/plan.ts';
import { check, Type } from '../../schema/schema.ts';
import { cache, CacheConfig } from './config.ts';

type Answer = (request: http.IncomingMessage, response: http.ServerResponse, count: number) => void;

interface Site extends AsyncDisposable {
  readonly harness: HarnessType;
  readonly port: number;
  /** Heads of requests that came to the origin. */
  readonly asked: http.IncomingHttpHeaders[];
  get(path: string, headers?: Record<string, string>): ReturnType<typeof request>;
}

interface SiteOptions {
  readonly filters?: readonly FilterDeclaration[];
  readonly backend?: Partial<PlanBackend>;
  readonly trustedHops?: TrustedHops;
}

async function site(
  config: object,
  answer: Answer,
  { filters = [], backend = {}, trustedHops }: SiteOptions = {},
): Promise<Site> {
  const asked: http.IncomingHttpHeaders[] = [];
  const upstream = await Upstream.start((incoming, response) => {
    asked.push(incoming.headers);
    answer(incoming, response, asked.length);
  });
  const harness = new Harness([cache, ...filters]);
  const checked = check(CacheConfig, config);
  assert.deepEqual(checked.issues, []);
  const settings = { ...LISTENER.settings, ...(trustedHops && { trustedHops }) };
  await harness.start({
    listeners: { l: { ...LISTENER, settings } },
    clusters: { c: clusterTo([upstream.port]) },
    routes: {
      r: routeOf(
        ruleTo({
          filters: [{ filter: 'cache', owner: 'Policy d/cache', config: checked.value! }],
          backends: [{ target: { kind: 'cluster', cluster: 'c' }, weight: 1, filters: [], ...backend }],
        }),
      ),
    },
  });
  return {
    harness,
    port: harness.port,
    asked,
    get: (path, headers = {}) => request(harness.port, { path, headers }),
    async [Symbol.asyncDispose]() {
      await harness[Symbol.asyncDispose]();
      await upstream[Symbol.asyncDispose]();
    },
  };
}

const FRESH = { 'cache-control': 'max-age=60', 'content-type': 'text/plain' };

test('cache in a proxy: hits of GET, HEAD, conditions and ranges; the log says so', async () => {
  await using shop = await site({}, (_, response) =>
    response.writeHead(200, { ...FRESH, etag: '"a"' }).end('hello world'),
  );
  const cold = await shop.get('/a');
  const warm = await shop.get('/a');
  assert.equal(cold.body, 'hello world');
  assert.equal(warm.body, 'hello world');
  assert.equal(warm.headers['cache-status'], 'fourways; hit; ttl=59');
  assert.equal(warm.headers['content-length'], '11');
  assert.equal(warm.headers.date, cold.headers.date);
  const head = await request(shop.port, { method: 'HEAD', path: '/a' });
  assert.deepEqual([head.headers['content-length'], head.body], ['11', '']);
  const known = await shop.get('/a', { 'if-none-match': '"a"' });
  assert.deepEqual([known.status, known.body, known.headers['content-length']], [304, '', undefined]);
  const part = await shop.get('/a', { range: 'bytes=6-' });
  assert.deepEqual([part.status, part.body, part.headers['content-range']], [206, 'world', 'bytes 6-10/11']);
  const beyond = await shop.get('/a', { range: 'bytes=20-' });
  assert.deepEqual([beyond.status, beyond.headers['content-range']], [416, 'bytes */11']);
  assert.equal(shop.asked.length, 1);
  const notes = shop.harness.lines().map((line) => JSON.stringify(line).match(/"cache":"([a-z-]+)"/)?.[1]);
  assert.deepEqual(notes, ['uri-miss', 'hit', 'hit', 'hit', 'hit', 'hit']);
});

test('cache in a proxy: a body of a megabyte in chunks is passed on and kept', async () => {
  const body = Buffer.alloc(1_000_000, 'abcdefghij');
  await using shop = await site({}, (_, response) => {
    response.writeHead(200, FRESH);
    for (let at = 0; at < body.length; at += 50_000) response.write(body.subarray(at, at + 50_000));
    response.end();
  });
  assert.equal((await shop.get('/big')).body, body.toString());
  const warm = await shop.get('/big');
  assert.equal(warm.body, body.toString());
  assert.equal(warm.headers['content-length'], String(body.length));
  assert.equal(shop.asked.length, 1);
});

test('cache in a proxy: one request for fifty clients of a slow origin', async () => {
  let answerNow: () => void = () => undefined;
  await using shop = await site({}, (_, response) => {
    answerNow = () => response.writeHead(200, FRESH).end('slow');
  });
  const all = Array.from({ length: 50 }, () => shop.get('/slow'));
  await until(() => shop.harness.node.stats().exchanges === 50);
  assert.equal(shop.asked.length, 1);
  answerNow();
  const got = await Promise.all(all);
  assert.ok(got.every(({ body, status }) => body === 'slow' && status === 200));
  assert.equal(got.filter(({ headers }) => /; collapsed;/.test(String(headers['cache-status']))).length, 49);
  assert.equal(shop.asked.length, 1);
});

test('cache in a proxy: what may not be kept keeps nobody waiting, and is remembered', async () => {
  const answers: (() => void)[] = [];
  await using shop = await site({}, (incoming, response) => {
    answers.push(() => response.writeHead(200, { 'cache-control': 'private' }).end(String(incoming.headers['x-who'])));
  });
  const first = Array.from({ length: 10 }, (_, i) => shop.get('/mine', { 'x-who': String(i) }));
  await until(() => shop.harness.node.stats().exchanges === 10);
  assert.equal(answers.length, 1);
  answers[0]!();
  // The other nine go on at the same time, none behind another.
  await until(() => answers.length === 10);
  for (const answer of answers.slice(1)) answer();
  assert.deepEqual(
    (await Promise.all(first)).map(({ body }) => body),
    Array.from({ length: 10 }, (_, i) => String(i)),
  );
  const later = Array.from({ length: 3 }, (_, i) => shop.get('/mine', { 'x-who': String(i) }));
  await until(() => answers.length === 13);
  for (const answer of answers.slice(10)) answer();
  await Promise.all(later);
});

test('cache in a proxy: when the client that leads goes, the next one leads', async () => {
  const answers: http.ServerResponse[] = [];
  await using shop = await site({}, (_, response) => answers.push(response));
  const leader = connect(shop.port, '127.0.0.1');
  leader.write('GET /a HTTP/1.1\r\nHost: x\r\n\r\n');
  await until(() => answers.length === 1);
  const followers = [shop.get('/a', { host: 'x' }), shop.get('/a', { host: 'x' }), shop.get('/a', { host: 'x' })];
  await until(() => shop.harness.node.stats().exchanges === 4);
  leader.destroy();
  await until(() => answers.length === 2);
  answers[1]!.writeHead(200, FRESH).end('late');
  assert.deepEqual(
    (await Promise.all(followers)).map(({ body }) => body),
    ['late', 'late', 'late'],
  );
  assert.equal(answers.length, 2);
});

test('cache in a proxy: when the leader goes in the middle of the body, nothing of it is kept', async () => {
  const answers: http.ServerResponse[] = [];
  await using shop = await site({}, (_, response) => {
    answers.push(response);
    if (answers.length === 1) response.writeHead(200, { ...FRESH, 'content-length': '10' }).write('hello');
    else response.writeHead(200, FRESH).end('whole');
  });
  const leader = connect(shop.port, '127.0.0.1');
  leader.write('GET /a HTTP/1.1\r\nHost: x\r\n\r\n');
  await once(leader, 'data');
  const follower = shop.get('/a', { host: 'x' });
  await until(() => shop.harness.node.stats().exchanges === 2);
  leader.destroy();
  assert.equal((await follower).body, 'whole');
  assert.equal((await shop.get('/a', { host: 'x' })).body, 'whole');
  assert.equal(answers.length, 2);
});

test('cache in a proxy: who has waited long enough asks on his own', async () => {
  const answers: http.ServerResponse[] = [];
  await using shop = await site({ collapse: { wait: '50ms' } }, (_, response) => answers.push(response));
  const both = [shop.get('/a'), shop.get('/a')];
  await until(() => answers.length === 2);
  for (const answer of answers) answer.writeHead(200, FRESH).end('x');
  await Promise.all(both);
});

test('cache in a proxy: a leader that does not come to an end keeps nobody waiting twice', async () => {
  const answers: http.ServerResponse[] = [];
  await using shop = await site({ collapse: { wait: '100ms' } }, (_, response) => answers.push(response));
  const slow = shop.get('/a');
  await until(() => answers.length === 1);
  const late = shop.get('/a');
  await until(() => answers.length === 2);
  // Who was late leads now, so that the next one waits for him.
  const third = shop.get('/a');
  await until(() => shop.harness.node.stats().exchanges === 3);
  answers[1]!.writeHead(200, FRESH).end('x');
  assert.match(String((await third).headers['cache-status']), /collapsed/);
  assert.equal((await late).body, 'x');
  assert.equal(answers.length, 2);
  answers[0]!.writeHead(200, FRESH).end('y');
  assert.equal((await slow).body, 'y');
});

test('cache in a proxy: a body that the origin cuts is cut for the client, and not kept', async () => {
  await using shop = await site({}, (_, response, count) => {
    if (count > 1) return void response.writeHead(200, FRESH).end('whole');
    response.writeHead(200, { ...FRESH, 'content-length': '10' }).write('hello', () => response.destroy());
  });
  await assert.rejects(shop.get('/a'));
  assert.equal((await shop.get('/a')).body, 'whole');
});

test('cache in a proxy: an upstream that is away, with and without a stale answer', async () => {
  await using shop = await site({}, (incoming, response, count) => {
    if (count > 2) return void incoming.socket.destroy();
    const more = incoming.url === '/a' ? ', stale-if-error=60' : '';
    response.writeHead(200, { 'cache-control': `max-age=0${more}`, etag: '"a"' }).end('old');
  });
  await shop.get('/a');
  await shop.get('/b');
  const stale = await shop.get('/a');
  assert.deepEqual([stale.status, stale.body], [200, 'old']);
  assert.match(String(stale.headers['cache-status']), /fwd=stale; fwd-status=502; detail=stale-if-error$/);
  assert.equal(stale.headers['content-type'], undefined);
  assert.equal((await shop.get('/b')).status, 502);
});

/** Of a backend: what it does to requests is done to those of the cache too. */
const mark = declareFilter({
  name: 'mark',
  phase: 'transform',
  config: Type.Object({}, { additionalProperties: false, description: 'Marks.' }),
  composition: 'adds',
  decides: 'no',
  load: async () => ({
    make: () => ({
      onRequest(x) {
        x.request.headers.set('x-mark', 'backend');
        return undefined;
      },
      onResponse(_, head) {
        head.headers.set('x-seen', 'backend');
      },
    }),
  }),
});

test('cache in a proxy: stale while it is refreshed, through the filters of the backend', async () => {
  let release: () => void = () => undefined;
  const backend = { filters: [{ filter: 'mark', owner: 'Policy d/mark', config: {} }] };
  await using shop = await site(
    {},
    (_, response, count) => {
      const send = (): void =>
        void response
          .writeHead(200, { 'cache-control': 'max-age=0, stale-while-revalidate=60', etag: `"${count}"` })
          .end(`body ${count}`);
      if (count === 2) release = send;
      else send();
    },
    { filters: [mark], backend },
  );
  await shop.get('/a');
  const stale = await shop.get('/a', { 'user-agent': 'test' });
  assert.equal(stale.body, 'body 1');
  await until(() => shop.asked.length === 2);
  const { 'x-mark': marked, 'if-none-match': condition, 'user-agent': agent, ...rest } = shop.asked[1]!;
  assert.deepEqual([marked, condition, agent], ['backend', '"1"', 'test']);
  assert.equal(rest['x-forwarded-for'], '127.0.0.1');
  assert.equal((await shop.get('/a')).body, 'body 1');
  assert.equal(shop.asked.length, 2);
  release();
  await until(async () => (await shop.get('/a')).body === 'body 2');
  assert.equal((await shop.get('/a')).headers['x-seen'], 'backend');
});

test('cache in a proxy: what is kept outlives a change of the rule, and goes with its policy', async () => {
  await using shop = await site({}, (_, response) => response.writeHead(200, FRESH).end('x'));
  await shop.get('/a');
  const { value: config } = check(CacheConfig, { staleIfError: '1m' });
  const filters = [{ filter: 'cache', owner: 'Policy d/cache', config: config! }];
  await shop.harness.change({ routes: { r: routeOf(ruleTo({ filters })) } });
  await shop.get('/a');
  assert.equal(shop.asked.length, 1);
  await shop.harness.change({ routes: { r: routeOf(ruleTo()) } });
  assert.deepEqual(shop.harness.node.order('cache', { kind: 'stats' }), { kind: 'done', answer: { zones: [] } });
});

test('cache in a proxy: purged by order', async () => {
  await using shop = await site({}, (_, response) =>
    response.writeHead(200, { ...FRESH, 'surrogate-key': 'a' }).end('x'),
  );
  await shop.get('/a', { host: 'shop.test' });
  const order = { kind: 'purge', by: 'url', value: 'http://shop.test/a' };
  assert.deepEqual(shop.harness.node.order('cache', order), { kind: 'done', answer: { purged: 1 } });
  await shop.get('/a', { host: 'shop.test' });
  assert.equal(shop.asked.length, 2);
  assert.deepEqual(shop.harness.node.order('nobody', order), { kind: 'nobody' });
  const senseless = shop.harness.node.order('cache', { kind: 'purge', by: 'url', value: '/a' });
  assert.equal(senseless.kind, 'refused');
});

test('cache in a proxy: a request that is smuggled behind a hit is read as its own', async () => {
  await using shop = await site({}, (incoming, response) => response.writeHead(200, FRESH).end(incoming.url));
  await shop.get('/a', { host: 'x' });
  const socket = connect(shop.port, '127.0.0.1');
  socket.end(
    'GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 31\r\n\r\nGET /evil HTTP/1.1\r\nHost: x\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n',
  );
  let text = '';
  for await (const piece of socket.setEncoding('latin1')) text += piece;
  // The body belongs to the first request, which is not cached; the second is the one behind it.
  assert.deepEqual(text.match(/^HTTP\/1\.1 200|fwd=bypass|; hit/gm), [
    'HTTP/1.1 200',
    'fwd=bypass',
    'HTTP/1.1 200',
    '; hit',
  ]);
  assert.equal(shop.asked.length, 2);
});

async function until(isSo: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = performance.now() + 5_000;
  while (!(await isSo())) {
    if (performance.now() > endMs) throw new Error(`It never came to: ${String(isSo)}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

// A redirect from http to https, kept for those who came by https, would lead them in a circle.
for (const [name, value] of [
  ['x-forwarded-proto', 'https'],
  ['x-forwarded-host', 'evil.test'],
  ['x-forwarded-port', '444'],
  ['forwarded', 'for=192.0.2.1;host=evil.test;proto=https'],
] as const) {
  test(`cache: what a trusted hop says in ${name} makes an answer of its own`, async () => {
    await using shop = await site(
      {},
      ({ headers }, response) => {
        response.writeHead(200, { 'cache-control': 'max-age=60' });
        const told = ['proto', 'host', 'port'].map((what) => headers[`x-forwarded-${what}`]);
        response.end(told.join(' '));
      },
      { trustedHops: { count: 1, cidrs: ['127.0.0.1'] } },
    );
    const planted = await shop.get('/a', { host: 'shop.test', [name]: value });
    const plain = await shop.get('/a', { host: 'shop.test' });
    assert.notEqual(plain.body, planted.body);
    assert.equal(shop.asked.length, 2);
    assert.equal((await shop.get('/a', { host: 'shop.test', [name]: value })).body, planted.body);
    assert.equal(shop.asked.length, 2);
  });
}
