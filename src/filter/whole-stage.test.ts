import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../base/fault.ts';
import { WholeStage } from './whole-stage.ts';

const ROWS: [rule: string, bodyLength: number, pieces: string[], want: string][] = [
  ['in one piece', 5, ['hello'], 'HELLO'],
  ['in several', 5, ['he', '', 'llo'], 'HELLO'],
  ['shorter than was said', 9, ['hel', 'lo'], 'HELLO'],
  ['longer than was said', 3, ['hel', 'l', 'o there'], 'HELLO THERE'],
  ['empty', 0, [], ''],
];

for (const [rule, bodyLength, pieces, want] of ROWS) {
  test(`whole stage: a body ${rule}`, () => {
    const said: string[] = [];
    const stage = new WholeStage({
      bodyLength,
      become: (body) => Buffer.from(body.toString().toUpperCase()),
      broken: (code) => new Fault('filter.failed', code),
      closed: (bytesIn, bytesOut) => said.push(`closed ${bytesIn} ${bytesOut}`),
    });
    stage.start({
      bytes(bytes) {
        said.push(bytes.toString());
        return true;
      },
      end: () => void said.push('end'),
      fail: () => void said.push('fail'),
      resume: () => undefined,
    });
    const lent = Buffer.alloc(16);
    for (const piece of pieces) {
      // What is lent is written over after the call.
      const length = lent.write(piece);
      assert.equal(stage.write(lent.subarray(0, length)), true);
      lent.fill('?');
    }
    stage.end();
    const length = pieces.join('').length;
    assert.deepEqual(said, [`closed ${length} ${length}`, want, 'end']);
  });
}
