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

/** What blocks say of how a field is written. */
type Form = 'indexed' | 'insert' | 'literal' | 'never' | 'nothing';

function formOf(block: Buffer): Form {
  const first = block[0];
  if (first === undefined) return 'nothing';
  if (first >= 0x80) return 'indexed';
  if (first >= 0x40) return 'insert';
  return first >= 0x10 ? 'never' : 'literal';
}

const POLICY: [rule: string, name: string, values: string[], want: Form[]][] = [
  ['in the static table', ':method', ['GET', 'POST'], ['indexed', 'indexed']],
  ['a method of its own', ':method', ['PATCH', 'PATCH'], ['insert', 'indexed']],
  ['a path never stands in the table', ':path', ['/a', '/a', '/a'], ['literal', 'literal', 'literal']],
  ['but the root does', ':path', ['/'], ['indexed']],
  ['stable names at once', 'Content-Type', ['text/html', 'text/html'], ['insert', 'indexed']],
  ['any spelling', 'SERVER', ['a', 'a'], ['insert', 'indexed']],
  ['unknown names when they come again', 'x-a', ['1', '1', '1'], ['literal', 'insert', 'indexed']],
  ['values in turn do not come again', 'x-a', ['1', '2', '1', '2'], ['literal', 'literal', 'literal', 'literal']],
  ['date within a second', 'date', ['1', '1', '1', '2'], ['literal', 'insert', 'indexed', 'literal']],
  ['user-agent', 'user-agent', ['a', 'a', 'a'], ['literal', 'insert', 'indexed']],
  ['etag', 'ETag', ['"a"', '"a"', '"a"'], ['literal', 'literal', 'literal']],
  ['content-length', 'content-length', ['1', '1', '1'], ['literal', 'literal', 'literal']],
  ['x-request-id', 'x-request-id', ['1', '1', '1'], ['literal', 'literal', 'literal']],
  ['traceparent', 'traceparent', ['1', '1', '1'], ['literal', 'literal', 'literal']],
  ['authorization', 'Authorization', ['a', 'a', 'a'], ['never', 'never', 'never']],
  ['proxy-authorization', 'proxy-authorization', ['a', 'a', 'a'], ['never', 'never', 'never']],
  ['cookie', 'cookie', ['a', 'a', 'a'], ['never', 'never', 'never']],
  ['set-cookie', 'Set-Cookie', ['a', 'a', 'a'], ['never', 'never', 'never']],
  ['a field that takes half of the table', 'server', ['a'.repeat(2_100), 'a'.repeat(2_100)], ['literal', 'literal']],
  ['a name that is too long', 'x'.repeat(65), ['1', '1', '1'], ['literal', 'literal', 'literal']],
  ['connection', 'Connection', ['close'], ['nothing']],
  ['keep-alive', 'keep-alive', ['a'], ['nothing']],
  ['proxy-connection', 'Proxy-Connection', ['a'], ['nothing']],
  ['transfer-encoding', 'Transfer-Encoding', ['chunked'], ['nothing']],
  ['upgrade', 'upgrade', ['h2c'], ['nothing']],
];

for (const [rule, name, values, want] of POLICY) {
  test(`policy: ${rule}`, () => {
    const encoder = new HpackEncoder();
    const decoder = new HpackDecoder();
    for (const [i, value] of values.entries()) {
      const block = encode(encoder, () => encoder.field(name, value));
      assert.equal(formOf(block), want[i], block.toString('hex'));
      const list = decoder.decode(block, 0, block.length, LIMITS);
      assert.equal(list.outcome, 'ok', list.detail);
      if (want[i] === 'never') assert.deepEqual(list.neverIndexed, [name.toLowerCase()]);
    }
  });
}

const STATUSES: [code: number, first: string, again: string][] = [
  [200, '88', '88'],
  [204, '89', '89'],
  [206, '8a', '8a'],
  [304, '8b', '8b'],
  [400, '8c', '8c'],
  [404, '8d', '8d'],
  [500, '8e', '8e'],
  [302, '48826402', 'be'],
  [103, '48820819', 'be'],
];

for (const [code, first, again] of STATUSES) {
  test(`status ${code}`, () => {
    const encoder = new HpackEncoder();
    assert.equal(encode(encoder, () => encoder.status(code)).toString('hex'), first);
    assert.equal(encode(encoder, () => encoder.status(code)).toString('hex'), again);
  });
}

