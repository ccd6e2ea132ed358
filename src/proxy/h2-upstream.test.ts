/** HTTP/2 towards backends, through the whole proxy, with servers of Node's own. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import { test } from 'node:test';
import { clusterTo, Harness, request, routeOf, ruleTo } from './testing/node-harness.ts';

test('h2 upstream: a request of HTTP/1.1 arrives whole, without what belongs to its connection', async () => {
  await using upstream = await H2Upstream.start(echo);
  await using proxy = await proxyTo(upstream.port);
  const got = await request(proxy.port, {
    method: 'POST',
    path: '/a?b=1',
    headers: { host: 'Shop.test:81', 'X-Mixed': 'A', 'keep-alive': 'timeout=5', te: 'trailers, gzip;q=0.5' },
    body: 'hello',
  });
  const { headers, body } = JSON.parse(got.body) as Echo;
  assert.equal(got.status, 200);
  assert.equal(body, 'hello');
  assert.equal(headers[':method'], 'POST');
  assert.equal(headers[':path'], '/a?b=1');
  assert.equal(headers[':authority'], 'Shop.test:81');
  assert.equal(headers['x-mixed'], 'A');
  assert.equal(headers['content-length'], '5');
  assert.equal(headers['te'], 'trailers');
  assert.equal(headers['via'], '1.1 fourways');
  for (const name of ['host', 'connection', 'keep-alive', 'transfer-encoding']) assert.ok(!(name in headers), name);
});

test('h2 upstream: GOAWAY and restarts under load lose no request, whatever its method', async () => {
  let served = 0;
  await using upstream = await H2Upstream.start((stream, headers) => {
    served++;
    echo(stream, headers);
    // Graceful: what has come is answered, what comes later is given back.
    if (served % 20 === 0) stream.session!.close();
  });
  await using proxy = await proxyTo(upstream.port);
  let sent = 0;
  const client = async (): Promise<void> => {
    while (sent < 400) {
      const body = String(sent++);
      const got = await request(proxy.port, { method: 'POST', path: `/${body}`, body });
      assert.equal(got.status, 200, got.body);
      assert.equal((JSON.parse(got.body) as Echo).body, body);
    }
  };
  await Promise.all(Array.from({ length: 24 }, client));
  assert.ok(upstream.opened > 10, `${upstream.opened} connections`);
  assert.ok(proxy.lines().every((line) => line['status'] === 200));
});

test('h2 upstream: a request of any method that is refused goes again; one that may have been looked at does not', async () => {
  let asked = 0;
  await using upstream = await H2Upstream.start((stream, headers) => {
    stream.on('error', () => undefined);
    asked++;
    if (headers[':path'] === '/refused' && asked === 1) stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
    else if (headers[':path'] === '/broken') stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR);
    else echo(stream, headers);
  });
  await using proxy = await proxyTo(upstream.port);
  const refused = await request(proxy.port, { method: 'POST', path: '/refused', body: 'x' });
  assert.equal(refused.status, 200);
  assert.equal((JSON.parse(refused.body) as Echo).body, 'x');
  assert.equal(asked, 2);
  const broken = await request(proxy.port, { method: 'POST', path: '/broken', body: 'x' });
  assert.equal(broken.status, 502);
  assert.equal((JSON.parse(broken.body) as { code: string }).code, 'upstream.reset');
  assert.equal(asked, 3);
});

test('h2 upstream: one that gives back everything is asked a few times, and that is said', async () => {
  let asked = 0;
  await using upstream = await H2Upstream.start((stream) => {
    asked++;
    stream.on('error', () => undefined);
    stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
  });
  await using proxy = await proxyTo(upstream.port);
  const got = await request(proxy.port);
  assert.equal(got.status, 503);
  assert.equal((JSON.parse(got.body) as { code: string }).code, 'upstream.unprocessed');
  assert.equal(asked, 5);
});

test('h2 upstream: at the limit of streams one more connection is made, and nobody is refused', async () => {
  const held: (() => void)[] = [];
  let most = 0;
  await using upstream = await H2Upstream.start(
    (stream, headers) => {
      held.push(() => echo(stream, headers));
      most = Math.max(most, held.length);
      if (held.length === 10) for (const answer of held.splice(0)) answer();
    },
    { settings: { maxConcurrentStreams: 4 } },
  );
  await using proxy = await proxyTo(upstream.port);
  const all = await Promise.all(Array.from({ length: 30 }, (_, i) => request(proxy.port, { path: `/${i}` })));
  assert.ok(all.every(({ status }) => status === 200));
  assert.equal(most, 10);
  assert.ok(upstream.opened >= 3 && upstream.opened <= 8, `${upstream.opened} connections`);
});

test('h2 upstream: an answer that nobody reads does not hold up others on its connection, and is held within its window', async () => {
  const sent = { bytes: 0 };
  await using upstream = await H2Upstream.start((stream, headers) => {
    stream.on('error', () => undefined);
    if (headers[':path'] !== '/slow') return echo(stream, headers);
    stream.respond({ ':status': 200 });
    const piece = Buffer.alloc(64 * 1024);
    const write = (): void => {
      while (!stream.destroyed && stream.write(piece)) sent.bytes += piece.length;
      sent.bytes += piece.length;
    };
    stream.on('drain', write);
    write();
  });
  await using proxy = await proxyTo(upstream.port);
  const slow = net.connect(proxy.port, '127.0.0.1');
  slow.on('error', () => undefined);
  slow.write('GET /slow HTTP/1.1\r\nhost: a\r\n\r\n');
  await once(slow, 'readable');
  slow.pause();
  // The sockets on the way fill; then nothing moves any more.
  for (let before = -1; before !== sent.bytes;) {
    before = sent.bytes;
    for (let i = 0; i < 20; i++) assert.equal((await request(proxy.port, { path: `/${i}` })).status, 200);
  }
  assert.equal(upstream.opened, 1);
  assert.ok(sent.bytes < 32 * 1024 * 1024, `${sent.bytes} bytes`);
  slow.destroy();
  assert.equal((await request(proxy.port)).status, 200);
});

test('h2 upstream: a long request goes as fast as the upstream takes it, and no faster', async () => {
  let stream: http2.ServerHttp2Stream | undefined;
  await using upstream = await H2Upstream.start((opened) => {
    stream = opened;
    opened.on('error', () => undefined);
    opened.pause();
  });
  await using proxy = await proxyTo(upstream.port);
  const client = net.connect(proxy.port, '127.0.0.1');
  client.on('error', () => undefined);
  client.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 67108864\r\n\r\n');
  const piece = Buffer.alloc(64 * 1024);
  let sent = 0;
  while (sent < 64 * 1024 * 1024 && client.write(piece)) sent += piece.length;
  while (stream === undefined) await new Promise((resolve) => setImmediate(resolve));
  for (let before = -1; before !== client.bytesWritten - client.writableLength;) {
    before = client.bytesWritten - client.writableLength;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.ok(client.writableLength > 0 || sent < 64 * 1024 * 1024);
  client.destroy();
  await once(stream, 'close');
  assert.equal(stream.rstCode, http2.constants.NGHTTP2_CANCEL);
});

test('h2 upstream: trailers and interim answers pass', async () => {
  await using upstream = await H2Upstream.start((stream) => {
    stream.additionalHeaders({ ':status': 103, link: '</a>; rel=preload' });
    stream.respond({ ':status': 200 }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'x-sum': '6' }));
    stream.end('abc');
  });
  await using proxy = await proxyTo(upstream.port);
  const got = await new Promise<{ answer: http.IncomingMessage; interim: number[] }>((resolve, reject) => {
    const interim: number[] = [];
    const asked = http.get(
      { port: proxy.port, host: '127.0.0.1', agent: false, headers: { te: 'trailers' } },
      (answer) => {
        answer.resume();
        answer.on('end', () => resolve({ answer, interim }));
      },
    );
    asked.on('information', ({ statusCode }) => interim.push(statusCode));
    asked.on('error', reject);
  });
  assert.deepEqual(got.interim, [103]);
  assert.deepEqual({ ...got.answer.trailers }, { 'x-sum': '6' });
});

test('h2 upstream: streams in both directions, with pauses between, are passed on as they come', async () => {
  await using upstream = await H2Upstream.start((stream) => {
    stream.respond({ ':status': 200 });
    stream.on('data', (bytes: Buffer) => stream.write(`got ${bytes.toString()};`));
    stream.on('end', () => stream.end('bye'));
  });
  await using proxy = await proxyTo(upstream.port);
  const asked = http.request({ port: proxy.port, host: '127.0.0.1', agent: false, method: 'POST' });
  asked.write('1');
  const [answer] = (await once(asked, 'response')) as [http.IncomingMessage];
  const said: string[] = [];
  for (const piece of ['2', '3']) {
    said.push(String(((await once(answer, 'data')) as [Buffer])[0]));
    asked.write(piece);
  }
  said.push(String(((await once(answer, 'data')) as [Buffer])[0]));
  asked.end();
  for await (const bytes of answer) said.push(String(bytes));
  assert.deepEqual(said, ['got 1;', 'got 2;', 'got 3;', 'bye']);
});

interface Echo {
  readonly headers: http2.IncomingHttpHeaders;
  readonly body: string;
}

type OnStream = (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void;

const echo: OnStream = (stream, headers) => {
  const pieces: Buffer[] = [];
  stream.on('data', (bytes: Buffer) => pieces.push(bytes));
  stream.on('end', () => {
    stream.respond({ ':status': 200 });
    stream.end(JSON.stringify({ headers, body: Buffer.concat(pieces).toString() }));
  });
};

class H2Upstream implements AsyncDisposable {
  readonly server: http2.Http2Server;
  readonly sessions = new Set<http2.ServerHttp2Session>();
  port = 0;
  opened = 0;

  constructor(onStream: OnStream, options: http2.ServerOptions) {
    this.server = http2.createServer(options);
    this.server.on('stream', onStream);
    this.server.on('session', (session) => {
      this.opened++;
      this.sessions.add(session);
      session.on('error', () => undefined);
      session.on('close', () => this.sessions.delete(session));
    });
  }

  static async start(onStream: OnStream, options: http2.ServerOptions = {}): Promise<H2Upstream> {
    const upstream = new H2Upstream(onStream, options);
    await new Promise<void>((resolve) => upstream.server.listen(0, '127.0.0.1', resolve));
    upstream.port = (upstream.server.address() as AddressInfo).port;
    return upstream;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.sessions) session.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

async function proxyTo(port: number): Promise<Harness> {
  const proxy = new Harness();
  await proxy.start({ routes: { r: routeOf(ruleTo()) }, clusters: { c: clusterTo([port], { protocol: 'h2' }) } });
  return proxy;
}
