/** HTTP/2 from clients, through the whole proxy, with clients that are not ours. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { seededRandom } from '../base/random.ts';
import { FRAME } from '../http/h2/frame.ts';
import { block, type Fields, frame } from '../http/h2/testing/frames.ts';
import { GET, POST, RawClient } from '../http/h2/testing/raw-client.ts';
import type { PlanListener } from '../ir/plan.ts';
import { clusterTo, Harness, LISTENER, request, routeOf, ruleTo, Upstream } from './testing/node-harness.ts';

const run = promisify(execFile);

const H2_LISTENER: PlanListener = { ...LISTENER, settings: { ...LISTENER.settings, httpVersions: ['h2', 'http/1.1'] } };

async function gatewayTo(port: number): Promise<Harness> {
  const proxy = new Harness();
  await proxy.start({
    listeners: { l: H2_LISTENER },
    routes: { r: routeOf(ruleTo()) },
    clusters: { c: clusterTo([port]) },
  });
  return proxy;
}

interface Echo {
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}

async function echoUpstream(): Promise<Upstream> {
  return Upstream.start((asked, answer) => {
    const pieces: Buffer[] = [];
    asked.on('data', (bytes: Buffer) => pieces.push(bytes));
    asked.on('end', () => {
      const { method, url, headers } = asked;
      answer.setHeader('x-mixed-Case', 'yes');
      answer.end(JSON.stringify({ method, path: url, headers, body: Buffer.concat(pieces).toString() }));
    });
  });
}

test('h2 clients: a request is what an upstream of HTTP/1.1 would have got from one', async () => {
  await using upstream = await echoUpstream();
  await using proxy = await gatewayTo(upstream.port);
  const session = http2.connect(`http://127.0.0.1:${proxy.port}`);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/a?b=1',
    ':authority': 'shop.test:81',
    te: 'trailers',
    cookie: ['a=1', 'b=2'],
    'x-one': '1',
  });
  stream.end('hello');
  let status = 0;
  let text = '';
  stream.on('response', (head) => {
    status = head[':status']!;
    assert.equal(head['x-mixed-case'], 'yes');
    assert.ok(!('connection' in head) && !('transfer-encoding' in head) && !('keep-alive' in head));
  });
  for await (const bytes of stream) text += String(bytes);
  const echo = JSON.parse(text) as Echo;
  assert.equal(status, 200);
  assert.deepEqual([echo.method, echo.path, echo.body], ['POST', '/a?b=1', 'hello']);
  const { headers } = echo;
  assert.equal(headers['host'], 'shop.test:81');
  assert.equal(headers['cookie'], 'a=1; b=2');
  assert.equal(headers['x-one'], '1');
  assert.equal(headers['via'], '2.0 fourways');
  assert.equal(headers['transfer-encoding'], 'chunked');
  session.destroy();
  assert.equal(proxy.lines()[0]!['status'], 200);
});

test('h2 clients: HTTP/1.1 and HTTP/2 on one clear port, whichever way the first bytes are cut', async () => {
  await using upstream = await echoUpstream();
  await using proxy = await gatewayTo(upstream.port);
  assert.equal((await request(proxy.port, { path: '/one' })).status, 200);
  for (const cut of [1, 3, 23]) {
    const greeting = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    await using client = await RawClient.connect(proxy.port, greeting.subarray(0, cut));
    await new Promise((resolve) => setTimeout(resolve, 20));
    client.send(greeting.subarray(cut), frame(FRAME.SETTINGS, 0, 0));
    client.headers(1, GET);
    assert.match(await client.answer(1), /^200 /);
  }
  // Begins like the preface, and is a request.
  const socket = net.connect(proxy.port, '127.0.0.1');
  socket.write('P');
  await new Promise((resolve) => setTimeout(resolve, 20));
  socket.write('OST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi');
  let answer = '';
  for await (const bytes of socket) answer += String(bytes);
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n[^]*"body":"hi"/);
});

test('h2 clients: a listener that speaks HTTP/1.1 alone does not look', async () => {
  await using upstream = await echoUpstream();
  await using proxy = new Harness();
  await proxy.start({ routes: { r: routeOf(ruleTo()) }, clusters: { c: clusterTo([upstream.port]) } });
  await using client = await RawClient.connect(proxy.port);
  await client.untilClosed();
  assert.equal(client.frames.filter((f) => f.type === FRAME.SETTINGS).length, 0);
});

test('h2 clients: curl', async () => {
  await using upstream = await echoUpstream();
  await using proxy = await gatewayTo(upstream.port);
  const url = `http://127.0.0.1:${proxy.port}/c`;
  const args = ['-sS', '--http2-prior-knowledge', '-d', 'x=y', '-w', ' %{http_version} %{http_code}', url];
  const { stdout } = await run('curl', args);
  assert.ok(stdout.endsWith(' 2 200'), stdout);
  assert.match(stdout, /"body":"x=y"/);
});

test('h2 clients: nghttp, with priorities and padding', async () => {
  await using upstream = await echoUpstream();
  await using proxy = await gatewayTo(upstream.port);
  const url = `http://127.0.0.1:${proxy.port}/n`;
  const { stdout } = await run('nghttp', ['--padding=100', '-m20', '-v', url]);
  assert.equal(stdout.split('"path":"/n"').length - 1, 20);
  assert.doesNotMatch(stdout, /RST_STREAM|error_code=(?!NO_ERROR)/);
});

test('h2 clients: h2load with 128 requests at a time loses none', async () => {
  await using upstream = await echoUpstream();
  await using proxy = await gatewayTo(upstream.port);
  const { stdout } = await run('h2load', ['-n2000', '-c4', '-m128', `http://127.0.0.1:${proxy.port}/l`]);
  assert.match(stdout, /2000 succeeded, 0 failed, 0 errored, 0 timeout/);
});

const SMUGGLES: [rule: string, fields: Fields][] = [
  ['a line break in a value', [...GET, ['a', 'b\r\n\r\nGET /inner HTTP/1.1\r\nhost: x']]],
  ['a bare LF in a value', [...GET, ['a', 'b\nx: y']]],
  ['a NUL in a value', [...GET, ['a', 'b\0c']]],
  ['a line break in a name', [...GET, ['a: b\r\nc', 'd']]],
  ['a colon in a name', [...GET, ['content-length: 5\r\na', 'd']]],
  ['a blank in a name', [...GET, ['transfer-encoding ', 'chunked']]],
  ['a line break in the path', [...GET.slice(0, 3), [':path', '/ HTTP/1.1\r\nhost: y\r\n\r\n']]],
  ['a blank in the path', [...GET.slice(0, 3), [':path', '/ HTTP/1.1']]],
  ['a line break in the method', [[':method', 'GET / HTTP/1.1\r\nhost: x\r\n\r\nGET'], ...GET.slice(1)]],
  ['a blank in the method', [[':method', 'GET /inner'], ...GET.slice(1)]],
  ['a line break in the authority', [...GET.slice(0, 2), [':authority', 'x\r\nx: y'], [':path', '/']]],
  ['a path in the authority', [...GET.slice(0, 2), [':authority', 'x/inner'], [':path', '/']]],
  ['transfer-encoding', [...POST, ['transfer-encoding', 'chunked']]],
  ['transfer-encoding and content-length', [...POST, ['content-length', '4'], ['transfer-encoding', 'chunked']]],
  ['two lengths', [...POST, ['content-length', '4'], ['content-length', '40']]],
  ['a length with a sign', [...POST, ['content-length', '+4']]],
  ['a list of lengths', [...POST, ['content-length', '4, 4']]],
  ['another host', [...GET, ['host', 'evil']]],
  ['two hosts', [...GET, ['host', 'x'], ['host', 'x']]],
  ['connection', [...GET, ['connection', 'x-forwarded-for']]],
];

for (const [rule, fields] of SMUGGLES) {
  test(`h2 clients: nothing is smuggled: ${rule}`, async () => {
    let asked = 0;
    await using upstream = await Upstream.start((_, answer) => {
      asked++;
      answer.end();
    });
    await using proxy = await gatewayTo(upstream.port);
    await using client = await RawClient.connect(proxy.port);
    client.send(
      frame(FRAME.HEADERS, 4, 1, block(fields)),
      frame(FRAME.DATA, 1, 1, Buffer.from('0\r\n\r\nGET /inner HTTP/1.1\r\nhost: x\r\n\r\n')),
    );
    assert.match(await client.answer(1), /^(400|RST_STREAM)/);
    assert.equal(asked, 0);
    client.headers(3, GET);
    assert.match(await client.answer(3), /^200/);
    assert.equal(asked, 1);
  });
}

test('h2 clients: a body that is not as long as it said never looks whole upstream', async () => {
  let whole = 0;
  await using upstream = await Upstream.start((asked, answer) => {
    asked.on('error', () => undefined);
    asked.resume().on('end', () => {
      whole++;
      answer.end();
    });
  });
  await using proxy = await gatewayTo(upstream.port);
  await using client = await RawClient.connect(proxy.port);
  for (const [id, length, body] of [
    [1, '10', 'short'],
    [3, '3', 'longer'],
  ] as const) {
    client.headers(id, [...POST, ['content-length', length]], 0);
    client.data(id, Buffer.from(body), 1);
    assert.match(await client.answer(id), /^400 .*RST_STREAM PROTOCOL_ERROR$/);
  }
  assert.equal(whole, 0);
});

test('h2 clients: a connection that is ended is counted by reason, and said', async () => {
  await using upstream = await echoUpstream();
  await using proxy = await gatewayTo(upstream.port);
  await using client = await RawClient.connect(proxy.port);
  client.send(frame(FRAME.PING, 0, 1, Buffer.alloc(8)));
  assert.equal(await client.ending(), 'GOAWAY PROTOCOL_ERROR');
  assert.equal(proxy.metrics.value('fourways_http2_connection_errors_total', ['127.0.0.1:0', 'PROTOCOL_ERROR']), 1);
  const [line] = proxy.said;
  assert.equal(line?.['message'], 'An HTTP/2 connection was ended');
  assert.equal(line['reason'], 'PROTOCOL_ERROR');
  assert.equal(line['client'], '127.0.0.1');
});

test('h2 clients: a client of Node gets whatever bodies it sends, in any pieces, beside requests that it gives up', async () => {
  await using upstream = await Upstream.start((asked, answer) => {
    asked.on('error', () => undefined);
    asked.pipe(answer);
  });
  await using proxy = await gatewayTo(upstream.port);
  const random = seededRandom(5, 6, 7, 8);
  const session = http2.connect(`http://127.0.0.1:${proxy.port}`, { settings: { initialWindowSize: 20_000 } });
  await Promise.all(
    Array.from({ length: 120 }, async (_, i) => {
      const pieces = Array.from({ length: random.bits32() % 6 }, () => Buffer.alloc(random.bits32() % 60_000, i + 1));
      const stream = session.request({ ':method': 'POST', ':path': `/${i}` });
      stream.on('error', () => undefined);
      const givenUp = i % 6 === 5;
      void (async () => {
        for (const piece of pieces) {
          stream.write(piece);
          await new Promise((resolve) => setImmediate(resolve));
        }
        if (givenUp) stream.close(http2.constants.NGHTTP2_CANCEL);
        else stream.end();
      })();
      if (givenUp) return;
      const got: Buffer[] = [];
      for await (const bytes of stream) got.push(bytes as Buffer);
      assert.ok(Buffer.concat(got).equals(Buffer.concat(pieces)), `request ${i}`);
    }),
  );
  session.destroy();
});

test('h2 clients: a drain under load loses no request', async () => {
  let asked = 0;
  await using upstream = await Upstream.start((_, answer) => {
    asked++;
    answer.end();
  });
  await using proxy = await gatewayTo(upstream.port);
  const lost: unknown[] = [];
  let answered = 0;
  const load = Array.from({ length: 4 }, async () => {
    const session = http2.connect(`http://127.0.0.1:${proxy.port}`);
    session.on('error', (error) => lost.push(error));
    const one = (): Promise<void> =>
      new Promise((resolve) => {
        const stream = session.request({ ':path': '/' });
        stream.on('response', () => answered++);
        // What it asks for behind a GOAWAY, the client of Node refuses by itself.
        stream.on('error', (error) => stream.rstCode !== http2.constants.NGHTTP2_REFUSED_STREAM && lost.push(error));
        stream.on('close', resolve);
        stream.resume();
      });
    const untilClosed = async (): Promise<void> => {
      while (!session.closed && !session.destroyed) await one();
    };
    await Promise.all(Array.from({ length: 8 }, untilClosed));
  });
  while (answered < 200) await new Promise((resolve) => setImmediate(resolve));
  await Promise.all([proxy.node.drain(5_000), ...load]);
  assert.deepEqual(lost, []);
  assert.ok(answered > 200);
  assert.equal(asked, answered);
});

const VERSIONS: readonly (readonly [
  rule: string,
  versions: PlanListener['settings']['httpVersions'],
  h1: RegExp,
  h2: RegExp,
])[] = [
  ['both', ['h2', 'http/1.1'], /^HTTP\/1.1 200 /, /^h2$/],
  ['HTTP/1.1 alone', ['http/1.1'], /^HTTP\/1.1 200 /, /^HTTP\/1.1 505 /],
  ['HTTP/2 alone', ['h2'], /^h2$/, /^h2$/],
];

for (const [rule, httpVersions, h1, h2] of VERSIONS) {
  test(`h2 server: in clear text a listener speaks ${rule}`, async () => {
    await using upstream = await echoUpstream();
    await using proxy = new Harness();
    await proxy.start({
      listeners: { l: { ...LISTENER, settings: { ...LISTENER.settings, httpVersions } } },
      routes: { r: routeOf(ruleTo()) },
      clusters: { c: clusterTo([upstream.port]) },
    });
    assert.match(await firstWords(proxy.port, 'GET / HTTP/1.1\r\nhost: a.test\r\n\r\n'), h1);
    assert.match(await firstWords(proxy.port, 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'), h2);
  });
}

/** `h2` when the first bytes are a frame of SETTINGS, else the first line. */
async function firstWords(port: number, bytes: string): Promise<string> {
  const socket = net.connect(port, '127.0.0.1').on('error', () => undefined);
  socket.write(bytes, 'latin1');
  const [first] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  return first[3] === FRAME.SETTINGS ? 'h2' : first.toString('latin1').split('\r\n')[0]!;
}
