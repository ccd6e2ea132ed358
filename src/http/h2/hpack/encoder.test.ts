import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../../base/random.ts';
import { Headers } from '../../headers.ts';
import { HpackDecoder } from './decoder.ts';
import { blockBytesMax, HpackEncoder, linesBytesMax } from './encoder.ts';
import { below, LIMITS, type Pair, pairsOf, randomPairs } from './testing/lists.ts';

const BUFFER = Buffer.alloc(256 * 1024);

function encode(encoder: HpackEncoder, write: (encoder: HpackEncoder) => void): Buffer {
  encoder.begin(BUFFER, 0);
  write(encoder);
  return Buffer.from(BUFFER.subarray(0, encoder.end()));
}

function encodeHeaders(encoder: HpackEncoder, pairs: Iterable<Pair>): Buffer {
  const headers = Headers.of(pairs);
  const block = encode(encoder, () => encoder.headers(headers));
  const chars = headers.toLines().length;
  assert.ok(block.length <= linesBytesMax(chars), `${block.length} bytes for ${chars} characters`);
  return block;
}

test('tables stay in step over random lists and sizes', () => {
  const random = seededRandom(7, 5, 3, 1);
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder();
  const known: Pair[] = [];
  for (let i = 0; i < 8_000; i++) {
    if (below(random, 200) === 0) {
      // The peer lowers or raises its setting, perhaps several times between two blocks.
      let size = 0;
      for (let k = below(random, 3); k >= 0; k--) encoder.resize((size = below(random, 6) * 1_000));
      decoder.resize(Math.min(size, 4_096));
    }
    const pairs = randomPairs(random, known);
    const block = encodeHeaders(encoder, pairs);
    const list = decoder.decode(block, 0, block.length, LIMITS);
    assert.equal(list.outcome, 'ok', `${list.detail}: ${block.toString('hex')}`);
    assert.deepEqual(pairsOf(list), pairs);
    assert.equal(decoder.tableBytes, encoder.tableBytes);
  }
});

test('bound of a block', () => {
  const value = '\u00ff'.repeat(70_000);
  const encoder = new HpackEncoder();
  encoder.resize(0);
  encoder.resize(4_000);
  const block = encode(encoder, () => encoder.field('x', value));
  assert.ok(block.length <= blockBytesMax(1, value.length + 1));
});
