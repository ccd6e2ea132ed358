import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Headers } from '../../headers.ts';
import { SEEN_FORWARDED, SEEN_TE_TRAILERS, SEEN_UNDERSCORE } from '../../seen.ts';
import { METHOD, PATH, STATUS } from '../field-rules.ts';
import { HpackDecoder } from './decoder.ts';
import { pseudoBit } from './field-list.ts';
import { bytes, LIMITS, literal, pairsOf } from './testing/lists.ts';

function decodeOne(block: Buffer): ReturnType<HpackDecoder['decode']> {
  return new HpackDecoder().decode(block, 0, block.length, LIMITS);
}

const COMPRESSION_ERRORS: [rule: string, block: Buffer, want: string][] = [
  ['index 0', bytes(0x80), 'Index 0 is in no table'],
  ['index behind the static table, dynamic table empty', bytes(0xbe), 'Index 62 is in no table'],
  ['index of a name in no table', bytes(0x7f, 0, 1, 'a'), 'Index 63 is in no table'],
  ['index of a name in no table, not indexed', bytes(0x0f, 0x30, 1, 'a'), 'Index 63 is in no table'],
  ['integer that never ends', bytes(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01), 'Integer is too long'],
  ['integer padded with zeros', bytes(0xff, 0x80, 0x80, 0x80, 0x80, 0x00), 'Integer is too long'],
  ['integer without its end', bytes(0xff), 'Block ends inside an integer'],
  ['integer without its end, later', bytes(0xff, 0x80), 'Block ends inside an integer'],
  ['no name', bytes(0x40), 'Block ends before a string'],
  ['no value', bytes(0x40, 1, 'a'), 'Block ends before a string'],
  ['no value for an indexed name', bytes(0x41), 'Block ends before a string'],
  ['name longer than the block', bytes(0x40, 5, 'ab'), 'String is longer than the block'],
  ['value longer than the block', bytes(0x41, 5, 'ab'), 'String is longer than the block'],
  ['value far longer than the block', bytes(0x41, 0x7f, 0xff, 0xff, 0xff, 0x7f), 'String is longer than the block'],
  ['Huffman padding of 8 bits', bytes(0x41, 0x81, 0xff), 'Huffman code is broken'],
  ['Huffman padding of 11 bits', bytes(0x41, 0x82, 0x1f, 0xff), 'Huffman code is broken'],
  ['Huffman padding of zeros', bytes(0x41, 0x81, 0x18), 'Huffman code is broken'],
  ['Huffman padding with one zero', bytes(0x41, 0x81, 0x1b), 'Huffman code is broken'],
  ['EOS in Huffman code', bytes(0x41, 0x84, 0xff, 0xff, 0xff, 0xff), 'Huffman code is broken'],
  ['EOS behind a symbol', bytes(0x41, 0x85, 0x1f, 0xff, 0xff, 0xff, 0xff), 'Huffman code is broken'],
  ['broken code in a field that nobody keeps', bytes(0x40, 1, 'A', 0, 0, 1, 'b', 0x81, 0xff), 'Huffman code is broken'],
  ['size update behind a field', bytes(0x82, 0x20), 'Table size update is not at the start'],
  ['size update above the setting', bytes(0x3f, 0xe2, 0x1f), 'Table size is above the setting'],
  ['three size updates', bytes(0x20, 0x20, 0x20), 'More than two table size updates'],
];

for (const [rule, block, want] of COMPRESSION_ERRORS) {
  test(`compression error: ${rule}`, () => {
    const list = decodeOne(block);
    assert.deepEqual([list.outcome, list.detail], ['compression-error', want]);
    assert.equal(list.text, '');
  });
}

