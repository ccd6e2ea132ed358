import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import test from 'node:test';
import { promisify } from 'node:util';
import type { PlanListener, PlanPort } from '../ir/plan.ts';
import { clusterTo, Harness, LISTENER, routeOf, ruleTo, Upstream } from './testing/node-harness.ts';
import { connect, listen, readAll, streamCluster, streamTo, TCP_LISTENER } from './testing/streams.ts';

const run = promisify(execFile);

const PROXY: Partial<PlanPort> = { protocol: 'proxy' };
const service = (name: string, more: Partial<PlanListener> = {}): PlanListener => ({
  ...LISTENER,
  hostname: name,
  chosenBy: 'authority',
  ...more,
});

const echo = (): Promise<Upstream> =>
  Upstream.start((request, response) => {
    let body = '';
    request.on('data', (bytes: Buffer) => (body += bytes.toString()));
    request.on('end', () => response.end(`${request.method} ${request.headers.host} ${request.url} ${body}`));
  });

/** A forward proxy that knows `orders.shop:80` under several names, and `db.shop:5432` below HTTP. */
async function start(harness: Harness, http: Upstream, tcpPort: number): Promise<void> {
  await harness.start(
    {
      listeners: {
        l: service('orders.shop:80', { alsoNamed: ['orders:80', 'orders.shop:8080', '[::1]:80', '10.1.2.3:80'] }),
        db: service('db.shop:5432', { stream: TCP_LISTENER.stream! }),
      },
      routes: { r: routeOf(ruleTo()) },
      streams: { s: streamTo('t', { attach: [{ listener: 'db', hosts: ['*'] }] }) },
      clusters: { c: clusterTo([http.port]), t: streamCluster([tcpPort]) },
    },
    PROXY,
  );
}

/** What comes for these bytes, until the connection ends. */
async function say(port: number, bytes: string): Promise<string> {
  const client = connect(port);
  client.write(bytes);
  return (await readAll(client)).replace(/ closed$/, '');
}

const CLOSE = 'Connection: close\r\n\r\n';

