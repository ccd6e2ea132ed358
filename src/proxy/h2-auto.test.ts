/** Upstreams that speak either version of HTTP over TLS: what is agreed on counts, for each connection. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import type http from 'node:http';
import http2 from 'node:http2';
import https from 'node:https';
import net, { type AddressInfo } from 'node:net';
import { test } from 'node:test';
import type { TLSSocket } from 'node:tls';
import type { PlanCluster } from '../ir/plan.ts';
import { makeCertificate } from '../net/testing/certificates.ts';
import { PLAIN_TLS } from '../net/testing/tls-port.ts';
import { clusterTo, Harness, request, routeOf, ruleTo } from './testing/node-harness.ts';

const CA = makeCertificate({ kind: 'ca' });
const LEAF = makeCertificate({ hosts: ['up.test'], issuer: CA });

/** Answers with its version of HTTP; takes WebSockets over HTTP/1.1, and over HTTP/2 when `settings` offer it. */
class TlsUpstream implements AsyncDisposable {
  readonly server: http2.Http2SecureServer | https.Server;
  readonly sockets = new Set<net.Socket>();
  readonly agreed: (string | false | null)[] = [];
  port = 0;

  constructor(options: http2.SecureServerOptions | 'http1') {
    const own = { key: LEAF.privateKeyPem, cert: LEAF.certificatePem };
    this.server =
      options === 'http1'
        ? https.createServer(own)
        : http2.createSecureServer({ ...own, allowHTTP1: true, ...options });
    this.server.on('secureConnection', (socket: TLSSocket) => {
      this.agreed.push(socket.alpnProtocol);
      socket.on('error', () => undefined);
      this.sockets.add(socket);
    });
    this.server.on('request', (asked: http2.Http2ServerRequest, answer: http2.Http2ServerResponse) =>
      answer.end(asked.httpVersion),
    );
    this.server.on('upgrade', (asked: http.IncomingMessage, socket: net.Socket) => {
      socket.write(
        'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n' +
          `sec-websocket-accept: ${acceptOf(asked.headers['sec-websocket-key']!)}\r\n\r\n1.1 `,
      );
      socket.pipe(socket);
    });
  }

  static async start(options: http2.SecureServerOptions | 'http1' = {}): Promise<TlsUpstream> {
    const upstream = new TlsUpstream(options);
    upstream.server.listen(0, '127.0.0.1');
    await once(upstream.server, 'listening');
    upstream.port = (upstream.server.address() as AddressInfo).port;
    return upstream;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.server.close(resolve));
  }
}

function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
}

async function proxyTo(port: number, protocol: PlanCluster['protocol']): Promise<Harness> {
  const tls = {
    serverName: 'up.test',
    cas: [CA.leafPem],
    subjectAltNames: [],
    policy: PLAIN_TLS,
    state: 'ok',
  } as const;
  const proxy = new Harness();
  await proxy.start({ routes: { r: routeOf(ruleTo()) }, clusters: { c: clusterTo([port], { protocol, tls }) } });
  return proxy;
}

/** Opens a WebSocket and says a word; gives what came after the head. */
async function chat(port: number): Promise<string> {
  const socket = net.connect(port, '127.0.0.1');
  socket.write(
    'GET /chat HTTP/1.1\r\nhost: a.test\r\nconnection: upgrade\r\nupgrade: websocket\r\n' +
      'sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nword',
  );
  let came = '';
  for await (const bytes of socket) {
    came += String(bytes);
    if (came.includes('word') || came.startsWith('HTTP/1.1 5')) break;
  }
  socket.destroy();
  return came.startsWith('HTTP/1.1 101') ? came.slice(came.indexOf('\r\n\r\n') + 4) : came.slice(0, 12);
}

test('auto: an upstream that knows HTTP/2 is spoken to in HTTP/2, on one connection', async () => {
  await using upstream = await TlsUpstream.start();
  await using proxy = await proxyTo(upstream.port, 'auto');
  const all = await Promise.all(Array.from({ length: 10 }, () => request(proxy.port)));
  assert.deepEqual([...new Set(all.map(({ body }) => body))], ['2.0']);
  assert.deepEqual(upstream.agreed, ['h2']);
});

test('auto: one that does not is spoken to in HTTP/1.1', async () => {
  await using upstream = await TlsUpstream.start('http1');
  await using proxy = await proxyTo(upstream.port, 'auto');
  const all = await Promise.all(Array.from({ length: 10 }, () => request(proxy.port)));
  assert.deepEqual([...new Set(all.map(({ body }) => body))], ['1.1']);
});

test('h2: an upstream over TLS that does not agree on HTTP/2 is not spoken to', async () => {
  await using upstream = await TlsUpstream.start('http1');
  await using proxy = await proxyTo(upstream.port, 'h2');
  const got = await request(proxy.port);
  assert.equal(got.status, 502);
  assert.equal((JSON.parse(got.body) as { code: string }).code, 'upstream.tls-failed');
});

test('auto: HTTP_1_1_REQUIRED is believed, and the request goes on in HTTP/1.1', async () => {
  await using upstream = await TlsUpstream.start();
  upstream.server.removeAllListeners('request');
  upstream.server.on('request', (asked: http2.Http2ServerRequest, answer: http2.Http2ServerResponse) => {
    if (asked.httpVersion === '1.1') answer.end('1.1');
    else asked.stream.close(http2.constants.NGHTTP2_HTTP_1_1_REQUIRED);
  });
  await using proxy = await proxyTo(upstream.port, 'auto');
  for (let i = 0; i < 3; i++) {
    const got = await request(proxy.port, { method: 'POST', body: 'x' });
    assert.deepEqual([got.status, got.body], [200, '1.1']);
  }
  assert.deepEqual(upstream.agreed, ['h2', 'http/1.1']);
});

test('auto: a WebSocket takes HTTP/1.1 beside HTTP/2, unless the upstream offers extended CONNECT', async () => {
  await using upstream = await TlsUpstream.start();
  await using proxy = await proxyTo(upstream.port, 'auto');
  assert.equal((await request(proxy.port)).body, '2.0');
  assert.equal(await chat(proxy.port), '1.1 word');
  assert.equal((await request(proxy.port)).body, '2.0');
  assert.deepEqual(upstream.agreed, ['h2', 'http/1.1']);
});

test('auto: a WebSocket is a stream where the upstream offers extended CONNECT', async () => {
  await using upstream = await TlsUpstream.start({ settings: { enableConnectProtocol: true } });
  upstream.server.removeAllListeners('stream');
  upstream.server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
    stream.on('error', () => undefined);
    stream.respond({ ':status': 200 });
    if (headers[':protocol'] === 'websocket') {
      stream.write('2.0 ');
      stream.pipe(stream);
    } else stream.end('2.0');
  });
  await using proxy = await proxyTo(upstream.port, 'auto');
  assert.equal((await request(proxy.port)).body, '2.0');
  assert.equal(await chat(proxy.port), '2.0 word');
  assert.deepEqual(upstream.agreed, ['h2']);
});

test('h2: a WebSocket to an upstream that does not offer extended CONNECT is a fault that says so', async () => {
  await using upstream = await TlsUpstream.start();
  await using proxy = await proxyTo(upstream.port, 'h2');
  assert.equal(await chat(proxy.port), 'HTTP/1.1 502');
  assert.equal(proxy.lines()[0]!['fault'], 'upstream.websocket-unsupported');
});