const GOOD: [rule: string, block: Buffer, want: [string, string][]][] = [
  ['empty block', bytes(), []],
  ['size update to the setting', bytes(0x3f, 0xe1, 0x1f), []],
  ['two size updates', bytes(0x20, 0x3f, 0xe1, 0x1f), []],
  ['empty value', literal('a', ''), [['a', '']]],
  ['empty value in Huffman code', bytes(0x40, 1, 'a', 0x80), [['a', '']]],
  ['Huffman padding of 7 bits', bytes(0x40, 1, 'a', 0x83, 0x02, 0xcb, 0x7f), [['a', '0--']]],
  [
    'name that was just inserted',
    bytes(0x40, 1, 'a', 1, 'b', 0x7e, 1, 'c', 0xbe, 0xbf),
    [
      ['a', 'b'],
      ['a', 'c'],
      ['a', 'c'],
      ['a', 'b'],
    ],
  ],
  ['bytes above ASCII', literal('a', '\u00e9\u00ff'), [['a', '\u00e9\u00ff']]],
  [
    'crumbs of cookie are one line, the last',
    bytes(literal('cookie', 'a=1'), literal('x', 'y'), literal('cookie', 'b=2')),
    [
      ['x', 'y'],
      ['cookie', 'a=1; b=2'],
    ],
  ],
];

for (const [rule, block, want] of GOOD) {
  test(`good: ${rule}`, () => {
    const list = decodeOne(block);
    assert.equal(list.outcome, 'ok', list.detail);
    assert.deepEqual(pairsOf(list), want);
  });
}

const GET = bytes(0x82, 0x87, 0x84, literal(':authority', 'a.test'));

const MALFORMED: [rule: string, block: Buffer, want: string][] = [
  ['upper-case name', literal('Accept', '*'), 'Field name is not a lower-case token'],
  ['empty name', literal('', 'a'), 'Field name is not a lower-case token'],
  ['name with a blank', literal('a b', 'c'), 'Field name is not a lower-case token'],
  ['name with a colon inside', literal('a:b', 'c'), 'Field name is not a lower-case token'],
  ['name with CR LF', literal('a\r\nb', 'c'), 'Field name is not a lower-case token'],
  ['name above ASCII', literal('\u00e4', 'c'), 'Field name is not a lower-case token'],
  ['value with CR', literal('a', 'b\rc'), 'Value of "a" has forbidden bytes'],
  ['value with LF', literal('a', 'b\nc'), 'Value of "a" has forbidden bytes'],
  ['value with NUL', literal('a', 'b\0c'), 'Value of "a" has forbidden bytes'],
  ['value with DEL', literal('a', 'b\x7fc'), 'Value of "a" has forbidden bytes'],
  ['value that begins with a blank', literal('a', ' b'), 'Value of "a" begins or ends with a blank'],
  ['value that ends with a tab', literal('a', 'b\t'), 'Value of "a" begins or ends with a blank'],
  ['cookie that ends with a blank', literal('cookie', 'a=1 '), 'Value of "cookie" begins or ends with a blank'],
  ['value inserted with a rule broken', literal('a', 'b\nc', 0x40), 'Value of "a" has forbidden bytes'],
  ['name inserted with a rule broken', literal('A', 'b', 0x40), 'Field name is not a lower-case token'],
  ['connection', literal('connection', 'close'), 'Field "connection" belongs to a connection of HTTP/1.1'],
  ['keep-alive', literal('keep-alive', 'a'), 'Field "keep-alive" belongs to a connection of HTTP/1.1'],
  [
    'proxy-connection',
    literal('proxy-connection', 'a'),
    'Field "proxy-connection" belongs to a connection of HTTP/1.1',
  ],
  ['upgrade', literal('upgrade', 'h2c'), 'Field "upgrade" belongs to a connection of HTTP/1.1'],
  [
    'transfer-encoding',
    bytes(0x0f, 57 - 15, 7, 'chunked'),
    'Field "transfer-encoding" belongs to a connection of HTTP/1.1',
  ],
  ['transfer-encoding, indexed', bytes(0x80 | 57), 'Field "transfer-encoding" belongs to a connection of HTTP/1.1'],
  ['te: gzip', literal('te', 'gzip'), 'Value of "te" is not "trailers"'],
  ['te: trailers, gzip', literal('te', 'trailers, gzip'), 'Value of "te" is not "trailers"'],
  ['content-length with a sign', literal('content-length', '+1'), 'Value of "content-length" is not a length'],
  [
    'content-length of 16 digits',
    literal('content-length', '1'.repeat(16)),
    'Value of "content-length" is not a length',
  ],
  ['content-length with LF at the end', literal('content-length', '1\n'), 'Value of "content-length" is not a length'],
  ['content-length, indexed without value', bytes(0x80 | 28), 'Value of "content-length" is not a length'],
  [
    'content-length twice',
    bytes(literal('content-length', '1'), literal('content-length', '1')),
    'Field "content-length" is repeated',
  ],
  ['host twice', bytes(literal('host', 'a'), literal('host', 'a')), 'Field "host" is repeated'],
  ['unknown pseudo-header', literal(':x', 'a'), 'Pseudo-header is not known'],
  ['only a colon', literal(':', 'a'), 'Pseudo-header is not known'],
  ['pseudo-header twice', bytes(0x82, 0x83), 'Pseudo-header ":method" is repeated'],
  [
    'pseudo-header behind a field',
    bytes(literal('a', 'b'), 0x82),
    'Pseudo-header ":method" stands behind a regular field',
  ],
  [
    'pseudo-header behind a cookie',
    bytes(literal('cookie', 'b'), 0x82),
    'Pseudo-header ":method" stands behind a regular field',
  ],
  [
    'pseudo-header behind content-length',
    bytes(literal('content-length', '0'), 0x82),
    'Pseudo-header ":method" stands behind a regular field',
  ],
  ['method with a blank', literal(':method', 'GET /'), 'Value of ":method" is not a token'],
  ['empty method', literal(':method', ''), 'Value of ":method" is not a token'],
  ['path with a blank', literal(':path', '/a HTTP/1.1'), 'Value of ":path" has forbidden bytes'],
  ['path with CR LF', literal(':path', '/a\r\nb: c'), 'Value of ":path" has forbidden bytes'],
  ['path above ASCII', literal(':path', '/\u00e4'), 'Value of ":path" has forbidden bytes'],
  ['authority with a blank', literal(':authority', 'a b'), 'Value of ":authority" has forbidden bytes'],
  ['status of two digits', literal(':status', '20'), 'Value of ":status" is not three digits from 100 to 599'],
  ['status 099', literal(':status', '099'), 'Value of ":status" is not three digits from 100 to 599'],
];

