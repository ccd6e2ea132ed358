/** The whole way over HTTP: a client, the proxy, a real authorizer, a real service. */
import assert from 'node:assert/strict';
import type http from 'node:http';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { test } from 'node:test';
import { check } from '../../schema/schema.ts';
import { clusterTo, Harness, request, routeOf, ruleTo, Upstream } from '../../proxy/testing/node-harness.ts';
import { extAuth, ExtAuthConfig } from './config.ts';

/** A service that says what it got. */
const service: http.RequestListener = (asked, answer) => {
  let body = '';
  asked.setEncoding('utf8').on('data', (text: string) => (body += text));
  asked.on('end', () => answer.end(JSON.stringify({ headers: asked.headers, url: asked.url, body })));
};

interface Got {
  readonly headers: http.IncomingHttpHeaders;
  readonly url: string;
  readonly body: string;
}

class Guarded implements AsyncDisposable {
  readonly #upstream: Upstream;
  readonly proxy: Harness;

  private constructor(upstream: Upstream, proxy: Harness) {
    this.#upstream = upstream;
    this.proxy = proxy;
  }

  static async start(authorizerPort: number, config: object): Promise<Guarded> {
    const upstream = await Upstream.start(service);
    const proxy = new Harness([extAuth]);
    const { value, issues } = check(ExtAuthConfig, { backend: { name: 'a' }, ...config });
    assert.deepEqual(issues, []);
    const lowered = { ...(value as ExtAuthConfig), backend: { cluster: 'a' } };
    await proxy.start({
      routes: { r: routeOf(ruleTo({ filters: [{ filter: 'extAuth', config: lowered, owner: 'Policy d/p' }] })) },
      clusters: { c: clusterTo([upstream.port]), a: clusterTo([authorizerPort]) },
    });
    return new Guarded(upstream, proxy);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.proxy[Symbol.asyncDispose]();
    await this.#upstream[Symbol.asyncDispose]();
  }
}

test('extAuth over HTTP: who is let in, who is sent to log in, and who is told no', async () => {
  await using authorizer = await Upstream.start((asked, answer) => {
    const { cookie, 'x-forwarded-uri': uri } = asked.headers;
    if (cookie === 'session=ann') answer.writeHead(200, { 'X-User': 'ann', 'Set-Cookie': ['a=1', 'b=2'] }).end();
    else if (cookie !== undefined) answer.writeHead(403, { 'content-type': 'text/html' }).end('<h1>No</h1>');
    else answer.writeHead(302, { location: `https://login.test/?rd=${encodeURIComponent(String(uri))}` }).end();
  });
  await using guarded = await Guarded.start(authorizer.port, {
    http: { path: { value: '/verify' }, answerHeaders: ['Set-Cookie'] },
    upstreamHeaders: ['X-User'],
  });
  const { port } = guarded.proxy;

  const allowed = await request(port, { path: '/a?b', headers: { cookie: 'session=ann', 'x-user': 'root' } });
  assert.equal(allowed.status, 200);
  assert.equal((JSON.parse(allowed.body) as Got).headers['x-user'], 'ann');
  assert.deepEqual(allowed.headers['set-cookie'], ['a=1', 'b=2']);

  const sent = await request(port, { path: '/a?b' });
  assert.equal(sent.status, 302);
  assert.equal(sent.headers.location, 'https://login.test/?rd=%2Fa%3Fb');

  const refused = await request(port, { headers: { cookie: 'session=eve' } });
  assert.deepEqual([refused.status, refused.headers['content-type'], refused.body], [403, 'text/html', '<h1>No</h1>']);
  assert.deepEqual(
    guarded.proxy.lines().map(({ status, filters }) => [status, (filters as Record<string, string>)['extAuth']]),
    [
      [200, 'allowed'],
      [302, 'refused'],
      [403, 'refused'],
    ],
  );
});

