/** The examples of RFC 7541 appendix C, byte by byte. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Headers } from '../../headers.ts';
import { HpackDecoder } from './decoder.ts';
import type { FieldList } from './field-list.ts';
import { huffmanDecode, huffmanEncode, huffmanLength } from './huffman.ts';

const LIMITS = { headerBytesMax: 32_768, headersMax: 100 };

/** A list as the appendix prints it. */
function print(list: FieldList): string[] {
  assert.equal(list.outcome, 'ok', list.detail);
  const lines: string[] = [];
  if (list.method !== '') lines.push(`:method: ${list.method}`);
  if (list.scheme !== '') lines.push(`:scheme: ${list.scheme}`);
  if (list.path !== '') lines.push(`:path: ${list.path}`);
  if (list.authority !== undefined) lines.push(`:authority: ${list.authority}`);
  if (list.status !== 0) lines.push(`:status: ${list.status}`);
  const headers = new Headers();
  list.copyTo(headers);
  headers.forEach((name, value) => lines.push(`${name}: ${value}`));
  return lines;
}

const GET_HTTP = [':method: GET', ':scheme: http', ':path: /', ':authority: www.example.com'];
const GET_HTTPS = [':method: GET', ':scheme: https', ':path: /index.html', ':authority: www.example.com'];
const REQUESTS = [GET_HTTP, [...GET_HTTP, 'cache-control: no-cache'], [...GET_HTTPS, 'custom-key: custom-value']];

const PRIVATE = ['cache-control: private', 'date: Mon, 21 Oct 2013 20:13:21 GMT', 'location: https://www.example.com'];
const ANSWERS = [
  [':status: 302', ...PRIVATE],
  [':status: 307', ...PRIVATE],
  [
    ':status: 200',
    'cache-control: private',
    'date: Mon, 21 Oct 2013 20:13:22 GMT',
    'location: https://www.example.com',
    'content-encoding: gzip',
    'set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1',
  ],
];

/** Section, table size, then for each block: bytes, list, bytes of the table behind it. */
const CONNECTIONS: [
  section: string,
  tableBytes: number,
  blocks: [hex: string, want: string[], tableBytes: number][],
][] = [
  [
    'C.2.1',
    4096,
    [['400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572', ['custom-key: custom-header'], 55]],
  ],
  ['C.2.2', 4096, [['040c 2f73 616d 706c 652f 7061 7468', [':path: /sample/path'], 0]]],
  ['C.2.3', 4096, [['1008 7061 7373 776f 7264 0673 6563 7265 74', ['password: secret'], 0]]],
  ['C.2.4', 4096, [['82', [':method: GET'], 0]]],
  [
    'C.3',
    4096,
    [
      ['8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d', REQUESTS[0]!, 57],
      ['8286 84be 5808 6e6f 2d63 6163 6865', REQUESTS[1]!, 110],
      ['8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65', REQUESTS[2]!, 164],
    ],
  ],
  [
    'C.4',
    4096,
    [
      ['8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff', REQUESTS[0]!, 57],
      ['8286 84be 5886 a8eb 1064 9cbf', REQUESTS[1]!, 110],
      ['8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf', REQUESTS[2]!, 164],
    ],
  ],
  [
    'C.5',
    256,
    [
      [
        `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d
         546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
        ANSWERS[0]!,
        222,
      ],
      ['4803 3330 37c1 c0bf', ANSWERS[1]!, 222],
      [
        `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f
         6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b
         2076 6572 7369 6f6e 3d31`,
        ANSWERS[2]!,
        215,
      ],
    ],
  ],
  [
    'C.6',
    256,
    [
      [
        `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7
         8f0b 97c8 e9ae 82ae 43d3`,
        ANSWERS[0]!,
        222,
      ],
      ['4883 640e ffc1 c0bf', ANSWERS[1]!, 222],
      [
        `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335
         dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
        ANSWERS[2]!,
        215,
      ],
    ],
  ],
];

for (const [section, tableBytes, blocks] of CONNECTIONS) {
  test(section, () => {
    const decoder = new HpackDecoder(tableBytes);
    for (const [hex, want, tableBytesAfter] of blocks) {
      const block = Buffer.from(hex.replaceAll(/\s/g, ''), 'hex');
      assert.deepEqual(print(decoder.decode(block, 0, block.length, LIMITS)), want);
      assert.equal(decoder.tableBytes, tableBytesAfter);
    }
  });
}

test('a field that is never to be indexed is named', () => {
  const block = Buffer.from('100870617373776f726406736563726574', 'hex');
  const list = new HpackDecoder().decode(block, 0, block.length, LIMITS);
  assert.deepEqual(list.neverIndexed, ['password']);
});

const HUFFMAN = [
  ['www.example.com', 'f1e3c2e5f23a6ba0ab90f4ff'],
  ['no-cache', 'a8eb10649cbf'],
  ['custom-key', '25a849e95ba97d7f'],
  ['custom-value', '25a849e95bb8e8b4bf'],
  ['Mon, 21 Oct 2013 20:13:21 GMT', 'd07abe941054d444a8200595040b8166e082a62d1bff'],
  ['https://www.example.com', '9d29ad171863c78f0b97c8e9ae82ae43d3'],
] as const;

for (const [text, hex] of HUFFMAN) {
  test(`Huffman code of "${text}"`, () => {
    const bytes = Buffer.alloc(64);
    const end = huffmanEncode(text, bytes, 0);
    assert.equal(bytes.toString('hex', 0, end), hex);
    assert.equal(huffmanLength(text), end);
    const into = Buffer.alloc(64);
    assert.equal(into.toString('latin1', 0, huffmanDecode(bytes, 0, end, into)), text);
  });
}