for (const [rule, block, want] of MALFORMED) {
  test(`malformed: ${rule}`, () => {
    const decoder = new HpackDecoder();
    const whole = bytes(block, literal('later', 'one', 0x40));
    const list = decoder.decode(whole, 0, whole.length, LIMITS);
    assert.deepEqual([list.outcome, list.detail, list.text, list.count], ['malformed', want, '', 0]);
    // The table is in step, and the next list is good.
    const next = decoder.decode(bytes(0xbe), 0, 1, LIMITS);
    assert.deepEqual([next.outcome, pairsOf(next)], ['ok', [['later', 'one']]]);
  });
}

test('a name of the peer is cut where a rule names it', () => {
  const name = 'n'.repeat(10_000);
  const block = bytes(0, 0x7f, 0x91, 0x4d, name, 2, ' a');
  const { outcome, detail } = decodeOne(block);
  assert.equal(outcome, 'malformed');
  assert.ok(detail.length < 120, detail);
});

test('what the fields say is taken note of', () => {
  const list = decodeOne(
    bytes(
      GET,
      literal(':protocol', 'websocket'),
      literal('te', 'trailers'),
      literal('content-length', '17'),
      literal('host', 'b.test'),
      literal('expect', '100-continue'),
      literal('x-forwarded-for', '::1'),
      literal('under_score', '1'),
    ),
  );
  const { method, scheme, path, authority, protocol, contentLength, host, expect, seen } = list;
  assert.deepEqual(
    { method, scheme, path, authority, protocol, contentLength, host, expect, seen },
    {
      method: 'GET',
      scheme: 'https',
      path: '/',
      authority: 'a.test',
      protocol: 'websocket',
      contentLength: 17,
      host: 'b.test',
      expect: '100-continue',
      seen: SEEN_TE_TRAILERS | SEEN_FORWARDED | SEEN_UNDERSCORE,
    },
  );
  assert.equal(list.pseudos & pseudoBit(METHOD), pseudoBit(METHOD));
  assert.equal(list.pseudos & pseudoBit(PATH), pseudoBit(PATH));
  assert.equal(list.pseudos & pseudoBit(STATUS), 0);
  // Framing and hop-by-hop lines can be read, and are not written on.
  const headers = new Headers();
  list.copyTo(headers);
  assert.equal(headers.get('te'), 'trailers');
  assert.equal(headers.toLines(), 'x-forwarded-for: ::1\r\nunder_score: 1\r\n');
});