const ROWS: [rule: string, bytes: string, want: RegExp][] = [
  [
    'absolute form',
    `GET http://orders.shop/a?b HTTP/1.1\r\nHost: orders.shop\r\n${CLOSE}`,
    /^HTTP\/1.1 200 .*GET orders.shop \/a\?b /s,
  ],
  ['no path', `GET http://orders.shop HTTP/1.1\r\nHost: orders.shop\r\n${CLOSE}`, /GET orders.shop \/ /],
  ['with the port', `GET http://orders.shop:80/ HTTP/1.1\r\nHost: x\r\n${CLOSE}`, /GET orders.shop:80 \/ /],
  [
    'another port of the service',
    `GET http://orders.shop:8080/ HTTP/1.1\r\nHost: x\r\n${CLOSE}`,
    /GET orders.shop:8080 \/ /,
  ],
  ['another case', `GET HTTP://Orders.SHOP/ HTTP/1.1\r\nHost: x\r\n${CLOSE}`, /GET Orders.SHOP \/ /],
  ['a dot at the end', `GET http://orders.shop./ HTTP/1.1\r\nHost: x\r\n${CLOSE}`, /^HTTP\/1.1 200/],
  ['a short name', `GET http://orders/ HTTP/1.1\r\nHost: orders\r\n${CLOSE}`, /GET orders \/ /],
  ['an address', `GET http://10.1.2.3/ HTTP/1.1\r\nHost: x\r\n${CLOSE}`, /GET 10.1.2.3 \/ /],
  [
    'an address of IPv6, however it is spelled',
    `GET http://[0:0:0:0:0:0:0:1]/ HTTP/1.1\r\nHost: x\r\n${CLOSE}`,
    /^HTTP\/1.1 200/,
  ],
  [
    'the target counts and not Host (RFC 9112 section 3.2.2)',
    `GET http://orders.shop/ HTTP/1.1\r\nHost: evil.test\r\n${CLOSE}`,
    /GET orders.shop \/ /,
  ],
  ['HTTP/1.0 without Host', 'GET http://orders.shop/ HTTP/1.0\r\n\r\n', /GET orders.shop \/ /],
  [
    'Proxy-Connection is not passed on',
    `GET http://orders.shop/ HTTP/1.1\r\nHost: x\r\nProxy-Connection: keep-alive\r\n${CLOSE}`,
    /^HTTP\/1.1 200/,
  ],
  [
    'another port',
    `GET http://orders.shop:81/ HTTP/1.1\r\nHost: x\r\n${CLOSE}`,
    /^HTTP\/1.1 502.*mesh.service-unknown/s,
  ],
  [
    'another name',
    `GET http://evil.test/ HTTP/1.1\r\nHost: orders.shop\r\n${CLOSE}`,
    /^HTTP\/1.1 502.*mesh.service-unknown/s,
  ],
  ['a name below', `GET http://x.orders.shop/ HTTP/1.1\r\nHost: x\r\n${CLOSE}`, /^HTTP\/1.1 403.*mesh.egress-denied/s],
  [
    'a tunnel to a host outside',
    `CONNECT api.evil.test:443 HTTP/1.1\r\nHost: api.evil.test:443\r\n${CLOSE}`,
    /^HTTP\/1.1 403.*mesh.egress-denied/s,
  ],
  ['origin form', `GET / HTTP/1.1\r\nHost: orders.shop\r\n${CLOSE}`, /^HTTP\/1.1 400.*request.not-proxied/s],
  ['asterisk form', `OPTIONS * HTTP/1.1\r\nHost: orders.shop\r\n${CLOSE}`, /^HTTP\/1.1 400.*request.not-proxied/s],
  [
    'https in clear text',
    `GET https://orders.shop/ HTTP/1.1\r\nHost: x\r\n${CLOSE}`,
    /^HTTP\/1.1 400.*request.not-proxied/s,
  ],
  ['another scheme', `GET ftp://orders.shop/ HTTP/1.1\r\nHost: x\r\n${CLOSE}`, /^HTTP\/1.1 400/],
  ['authority form without CONNECT', `GET orders.shop:80 HTTP/1.1\r\nHost: x\r\n${CLOSE}`, /^HTTP\/1.1 400/],
  [
    'a user name',
    `GET http://orders.shop@evil.test/ HTTP/1.1\r\nHost: x\r\n${CLOSE}`,
    /^HTTP\/1.1 400.*request.host-invalid/s,
  ],
  ['a user name of our service', `GET http://evil.test@orders.shop/ HTTP/1.1\r\nHost: x\r\n${CLOSE}`, /^HTTP\/1.1 400/],
  ['no authority', `GET http:///a HTTP/1.1\r\nHost: orders.shop\r\n${CLOSE}`, /^HTTP\/1.1 400/],
  ['no authority and HTTP/1.0', 'GET http:///a HTTP/1.0\r\n\r\n', /^HTTP\/1.1 502.*mesh.service-unknown/s],
  [
    'a backslash before the path',
    `GET http://orders.shop\\@evil.test/ HTTP/1.1\r\nHost: x\r\n${CLOSE}`,
    /^HTTP\/1.1 400/,
  ],
  ['a fragment', `GET http://orders.shop/a#b HTTP/1.1\r\nHost: x\r\n${CLOSE}`, /^HTTP\/1.1 400/],
  ['a port of zero', `GET http://orders.shop:0/ HTTP/1.1\r\nHost: x\r\n${CLOSE}`, /^HTTP\/1.1 400/],
  ['a port with a zero in front', `GET http://orders.shop:080/ HTTP/1.1\r\nHost: x\r\n${CLOSE}`, /^HTTP\/1.1 400/],
  ['two Host fields', `GET http://orders.shop/ HTTP/1.1\r\nHost: x\r\nHost: orders.shop\r\n${CLOSE}`, /^HTTP\/1.1 400/],
  ['no Host', `GET http://orders.shop/ HTTP/1.1\r\n${CLOSE}`, /^HTTP\/1.1 400/],
  ['a Host that cannot be one', `GET http://orders.shop/ HTTP/1.1\r\nHost: a b\r\n${CLOSE}`, /^HTTP\/1.1 400/],
  [
    'two lengths',
    `POST http://orders.shop/ HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n${CLOSE}`,
    /^HTTP\/1.1 400.*ambiguous-length/s,
  ],
  [
    'CONNECT, then HTTP',
    `CONNECT orders.shop:80 HTTP/1.1\r\nHost: orders.shop:80\r\n\r\nGET /in HTTP/1.1\r\nHost: any.test\r\n${CLOSE}`,
    /^HTTP\/1.1 200 Connection established\r\n\r\nHTTP\/1.1 200 .*GET any.test \/in /s,
  ],
  [
    'CONNECT by HTTP/1.0 without Host',
    `CONNECT orders.shop:80 HTTP/1.0\r\n\r\nGET /in HTTP/1.1\r\nHost: a\r\n${CLOSE}`,
    /GET a \/in /,
  ],
  [
    'CONNECT whose Host has no port',
    `CONNECT Orders.shop.:80 HTTP/1.1\r\nHost: orders.shop\r\n\r\nGET /in HTTP/1.1\r\nHost: a\r\n${CLOSE}`,
    /GET a \/in /,
  ],
  [
    'CONNECT with a length of nothing',
    `CONNECT orders.shop:80 HTTP/1.1\r\nHost: orders.shop:80\r\nContent-Length: 0\r\n\r\nGET /in HTTP/1.1\r\nHost: a\r\n${CLOSE}`,
    /GET a \/in /,
  ],
  [
    'CONNECT inside of CONNECT',
    `CONNECT orders.shop:80 HTTP/1.1\r\nHost: orders.shop:80\r\n\r\nCONNECT orders.shop:80 HTTP/1.1\r\nHost: a\r\n${CLOSE}`,
    /405 .*request.connect-refused/s,
  ],
  ['CONNECT without a port', `CONNECT orders.shop HTTP/1.1\r\nHost: orders.shop\r\n\r\n`, /^HTTP\/1.1 400/],
  ['CONNECT with an empty port', `CONNECT orders.shop: HTTP/1.1\r\nHost: orders.shop\r\n\r\n`, /^HTTP\/1.1 400/],
  ['CONNECT with a path', `CONNECT orders.shop:80/a HTTP/1.1\r\nHost: orders.shop:80\r\n\r\n`, /^HTTP\/1.1 400/],
  [
    'CONNECT in absolute form',
    `CONNECT http://orders.shop:80 HTTP/1.1\r\nHost: orders.shop:80\r\n\r\n`,
    /^HTTP\/1.1 400/,
  ],
  [
    'CONNECT whose Host is another',
    `CONNECT orders.shop:80 HTTP/1.1\r\nHost: evil.test:80\r\n\r\n`,
    /^HTTP\/1.1 400.*request.host-invalid/s,
  ],
  [
    'CONNECT whose Host has another port',
    `CONNECT orders.shop:80 HTTP/1.1\r\nHost: orders.shop:81\r\n\r\n`,
    /^HTTP\/1.1 400.*request.host-invalid/s,
  ],
  [
    'CONNECT with a body',
    `CONNECT orders.shop:80 HTTP/1.1\r\nHost: orders.shop:80\r\nContent-Length: 3\r\n\r\nabc`,
    /^HTTP\/1.1 400.*ambiguous-length/s,
  ],
  [
    'CONNECT in chunks',
    `CONNECT orders.shop:80 HTTP/1.1\r\nHost: orders.shop:80\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    /^HTTP\/1.1 400.*ambiguous-length/s,
  ],
  [
    'CONNECT below HTTP',
    'CONNECT db.shop:5432 HTTP/1.1\r\nHost: db.shop:5432\r\n\r\nquery',
    /^HTTP\/1.1 200 Connection established\r\n\r\nwelcome query$/,
  ],
];

test('the authority with its port chooses the service, and what two parsers could read differently is refused', async () => {
  await using http = await echo();
  await using tcp = await listen((socket) => {
    socket.write('welcome ');
    socket.once('data', (bytes) => socket.end(bytes));
  });
  await using harness = new Harness();
  await start(harness, http, tcp.port);
  for (const [rule, bytes, want] of ROWS) assert.match(await say(harness.port, bytes), want, rule);
});

test('how often a service was called is known, and counted on when its plan changes', async () => {
  await using http = await echo();
  await using tcp = await listen((socket) => socket.end('welcome'));
  await using harness = new Harness();
  await start(harness, http, tcp.port);
  assert.deepEqual(harness.node.stats().used, {});
  await say(harness.port, `GET http://orders.shop/ HTTP/1.1\r\nHost: x\r\n${CLOSE}`);
  await say(harness.port, 'CONNECT db.shop:5432 HTTP/1.1\r\nHost: db.shop:5432\r\n\r\n');
  assert.deepEqual(harness.node.stats().used, { l: 1, db: 1 });
  await harness.change({ listeners: { l: service('orders.shop:80') } });
  await say(harness.port, `GET http://nobody.shop/ HTTP/1.1\r\nHost: x\r\n${CLOSE}`);
  await say(harness.port, `GET http://orders.shop/ HTTP/1.1\r\nHost: x\r\n${CLOSE}`);
  assert.deepEqual(harness.node.stats().used, { l: 2, db: 1 });
});

