import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { test } from 'node:test';
import { clusterTo, Harness, LISTENER, request, routeOf, ruleTo, Upstream } from './testing/node-harness.ts';

const echo: http.RequestListener = (asked, answer) => {
  const pieces: Buffer[] = [];
  asked.on('data', (bytes: Buffer) => pieces.push(bytes));
  asked.on('end', () => {
    const body = Buffer.concat(pieces).toString();
    answer.end(JSON.stringify({ method: asked.method, url: asked.url, headers: asked.headers, body }));
  });
};

test('node: a request reaches its upstream and comes back, marked on the way', async () => {
  await using upstream = await Upstream.start(echo);
  await using proxy = new Harness();
  await proxy.start({ routes: { r: routeOf(ruleTo()) }, clusters: { c: clusterTo([upstream.port]) } });
  const got = await request(proxy.port, {
    method: 'POST',
    path: '/a/./b?q=1',
    headers: { 'x-forwarded-for': '6.6.6.6', host: 'shop.test' },
    body: 'hello',
  });
  assert.equal(got.status, 200);
  const seen = JSON.parse(got.body) as { url: string; body: string; headers: Record<string, string> };
  assert.equal(seen.url, '/a/b?q=1');
  assert.equal(seen.body, 'hello');
  assert.equal(seen.headers['host'], 'shop.test');
  assert.equal(seen.headers['x-forwarded-for'], '127.0.0.1');
  assert.match(seen.headers['x-request-id']!, /^[0-9a-f]{32}$/);
  assert.match(seen.headers['traceparent']!, /^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
  assert.equal(seen.headers['via'], '1.1 fourways');
  const [line] = proxy.lines();
  assert.equal(line!['status'], 200);
  assert.equal(line!['request_id'], seen.headers['x-request-id']);
  assert.equal(line!['rule'], 'HTTPRoute/d/r/0');
});

test('node: what no rule takes is a problem with code and request id, in the form the client likes', async () => {
  await using proxy = new Harness();
  await proxy.start({});
  const json = await request(proxy.port, { path: '/none' });
  assert.equal(json.status, 404);
  assert.equal(json.headers['content-type'], 'application/problem+json');
  const problem = JSON.parse(json.body) as Record<string, unknown>;
  assert.equal(problem['code'], 'route.none');
  assert.equal(problem['requestId'], json.headers['x-request-id']);
  const html = await request(proxy.port, { headers: { accept: 'text/html,*/*;q=0.8' } });
  assert.equal(html.headers['content-type'], 'text/html; charset=utf-8');
  const text = await request(proxy.port, { headers: { accept: 'application/json;q=0.1, text/plain' } });
  assert.equal(text.headers['content-type'], 'text/plain; charset=utf-8');
});

test('node: weights are kept exactly, a weight of 0 gets nothing, an invalid backend gets its share', async () => {
  await using a = await Upstream.start((_, answer) => answer.end('a'));
  await using b = await Upstream.start((_, answer) => answer.end('b'));
  await using proxy = new Harness();
  const to = (cluster: string, weight: number) => ({
    target: { kind: 'cluster' as const, cluster },
    weight,
    filters: [],
  });
  const broken = {
    target: { kind: 'invalid' as const, code: 'route.backend-invalid' as const, why: 'no such Service' },
    weight: 1,
    filters: [],
  };
  await proxy.start({
    routes: { r: routeOf(ruleTo({ backends: [to('a', 3), to('b', 1), to('c', 0), broken] })) },
    clusters: { a: clusterTo([a.port]), b: clusterTo([b.port]), c: clusterTo([a.port]) },
  });
  const counts = new Map<string, number>();
  for (let i = 0; i < 50; i++) {
    const { status, body } = await request(proxy.port);
    const who = status === 200 ? body : String(status);
    counts.set(who, (counts.get(who) ?? 0) + 1);
  }
  assert.deepEqual(Object.fromEntries(counts), { a: 30, b: 10, '500': 10 });
});

test('node: an endpoint that refuses is passed over without the client noticing', async () => {
  await using upstream = await Upstream.start((_, answer) => answer.end('ok'));
  await using gone = await Upstream.start(echo);
  await using proxy = new Harness();
  await proxy.start({ routes: { r: routeOf(ruleTo()) }, clusters: { c: clusterTo([gone.port, upstream.port]) } });
  await new Promise((resolve) => gone.server.close(resolve));
  for (let i = 0; i < 10; i++) assert.equal((await request(proxy.port)).status, 200);
  assert.equal(
    proxy.lines().some((line) => line['attempts'] === 2),
    true,
  );
});

test('node: nothing there is 503, silence is 504, a broken answer is 502; each says who is to blame', async () => {
  await using proxy = new Harness();
  await using dead = await Upstream.start(echo);
  await new Promise((resolve) => dead.server.close(resolve));
  const garbage = net.createServer((socket) => {
    socket.on('error', () => undefined);
    socket.end('NOT HTTP\r\n\r\n');
  });
  await new Promise<void>((resolve) => garbage.listen(0, '127.0.0.1', resolve));
  await using silent = await Upstream.start(() => undefined);
  const at = (value: string, cluster: string, requestMs?: number) =>
    ruleTo({
      name: `HTTPRoute/d/r/${cluster}`,
      matches: [{ path: { kind: 'exact', value }, headers: [], query: [] }],
      backends: [{ target: { kind: 'cluster', cluster }, weight: 1, filters: [] }],
      timeouts: requestMs === undefined ? {} : { requestMs },
    });
  await proxy.start({
    routes: { r: routeOf(at('/dead', 'dead'), at('/none', 'none'), at('/slow', 'slow', 100), at('/bad', 'bad')) },
    clusters: {
      dead: clusterTo([dead.port]),
      none: clusterTo([]),
      slow: clusterTo([silent.port]),
      bad: clusterTo([(garbage.address() as net.AddressInfo).port]),
    },
  });
  const codes: unknown[] = [];
  for (const path of ['/dead', '/none', '/slow', '/bad']) {
    const { status, body } = await request(proxy.port, { path });
    const { code } = JSON.parse(body) as { code: string };
    codes.push([status, code]);
  }
  garbage.close();
  assert.deepEqual(codes, [
    [503, 'upstream.connect-refused'],
    [503, 'upstream.no-endpoint'],
    [504, 'exchange.timeout'],
    [502, 'upstream.malformed'],
  ]);
});

test('node: a retry policy tries again by status, by reset and by timeout of an attempt', async () => {
  const seen = new Map<string, number>();
  await using upstream = await Upstream.start((asked, answer) => {
    const url = asked.url!;
    const times = (seen.get(url) ?? 0) + 1;
    seen.set(url, times);
    if (times === 3) return void answer.end('third');
    if (url === '/status') return void answer.writeHead(503).end('busy');
    if (url === '/reset') asked.socket.resetAndDestroy();
  });
  await using proxy = new Harness();
  const retry = { attempts: 2, backoffMs: 5, codes: [503] };
  await proxy.start({
    routes: { r: routeOf(ruleTo({ retry, timeouts: { backendRequestMs: 150 } })) },
    clusters: { c: clusterTo([upstream.port]) },
  });
  for (const path of ['/status', '/reset', '/timeout']) {
    assert.equal((await request(proxy.port, { path, method: 'POST', body: 'x' })).body, 'third', path);
  }
});

test('node: a reused connection that was closed meanwhile costs an idempotent request nothing', async () => {
  let connections = 0;
  // Answers one request per connection as if it would stay, and resets when the second comes.
  const rude = net.createServer((socket) => {
    connections++;
    let answered = false;
    socket.on('error', () => undefined);
    socket.on('data', () => {
      if (answered) return void socket.resetAndDestroy();
      answered = true;
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok');
    });
  });
  await new Promise<void>((resolve) => rude.listen(0, '127.0.0.1', resolve));
  await using proxy = new Harness();
  const { port } = rude.address() as net.AddressInfo;
  await proxy.start({ routes: { r: routeOf(ruleTo()) }, clusters: { c: clusterTo([port]) } });
  for (let i = 0; i < 5; i++) assert.equal((await request(proxy.port)).status, 200);
  assert.equal(connections, 5);
  const post = await request(proxy.port, { method: 'POST', body: 'x' });
  assert.equal(post.status, 502, 'a POST may have been processed: it is not sent again');
  rude.close();
});

test('node: a mirror gets the request with its body, by its share, and its answer does not matter', async () => {
  const copies: string[] = [];
  await using upstream = await Upstream.start(echo);
  await using shadow = await Upstream.start((asked, answer) => {
    let body = '';
    asked.on('data', (bytes) => (body += bytes));
    asked.on('end', () => {
      copies.push(`${asked.method} ${asked.url} ${body}`);
      answer.writeHead(500).end();
    });
  });
  await using proxy = new Harness();
  await proxy.start({
    routes: { r: routeOf(ruleTo({ mirrors: [{ cluster: 'm', share: 0.5 }] })) },
    clusters: { c: clusterTo([upstream.port]), m: clusterTo([shadow.port]) },
  });
  for (let i = 0; i < 10; i++) {
    assert.equal((await request(proxy.port, { method: 'PUT', path: `/${i}`, body: 'b' })).status, 200);
  }
  while (copies.length < 5) await once(shadow.server, 'request');
  assert.deepEqual(copies.toSorted(), ['PUT /1 b', 'PUT /3 b', 'PUT /5 b', 'PUT /7 b', 'PUT /9 b']);
});

test('node: a client that goes away takes its upstream request with it', async () => {
  let closed: (() => void) | undefined;
  const gone = new Promise<void>((resolve) => (closed = resolve));
  let arrived: (() => void) | undefined;
  const there = new Promise<void>((resolve) => (arrived = resolve));
  await using upstream = await Upstream.start((_, answer) => {
    answer.on('close', () => closed!());
    arrived!();
  });
  await using proxy = new Harness();
  await proxy.start({ routes: { r: routeOf(ruleTo()) }, clusters: { c: clusterTo([upstream.port]) } });
  const client = net.connect(proxy.port, '127.0.0.1');
  client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
  await there;
  await new Promise((resolve) => setTimeout(resolve, 10));
  client.destroy();
  await gone;
  assert.equal(proxy.lines()[0]!['fault'], 'request.aborted');
});

test('node: a tunnel passes bytes and half-close both ways', async () => {
  await using upstream = await Upstream.start(echo);
  upstream.server.on('upgrade', (_, socket: net.Socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    socket.on('data', (bytes) => socket.write(bytes));
    socket.on('end', () => socket.end('bye'));
  });
  await using proxy = new Harness();
  await proxy.start({ routes: { r: routeOf(ruleTo()) }, clusters: { c: clusterTo([upstream.port]) } });
  const client = net.connect({ port: proxy.port, host: '127.0.0.1', allowHalfOpen: true });
  client.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly');
  let heard = '';
  client.on('data', (bytes) => {
    heard += bytes.toString();
    if (heard.endsWith('early')) client.end('late');
  });
  await once(client, 'end');
  assert.match(heard, /^HTTP\/1\.1 101 [^]*\r\n\r\nearlylatebye$/);
});

test('node: a change shows on connections that are open, and a plan that is not whole changes nothing', async () => {
  await using upstream = await Upstream.start(echo);
  await using proxy = new Harness();
  await proxy.start({ routes: { r: routeOf(ruleTo()) }, clusters: { c: clusterTo([upstream.port]) } });
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
  const ask = () => request(proxy.port, { agent });
  assert.equal((await ask()).status, 200);
  const refused = await proxy.change({
    routes: {
      r: routeOf(ruleTo({ backends: [{ target: { kind: 'cluster', cluster: 'nowhere' }, weight: 1, filters: [] }] })),
    },
  });
  assert.equal(refused.kind, 'nack');
  assert.equal((await ask()).status, 200);
  assert.equal((await proxy.change({}, { routes: ['r'] })).kind, 'ack');
  assert.equal((await ask()).status, 404);
  assert.equal((await proxy.change({ routes: { r: routeOf(ruleTo()) } })).kind, 'ack');
  assert.equal((await ask()).status, 200);
  assert.equal(proxy.node.stats().connections, 1);
  agent.destroy();
});

test('node: a port that is taken is a state that says so', async () => {
  const taken = net.createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  const { port } = taken.address() as net.AddressInfo;
  await using proxy = new Harness();
  await assert.rejects(proxy.start({}, { port }), new RegExp(`Cannot bind 127.0.0.1:${port}: address in use`));
  taken.close();
});

test('node: a drain lets running requests finish and closes their connections', async () => {
  let arrived: (() => void) | undefined;
  const there = new Promise<void>((resolve) => (arrived = resolve));
  await using upstream = await Upstream.start((_, answer) => {
    arrived!();
    setTimeout(() => answer.end('done'), 100);
  });
  await using proxy = new Harness();
  await proxy.start({ routes: { r: routeOf(ruleTo()) }, clusters: { c: clusterTo([upstream.port]) } });
  const running = request(proxy.port, { agent: new http.Agent({ keepAlive: true }) });
  await there;
  const drained = proxy.node.drain(5_000);
  const got = await running;
  assert.equal(got.body, 'done');
  assert.equal(got.headers['connection'], 'close');
  await drained;
  await assert.rejects(request(proxy.port), /ECONNREFUSED/);
});

test('node: header names with an underscore follow the listener', async () => {
  await using upstream = await Upstream.start(echo);
  await using proxy = new Harness();
  await proxy.start({ routes: { r: routeOf(ruleTo()) }, clusters: { c: clusterTo([upstream.port]) } });
  const ask = async () => {
    const { status, body } = await request(proxy.port, { headers: { x_user: 'root', 'x-a': '1' } });
    return [status, body.includes('x_user')];
  };
  const change = (underscoreNames: 'remove' | 'refuse') =>
    proxy.change({ listeners: { l: { ...LISTENER, settings: { ...LISTENER.settings, underscoreNames } } } });
  assert.deepEqual(await ask(), [200, true]);
  await change('remove');
  assert.deepEqual(await ask(), [200, false]);
  await change('refuse');
  assert.deepEqual(await ask(), [400, false]);
});

test('node: a cluster named by DNS has its endpoints when the plan is reported as applied', async () => {
  await using upstream = await Upstream.start((_, answer) => answer.end('by name'));
  await using proxy = new Harness();
  const endpoints = [{ address: 'localhost', port: upstream.port, weight: 1 }];
  await proxy.start({ routes: { r: routeOf(ruleTo()) }, clusters: { c: clusterTo([], { endpoints }) } });
  assert.equal((await request(proxy.port)).body, 'by name');
  assert.equal(proxy.node.stats().endpoints['c']![0]!.resolvedFrom, 'localhost');
});