test('a reduction of the table must be followed by a size update', () => {
  const decoder = new HpackDecoder();
  const steps: [action: number | undefined, block: Buffer, want: string][] = [
    [undefined, literal('a', 'b', 0x40), 'ok'],
    [100, bytes(0x3f, 69), 'ok'], // 100
    [undefined, bytes(0xbe), 'ok'],
    [200, bytes(0xbe), 'ok'], // raised: the peer may stay below
    [undefined, bytes(0x20), 'ok'],
    [0, bytes(0x82), 'ok'], // the table has size 0 already
    [50, bytes(0x3e), 'ok'],
    [10, bytes(0x82), 'compression-error'],
  ];
  for (const [action, block, want] of steps) {
    if (action !== undefined) decoder.resize(action);
    assert.equal(decoder.decode(block, 0, block.length, LIMITS).outcome, want);
  }
});

test('a field larger than the table empties it', () => {
  const decoder = new HpackDecoder(64);
  const block = bytes(literal('a', 'b', 0x40), literal('c', 'd'.repeat(40), 0x40));
  const list = decoder.decode(block, 0, block.length, LIMITS);
  assert.deepEqual(pairsOf(list), [
    ['a', 'b'],
    ['c', 'd'.repeat(40)],
  ]);
  assert.equal(decoder.tableBytes, 0);
});

const TOO_LARGE: [rule: string, block: Buffer][] = [
  ['one field above the limit', literal('a', 'b'.repeat(100))],
  ['many small fields', bytes(...Array.from({ length: 4 }, () => literal('a', 'b')))],
  ['many pseudo-headers and fields', bytes(0x82, 0x84, 0x87)],
  ['crumbs of cookie', bytes(...Array.from({ length: 4 }, () => literal('cookie', 'b')))],
];

for (const [rule, block] of TOO_LARGE) {
  test(`too large: ${rule}`, () => {
    const decoder = new HpackDecoder();
    const whole = bytes(block, literal('later', 'one', 0x40));
    const list = decoder.decode(whole, 0, whole.length, { headerBytesMax: 110, headersMax: 9 });
    assert.deepEqual([list.outcome, list.detail], ['too-large', 'Header list is larger than 110 bytes']);
    assert.deepEqual([list.text, list.count, list.pseudos], ['', 0, 0]);
    assert.deepEqual(pairsOf(decoder.decode(bytes(0xbe), 0, 1, LIMITS)), [['later', 'one']]);
  });
}

test('too large: number of fields, crumbs of cookie counted once', () => {
  const crumbs = Array.from({ length: 9 }, () => literal('cookie', 'c'));
  const decoder = new HpackDecoder();
  for (const [fields, want] of [
    [2, 'ok'],
    [3, 'too-large'],
  ] as const) {
    const block = bytes(...crumbs, ...Array.from({ length: fields }, () => literal('a', 'b')));
    assert.equal(decoder.decode(block, 0, block.length, { headerBytesMax: 9_999, headersMax: 3 }).outcome, want);
  }
});

