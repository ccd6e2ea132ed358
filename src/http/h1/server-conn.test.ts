import assert from 'node:assert/strict';
import net from 'node:net';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { CONNECTION_LIMITS, CONNECTION_TIMEOUTS } from '../../base/limits.ts';
import { TimerWheel } from '../../base/timers.ts';
import type { Intake } from '../../net/read-buffer.ts';
import { Headers } from '../headers.ts';
import type { ServerStream } from '../stream.ts';
import { EchoSink } from '../testing/echo-sink.ts';
import { QUIET_EVENTS } from '../testing/quiet-events.ts';
import { H1ServerConn } from './server-conn.ts';

interface Heard {
  readonly answer: string;
  readonly events: readonly string[];
}

/** Sends the pieces one after the other over a real socket and waits until the server closes, or `idle` answers came. */
async function talk(
  pieces: readonly string[],
  options: { answers?: number; limits?: object; timeouts?: object; end?: boolean } = {},
): Promise<Heard> {
  const sink = new EchoSink();
  const wheel = new TimerWheel(systemClock);
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    new H1ServerConn({
      socket,
      sink,
      wheel,
      limits: { ...CONNECTION_LIMITS, ...options.limits },
      timeouts: { ...CONNECTION_TIMEOUTS, ...options.timeouts },
      facts: { peerIp: '127.0.0.1', peerPort: 1, scheme: 'http', serverName: '', tlsVersion: '', tlsCipher: '' },
      onClosed: () => undefined,
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
  client.setNoDelay(true);
  let answer = '';
  const done = new Promise<void>((resolve) => {
    client.on('data', (bytes) => {
      answer += bytes.toString('latin1');
      if (options.answers !== undefined && answer.split('HTTP/1.1 2').length > options.answers) resolve();
    });
    client.on('close', () => resolve());
    client.on('error', () => resolve());
  });
  for (const piece of pieces) {
    await new Promise((resolve) => client.write(piece, 'latin1', resolve));
    if (pieces.length > 1) await new Promise((resolve) => setImmediate(resolve));
  }
  if (options.end === true) client.end();
  await done;
  client.destroy();
  server.close();
  wheel.close();
  return { answer, events: sink.events };
}

const CLOSE = 'Connection: close\r\n';

const ROWS: [rule: string, wire: string, events: string[]][] = [
  ['a request without a body', `GET /a HTTP/1.1\r\nHost: x\r\n${CLOSE}\r\n`, ['GET x /a', 'body ']],
  [
    'one empty line before a request is passed over',
    `\r\nGET /a HTTP/1.1\r\nHost: x\r\n${CLOSE}\r\n`,
    ['GET x /a', 'body '],
  ],
  [
    'a body by length',
    `POST /a?q HTTP/1.1\r\nHost: X.test:80\r\n${CLOSE}Content-Length: 5\r\n\r\nhello`,
    ['POST x.test /a?q', 'body hello'],
  ],
  [
    'a body by chunks, with extension and trailers',
    `POST / HTTP/1.1\r\nHost: x\r\n${CLOSE}Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n06\r\n world\r\n0\r\nX-T: 1\r\n\r\n`,
    ['POST x /', 'body hello world +X-T: 1\r\n'],
  ],
  [
    'requests in a row are answered in order',
    `POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nabGET /2 HTTP/1.1\r\nHost: y\r\n\r\nGET /3 HTTP/1.1\r\nHost: x\r\n${CLOSE}\r\n`,
    ['POST x /1', 'body ab', 'GET y /2', 'body ', 'GET x /3', 'body '],
  ],
  [
    'the absolute form names the host',
    `GET http://y.test:81/p?q HTTP/1.1\r\nHost: x\r\n${CLOSE}\r\n`,
    ['GET y.test /p?q', 'body '],
  ],
  [
    'the absolute form may lack a path',
    `GET http://y.test HTTP/1.1\r\nHost: x\r\n${CLOSE}\r\n`,
    ['GET y.test /', 'body '],
  ],
  [
    'user information in a target is refused',
    'GET http://a@y.test/ HTTP/1.1\r\nHost: x\r\n\r\n',
    ['refused request.host-invalid'],
  ],
  ['the asterisk is for OPTIONS', `OPTIONS * HTTP/1.1\r\nHost: x\r\n${CLOSE}\r\n`, ['OPTIONS x *', 'body ']],
  ['the asterisk is for nothing else', 'GET * HTTP/1.1\r\nHost: x\r\n\r\n', ['refused request.malformed']],
  ['CONNECT is refused', 'CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n', ['refused request.connect-refused']],
  ['a fragment is refused', 'GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n', ['refused request.malformed']],
  [
    'what follows a refused request is not read',
    'GET /\0 HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n',
    ['refused request.malformed'],
  ],
  ['a bare LF is refused before the head is complete', 'GET / HTTP/1.1\nHost: x\n\n', ['refused request.malformed']],
  [
    'a chunk size with a sign is refused',
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n',
    ['POST x /', 'refused request.malformed'],
  ],
  [
    'a chunk that is longer than its size is refused',
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n',
    ['POST x /', 'refused request.malformed'],
  ],
  [
    'a framing field in trailers is refused',
    'POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 3\r\n\r\n',
    ['POST x /', 'refused request.malformed'],
  ],
  [
    'a long request line is refused',
    `GET /${'a'.repeat(9000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    ['refused request.line-too-long'],
  ],
  ['a long request line without an end is refused', `GET /${'a'.repeat(9000)}`, ['refused request.line-too-long']],
  [
    'large headers are refused',
    `GET / HTTP/1.1\r\nHost: x\r\nA: ${'a'.repeat(40_000)}\r\n\r\n`,
    ['refused request.headers-too-large'],
  ],
  ['TLS on a plain port is refused at once', '\x16\x03\x01\x02\x00\x01', ['refused request.malformed']],
];

for (const [rule, wire, events] of ROWS) {
  test(`server-conn: ${rule}`, async () => {
    assert.deepEqual((await talk([wire])).events, events);
  });
  if (wire.length < 400) {
    test(`server-conn: ${rule}, byte by byte`, async () => {
      assert.deepEqual((await talk(wire.split(''))).events, events);
    });
  }
}

test('server-conn: a body larger than its bound is refused with 413, by length and by chunks', async () => {
  const limits = { bodyBytesMax: 4 };
  const byLength = await talk(['POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello'], { limits });
  assert.match(byLength.answer, /^HTTP\/1\.1 413 /);
  const byChunks = await talk(['POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'], {
    limits,
  });
  assert.match(byChunks.answer, /^HTTP\/1\.1 413 /);
});

test('server-conn: a head that stops arriving ends in 408', async () => {
  const { answer } = await talk(['GET / HTTP/1.1\r\nHo'], { timeouts: { headMs: 50 } });
  assert.match(answer, /^HTTP\/1\.1 408 [^]*connection: close\r\n/);
});

test('server-conn: a body that stops arriving ends in 408', async () => {
  const wire = 'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhe';
  assert.match((await talk([wire], { timeouts: { bodyIdleMs: 50 } })).answer, /^HTTP\/1\.1 408 /);
});

test('server-conn: an idle connection is closed without a word', async () => {
  assert.equal((await talk([], { timeouts: { keepAliveMs: 50 } })).answer, '');
});

test('server-conn: 100-continue is sent once, before the body', async () => {
  const head = `PUT / HTTP/1.1\r\nHost: x\r\n${CLOSE}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n`;
  const { answer } = await talk([head, 'ok']);
  assert.match(answer, /^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 OK\r\n/);
});

test('server-conn: HTTP/1.0 closes after its answer, and stays when asked', async () => {
  assert.match((await talk(['GET / HTTP/1.0\r\n\r\n'])).answer, /connection: close/);
  const kept = await talk(['GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n'], { answers: 1 });
  assert.match(kept.answer, /connection: keep-alive/);
});

test('server-conn: an answer to HEAD has the length and no body', async () => {
  const { answer } = await talk([`HEAD / HTTP/1.1\r\nHost: x\r\n${CLOSE}Content-Length: 5\r\n\r\nhello`]);
  assert.match(answer, /content-length: 5\r\n/);
  assert.ok(answer.endsWith('\r\n\r\n'));
});

test('server-conn: the last request of a connection is answered with close', async () => {
  const wire = 'GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n';
  const { answer } = await talk([wire], { limits: { requestsPerConnectionMax: 2 } });
  assert.equal(answer.split('connection: close').length, 2);
});

test('server-conn: a client that half-closes behind its requests gets all their answers', async () => {
  const wire = [1, 2, 3].map((n) => `GET /${n} HTTP/1.1\r\nHost: x\r\n\r\n`).join('');
  const { answer } = await talk([wire], { end: true });
  assert.deepEqual(
    [...answer.matchAll(/x-path: (\S+)/g)].map(([, path]) => path),
    ['/1', '/2', '/3'],
  );
});

test('server-conn: bytes that come between an answer and the turn of what waits stay behind it', async () => {
  const NEXT = 'GET /next HTTP/1.1\r\nHost: x\r\n\r\n';
  for (let cut = 1; cut < NEXT.length; cut++) {
    const sink = new EchoSink();
    const held: ServerStream[] = [];
    const wheel = new TimerWheel(systemClock);
    const intake: Intake = { take: () => undefined };
    const socket = new Duplex({ read: () => undefined, write: (_bytes, _encoding, done) => done() });
    new H1ServerConn({
      socket,
      intake,
      sink: {
        onRequest: (stream) => {
          held.push(stream);
          return QUIET_EVENTS;
        },
        onRefused: (stream, fault) => sink.onRefused(stream, fault),
      },
      wheel,
      limits: CONNECTION_LIMITS,
      timeouts: CONNECTION_TIMEOUTS,
      facts: { peerIp: '127.0.0.1', peerPort: 1, scheme: 'http', serverName: '', tlsVersion: '', tlsCipher: '' },
      onClosed: () => undefined,
    });
    intake.take(Buffer.from('GET /first HTTP/1.1\r\nHost: x\r\n\r\n'));
    intake.take(Buffer.from(NEXT.slice(0, cut)));
    held[0]!.sendHead({ status: 200, reason: 'OK', headers: new Headers(), bodyLength: 0 });
    held[0]!.sendEnd(undefined);
    // In the same turn: what waits has not been looked at yet.
    intake.take(Buffer.from(NEXT.slice(cut)));
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(sink.events, [], `cut at ${cut}`);
    assert.equal(held.length, 2, `cut at ${cut}`);
    assert.equal(held[1]!.request.path, '/next');
    socket.destroy();
    wheel.close();
  }
});