test('what follows a CONNECT that is refused is never read as a request', async () => {
  let asked = 0;
  await using http = await Upstream.start((_, response) => {
    asked++;
    response.end();
  });
  await using harness = new Harness();
  await start(harness, http, 1);
  const smuggled = `GET http://orders.shop/smuggled HTTP/1.1\r\nHost: x\r\n${CLOSE}`;
  const rows = [
    'CONNECT evil.test:80 HTTP/1.1\r\nHost: evil.test:80\r\n\r\n',
    'CONNECT orders.shop HTTP/1.1\r\nHost: orders.shop\r\n\r\n',
  ];
  for (const connecting of rows) {
    const text = await say(harness.port, connecting + smuggled);
    assert.match(text, /^HTTP\/1.1 (?:502|400) /);
    assert.doesNotMatch(text, /HTTP\/1.1 200/);
  }
  assert.equal(asked, 0);
});

test('curl as it is used: absolute form, keep-alive, bodies, and CONNECT', async () => {
  await using http = await echo();
  await using harness = new Harness();
  await start(harness, http, 1);
  const curl = async (...args: string[]): Promise<string> =>
    (await run('curl', ['-sS', '--max-time', '5', '-x', `http://127.0.0.1:${harness.port}`, ...args])).stdout;
  assert.equal(await curl('http://orders.shop/a'), 'GET orders.shop /a ');
  assert.equal(await curl('http://orders.shop/a', 'http://orders/b'), 'GET orders.shop /a GET orders /b ');
  assert.equal(await curl('-d', 'x=1', 'http://orders.shop/'), 'POST orders.shop / x=1');
  assert.equal(await curl('-p', 'http://orders.shop/a'), 'GET orders.shop /a ');
  assert.equal(await curl('-p', '-d', 'x=1', 'http://orders.shop:8080/'), 'POST orders.shop:8080 / x=1');
  assert.equal(await curl('-o', '/dev/null', '-w', '%{http_code}', 'http://unknown.shop/'), '502');
  await assert.rejects(curl('-p', 'http://unknown.shop/'), /CONNECT tunnel failed, response 502/);
});