test('a block that comes again is neither decoded nor joined again', () => {
  const decoder = new HpackDecoder();
  const setup = bytes(GET, literal('a', 'b', 0x40));
  decoder.decode(setup, 0, setup.length, LIMITS);
  const block = bytes(9, 9, GET, 0xbe, literal('te', 'trailers'), literal('cookie', 'a'), literal('cookie', 'b'), 9);
  const lists = [1, 2, 3, 4].map(() => decoder.decode(block, 2, block.length - 1, LIMITS));
  assert.equal(lists[2], lists[3]);
  for (const list of lists.slice(2)) {
    assert.deepEqual([list.outcome, list.method, list.authority], ['ok', 'GET', 'a.test']);
    assert.equal(list.text, 'a: b\r\nte: trailers\r\ncookie: a; b\r\n');
    assert.deepEqual(pairsOf(list), [
      ['a', 'b'],
      ['cookie', 'a; b'],
    ]);
  }
  // Other limits are other limits.
  assert.equal(decoder.decode(block, 2, block.length - 1, { headerBytesMax: 50, headersMax: 9 }).outcome, 'too-large');
  assert.equal(decoder.decode(block, 2, block.length - 1, LIMITS), lists[3]);
  // Once the table changed, the same bytes say something else.
  const insert = literal('x', 'y', 0x40);
  decoder.decode(insert, 0, insert.length, LIMITS);
  assert.deepEqual(pairsOf(decoder.decode(block, 2, block.length - 1, LIMITS))[0], ['x', 'y']);
  // A size update is owed: a block without it is no block, however well it is known.
  for (let i = 0; i < 3; i++) decoder.decode(block, 2, block.length - 1, LIMITS);
  decoder.resize(0);
  assert.equal(decoder.decode(block, 2, block.length - 1, LIMITS).outcome, 'compression-error');
});

setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;

function heapBytes(): number {
  gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test('an HPACK bomb keeps no more than the table and the limit', () => {
  // One field of 3.9 KB, then 32,000 references to it: 125 MB of header list from 36 KB.
  const value = 'v'.repeat(3_900);
  const bomb = bytes(0x40, 1, 'a', 0x7f, 0xbd, 0x1d, value, Buffer.alloc(32_000, 0xbe));
  const mild = bytes(Buffer.alloc(7, 0xbe));
  const before = heapBytes();
  const decoders = Array.from({ length: 100 }, () => new HpackDecoder());
  for (const decoder of decoders) {
    const list = decoder.decode(bomb, 0, bomb.length, LIMITS);
    assert.deepEqual([list.outcome, list.text], ['too-large', '']);
    // What is within the limit is kept while it is the current list, and not remembered: it is long.
    for (let i = 0; i < 4; i++) assert.equal(decoder.decode(mild, 0, mild.length, LIMITS).text.length, 7 * 3_905);
    decoder.decode(bytes(0x82), 0, 1, LIMITS);
  }
  const keptBytes = (heapBytes() - before) / decoders.length;
  assert.ok(keptBytes < 16_000, `${keptBytes} bytes for each connection`);
});

test('a decoder that was shown everything keeps a bounded amount', () => {
  const before = heapBytes();
  const decoders = Array.from({ length: 50 }, () => new HpackDecoder());
  for (const decoder of decoders) {
    for (let i = 0; i < 300; i++) {
      const insert = literal(`n${i}`, 'v', 0x40); // the smallest fields there are
      decoder.decode(insert, 0, insert.length, LIMITS);
    }
    for (let i = 0; i < 60; i++) {
      const known = bytes(literal('x', `${i % 20}`), literal('b', 'c'.repeat(110)), Buffer.alloc(90, 0xc0 + (i % 20)));
      decoder.decode(known, 0, known.length, LIMITS);
    }
  }
  const keptBytes = (heapBytes() - before) / decoders.length;
  assert.ok(keptBytes < 80_000, `${keptBytes} bytes for each connection`);
});
