import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Headers } from '../headers.ts';
import type { UpstreamRequest } from '../stream.ts';
import { FLAG, FRAME, SETTING } from './frame.ts';
import { TestClient } from './testing/ask.ts';
import { block, frame, words } from './testing/frames.ts';
import { type RawConn, RawServer } from './testing/raw-server.ts';

const { END_STREAM, END_HEADERS } = FLAG;
const OK: readonly [string, string] = [':status', '200'];

const BROKEN: readonly [rule: string, answer: (conn: RawConn) => void, goAway: RegExp][] = [
  ['the first frame is not SETTINGS', (conn) => conn.send(frame(FRAME.PING, 0, 0, Buffer.alloc(8))), /^PROTOCOL_ERROR/],
  ['HTTP/1.1 instead', (conn) => conn.send(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n')), /^FRAME_SIZE_ERROR/],
  ['a pushed request', (conn) => push(conn), /^PROTOCOL_ERROR PUSH_PROMISE was not allowed/],
  ['an answer to nothing', (conn) => okThen(conn, () => conn.headers(5, [OK])), /^PROTOCOL_ERROR/],
  ['a stream of its own', (conn) => okThen(conn, () => conn.headers(2, [OK])), /^PROTOCOL_ERROR/],
  ['a body for nothing', (conn) => okThen(conn, () => conn.data(5, 'x')), /^PROTOCOL_ERROR/],
  [
    'a block that cannot be decoded',
    (conn) => okThen(conn, () => conn.send(frame(FRAME.HEADERS, END_HEADERS, 1, Buffer.of(0xff, 0xff)))),
    /^COMPRESSION_ERROR/,
  ],
  [
    'a block that is interrupted',
    (conn) =>
      okThen(conn, () => conn.send(frame(FRAME.HEADERS, 0, 1, block([OK])), frame(FRAME.PING, 0, 0, Buffer.alloc(8)))),
    /^PROTOCOL_ERROR Header block is interrupted/,
  ],
  ['a block without end', (conn) => okThen(conn, () => endlessBlock(conn)), /^ENHANCE_YOUR_CALM/],
  [
    'a frame that is too large',
    (conn) => okThen(conn, () => conn.send(frame(FRAME.DATA, 0, 1, Buffer.alloc(16_385)))),
    /^FRAME_SIZE_ERROR/,
  ],
  [
    'a window above its maximum',
    (conn) => okThen(conn, () => conn.send(frame(FRAME.WINDOW_UPDATE, 0, 0, words(0x7fffffff)))),
    /^FLOW_CONTROL_ERROR/,
  ],
  [
    'a window that does not grow',
    (conn) => okThen(conn, () => conn.send(frame(FRAME.WINDOW_UPDATE, 0, 0, words(0)))),
    /^PROTOCOL_ERROR/,
  ],
  [
    'a setting that cannot be',
    (conn) => conn.settings([SETTING.INITIAL_WINDOW_SIZE, 0x80000000]),
    /^FLOW_CONTROL_ERROR/,
  ],
  ['push that is offered', (conn) => conn.settings([SETTING.ENABLE_PUSH, 1]), /^PROTOCOL_ERROR/],
];

function okThen(conn: RawConn, then: () => void): void {
  conn.settings();
  then();
}

function push(conn: RawConn): void {
  conn.settings();
  conn.send(frame(FRAME.PUSH_PROMISE, END_HEADERS, 1, Buffer.concat([words(2), block([[':method', 'GET']])])));
}

function endlessBlock(conn: RawConn): void {
  conn.send(frame(FRAME.HEADERS, 0, 1, block([OK])));
  for (let i = 0; i < 200; i++) conn.send(frame(FRAME.CONTINUATION, 0, 1, block([['a', 'b'.repeat(1_000)]])));
}

test('H2ClientConn: a broken connection gets GOAWAY with the right code, and all its requests a fault', async (t) => {
  for (const [rule, answer, goAway] of BROKEN) {
    await t.test(rule, async () => {
      await using server = await RawServer.start();
      using client = await TestClient.to(server.port);
      const conn = await server.conn(0);
      const asked = [client.ask(), client.ask()];
      await conn.request(3);
      answer(conn);
      assert.match(await conn.last(FRAME.GOAWAY), goAway);
      for (const one of asked) {
        const heard = await one.done;
        assert.match(heard.at(-1)!, /^fault upstream\.(malformed|closed) /);
      }
      assert.ok(client.told.some((line) => line.startsWith('failed')));
      assert.ok(client.told.includes('closed'));
      assert.equal(client.conn.room, 0);
    });
  }
});

const FLOODS: readonly [kind: string, frames: (conn: RawConn, i: number) => Buffer][] = [
  ['PING', () => frame(FRAME.PING, 0, 0, Buffer.alloc(8))],
  ['SETTINGS', () => frame(FRAME.SETTINGS, 0, 0)],
  ['empty DATA', () => frame(FRAME.DATA, 0, 1)],
  ['WINDOW_UPDATE of one byte', () => frame(FRAME.WINDOW_UPDATE, 0, 1, words(1))],
  ['PRIORITY', () => frame(FRAME.PRIORITY, 0, 1, Buffer.concat([words(3), Buffer.of(1)]))],
  ['unknown frames', () => frame(77, 0, 0)],
  ['interim answers', () => frame(FRAME.HEADERS, END_HEADERS, 1, block([[':status', '103']]))],
];

test('H2ClientConn: a flood ends what it must, and is bounded in memory', async (t) => {
  for (const [kind, flood] of FLOODS) {
    await t.test(kind, async () => {
      await using server = await RawServer.start();
      using client = await TestClient.to(server.port);
      const conn = await server.conn(0);
      conn.settings();
      const asked = client.ask();
      await conn.request(1);
      if (kind !== 'interim answers') conn.headers(1, [OK]);
      const before = process.memoryUsage().arrayBuffers;
      const piece = Buffer.concat(Array.from({ length: 500 }, (_, i) => flood(conn, i)));
      let pieces = 0;
      // A server that does not read what is answered to it, either.
      conn.socket.pause();
      while (asked.heard.at(-1)?.startsWith('fault') !== true && pieces++ < 500) {
        if (!conn.socket.write(piece)) await new Promise<void>((resolve) => setImmediate(resolve));
      }
      const heard = await asked.done;
      assert.match(heard.at(-1)!, /^fault upstream\.malformed/);
      assert.ok(process.memoryUsage().arrayBuffers - before < 16 * 1024 * 1024);
    });
  }
});

test('H2ClientConn: what nobody takes is held within the window, and more ends the stream', async () => {
  await using server = await RawServer.start();
  using client = await TestClient.to(server.port);
  const conn = await server.conn(0);
  conn.settings();
  const [slow, other] = [client.ask(), client.ask()];
  slow.onHead = () => slow.stream.pauseAnswer();
  await conn.request(3);
  conn.headers(1, [OK]);
  for (let i = 0; i < 5; i++) conn.data(1, Buffer.alloc(16_000));
  assert.deepEqual(await slow.done, [
    'head 200 -1',
    'fault upstream.reset after a byte: RST_STREAM FLOW_CONTROL_ERROR in the middle of its answer',
  ]);
  assert.equal(slow.bodyBytes, 0);
  assert.equal(await conn.last(FRAME.RST_STREAM), 'FLOW_CONTROL_ERROR');
  conn.headers(3, [OK], END_STREAM);
  assert.deepEqual(await other.done, ['head 200 0', 'end ']);
});

test('H2ClientConn: an answer that was held comes whole, after the stream was closed by both sides', async () => {
  await using server = await RawServer.start();
  using client = await TestClient.to(server.port);
  const conn = await server.conn(0);
  conn.settings();
  const asked = client.ask();
  asked.onHead = () => asked.stream.pauseAnswer();
  await conn.request(1);
  conn.headers(1, [OK]);
  conn.data(1, 'ab');
  conn.data(1, 'cd', END_STREAM);
  const probe = client.ask();
  await conn.request(3);
  conn.headers(3, [OK], END_STREAM);
  await probe.done;
  assert.deepEqual(asked.heard, ['head 200 -1']);
  assert.equal(client.conn.streams, 1);
  asked.stream.resumeAnswer();
  assert.deepEqual(await asked.done, ['head 200 -1', 'end abcd']);
  assert.equal(client.conn.streams, 0);
});

test('H2ClientConn: a body goes as far as windows let it, and is asked for again', async () => {
  await using server = await RawServer.start();
  using client = await TestClient.to(server.port);
  const conn = await server.conn(0);
  conn.settings([SETTING.INITIAL_WINDOW_SIZE, 10]);
  const first = client.ask();
  await conn.request(1);
  conn.headers(1, [OK], END_STREAM);
  await first.done;
  const asked = client.ask({ method: 'POST', bodyLength: -1 }, 'open');
  assert.equal(asked.stream.sendBody(Buffer.alloc(70_000, 'x')), false);
  asked.stream.sendEnd(undefined);
  const data = await conn.next(({ type }) => type === FRAME.DATA);
  assert.equal(data.payload.length, 10);
  // One byte at a time is slow, and right.
  for (let i = 0; i < 5; i++) conn.send(frame(FRAME.WINDOW_UPDATE, 0, 3, words(1)));
  conn.send(frame(FRAME.WINDOW_UPDATE, 0, 3, words(70_000)), frame(FRAME.WINDOW_UPDATE, 0, 0, words(70_000)));
  const end = await conn.next(({ type, flags }) => type === FRAME.DATA && (flags & END_STREAM) !== 0);
  assert.equal(end.id, 3);
  const sent = conn.came
    .filter(({ type }) => type === FRAME.DATA)
    .reduce((sum, { payload }) => sum + payload.length, 0);
  assert.equal(sent, 70_000);
  assert.equal(asked.writable, 1);
});

test('H2ClientConn: an answer that is complete before its request stops the request', async () => {
  await using server = await RawServer.start();
  using client = await TestClient.to(server.port);
  const conn = await server.conn(0);
  conn.settings();
  const asked = client.ask({ method: 'POST', bodyLength: -1 }, 'open');
  await conn.request(1);
  conn.headers(1, [[':status', '413']], END_STREAM);
  conn.reset(1, 'NO_ERROR');
  assert.deepEqual(await asked.done, ['head 413 0', 'end ']);
  assert.equal(await conn.last(FRAME.RST_STREAM), 'CANCEL');
  assert.ok(client.conn.room > 0);
});

test('H2ClientConn: to give up is RST_STREAM, and no event follows', async () => {
  await using server = await RawServer.start();
  using client = await TestClient.to(server.port);
  const conn = await server.conn(0);
  conn.settings();
  const asked = client.ask();
  await conn.request(1);
  asked.stream.abort();
  assert.equal(await conn.last(FRAME.RST_STREAM), 'CANCEL');
  conn.headers(1, [OK], END_STREAM);
  const next = client.ask();
  await conn.request(3);
  conn.headers(3, [OK], END_STREAM);
  await next.done;
  assert.deepEqual(asked.heard, []);
  assert.equal(client.conn.streams, 0);
});

test('H2ClientConn: a GOAWAY lets run what it names, takes nothing more, and ends the connection after it', async () => {
  await using server = await RawServer.start();
  using client = await TestClient.to(server.port);
  const conn = await server.conn(0);
  conn.settings();
  const [kept, given] = [client.ask({ method: 'POST' }), client.ask({ method: 'POST' })];
  await conn.request(3);
  conn.goAway(0x7fffffff);
  conn.goAway(1);
  assert.match((await given.done)[0]!, /^fault upstream.unprocessed before a byte/);
  assert.equal(client.conn.room, 0);
  conn.headers(1, [OK], END_STREAM);
  assert.deepEqual(await kept.done, ['head 200 0', 'end ']);
  assert.equal(await conn.last(FRAME.GOAWAY), 'NO_ERROR');
  assert.equal(client.told.at(-1), 'closed');
});

test('H2ClientConn: the limit of the upstream counts as soon as it is known, and before it the usual one', async () => {
  await using server = await RawServer.start();
  using client = await TestClient.to(server.port, { streamsMax: 1_000 });
  const conn = await server.conn(0);
  assert.equal(client.conn.room, 100);
  const asked = client.ask();
  await conn.request(1);
  conn.settings([SETTING.MAX_CONCURRENT_STREAMS, 3]);
  conn.headers(1, [OK], END_STREAM);
  await asked.done;
  assert.equal(client.conn.room, 3);
  client.ask();
  assert.equal(client.conn.room, 2);
  assert.ok(client.told.includes('allowed 3'));
});

test('H2ClientConn: HTTP_1_1_REQUIRED gives the request back where it can go that way', async () => {
  await using server = await RawServer.start();
  using client = await TestClient.to(server.port);
  client.http1Required = 'taken';
  const conn = await server.conn(0);
  conn.settings();
  const asked = client.ask();
  await conn.request(1);
  conn.reset(1, 'HTTP_1_1_REQUIRED');
  assert.match((await asked.done)[0]!, /^fault upstream.unprocessed .*HTTP_1_1_REQUIRED$/);
});

test('H2ClientConn: an upstream that says nothing is asked, and given up when it does not answer', async () => {
  await using server = await RawServer.start();
  using client = await TestClient.to(server.port, { pingIntervalMs: 50, pingTimeoutMs: 100 });
  const conn = await server.conn(0);
  conn.settings();
  const asked = client.ask();
  const ping = await conn.next(({ type, flags }) => type === FRAME.PING && (flags & FLAG.ACK) === 0);
  assert.deepEqual(asked.heard, []);
  conn.send(frame(FRAME.PING, FLAG.ACK, 0, ping.payload));
  assert.match((await asked.done)[0]!, /^fault upstream.closed before a byte: .*does not answer$/);
  assert.equal(conn.came.filter(({ type }) => type === FRAME.PING).length, 2);
});

test('H2ClientConn: pings that are all an upstream answers become rare', async () => {
  await using server = await RawServer.start();
  using client = await TestClient.to(server.port, { pingIntervalMs: 40, pingTimeoutMs: 5_000 });
  const conn = await server.conn(0);
  conn.settings();
  client.ask();
  const times: number[] = [];
  for (let i = 0; i < 3; i++) {
    const ping = await conn.next(({ type, flags }) => type === FRAME.PING && (flags & FLAG.ACK) === 0);
    times.push(performance.now());
    conn.came.length = 0;
    conn.send(frame(FRAME.PING, FLAG.ACK, 0, ping.payload));
  }
  assert.ok(times[1]! - times[0]! >= 110, `${times[1]! - times[0]!} ms to the second`);
  assert.ok(times[2]! - times[1]! >= 340, `${times[2]! - times[1]!} ms to the third`);
});

test('H2ClientConn: an answer that stands still is a fault of that request alone', async () => {
  await using server = await RawServer.start();
  using client = await TestClient.to(server.port, { idleMs: 100 });
  const conn = await server.conn(0);
  conn.settings();
  const asked = client.ask();
  await conn.request(1);
  conn.headers(1, [OK]);
  assert.match((await asked.done)[1]!, /^fault upstream.timeout after a byte/);
  assert.equal(await conn.last(FRAME.RST_STREAM), 'CANCEL');
  assert.ok(client.conn.room > 0);
});

test('H2ClientConn: an unused connection ends after its time, with a GOAWAY', async () => {
  await using server = await RawServer.start();
  using client = await TestClient.to(server.port, { keepAliveMs: 50 });
  const conn = await server.conn(0);
  conn.settings();
  assert.equal(await conn.last(FRAME.GOAWAY), 'NO_ERROR');
  assert.deepEqual(client.told, ['allowed Infinity', 'closed']);
});

test('H2ClientConn: what is sent is what HTTP/2 has of a request', async () => {
  const headers = Headers.of([
    ['X-Mixed', 'A'],
    ['Connection', 'x-secret'],
    ['Transfer-Encoding', 'chunked'],
    ['Upgrade', 'h2c'],
    ['HTTP2-Settings', 'AAMAAABk'],
    ['Keep-Alive', 'timeout=1'],
    ['Proxy-Connection', 'keep-alive'],
    ['Cookie', 'a=1; b=2'],
  ]);
  const request: Partial<UpstreamRequest> = {
    method: 'POST',
    target: '/p?q=1',
    authority: 'shop.test:81',
    headers,
    extraLines: 'via: 1.1 fourways\r\nx-request-id: 1\r\n',
    bodyLength: 3,
    teTrailers: true,
    expectContinue: true,
  };
  await using server = await RawServer.start();
  using client = await TestClient.to(server.port);
  const conn = await server.conn(0);
  conn.settings();
  const asked = client.ask(request, 'open');
  asked.stream.sendBody(Buffer.from('abc'));
  asked.stream.sendEnd(Headers.of([['X-Sum', '6']]));
  const { fields, flags } = await conn.request(1);
  assert.equal(flags & END_STREAM, 0);
  assert.deepEqual(fields.slice(0, 5), ['POST', 'http', 'shop.test:81', '/p?q=1', '']);
  assert.deepEqual(fields.slice(5).toSorted(), [
    'content-length: 3',
    'cookie: a=1; b=2',
    'expect: 100-continue',
    'te: trailers',
    'via: 1.1 fourways',
    'x-mixed: A',
    'x-request-id: 1',
  ]);
  const data = await conn.next(({ type }) => type === FRAME.DATA);
  assert.equal(data.payload.toString(), 'abc');
  const trailers = await conn.next(({ type, flags: bits }) => type === FRAME.HEADERS && (bits & END_STREAM) !== 0);
  assert.deepEqual(trailers.fields.slice(5), ['x-sum: 6']);
});

test('H2ClientConn: a head that is longer than a frame goes in several, together', async () => {
  await using server = await RawServer.start();
  using client = await TestClient.to(server.port);
  const conn = await server.conn(0);
  conn.settings();
  const names = Array.from({ length: 30 }, (_, i): [string, string] => [`x-${i}`, `${i}`.repeat(1_000)]);
  client.ask({ headers: Headers.of(names) });
  const last = await conn.next(({ type }) => type === FRAME.CONTINUATION);
  assert.equal(last.id, 1);
  assert.equal(conn.came.filter(({ type }) => type === FRAME.HEADERS).length, 1);
});
