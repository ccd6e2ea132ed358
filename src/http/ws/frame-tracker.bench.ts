/**
 * What following the frames of a WebSocket costs. Budget: 100 ns for a small message, as little for a large piece
 * as for a small one. Run: `node src/http/ws/frame-tracker.bench.ts`.
 */
import { randomBytes } from 'node:crypto';
import { bench, keep } from '../../../tools/bench.ts';
import { FrameTracker } from './frame-tracker.ts';
import { frameOf, OPCODES } from './testing/frames.ts';

const small = frameOf({ opcode: OPCODES.text, payload: randomBytes(20), masked: true });
const large = frameOf({ opcode: OPCODES.binary, payload: randomBytes(1_048_576), masked: true });
const pieces = Array.from({ length: 16 }, (_, i) => large.subarray(i * 65_536, (i + 1) * 65_536));
const rest = large.subarray(16 * 65_536);
const row = Buffer.concat(Array.from({ length: 100 }, () => small));

const tracker = new FrameTracker();
bench('a message of 20 bytes', () => keep(tracker.push(small)));
bench('100 messages in one piece', () => keep(tracker.push(row)));
bench('a message of 1 MB in 17 pieces', () => {
  for (const piece of pieces) tracker.push(piece);
  keep(tracker.push(rest));
});
