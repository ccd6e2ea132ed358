/**
 * Damaged header blocks, some of them again and again: decoding never throws, ends, keeps no more than the limits allow,
 * and a decoder that remembers blocks says what one says that cannot. `--seconds N [--seed N]`.
 */
import { parseArgs } from 'node:util';
import { type Random, seededRandom } from '../../../base/random.ts';
import { Headers } from '../../headers.ts';
import { HpackDecoder } from './decoder.ts';
import { HpackEncoder } from './encoder.ts';
import type { FieldList } from './field-list.ts';
import { below, type Pair, randomPairs } from './testing/lists.ts';

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '10' }, seed: { type: 'string', default: String(Date.now() % 1e9) } },
});

const LIMITS = { headerBytesMax: 2_000, headersMax: 20 };
const TABLE_BYTES_MAX = 4_096;
const BLOCKS_MAX = 40;
/** To the size that the table has. */
const UPDATE = Buffer.of(0x3f, 0xe1, 0x1f);
const buffer = Buffer.alloc(64 * 1024);

function blockOf(encoder: HpackEncoder, pairs: Pair[]): Buffer {
  encoder.begin(buffer, 0);
  encoder.field(':method', 'GET');
  encoder.headers(Headers.of(pairs));
  return Buffer.from(buffer.subarray(0, encoder.end()));
}

function damage(block: Buffer, random: Random): Buffer {
  for (let i = below(random, 3); i > 0 && block.length > 0; i--)
    block[below(random, block.length)] = below(random, 256);
  const kind = below(random, 12);
  if (kind === 0) return Buffer.concat([block, block]);
  if (kind === 1) return block.subarray(0, below(random, block.length + 1));
  if (kind === 2) return Buffer.concat([block, Buffer.alloc(below(random, 3_000), 0x80 | below(random, 128))]);
  if (kind === 3) return Buffer.from(Array.from({ length: below(random, 50) }, () => below(random, 256)));
  return block;
}

/** Everything that a list says. */
function said(list: FieldList): string {
  const lines: [string, string][] = [];
  const headers = new Headers();
  list.copyTo(headers);
  headers.forEach((name, value) => lines.push([name, value]));
  return JSON.stringify([list, lines, headers.toLines()]);
}

/** @returns what is wrong */
function check(list: FieldList, decoder: HpackDecoder): string | undefined {
  if (decoder.tableBytes > TABLE_BYTES_MAX) return `table has ${decoder.tableBytes} bytes`;
  // Cookies are written with one name, and limits count 32 for each field: no text is longer than what is counted.
  if (list.text.length > LIMITS.headerBytesMax) return `text has ${list.text.length} characters`;
  if (list.count > LIMITS.headersMax) return `list has ${list.count} fields`;
  if (list.outcome === 'ok') {
    if (list.detail !== '') return 'a good list with a detail';
    if (!/^(?:[!#$%&'*+\-.^_`|~0-9a-z]+: [^\0-\x08\n-\x1f\x7f]*\r\n)*$/.test(list.text))
      return 'a text that is no lines';
  } else if (list.text !== '' || list.detail === '') return 'a bad list with a text or without a detail';
  return undefined;
}

function isUpdate(first = 0): boolean {
  return (first & 0xe0) === 0x20;
}

/** One connection, until its first compression error. */
function connection(random: Random): string | undefined {
  const encoder = new HpackEncoder();
  const [one, other] = [new HpackDecoder(), new HpackDecoder()];
  const known: Pair[] = [];
  let block: Buffer | undefined;
  let resized = false;
  for (let i = 0; i < BLOCKS_MAX; i++) {
    if (block === undefined || below(random, 3) === 0)
      block = damage(blockOf(encoder, randomPairs(random, known)), random);
    // A size update changes nothing here, but makes every block a new one; it also moves what follows. Once the peer
    // chose another size, it would.
    resized ||= isUpdate(block[0]);
    const fresh = resized ? block : Buffer.concat([UPDATE, block]);
    const first = one.decode(block, 0, block.length, LIMITS);
    const before = said(first);
    const wrong = check(first, one);
    if (wrong !== undefined) return `${wrong}: ${block.toString('hex')}`;
    const second = said(other.decode(fresh, 0, fresh.length, LIMITS));
    if (second !== before) return `${before}, fresh ${second}: ${block.toString('hex')}`;
    if (one.tableBytes !== other.tableBytes) return `tables differ: ${block.toString('hex')}`;
    outcomes[first.outcome]++;
    if (first.outcome === 'compression-error') return undefined;
  }
  return undefined;
}

const outcomes = { ok: 0, 'too-large': 0, malformed: 0, 'compression-error': 0 };
const random = seededRandom(Number(values.seed) | 1, 5, 6, 7);
const endMs = performance.now() + Number(values.seconds) * 1_000;
while (performance.now() < endMs) {
  const wrong = connection(random);
  if (wrong === undefined) continue;
  console.error(`seed ${values.seed}: ${wrong}`);
  process.exitCode = 1;
  break;
}
console.log(`seed ${values.seed}: ${JSON.stringify(outcomes)}`);
