/**
 * Cost of header blocks in both directions: one that comes again and again, one with a path of its own, one with nothing
 * in the table. Budget on an idle core: a block that comes again under 0.1 µs, one with a path of its own under 1 µs.
 * Run: `node src/http/h2/hpack/hpack.bench.ts`.
 */
import { bench, keep } from '../../../../tools/bench.ts';
import { Headers } from '../../headers.ts';
import { HpackDecoder } from './decoder.ts';
import { HpackEncoder } from './encoder.ts';
import { huffmanDecode, huffmanEncode } from './huffman.ts';
import { LIMITS, type Pair } from './testing/lists.ts';

const REQUEST: Pair[] = [
  ['user-agent', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'],
  ['accept', 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'],
  ['accept-language', 'en-US,en;q=0.5'],
  ['accept-encoding', 'gzip, deflate, br, zstd'],
  ['upgrade-insecure-requests', '1'],
  ['sec-fetch-dest', 'document'],
  ['sec-fetch-mode', 'navigate'],
  ['sec-fetch-site', 'none'],
];
const ANSWER: Pair[] = [
  ['content-type', 'application/json; charset=utf-8'],
  ['cache-control', 'private, max-age=0'],
  ['server', 'shop/1.17'],
  ['date', 'Sat, 28 Nov 2026 14:41:27 GMT'],
  ['vary', 'accept-encoding'],
  ['x-content-type-options', 'nosniff'],
];

const buffer = Buffer.alloc(16 * 1024);

function requestBlock(encoder: HpackEncoder, path: string, pairs: Pair[]): Buffer {
  encoder.begin(buffer, 0);
  encoder.field(':method', 'GET');
  encoder.field(':scheme', 'https');
  encoder.field(':path', path);
  encoder.field(':authority', 'shop.test');
  for (const [name, value] of pairs) encoder.field(name, value);
  return Buffer.from(buffer.subarray(0, encoder.end()));
}

function decodeBench(name: string, decoder: HpackDecoder, blocks: Buffer[]): void {
  let i = 0;
  bench(`decode, ${name}, ${blocks[0]!.length} bytes`, () => {
    const block = blocks[i++ % blocks.length]!;
    keep(decoder.decode(block, 0, block.length, LIMITS).text.charCodeAt(2));
  });
}

const headers = new Headers();
const encoder = new HpackEncoder();
const decoder = new HpackDecoder();
for (let i = 0; i < 4; i++) {
  const block = requestBlock(encoder, '/', REQUEST);
  decoder.decode(block, 0, block.length, LIMITS).copyTo(headers);
}
const paths = Array.from({ length: 1_000 }, (_, i) => `/items/${i * 7}/details?ref=${i}`);
decodeBench('the same block again', decoder, [requestBlock(encoder, '/items/17/details', REQUEST)]);
decodeBench(
  'a path of its own',
  decoder,
  paths.map((path) => requestBlock(encoder, path, REQUEST)),
);
const plain = paths.map((path) => {
  const blockless = new HpackEncoder(0);
  blockless.resize(0);
  return requestBlock(blockless, path, REQUEST);
});
decodeBench('nothing indexed', new HpackDecoder(), plain);
const list = decoder.decode(plain[0]!, 0, plain[0]!.length, LIMITS);
bench('list to headers', () => list.copyTo(headers));

/** As the codec of HTTP/1.1 leaves them: offsets into one text, which is another string each time. */
function received(pairs: Pair[]): Headers {
  const into = new Headers();
  let text = '';
  const ends = pairs.map(([name, value]) => {
    const start = text.length;
    text += `${name}: ${value}\r\n`;
    return [start, start + name.length, start + name.length + 2, text.length - 2] as const;
  });
  into.reset(text);
  for (const end of ends) into.push(...end);
  return into;
}

function encodeBench(name: string, heads: Headers[]): void {
  const answers = new HpackEncoder();
  let i = 0;
  bench(`encode, ${name}`, () => {
    answers.begin(buffer, 0);
    answers.status(200);
    answers.field('content-length', '1733');
    answers.headers(heads[i++ % heads.length]!);
    keep(answers.end());
  });
}

encodeBench(
  'the same answer again',
  Array.from({ length: 100 }, () => received(ANSWER)),
);
encodeBench(
  'an etag of its own',
  Array.from({ length: 100 }, (_, i) => received([...ANSWER, ['etag', `"33a64df551425fcc55e4d42a1487${i}"`]])),
);
encodeBench(
  'a request-id and a cookie of its own',
  Array.from({ length: 100 }, (_, i) =>
    received([
      ...ANSWER,
      ['x-request-id', `0198c2b4-7a5e-7000-8000-0000000000${i}`],
      ['set-cookie', `session=${i}${'abcdef0123456789'.repeat(4)}; path=/; httponly`],
    ]),
  ),
);

const text = 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0';
const code = Buffer.alloc(100);
const end = huffmanEncode(text, code, 0);
const into = Buffer.alloc(100);
bench(`Huffman encode, ${text.length} characters`, () => keep(huffmanEncode(text, code, 0)));
bench(`Huffman decode, ${text.length} characters`, () => keep(huffmanDecode(code, 0, end, into)));
