import assert from 'node:assert/strict';
import { test } from 'node:test';
import { closeFrame, GOING_AWAY } from './close-frame.ts';
import { FrameTracker } from './frame-tracker.ts';
import { FrameReader, frameOf, OPCODES, textFrame } from './testing/frames.ts';

/** Frames of every form of length, masked and not, control frames between fragments, reserved bits and opcodes. */
const FRAMES: readonly Buffer[] = [0, 1, 125, 126, 127, 300, 65_535, 65_536, 70_000].flatMap((size) =>
  [false, true].flatMap((masked) => [
    frameOf({ opcode: OPCODES.text, payload: Buffer.alloc(size, 0x88), fin: false, masked }),
    frameOf({ opcode: OPCODES.ping, payload: Buffer.from('p'), masked }),
    frameOf({ opcode: OPCODES.continuation, payload: Buffer.alloc(size, 0xff), masked }),
    frameOf({ opcode: 0xb, payload: Buffer.alloc(3), reserved: 0x70, masked }),
  ]),
);

/** Offsets at which a frame ends. */
function bordersOf(frames: readonly Buffer[]): number[] {
  let at = 0;
  return frames.map(({ length }) => (at += length));
}

for (const size of [1, 2, 3, 7, 13, 64, 1_000, 65_536, 1_000_000]) {
  test(`frame tracker: pieces of ${size} bytes, the borders are where the frames end`, () => {
    const bytes = Buffer.concat(FRAMES);
    const borders = bordersOf(FRAMES);
    const tracker = new FrameTracker();
    assert.equal(tracker.atBorder, true);
    for (let at = 0; at < bytes.length; at += size) {
      const end = Math.min(bytes.length, at + size);
      const got = tracker.push(bytes.subarray(at, end));
      const inPiece = borders.filter((border) => border > at && border <= end);
      assert.equal(got, inPiece.length === 0 ? -1 : inPiece.at(-1)! - at);
      assert.equal(tracker.atBorder, borders.includes(end));
    }
    assert.equal(tracker.closing, false);
  });
}

test('frame tracker: a Close is seen once its header is complete, whatever its size', () => {
  for (const close of [
    frameOf({ opcode: OPCODES.close, payload: Buffer.alloc(0) }),
    frameOf({ opcode: OPCODES.close, payload: Buffer.from([3, 232]), masked: true }),
  ]) {
    const tracker = new FrameTracker();
    tracker.push(textFrame('before', false));
    for (const byte of close.subarray(0, close[1]! >= 0x80 ? 5 : 1)) {
      tracker.push(Buffer.from([byte]));
      assert.equal(tracker.closing, false);
    }
    tracker.push(close.subarray(close[1]! >= 0x80 ? 5 : 1));
    assert.equal(tracker.closing, true);
    assert.equal(tracker.atBorder, true);
  }
});

test('frame tracker: the payload of a frame is never read as a frame', () => {
  const tracker = new FrameTracker();
  const close = frameOf({ opcode: OPCODES.close, payload: Buffer.alloc(0) });
  tracker.push(frameOf({ opcode: OPCODES.binary, payload: Buffer.concat(Array.from({ length: 500 }, () => close)) }));
  assert.equal(tracker.closing, false);
});

test('frame tracker: after a length of 2^63 or more nothing is known any more', () => {
  const tracker = new FrameTracker();
  assert.equal(tracker.push(Buffer.from([0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0])), -1);
  assert.equal(tracker.push(Buffer.alloc(100_000)), -1);
  assert.equal(tracker.atBorder, false);
});

test('frame tracker: the longest length there is, 2^63 - 1, never ends in a lifetime', () => {
  const tracker = new FrameTracker();
  tracker.push(Buffer.from([0x82, 127, 0x7f, 255, 255, 255, 255, 255, 255, 255]));
  assert.equal(tracker.push(Buffer.alloc(100_000)), -1);
  assert.equal(tracker.atBorder, false);
});

test('close frame: code and reason, masked for servers with a mask of its own', () => {
  const [toClient] = new FrameReader().push(closeFrame(GOING_AWAY, 'going away', 'client'));
  assert.deepEqual(
    { ...toClient, payload: toClient!.payload.toString('latin1') },
    { opcode: 8, fin: true, reserved: 0, masked: false, payload: '\u0003\u00e9going away' },
  );
  const frames = Array.from({ length: 20 }, () => closeFrame(GOING_AWAY, 'going away', 'upstream'));
  const [toUpstream] = new FrameReader().push(frames[0]!);
  assert.equal(toUpstream!.masked, true);
  assert.deepEqual(toUpstream!.payload, toClient!.payload);
  assert.equal(new Set(frames.map((frame) => frame.toString('hex'))).size, 20);
});

test('close frame: a reason is cut to what a control frame can hold', () => {
  assert.equal(closeFrame(1001, 'x'.repeat(500), 'client').length, 2 + 125);
});
