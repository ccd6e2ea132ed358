import assert from 'node:assert/strict';
import { Duplex } from 'node:stream';
import { test } from 'node:test';
import { CONNECTION_LIMITS, CONNECTION_TIMEOUTS } from '../base/limits.ts';
import { ManualClock } from '../base/testing/manual-clock.ts';
import { TimerWheel } from '../base/timers.ts';
import type { Intake } from '../net/read-buffer.ts';
import { PREFACE } from './h2/frame.ts';
import { serveConn } from './serve-conn.ts';
import { EchoSink } from './testing/echo-sink.ts';

test('serve-conn: a preface that drips in has the time of a head, not that time for each of its bytes', () => {
  const clock = new ManualClock();
  const intake: Intake = { take: () => undefined };
  const socket = new Duplex({ read: () => undefined, write: (_bytes, _encoding, done) => done() });
  const ended: string[] = [];
  serveConn('look', {
    socket,
    intake,
    sink: new EchoSink(),
    wheel: new TimerWheel(clock),
    limits: CONNECTION_LIMITS,
    timeouts: { ...CONNECTION_TIMEOUTS, headMs: 1_000 },
    facts: { peerIp: '127.0.0.1', peerPort: 1, scheme: 'http', serverName: '', tlsVersion: '', tlsCipher: '' },
    onFailed: () => undefined,
    onClosed: () => ended.push('closed'),
  });
  for (let at = 0; at < 3; at++) {
    assert.deepEqual(ended, [], `after ${at} bytes`);
    intake.take(PREFACE.subarray(at, at + 1));
    clock.advance(400);
  }
  assert.deepEqual(ended, ['closed']);
  assert.equal(socket.destroyed, true);
});
