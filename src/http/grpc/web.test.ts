import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../../base/fault.ts';
import { Headers } from '../headers.ts';
import { encodeText, TextDecoder64, trailerFrame } from './web.ts';

/** Decoded text, `fault`, or `incomplete`. */
function decode(pieces: readonly string[]): string {
  const decoder = new TextDecoder64();
  let text = '';
  for (const piece of pieces) {
    const decoded = decoder.decode(Buffer.from(piece, 'latin1'));
    if (decoded instanceof Fault) return 'fault';
    text += decoded.toString('latin1');
  }
  return decoder.complete ? text : 'incomplete';
}

const ROWS: readonly (readonly [rule: string, pieces: readonly string[], want: string])[] = [
  ['nothing', [], ''],
  ['one quantum', ['YWJj'], 'abc'],
  ['padding at the end', ['YWI='], 'ab'],
  ['two pads at the end', ['YQ=='], 'a'],
  ['padding in the middle', ['YQ==YWI=YWJj'], 'aababc'],
  ['padding in the middle of a piece and across pieces', ['YQ', '==Y', 'WI=YW', 'Jj'], 'aababc'],
  ['character by character', 'YWJjZGVmZw=='.split(''), 'abcdefg'],
  ['all characters', ['+/A9'], '\xfb\xf0\x3d'],
  ['the URL alphabet', ['-_A9'], 'fault'],
  ['a line end', ['YWJj\r\n=='], 'fault'],
  ['a space', ['YW Jj   '], 'fault'],
  ['three pads', ['Y==='], 'fault'],
  ['four pads', ['===='], 'fault'],
  ['a pad before a character', ['YQ=a'], 'fault'],
  ['a byte beyond ASCII', ['YW\xfcj'], 'fault'],
  ['cut off', ['YWJjYQ'], 'incomplete'],
];

for (const [rule, pieces, want] of ROWS)
  void test(`base64 in pieces: ${rule}`, () => assert.equal(decode(pieces), want));

for (const [rule, pieces, want] of ROWS) {
  void test(`base64 in two pieces, cut anywhere: ${rule}`, () => {
    const text = pieces.join('');
    for (let cut = 0; cut <= text.length; cut++) {
      assert.equal(decode([text.slice(0, cut), text.slice(cut)]), want, `cut at ${cut}`);
    }
  });
}

void test('an answer in text form reads back piece by piece', () => {
  const pieces = ['a', 'bc', '', 'defg'].map((text) => encodeText(Buffer.from(text)).toString('latin1'));
  assert.equal(decode(pieces), 'abcdefg');
});

void test('trailers become a frame', () => {
  const frame = trailerFrame(
    Headers.of([
      ['Grpc-Status', '5'],
      ['grpc-message', 'no cart'],
    ]),
  );
  assert.equal(frame[0], 0x80);
  assert.equal(frame.readUInt32BE(1), frame.length - 5);
  assert.equal(frame.toString('latin1', 5), 'grpc-status: 5\r\ngrpc-message: no cart\r\n');
});