test('a service that comes with a plan within a second is waited for, one that nobody knows is not', async () => {
  const asked: string[] = [];
  await using http = await echo();
  await using harness: Harness = new Harness([], 5_000, {
    askForService: async (name) => {
      asked.push(name);
      if (!name.startsWith('late')) return;
      const routes = { [name]: { ...routeOf(ruleTo()), attach: [{ listener: name, hosts: ['*'] }] } };
      await harness.change({ listeners: { [name]: service(name) }, routes });
    },
  });
  await start(harness, http, 1);
  const post = `POST http://late.shop/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n${CLOSE}hello`;
  assert.match(await say(harness.port, post), /POST late.shop \/ hello/);
  assert.match(
    await say(
      harness.port,
      `CONNECT late2.shop:80 HTTP/1.1\r\nHost: late2.shop:80\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n${CLOSE}`,
    ),
    /GET a \/ /,
  );
  assert.match(await say(harness.port, `GET http://never.shop/ HTTP/1.1\r\nHost: x\r\n${CLOSE}`), /^HTTP\/1.1 502/);
  assert.match(
    await say(harness.port, 'CONNECT never.shop:81 HTTP/1.1\r\nHost: never.shop:81\r\n\r\n'),
    /^HTTP\/1.1 502/,
  );
  assert.deepEqual(asked, ['late.shop:80', 'late2.shop:80', 'never.shop:80', 'never.shop:81']);
});

