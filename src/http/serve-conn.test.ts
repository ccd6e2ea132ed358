import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { CONNECTION_LIMITS, CONNECTION_TIMEOUTS } from '../base/limits.ts';
import { ManualClock } from '../base/testing/manual-clock.ts';
import { TimerWheel } from '../base/timers.ts';
import type { Intake } from '../net/read-buffer.ts';
import { PREFACE } from './h2/frame.ts';
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
function open(wire: ClientWire, headMs = CONNECTION_TIMEOUTS.headMs) {
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
    take: (b: Buffer) => intake.take(b),
  };
}

test('serve-conn: a preface that drips in has the time of a head, not that time for each of its bytes', () => {
  const { clock, ended, socket, take } = open('look', 1_000);
  for (let at = 0; at < 3; at++) {
    assert.deepEqual(ended, [], `after ${at} bytes`);
    take(PREFACE.subarray(at, at + 1));
    clock.advance(400);
  }
  assert.deepEqual(ended, ['closed']);
  assert.equal(socket.destroyed, true);
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
