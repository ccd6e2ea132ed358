import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net, { type AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { makeCertificate } from '../net/testing/certificates.ts';
import { machine } from './machine.ts';

const HOST = '127.0.0.1';

async function listen(t: TestContext, server: net.Server): Promise<number> {
  server.listen(0, HOST);
  await once(server, 'listening');
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

test('machine: a port that is taken, by whom, and one that is free', async (t) => {
  const port = await listen(t, net.createServer());
  const refusal = await machine.probePort(HOST, port, 'tcp');
  assert.equal(refusal?.error, 'EADDRINUSE');
  assert.equal(refusal?.pid, process.pid);
  assert.equal((await machine.probePort('*', port, 'tcp'))?.error, 'EADDRINUSE');
  assert.equal(await machine.probePort(HOST, port, 'udp'), undefined);
});

test('machine: names that are found, and that are not', async () => {
  assert.ok((await machine.lookUp('localhost', 'addresses')).found > 0);
  const { found, code } = await machine.lookUp('no name at all', 'addresses');
  assert.equal(found, 0);
  assert.match(code!, /^E/);
});

test('machine: a resolver that is not there', async () => {
  // Nobody listens on port 53 of this address of loopback.
  const { found, code } = await machine.askResolver('127.53.53.53');
  assert.equal(found, 0);
  assert.match(code!, /ECONNREFUSED|ETIMEOUT/);
});

test('machine: an application of Node.js says how long it keeps connections', async (t) => {
  const server = http.createServer((_, answer) => answer.end('ok'));
  server.keepAliveTimeout = 3_000;
  const port = await listen(t, server);
  assert.deepEqual(await machine.keepOpen({ host: HOST, port }), {
    status: 200,
    closes: false,
    saysMs: 3_000,
    watchedMs: 0,
  });
});

/** Answers as HTTP/1.1 and says nothing of connections. */
function silent(after: (socket: net.Socket) => void, head = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n'): net.Server {
  return net.createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      // In pieces, as heads may come.
      socket.write(head.slice(0, 20));
      setTimeout(() => {
        socket.write(`${head.slice(20)}\r\nok`);
        after(socket);
      }, 20);
    });
  });
}

test('machine: an application that ends unused connections without a word', async (t) => {
  const port = await listen(
    t,
    silent((socket) => setTimeout(() => socket.end(), 300)),
  );
  const kept = await machine.keepOpen({ host: HOST, port });
  assert.ok(typeof kept === 'object');
  const { status, closes, endedAfterMs } = kept;
  assert.deepEqual({ status, closes }, { status: 200, closes: false });
  assert.ok(endedAfterMs! >= 200 && endedAfterMs! < 5_000, `${endedAfterMs} ms`);
});

test('machine: an application that keeps them for longer than one waits', async (t) => {
  const port = await listen(
    t,
    silent((socket) => setTimeout(() => socket.destroy(), 20_000).unref()),
  );
  assert.deepEqual(await machine.keepOpen({ host: HOST, port }), { status: 200, closes: false, watchedMs: 6_000 });
});

test('machine: an application that ends each connection, is none of HTTP, hangs up, or is not there', async (t) => {
  const closing = await listen(
    t,
    silent((socket) => socket.end(), 'HTTP/1.1 204 No Content\r\nConnection: close\r\n'),
  );
  assert.deepEqual(await machine.keepOpen({ host: HOST, port: closing }), { status: 204, closes: true, watchedMs: 0 });
  const old = await listen(
    t,
    silent(() => undefined, 'HTTP/1.0 200 OK\r\nServer: old\r\n'),
  );
  assert.deepEqual(await machine.keepOpen({ host: HOST, port: old }), { status: 200, closes: true, watchedMs: 0 });
  const smtp = await listen(
    t,
    silent(() => undefined, '220 mail.test ESMTP ready\r\n'),
  );
  assert.equal(await machine.keepOpen({ host: HOST, port: smtp }), 'it is no HTTP/1.1');
  const rude = await listen(
    t,
    net.createServer((socket) => void socket.end()),
  );
  assert.equal(await machine.keepOpen({ host: HOST, port: rude }), 'it ended the connection');
  assert.match(JSON.stringify(await machine.keepOpen({ host: HOST, port: 1 })), /ECONNREFUSED/);
});

test('machine: the clock of an admin API, and of a control plane over TLS, whoever it is', async (t) => {
  const date = 'Sat, 01 Jan 2000 00:00:00 GMT';
  const plain = http.createServer((_, answer) => answer.writeHead(200, { date }).end());
  const { certificatePem: cert, privateKeyPem: key } = makeCertificate({ hosts: ['nobody.test'] });
  const secure = http2.createSecureServer({ cert, key });
  secure.on('stream', (stream: http2.ServerHttp2Stream) =>
    stream.respond({ ':status': 200, date }, { endStream: true }),
  );
  for (const [wire, server] of [
    ['admin', plain],
    ['control', secure],
  ] as const) {
    // oxlint-disable-next-line no-await-in-loop -- in order
    const port = await listen(t, server);
    // oxlint-disable-next-line no-await-in-loop
    const reading = await machine.clockOf({ host: HOST, port, wire });
    assert.ok(typeof reading === 'object', JSON.stringify(reading));
    assert.equal(reading.saidMs, Date.parse(date), wire);
    assert.ok(reading.askedMs <= reading.answeredMs && Math.abs(reading.askedMs - Date.now()) < 60_000);
  }
  assert.match(JSON.stringify(await machine.clockOf({ host: HOST, port: 1, wire: 'admin' })), /ECONNREFUSED/);
  assert.match(JSON.stringify(await machine.clockOf({ host: HOST, port: 1, wire: 'control' })), /ECONNREFUSED/);
});

test('machine: a clock that is not told', async (t) => {
  const port = await listen(
    t,
    http.createServer((_, answer) => {
      answer.sendDate = false;
      answer.end();
    }),
  );
  assert.equal(await machine.clockOf({ host: HOST, port, wire: 'admin' }), 'its answer has no Date');
});