const SIZE_UPDATES: [rule: string, cap: number, resizes: number[], want: string, after: number[], wantAfter: string][] =
  [
    ['nothing changed', 4_096, [], '88', [], '88'],
    ['the setting that is the default', 4_096, [4_096], '88', [], '88'],
    ['a setting above our cap', 4_096, [65_536], '88', [], '88'],
    ['a cap below the default', 256, [], '3fe10188', [], '88'],
    ['lower', 4_096, [30], '3e88', [], '88'],
    ['none', 4_096, [0], '2088', [], '88'],
    ['lower and back', 4_096, [0, 4_096], '203fe11f88', [], '88'],
    ['lower and half back', 4_096, [0, 30], '203e88', [20], '3488'],
    ['lower, then up later', 4_096, [0], '2088', [4_096], '3fe11f88'],
    ['down twice: the last is the least', 4_096, [30, 20], '3488', [], '88'],
  ];

for (const [rule, cap, resizes, want, after, wantAfter] of SIZE_UPDATES) {
  test(`size updates: ${rule}`, () => {
    const encoder = new HpackEncoder(cap);
    for (const size of resizes) encoder.resize(size);
    assert.equal(encode(encoder, () => encoder.status(200)).toString('hex'), want);
    for (const size of after) encoder.resize(size);
    assert.equal(encode(encoder, () => encoder.status(200)).toString('hex'), wantAfter);
  });
}

test('what came as never indexed is written so, and stays in no table', () => {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder();
  for (let i = 0; i < 4; i++) {
    const headers = Headers.of([
      ['X-Pin', '1234'],
      ['server', 'a'],
    ]);
    const block = encode(encoder, () => encoder.headers(headers, ['x-pin']));
    const list = decoder.decode(block, 0, block.length, LIMITS);
    assert.deepEqual(list.neverIndexed, ['x-pin']);
  }
  assert.equal(encoder.tableBytes, 'server'.length + 1 + 32);
});

test('a head that comes again is copied, as long as the table is the same', () => {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder();
  const pairs: Pair[] = [
    ['content-type', 'application/json'],
    ['x-served-by', 'cache-7'],
    ['etag', '"33a64df551425fcc55e4d42a148795d9f25f89d4"'],
    ['set-cookie', 'a=b'],
  ];
  for (let i = 0; i < 20; i++) {
    // Now and then something else comes in, so that every index is another.
    if (i % 7 === 6) {
      const other = encodeHeaders(encoder, [['vary', `${i}`]]);
      assert.equal(decoder.decode(other, 0, other.length, LIMITS).outcome, 'ok');
    }
    const block = encodeHeaders(encoder, pairs);
    assert.deepEqual(pairsOf(decoder.decode(block, 0, block.length, LIMITS)), pairs);
  }
});

const HUFFMAN: [rule: string, name: string, value: string, bytes: number][] = [
  ['shorter, and inserted', 'server', 'aaaaaaaaaaaaaaaa', 10],
  ['as long', 'server', 'XXXXXXXXXXXXXXXX', 16],
  ['longer', 'server', '\u00ff'.repeat(32), 32],
  ['shorter, but not inserted', 'etag', 'aaaaaaaaaaaaaaaa', 16],
];

for (const [rule, name, value, size] of HUFFMAN) {
  test(`Huffman code: ${rule}`, () => {
    const block = encode(new HpackEncoder(), (encoder) => encoder.field(name, value));
    assert.equal(block.length - (name === 'etag' ? 3 : 2), size); // form with the index of the name, length
  });
}

test('an upstream with ever new names and values keeps a bounded amount', () => {
  const encoder = new HpackEncoder();
  const decoder = new HpackDecoder();
  const random = seededRandom(1, 2, 3, 4);
  for (let i = 0; i < 3_000; i++) {
    const pairs: Pair[] = [
      [`x-${below(random, 1_000)}`, `${below(random, 3)}`],
      [`X-${below(random, 1_000)}`, `${below(random, 3)}`],
      [`vary`, `${below(random, 500)}`],
    ];
    const block = encodeHeaders(encoder, pairs);
    const list = decoder.decode(block, 0, block.length, LIMITS);
    assert.deepEqual(
      pairsOf(list),
      pairs.map(([name, value]) => [name.toLowerCase(), value]),
    );
    assert.ok(encoder.tableBytes <= 4_096);
    assert.equal(decoder.tableBytes, encoder.tableBytes);
  }
});