test('who asks at the same time is asked for once; a second without a plan is enough', async () => {
  const asked: string[] = [];
  await using http = await echo();
  await using harness = new Harness([], 5_000, {
    askForService: (name) => {
      asked.push(name);
      return new Promise(() => undefined);
    },
  });
  await start(harness, http, 1);
  const gone = connect(harness.port);
  gone.write(`GET http://never.shop/ HTTP/1.1\r\nHost: x\r\n${CLOSE}`);
  const answers = [1, 2].map(() =>
    say(harness.port, `POST http://never.shop/ HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n${CLOSE}part`),
  );
  gone.destroy();
  for (const answer of await Promise.all(answers)) assert.match(answer, /^HTTP\/1.1 502.*mesh.service-unknown/s);
  assert.deepEqual(asked, ['never.shop:80']);
});

test('a request that would come back to the proxy itself is refused', async () => {
  await using http = await echo();
  await using harness = new Harness();
  await start(harness, http, 1);
  await harness.change({ clusters: { c: clusterTo([harness.port]), t: streamCluster([harness.port]) } });
  assert.match(
    await say(harness.port, `GET http://orders.shop/ HTTP/1.1\r\nHost: x\r\n${CLOSE}`),
    /^HTTP\/1.1 508.*mesh.loop/s,
  );
  assert.match(
    await say(harness.port, 'CONNECT db.shop:5432 HTTP/1.1\r\nHost: db.shop:5432\r\n\r\n'),
    /^HTTP\/1.1 508.*mesh.loop/s,
  );
});

test('a change of the plan is seen inside of a tunnel, and a drain ends it politely', async () => {
  await using http = await echo();
  await using other = await Upstream.start((_, response) => response.end('other'));
  await using harness = new Harness();
  await start(harness, http, 1);
  const client = connect(harness.port);
  client.write('CONNECT orders.shop:80 HTTP/1.1\r\nHost: orders.shop:80\r\n\r\n');
  assert.match(String((await once(client, 'data'))[0]), /^HTTP\/1.1 200/);
  client.write('GET /1 HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.match(String((await once(client, 'data'))[0]), /GET a \/1/);
  assert.equal(harness.node.stats().connections, 1);
  await harness.change({ clusters: { c: clusterTo([other.port]) } });
  const drained = harness.node.drain(5_000);
  client.write('GET /2 HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.match(await readAll(client), /connection: close\r\n.*other/s);
  client.end();
  await drained;
});

test('gRPC by HTTP/2 with prior knowledge goes through CONNECT', async () => {
  await using http = await echo();
  await using harness = new Harness();
  await start(harness, http, 1);
  await harness.change({
    listeners: {
      l: service('orders.shop:80', { settings: { ...LISTENER.settings, httpVersions: ['h2', 'http/1.1'] } }),
    },
  });
  const { stdout } = await run('curl', [
    '-sS',
    '--max-time',
    '5',
    '--http2-prior-knowledge',
    '-p',
    '-x',
    `http://127.0.0.1:${harness.port}`,
    'http://orders.shop/h2',
  ]);
  assert.equal(stdout, 'GET orders.shop /h2 ');
});

test('a tunnel below HTTP is granted when its upstream is there; else the client is told why', async () => {
  await using http = await echo();
  await using harness = new Harness();
  await start(harness, http, 1);
  const smuggled = `GET http://orders.shop/ HTTP/1.1\r\nHost: x\r\n${CLOSE}`;
  const text = await say(harness.port, `CONNECT db.shop:5432 HTTP/1.1\r\nHost: db.shop:5432\r\n\r\n${smuggled}`);
  assert.match(text, /^HTTP\/1.1 503.*upstream.connect-refused/s);
  assert.doesNotMatch(text, /HTTP\/1.1 200/);
  const line = harness.lines().at(-1)!;
  assert.deepEqual([line['rule'], line['fault']], ['TCPRoute/d/r/0', 'upstream.connect-refused']);
  assert.equal(harness.node.stats().exchanges, 0);
});
