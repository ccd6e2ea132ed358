import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageMeter, type MeterVerdict } from './message-meter.ts';

function message(bytes: number, flag = 0): Buffer {
  const framed = Buffer.alloc(5 + bytes);
  framed[0] = flag;
  framed.writeUInt32BE(bytes, 1);
  return framed;
}

interface Want {
  readonly verdict: MeterVerdict;
  readonly messages?: number;
  readonly boundary?: number;
  readonly whole?: boolean;
}

const ROWS: readonly (readonly [rule: string, input: { bytesMax?: number; pieces: Buffer[] }, want: Want])[] = [
  ['nothing', { pieces: [] }, { verdict: 'ok', messages: 0, whole: true }],
  ['one', { pieces: [message(3)] }, { verdict: 'ok', messages: 1, boundary: 8, whole: true }],
  ['an empty one', { pieces: [message(0)] }, { verdict: 'ok', messages: 1, boundary: 5, whole: true }],
  ['compressed', { pieces: [message(3, 1)] }, { verdict: 'ok', messages: 1, whole: true }],
  [
    'two and a half',
    { pieces: [Buffer.concat([message(1), message(0), message(9).subarray(0, 7)])] },
    { verdict: 'ok', messages: 2, boundary: 11, whole: false },
  ],
  [
    'a prefix in two pieces',
    { pieces: [message(2).subarray(0, 3), message(2).subarray(3)] },
    { verdict: 'ok', messages: 1, boundary: 4, whole: true },
  ],
  ['as long as allowed', { bytesMax: 10, pieces: [message(10)] }, { verdict: 'ok', messages: 1, whole: true }],
  [
    'one byte too long, behind a good one',
    { bytesMax: 10, pieces: [Buffer.concat([message(1), message(11)])] },
    { verdict: 'too-large', messages: 1, boundary: 6 },
  ],
  [
    'too long, its prefix in two pieces',
    { bytesMax: 10, pieces: [message(11).subarray(0, 2), message(11).subarray(2)] },
    { verdict: 'too-large', messages: 0, boundary: -1 },
  ],
  ['the longest there can be', { pieces: [Buffer.from([0, 255, 255, 255, 255])] }, { verdict: 'ok', whole: false }],
  ['a flag of 2', { pieces: [message(0, 2)] }, { verdict: 'malformed', boundary: 0 }],
  ['a flag of gRPC-Web trailers', { pieces: [message(0, 0x80)] }, { verdict: 'malformed', boundary: 0 }],
];

for (const [rule, { bytesMax = 0, pieces }, want] of ROWS) {
  void test(`message meter: ${rule}`, () => {
    const meter = new MessageMeter(bytesMax);
    let verdict: MeterVerdict = 'ok';
    for (const piece of pieces) verdict = meter.take(piece);
    assert.equal(verdict, want.verdict);
    if (want.messages !== undefined) assert.equal(meter.messages, want.messages);
    if (want.boundary !== undefined) assert.equal(meter.boundary, want.boundary);
    if (want.whole !== undefined) assert.equal(meter.atBoundary, want.whole);
  });
}

void test('message meter: byte by byte it counts the same', () => {
  const stream = Buffer.concat([message(3), message(0, 1), message(300), message(1)]);
  const meter = new MessageMeter(0);
  for (const byte of stream) assert.equal(meter.take(Buffer.from([byte])), 'ok');
  assert.equal(meter.messages, 4);
  assert.ok(meter.atBoundary);
});
