/** What a parser made of some bytes, in a form that two parsers can be compared by. */
import type { Headers } from '../../src/http/headers.ts';

export type Pair = readonly [lowerName: string, value: string];

export interface ReadMessage {
  /** `GET /path?query of host`, or the status of an answer. */
  readonly start: string;
  /** End-to-end fields in order: what is left when framing and hop-by-hop fields are gone. */
  readonly fields: readonly Pair[];
  readonly body: string;
  readonly trailers: readonly Pair[];
}

export interface Reading {
  /** Complete messages, in order. */
  readonly messages: readonly ReadMessage[];
  /** Why the bytes were refused, or undefined when all of them were taken so far. */
  readonly refused: string | undefined;
  /** A message was told of and is not complete: part of it may be on its way already. */
  readonly begun: boolean;
}

/** Fields that frame the message or belong to one hop (RFC 9110 section 7.6.1). */
const HOP = new Set([
  'host',
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'content-length',
  'upgrade',
  'expect',
]);

/** Names that `Connection` may not take away; see parse-head.ts. */
const KEPT = new Set([
  'content-type',
  'content-encoding',
  'cookie',
  'authorization',
  'forwarded',
  'via',
  'x-request-id',
  'traceparent',
  'tracestate',
  'cache-control',
]);

/** The end-to-end part of a flat list of names and values. */
export function endToEnd(raw: readonly string[]): Pair[] {
  const pairs: Pair[] = [];
  for (let i = 0; i < raw.length; i += 2) pairs.push([raw[i]!.toLowerCase(), raw[i + 1]!]);
  const nominated = new Set(
    pairs
      .filter(([name]) => name === 'connection')
      .flatMap(([, value]) => value.toLowerCase().split(','))
      .map((name) => name.trim())
      .filter((name) => !KEPT.has(name) && !name.startsWith('x-forwarded-')),
  );
  return pairs.filter(([name]) => !HOP.has(name) && !nominated.has(name));
}

export function pairsOf(headers: Headers | undefined): Pair[] {
  const pairs: Pair[] = [];
  headers?.forEach((name, value) => pairs.push([name.toLowerCase(), value]));
  return pairs;
}

/** Lets everything that was started with setImmediate or a promise come to its end. */
export async function settle(turns: number): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise<void>((next) => setImmediate(next));
}

/** The same bytes, one at a time. */
export function everyByte(bytes: Buffer): Buffer[] {
  return Array.from({ length: bytes.length }, (_, i) => bytes.subarray(i, i + 1));
}

/** The same bytes cut at these ascending offsets. */
export function cutAt(bytes: Buffer, offsets: readonly number[]): Buffer[] {
  const ends = [...offsets, bytes.length];
  return ends.map((end, i) => bytes.subarray(i === 0 ? 0 : ends[i - 1]!, end)).filter((piece) => piece.length > 0);
}
