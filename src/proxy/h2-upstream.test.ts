/** HTTP/2 towards backends, through the whole proxy, with servers of Node's own. */
import assert from 'node:assert/strict';
import http2 from 'node:http2';
import type { AddressInfo } from 'node:net';
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

  constructor(onStream: OnStream, options: http2.ServerOptions) {
    this.server = http2.createServer(options);
    this.server.on('stream', onStream);
    this.server.on('session', (session) => {
      this.sessions.add(session);
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
