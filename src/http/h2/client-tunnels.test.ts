import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Headers } from '../headers.ts';
import type { UpstreamRequest } from '../stream.ts';
import { FLAG, FRAME, SETTING } from './frame.ts';
import { TestClient } from './testing/ask.ts';
import { type RawConn, RawServer } from './testing/raw-server.ts';

const { END_STREAM } = FLAG;
const OK: readonly [string, string] = [':status', '200'];

const SOCKET: Partial<UpstreamRequest> = {
  upgrade: 'websocket',
  target: '/chat',
  headers: Headers.of([
    ['sec-websocket-key', 'dGhlIHNhbXBsZSBub25jZQ=='],
    ['sec-websocket-version', '13'],
  ]),
};

test('H2ClientConn: a WebSocket is an extended CONNECT, sent when the upstream has offered it', async () => {
  await using server = await RawServer.start();
  using client = await TestClient.to(server.port);
  const conn = await server.conn(0);
  const asked = client.ask(SOCKET);
  const plain = client.ask();
  await conn.request(1);
  assert.equal(conn.came.filter(({ type }) => type === FRAME.HEADERS).length, 1);
  conn.settings([SETTING.ENABLE_CONNECT_PROTOCOL, 1]);
  const { fields, flags } = await conn.request(3);
  assert.equal(flags & END_STREAM, 0);
  assert.deepEqual(fields, ['CONNECT', 'http', 'a.test', '/chat', 'websocket', 'sec-websocket-version: 13']);
  conn.headers(3, [OK, ['sec-websocket-protocol', 'a']]);
  conn.data(3, 'early');
  assert.deepEqual(await asked.done, ['switched 101 websocket']);
  const said: string[] = [];
  const ended = new Promise<void>((resolve) => {
    const end = (what: string): void => {
      said.push(what);
      if (said.includes('end') && said.includes('finished')) resolve();
    };
    asked.tunnel!.open({
      onBytes: (bytes) => said.push(bytes.toString()),
      onEnd: () => end('end'),
      onFinished: () => end('finished'),
      onGone: () => said.push('gone'),
      onWritable: () => undefined,
    });
  });
  asked.tunnel!.write(Buffer.from('hello'));
  const data = await conn.next(({ type }) => type === FRAME.DATA);
  assert.equal(data.payload.toString(), 'hello');
  conn.data(3, '', END_STREAM);
  asked.tunnel!.end();
  await conn.next(({ type, flags: bits }) => type === FRAME.DATA && (bits & END_STREAM) !== 0);
  await ended;
  assert.deepEqual(said.toSorted(), ['early', 'end', 'finished']);
  conn.headers(1, [OK], END_STREAM);
  await plain.done;
  assert.equal(client.conn.streams, 0);
});

test('H2ClientConn: a tunnel is reset either way, and told of it once', async () => {
  for (const by of ['upstream', 'a broken frame of the upstream', 'us'] as const) {
    await using server = await RawServer.start();
    using client = await TestClient.to(server.port);
    const conn = await server.conn(0);
    conn.settings([SETTING.ENABLE_CONNECT_PROTOCOL, 1]);
    const asked = client.ask(SOCKET);
    await conn.request(1);
    conn.headers(1, [OK]);
    await asked.done;
    let gone = 0;
    const lost = new Promise<void>((resolve) => {
      asked.tunnel!.open({
        onBytes: () => undefined,
        onEnd: () => undefined,
        onFinished: () => assert.fail('A reset is no end'),
        onGone: () => {
          gone++;
          resolve();
        },
        onWritable: () => undefined,
      });
    });
    if (by === 'upstream') {
      conn.reset(1, 'CANCEL');
      await lost;
    } else if (by !== 'us') {
      conn.headers(1, [OK], END_STREAM);
      await lost;
      assert.equal(await conn.last(FRAME.RST_STREAM), 'PROTOCOL_ERROR');
    } else {
      asked.tunnel!.reset();
      assert.equal(await conn.last(FRAME.RST_STREAM), 'CANCEL');
    }
    assert.equal(gone, by === 'us' ? 0 : 1);
    assert.equal(client.conn.streams, 0);
  }
});

test('H2ClientConn: a WebSocket that the upstream does not offer is a fault; one that it refuses is an answer', async () => {
  await using server = await RawServer.start();
  using client = await TestClient.to(server.port);
  const conn = await server.conn(0);
  const early = client.ask(SOCKET);
  conn.settings();
  const fault = 'fault upstream.websocket-unsupported before a byte: Upstream does not offer extended CONNECT';
  assert.deepEqual(await early.done, [fault]);
  assert.deepEqual(await client.ask(SOCKET).done, [fault]);
  assert.equal(client.conn.streams, 0);
  conn.settings([SETTING.ENABLE_CONNECT_PROTOCOL, 1]);
  const plain = client.ask();
  await conn.request(1);
  conn.headers(1, [OK], END_STREAM);
  await plain.done;
  const refused = client.ask(SOCKET);
  await conn.request(3);
  conn.headers(3, [[':status', '403']], END_STREAM);
  assert.deepEqual(await refused.done, ['head 403 0', 'end ']);
});

test('H2ClientConn: a WebSocket that waits for settings learns of whatever ends the connection', async () => {
  const rows: [how: string, end: (conn: RawConn) => void, fault: RegExp][] = [
    ['lost', (conn) => conn.socket.destroy(), /^fault upstream.closed before a byte/],
    [
      'broken',
      (conn) => conn.socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'),
      /^fault upstream.malformed before a byte/,
    ],
  ];
  for (const [how, end, fault] of rows) {
    await using server = await RawServer.start();
    using client = await TestClient.to(server.port);
    const asked = client.ask(SOCKET);
    end(await server.conn(0));
    assert.match((await asked.done)[0]!, fault, how);
    assert.equal(client.conn.streams, 0);
  }
});