test('extAuth over HTTP: a body that the authorizer sees arrives behind it too, also where it sees a part', async () => {
  const seen: (readonly [body: string, isPart: unknown, type: unknown])[] = [];
  await using authorizer = await Upstream.start((asked, answer) => {
    let body = '';
    asked.setEncoding('utf8').on('data', (text: string) => (body += text));
    asked.on('end', () => {
      seen.push([body, asked.headers['x-envoy-auth-partial-body'], asked.headers['content-type']]);
      answer.writeHead(body.startsWith('bad') ? 403 : 200).end();
    });
  });
  await using guarded = await Guarded.start(authorizer.port, {
    http: { method: 'original' },
    withBody: { bytesMax: 4, beyond: 'part' },
  });
  const headers = { 'content-type': 'text/plain' };
  const rows = [
    ['abcd', 200],
    ['abcdefgh', 200],
    ['bad, and more behind it', 403],
    ['', 200],
  ] as const;
  for (const [body, status] of rows) {
    const got = await request(guarded.proxy.port, { method: 'POST', headers, body });
    assert.equal(got.status, status, body);
    if (status === 200) assert.equal((JSON.parse(got.body) as Got).body, body);
  }
  assert.deepEqual(seen, [
    ['abcd', 'false', 'text/plain'],
    ['abcd', 'true', 'text/plain'],
    ['bad,', 'true', 'text/plain'],
    ['', undefined, undefined],
  ]);
});

test('extAuth over HTTP: a body that is too long is refused, and the authorizer is not asked', async () => {
  let asked = 0;
  await using authorizer = await Upstream.start((_, answer) => {
    asked++;
    answer.end();
  });
  await using guarded = await Guarded.start(authorizer.port, {
    http: { method: 'original' },
    withBody: { bytesMax: 4 },
  });
  const got = await request(guarded.proxy.port, { method: 'POST', body: 'abcde' });
  assert.equal(got.status, 413);
  assert.equal(asked, 0);
});

const HANGS: http.RequestListener = () => undefined;
const BROKEN: [rule: string, authorizer: http.RequestListener | string, more: object, want: number][] = [
  ['is slow', HANGS, { timeout: '50ms' }, 503],
  ['is slow, and requests pass', HANGS, { timeout: '50ms', whenAway: 'allow' }, 200],
  ['answers 500', (_, answer) => answer.writeHead(500).end('boom'), {}, 503],
  ['breaks off', (asked) => asked.socket.destroy(), {}, 503],
  ['says too much', (_, answer) => answer.writeHead(403).end('x'.repeat(2_000)), { answerBytesMax: 1_000 }, 502],
  [
    'says too much to let it pass',
    (_, answer) => answer.end('x'.repeat(2_000)),
    { answerBytesMax: 1_000, whenAway: 'allow' },
    502,
  ],
  ['does not speak HTTP', 'SSH-2.0-OpenSSH_9.6\r\n\r\n', {}, 502],
  ['does not speak HTTP, which lets nobody pass', 'SSH-2.0-OpenSSH_9.6\r\n\r\n', { whenAway: 'allow' }, 502],
];

for (const [rule, listener, more, want] of BROKEN) {
  test(`extAuth over HTTP: the authorizer ${rule}`, async () => {
    await using authorizer = typeof listener === 'string' ? await says(listener) : await Upstream.start(listener);
    await using guarded = await Guarded.start(authorizer.port, { http: {}, ...more });
    const got = await request(guarded.proxy.port);
    assert.equal(got.status, want);
    // What an authorizer says of itself stays here.
    if (got.status !== 200) assert.doesNotMatch(got.body, /boom|127\.0\.0\.1|xxx/);
  });
}

test('extAuth over HTTP: the authorizer is away and comes back', async () => {
  const authorizer = await Upstream.start((_, answer) => answer.end());
  await using guarded = await Guarded.start(authorizer.port, { http: {} });
  const { port } = guarded.proxy;
  assert.equal((await request(port)).status, 200);
  await authorizer[Symbol.asyncDispose]();
  assert.equal((await request(port)).status, 503);
  await new Promise<void>((resolve) => authorizer.server.listen(authorizer.port, '127.0.0.1', resolve));
  await using _ = authorizer;
  assert.equal((await request(port)).status, 200);
});

interface Speaker extends AsyncDisposable {
  readonly port: number;
}

/** A server that says the same to everybody. */
async function says(text: string): Promise<Speaker> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.end(text);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
