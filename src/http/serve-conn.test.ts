import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { CONNECTION_LIMITS, CONNECTION_TIMEOUTS } from '../base/limits.ts';
import { ManualClock } from '../base/testing/manual-clock.ts';
import { TimerWheel } from '../base/timers.ts';
import type { Intake } from '../net/read-buffer.ts';
import { FLAG, FRAME, PREFACE } from './h2/frame.ts';
import { block, frame, settings } from './h2/testing/frames.ts';
import { type ClientWire, serveConn } from './serve-conn.ts';
import { EchoSink } from './testing/echo-sink.ts';

const FACTS = {
  peerIp: '127.0.0.1',
  peerPort: 1,
  scheme: 'http',
  serverName: '',
  tlsVersion: '',
  tlsCipher: '',
} as const;

/** A connection of a client that has said nothing yet. */
function open(wire: ClientWire, { headMs = CONNECTION_TIMEOUTS.headMs, draining = false } = {}) {
  const clock = new ManualClock();
  const intake: Intake = { take: () => undefined };
  const written: Buffer[] = [];
  const socket = new Duplex({
    read: () => undefined,
    write: (bytes: Buffer, _encoding, done) => {
      written.push(bytes);
      done();
    },
  });
  const ended: string[] = [];
  const conn = serveConn(wire, {
    socket,
    intake,
    draining,
    sink: new EchoSink(),
    wheel: new TimerWheel(clock),
    limits: CONNECTION_LIMITS,
    timeouts: { ...CONNECTION_TIMEOUTS, headMs },
    facts: FACTS,
    onFailed: () => undefined,
    onClosed: () => ended.push('closed'),
  });
  return {
    clock,
    conn,
    ended,
    socket,
    text: () => Buffer.concat(written).toString(),
    frames: () => frameTypes(Buffer.concat(written)),
    take: (b: Buffer) => intake.take(b),
  };
}

function frameTypes(bytes: Buffer): number[] {
  const types: number[] = [];
  for (let at = 0; at < bytes.length; at += 9 + bytes.readUIntBE(at, 3)) types.push(bytes[at + 3]!);
  return types;
}

const GET_IN_H2 = Buffer.concat([
  settings(),
  frame(
    FRAME.HEADERS,
    FLAG.END_HEADERS | FLAG.END_STREAM,
    1,
    block([
      [':method', 'GET'],
      [':scheme', 'http'],
      [':authority', 'x'],
      [':path', '/'],
    ]),
  ),
]);

test('serve-conn: a preface that drips in has the time of a head, not that time for each of its bytes', () => {
  const { clock, ended, socket, take } = open('look', { headMs: 1_000 });
  for (let at = 0; at < 3; at++) {
    assert.deepEqual(ended, [], `after ${at} bytes`);
    take(PREFACE.subarray(at, at + 1));
    clock.advance(400);
  }
  assert.deepEqual(ended, ['closed']);
  assert.equal(socket.destroyed, true);
});

for (const said of [0, 10, PREFACE.length - 1]) {
  test(`serve-conn: a drain before the preface of HTTP/2, of which ${said} bytes have come, waits for it`, async () => {
    const { clock, conn, ended, take, frames } = open('look');
    if (said > 0) take(PREFACE.subarray(0, said));
    clock.advance(200);
    conn.drain();
    clock.advance(200);
    assert.deepEqual(frames(), [], 'nothing is said before it is known which of the two to speak');
    take(Buffer.concat([PREFACE.subarray(said), GET_IN_H2]));
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(
      frames().filter((type) => type !== FRAME.WINDOW_UPDATE),
      [FRAME.SETTINGS, FRAME.GOAWAY, FRAME.PING, FRAME.SETTINGS, FRAME.HEADERS],
    );
    assert.deepEqual(ended, [], 'the client has time to hear that it ends');
  });
}

test('serve-conn: what begins in a drain serves the request that came with it, and ends', () => {
  for (const wire of ['http/1.1', 'look'] as const) {
    const { take, text } = open(wire, { draining: true });
    take(Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
    assert.match(text(), /^HTTP\/1\.1 200 OK\r\n[^]*connection: close/, wire);
  }
});

for (const wire of ['http/1.1', 'look'] as const) {
  test(`serve-conn: ${wire}: a drain waits for the request of a connection that was just opened`, () => {
    const { clock, conn, ended, take, text } = open(wire);
    clock.advance(200);
    conn.drain();
    clock.advance(200);
    take(Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'));
    assert.match(text(), /^HTTP\/1\.1 200 OK\r\n[^]*connection: close/);
    assert.deepEqual(ended, [], 'the client has time to read');
  });

  test(`serve-conn: ${wire}: a drain does not wait long for one that says nothing`, () => {
    const { clock, conn, ended } = open(wire);
    conn.drain();
    clock.advance(900);
    assert.deepEqual(ended, []);
    clock.advance(300);
    assert.deepEqual(ended, ['closed']);
  });
}

test('serve-conn: a drain ends at once what has been silent for long', () => {
  const { clock, conn, ended } = open('http/1.1');
  clock.advance(5_000);
  conn.drain();
  assert.deepEqual(ended, ['closed']);
});
