/** Header lists as they occur, drawn at random, for the tests of both directions. */
import type { Random } from '../../../../base/random.ts';
import { Headers } from '../../../headers.ts';
import type { FieldList } from '../field-list.ts';

export type Pair = readonly [name: string, value: string];

export const LIMITS = { headerBytesMax: 32_768, headersMax: 100 };

const NAMES = `accept accept-encoding cache-control content-type date etag location server user-agent vary via x-a x-b
  x-request-id x-long-name-that-nobody-knows authorization set-cookie grpc-status content-encoding`.split(/\s+/);
const CHARS = [
  'abcdefghijklmnopqrstuvwxyz0123456789',
  '!"#$%&()*+,-./:;<=>?@[]^_`{|}~ABCXYZ',
  Array.from({ length: 96 }, (_, i) => String.fromCharCode(0xa0 + i)).join(''),
];

export function below(random: Random, bound: number): number {
  return random.bits32() % bound;
}

export function randomValue(random: Random): string {
  const chars = CHARS[below(random, 10) > 7 ? 1 + below(random, 2) : 0]!;
  const length = below(random, 20) === 0 ? below(random, 3_000) : below(random, 40);
  return Array.from({ length }, () => chars[below(random, chars.length)]).join('');
}

/** Fields of which some repeat from list to list: `known` holds what came before, and is bounded here. */
export function randomPairs(random: Random, known: Pair[]): Pair[] {
  return Array.from({ length: below(random, 12) }, () => {
    if (known.length > 0 && below(random, 3) > 0) return known[below(random, known.length)]!;
    const pair: Pair = [NAMES[below(random, NAMES.length)]!, randomValue(random)];
    known[below(random, 40)] = pair;
    return pair;
  }).filter((pair) => pair !== undefined);
}

/** The regular fields of a list. */
export function pairsOf(list: FieldList): Pair[] {
  const pairs: Pair[] = [];
  const headers = new Headers();
  list.copyTo(headers);
  headers.forEach((name, value) => pairs.push([name, value]));
  return pairs;
}

/** A block, or part of one, from numbers, Latin-1 texts and other parts. */
export function bytes(...parts: (number | string | Buffer)[]): Buffer {
  return Buffer.concat(
    parts.map((part) => {
      if (typeof part === 'number') return Buffer.of(part);
      return typeof part === 'string' ? Buffer.from(part, 'latin1') : part;
    }),
  );
}

/** A literal field without Huffman code; `form` 0x40 inserts it, 0x10 is never indexed. Texts under 127 characters. */
export function literal(name: string, value: string, form = 0): Buffer {
  return bytes(form, name.length, name, value.length, value);
}
