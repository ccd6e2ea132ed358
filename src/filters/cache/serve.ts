/** Makes an answer of a stored one, for what this client asks (RFC 9111 section 4). */
import type { Reply } from '../../filter/filter.ts';
import { Headers } from '../../http/headers.ts';
import type { ResponseHead } from '../../http/message.ts';
import { isKnown, mayServeRange, NO_WISHES, type Wishes } from './conditions.ts';
import { contentRange, multipart, parseRanges } from './ranges.ts';
import type { Lines, Stored } from './stored.ts';

/** What is sent: the head's lines are those of the stored answer, less or more. */
export interface Served {
  readonly stored: Stored;
  readonly status: number;
  readonly body: Buffer;
  /** Beside those of the stored answer, instead of lines of the same name. */
  readonly lines: Lines;
  readonly ageSeconds: number;
  /** Value of Cache-Status; empty where it is not said. */
  readonly cacheStatus: string;
}

export interface ServeFacts {
  readonly nowMs: number;
  /** Since the epoch: only asked for where there are conditions. */
  wallMs(): number;
  /** Text that stands in no body. */
  boundary(): string;
  readonly cacheStatus: string;
}

const NO_LINES: Lines = [];
const NO_BODY = Buffer.alloc(0);

/** For a client that has no wishes. */
export function serveWhole(stored: Stored, { nowMs, cacheStatus }: Pick<ServeFacts, 'nowMs' | 'cacheStatus'>): Served {
  const ageSeconds = Math.floor(stored.ageMs(nowMs) / 1_000);
  return { stored, status: stored.status, body: stored.body, lines: NO_LINES, ageSeconds, cacheStatus };
}

export function serve(stored: Stored, wishes: Wishes, facts: ServeFacts): Served {
  const whole = serveWhole(stored, facts);
  // RFC 9110 section 13.2.1: conditions only matter where the answer would be a success.
  if (wishes === NO_WISHES || stored.status !== 200) return whole;
  if (isKnown(wishes, stored, facts.wallMs())) return { ...whole, status: 304, body: NO_BODY };
  if (wishes.range === undefined || !mayServeRange(wishes, stored)) return whole;
  return part(whole, wishes.range, facts);
}

function part(whole: Served, range: string, facts: ServeFacts): Served {
  const { body } = whole;
  const ranges = parseRanges(range, body.length);
  if (ranges === 'whole') return whole;
  if (ranges === 'unsatisfiable') {
    return { ...whole, status: 416, body: NO_BODY, lines: ['content-range', `bytes */${body.length}`] };
  }
  const [only] = ranges;
  if (ranges.length === 1) {
    const lines = ['content-range', contentRange(only!, body.length)];
    return { ...whole, status: 206, body: body.subarray(only!.first, only!.last + 1), lines };
  }
  const contentType = whole.stored.head().get('content-type');
  const parts = multipart(body, ranges, { contentType, boundary: facts.boundary() });
  return { ...whole, status: 206, body: parts.body, lines: ['content-type', parts.contentType] };
}

/** What a 304 says again (RFC 9110 section 15.4.5); the rest the client has. Vary, dates and validators are among it. */
const NOT_IN_304 = /^content-(?!location$|security-policy)/i;

/** Makes a 304 of the head of a whole answer. */
export function hideContent(head: ResponseHead): void {
  head.headers.deleteWhere((lowerName) => NOT_IN_304.test(lowerName));
  head.status = 304;
  head.reason = '';
  head.bodyLength = 0;
}

/** Writes a head over whatever it said. */
export function writeHead(head: ResponseHead, served: Served): void {
  const { headers } = head;
  headers.deleteWhere(isAny);
  addLines(headers, served);
  head.status = served.status;
  head.reason = '';
  head.bodyLength = served.body.length;
}

function addLines(headers: Headers, served: Served): void {
  const { stored, status, lines } = served;
  const all = stored.lines;
  if (status === stored.status) for (let i = 0; i < all.length; i += 2) headers.add(all[i]!, all[i + 1]!);
  else addSome(headers, all, status);
  for (let i = 0; i < lines.length; i += 2) headers.set(lines[i]!, lines[i + 1]!);
  addOurs(headers, served);
}

function addOurs(headers: Headers, { ageSeconds, cacheStatus }: Served): void {
  headers.add('age', String(ageSeconds));
  if (cacheStatus !== '') headers.add('cache-status', cacheStatus);
}

function addSome(headers: Headers, all: Lines, status: number): void {
  for (let i = 0; i < all.length; i += 2) {
    const name = all[i]!;
    // The content of a refusal is not that of the stored answer.
    if (status !== 206 && NOT_IN_304.test(name)) continue;
    headers.add(name, all[i + 1]!);
  }
}

/** What a filter answers with. */
export function replyOf(served: Served): Reply {
  const { status, body } = served;
  return { kind: 'reply', status, reason: 'cache', headers: NO_FIELDS, head: headOf(served), body };
}

/** Of a whole answer, which most are, only what is new is written. */
function headOf(served: Served): Headers {
  const { stored, status, lines } = served;
  const isWhole = status === stored.status && lines.length === 0;
  const headers = isWhole ? Headers.like(stored.received()) : new Headers();
  if (isWhole) addOurs(headers, served);
  else addLines(headers, served);
  return headers;
}

const NO_FIELDS: Reply['headers'] = [];

function isAny(): boolean {
  return true;
}
