/**
 * Reads the head of one HTTP/1.1 message from Latin-1 text, in one pass.
 *
 * Strict on purpose: what two parsers could read differently is refused, never
 * repaired (RFC 9112 section 11.2). The functions know no socket and no limits
 * of time; they say `undefined` when the head is good and a {@link Fault} when
 * no reading of it is safe. Names with an underscore are reported, because
 * CGI-like servers confuse them with hyphens; the listener decides.
 */
import { Fault, type FaultCode } from '../../base/fault.ts';
import type { Headers } from '../headers.ts';
import {
  SEEN_CLIENT_CERT,
  SEEN_DATE,
  SEEN_FORWARDED,
  SEEN_REQUEST_ID,
  SEEN_SERVER,
  SEEN_TE_TRAILERS,
  SEEN_TRACEPARENT,
  SEEN_UNDERSCORE,
} from '../seen.ts';

/** What the framing and routing fields of a head say. One object per connection, filled anew for each head. */
export interface HeadFacts {
  minorVersion: 0 | 1;
  method: string;
  target: string;
  status: number;
  reason: string;
  host: string | undefined;
  /** Value of Content-Length, -1 when there is none. */
  contentLength: number;
  chunked: boolean;
  /** The peer wants the connection closed after this message, or its version does. */
  close: boolean;
  /** HTTP/1.0 peer that asked for keep-alive. */
  keepAlive: boolean;
  /** `Connection: upgrade` together with `Upgrade`. Lower case. */
  upgrade: string | undefined;
  connectionUpgrade: boolean;
  /** Further names that `Connection` lists. */
  nominated: string[] | undefined;
  expectContinue: boolean;
  /** Bits of http/seen.ts. */
  seen: number;
  /** Seconds of `Keep-Alive: timeout=`, -1 when not said. */
  keepAliveSeconds: number;
}

export function emptyFacts(): HeadFacts {
  return {
    minorVersion: 1,
    method: '',
    target: '',
    status: 0,
    reason: '',
    host: undefined,
    contentLength: -1,
    chunked: false,
    close: false,
    keepAlive: false,
    upgrade: undefined,
    connectionUpgrade: false,
    nominated: undefined,
    expectContinue: false,
    seen: 0,
    keepAliveSeconds: -1,
  };
}

const TOKEN = 1;
const UNDERSCORE = SEEN_UNDERSCORE;
const VALUE = 1;

/** RFC 9110 section 5.6.2 `tchar`; the underscore carries a second bit. */
const NAME_CHARS = new Uint8Array(256);
for (const c of "!#$%&'*+-.^`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
  NAME_CHARS[c.charCodeAt(0)] = TOKEN;
}
NAME_CHARS[0x5f] = TOKEN | UNDERSCORE;

/** RFC 9110 section 5.5: visible characters, space, tab and obs-text. */
const VALUE_CHARS = new Uint8Array(256);
VALUE_CHARS[0x09] = VALUE;
for (let c = 0x20; c < 0x100; c++) if (c !== 0x7f) VALUE_CHARS[c] = VALUE;

const CR = 0x0d;
const LF = 0x0a;
const SPACE = 0x20;
const TAB = 0x09;
const COLON = 0x3a;

/** Digits of the largest accepted Content-Length: 15 digits stay an exact integer. */
const LENGTH_DIGITS_MAX = 15;

export interface HeadLimits {
  readonly headersMax: number;
}

/**
 * @param text  holds the head from `start`, up to and including the empty line that ends before `end`
 * @param end   offset after the CRLF of the last line, that is, of the final empty line's first byte
 * @returns undefined when good: `facts` and `headers` are filled
 */
export function parseRequestHead(
  text: string,
  range: { readonly start: number; readonly end: number },
  into: { readonly facts: HeadFacts; readonly headers: Headers; readonly limits: HeadLimits },
): Fault | undefined {
  const { facts, headers, limits } = into;
  resetFacts(facts);
  let i = range.start;
  while (NAME_CHARS[text.charCodeAt(i)] !== 0 && i < range.end) i++;
  if (i === range.start || text.charCodeAt(i) !== SPACE) return malformed('Method is not a token');
  facts.method = text.slice(range.start, i);

  const targetStart = ++i;
  let c = text.charCodeAt(i);
  while (c > SPACE && c < 0x7f) c = text.charCodeAt(++i);
  if (i === targetStart || c !== SPACE) return malformed('Request target has bytes that are not allowed');
  facts.target = text.slice(targetStart, i);

  if (!text.startsWith('HTTP/', i + 1) || text.charCodeAt(i + 9) !== CR || text.charCodeAt(i + 10) !== LF) {
    return malformed('Request line does not end in a version');
  }
  const fault = readVersion(text, i + 6, facts);
  if (fault !== undefined) return fault;

  return readFields(text, { start: i + 11, end: range.end }, headers, facts, limits.headersMax) ?? checkRequest(facts);
}

/** The same for an answer. `facts.status` and `facts.reason` are filled instead of method and target. */
export function parseResponseHead(
  text: string,
  range: { readonly start: number; readonly end: number },
  into: { readonly facts: HeadFacts; readonly headers: Headers; readonly limits: HeadLimits },
): Fault | undefined {
  const { facts, headers, limits } = into;
  resetFacts(facts);
  const at = range.start;
  if (!text.startsWith('HTTP/', at)) return broken('Status line does not begin with a version');
  const fault = readVersion(text, at + 5, facts);
  if (fault !== undefined) return broken('Status line has an unknown version');
  const hundreds = text.charCodeAt(at + 9) - 0x30;
  const tens = text.charCodeAt(at + 10) - 0x30;
  const units = text.charCodeAt(at + 11) - 0x30;
  const digits = hundreds >= 1 && hundreds <= 5 && tens >= 0 && tens <= 9 && units >= 0 && units <= 9;
  if (text.charCodeAt(at + 8) !== SPACE || !digits) return broken('Status is not three digits from 100 to 599');
  facts.status = hundreds * 100 + tens * 10 + units;

  let i = at + 12;
  // RFC 9112 section 4: the space stays when the phrase is empty, but many servers drop it and nobody misreads that.
  if (text.charCodeAt(i) === SPACE) i++;
  else if (text.charCodeAt(i) !== CR) return broken('Status is not three digits from 100 to 599');
  const reasonStart = i;
  while (VALUE_CHARS[text.charCodeAt(i)] === VALUE) i++;
  if (text.charCodeAt(i) !== CR || text.charCodeAt(i + 1) !== LF) return broken('Reason phrase has forbidden bytes');
  facts.reason = text.slice(reasonStart, i);

  return (
    readFields(text, { start: i + 2, end: range.end }, headers, facts, limits.headersMax)?.asAnswer() ??
    checkResponse(facts)
  );
}

/** Fields of a trailer section: names of framing, routing and authentication are not welcome there (RFC 9110 6.5.1). */
export function parseTrailers(
  text: string,
  range: { readonly start: number; readonly end: number },
  headers: Headers,
  headersMax: number,
): Fault | undefined {
  const facts = emptyFacts();
  const fault = readFields(text, range, headers, facts, headersMax);
  if (fault !== undefined) return fault.asTrailer();
  if (facts.contentLength >= 0 || facts.chunked || facts.host !== undefined) {
    return malformed('Trailer section has a framing or routing field');
  }
  return undefined;
}

function resetFacts(facts: HeadFacts): void {
  facts.minorVersion = 1;
  facts.host = undefined;
  facts.contentLength = -1;
  facts.chunked = false;
  facts.close = false;
  facts.keepAlive = false;
  facts.upgrade = undefined;
  facts.connectionUpgrade = false;
  facts.nominated = undefined;
  facts.expectContinue = false;
  facts.seen = 0;
  facts.keepAliveSeconds = -1;
}

/** `1.1` or `1.0` at `at`. */
function readVersion(text: string, at: number, facts: HeadFacts): Fault | undefined {
  const major = text.charCodeAt(at);
  const minor = text.charCodeAt(at + 2);
  if (!isDigit(major) || text.charCodeAt(at + 1) !== 0x2e || !isDigit(minor)) return malformed('Version is not valid');
  if (major !== 0x31 || minor > 0x31) return new Fault('request.version-unsupported', 'Version is not 1.0 or 1.1');
  facts.minorVersion = minor === 0x31 ? 1 : 0;
  return undefined;
}

/** A refusal that knows how to speak of itself on either side. */
class FieldFault extends Fault {
  asAnswer(): Fault {
    return new Fault(
      this.code === 'request.headers-too-large' ? 'upstream.headers-too-large' : 'upstream.malformed',
      this.detail,
    );
  }

  asTrailer(): Fault {
    return new Fault(this.kind, `Trailer section: ${this.detail}`);
  }
}

function readFields(
  text: string,
  range: { readonly start: number; readonly end: number },
  headers: Headers,
  facts: HeadFacts,
  headersMax: number,
): FieldFault | undefined {
  const { end } = range;
  headers.reset(text);
  let i = range.start;
  let seen = 0;
  let count = 0;
  while (i < end) {
    if (++count > headersMax) return refuse('request.headers-too-large', `More than ${headersMax} header lines`);
    const nameStart = i;
    let c = text.charCodeAt(i);
    for (let kind = NAME_CHARS[c]!; kind !== 0; kind = NAME_CHARS[c]!) {
      seen |= kind;
      c = text.charCodeAt(++i);
    }
    const nameEnd = i;
    if (c !== COLON || nameEnd === nameStart) return refuse('request.malformed', badName(c, nameEnd === nameStart));
    c = text.charCodeAt(++i);
    while (c === SPACE || c === TAB) c = text.charCodeAt(++i);
    const valueStart = i;
    while (VALUE_CHARS[c] === VALUE) c = text.charCodeAt(++i);
    if (c !== CR || text.charCodeAt(i + 1) !== LF)
      return refuse('request.malformed', 'Header value has forbidden bytes');
    let valueEnd = i;
    while (valueEnd > valueStart && isBlank(text.charCodeAt(valueEnd - 1))) valueEnd--;
    i += 2;
    headers.push(nameStart, nameEnd, valueStart, valueEnd);
    const fault = noteField(text, nameStart, nameEnd - nameStart, valueStart, valueEnd, headers, facts);
    if (fault !== undefined) return fault;
  }
  facts.seen |= seen & UNDERSCORE;
  // Without `Connection: upgrade`, and before HTTP/1.1, `Upgrade` means nothing (RFC 9110 section 7.8).
  if (!facts.connectionUpgrade || facts.minorVersion === 0) facts.upgrade = undefined;
  if (facts.nominated !== undefined) dropNominated(facts.nominated, headers);
  return undefined;
}

function badName(c: number, empty: boolean): string {
  if (empty && (c === SPACE || c === TAB)) return 'Header line is folded';
  if (c === SPACE || c === TAB) return 'Header name is followed by white space';
  return 'Header name is not a token';
}

/** Takes note of the fields that frame, route or mark a message. The length of the name tells most apart. */
function noteField(
  text: string,
  at: number,
  length: number,
  valueStart: number,
  valueEnd: number,
  headers: Headers,
  facts: HeadFacts,
): FieldFault | undefined {
  switch (length) {
    case 2:
      if (isName(text, at, 'te')) {
        headers.markLastHop();
        if (/(?:^|[,\s])trailers\s*(?:$|,)/i.test(text.slice(valueStart, valueEnd))) facts.seen |= SEEN_TE_TRAILERS;
      }
      return undefined;
    case 4:
      if (isName(text, at, 'host')) {
        headers.markLastHop();
        if (facts.host !== undefined) return refuse('request.host-invalid', 'More than one Host header');
        facts.host = text.slice(valueStart, valueEnd);
      } else if (isName(text, at, 'date')) facts.seen |= SEEN_DATE;
      return undefined;
    case 6:
      if (isName(text, at, 'expect')) return noteExpect(text.slice(valueStart, valueEnd), headers, facts);
      if (isName(text, at, 'server')) facts.seen |= SEEN_SERVER;
      return undefined;
    case 7:
      if (isName(text, at, 'upgrade')) {
        headers.markLastHop();
        facts.upgrade = text.slice(valueStart, valueEnd).toLowerCase();
      }
      return undefined;
    case 9:
      if (isName(text, at, 'forwarded')) facts.seen |= SEEN_FORWARDED;
      return undefined;
    case 10:
      if (isName(text, at, 'connection')) {
        headers.markLastHop();
        noteConnection(text.slice(valueStart, valueEnd), facts);
      } else if (isName(text, at, 'keep-alive')) {
        headers.markLastHop();
        facts.keepAliveSeconds = timeoutOf(text.slice(valueStart, valueEnd));
      }
      return undefined;
    case 11:
      if (isName(text, at, 'traceparent')) facts.seen |= SEEN_TRACEPARENT;
      else if (isName(text, at, 'client-cert')) facts.seen |= SEEN_CLIENT_CERT;
      return undefined;
    case 12:
      if (isName(text, at, 'x-request-id')) facts.seen |= SEEN_REQUEST_ID;
      return undefined;
    case 14:
      if (isName(text, at, 'content-length')) return noteContentLength(text, valueStart, valueEnd, headers, facts);
      // Of an upgrade that is never asked for (http/upgrade.ts), whether Connection names it or not.
      if (isName(text, at, 'http2-settings')) headers.markLastHop();
      break;
    case 16:
      if (isName(text, at, 'proxy-connection')) headers.markLastHop();
      break;
    case 17:
      if (isName(text, at, 'transfer-encoding')) return noteCoding(text.slice(valueStart, valueEnd), headers, facts);
      if (isName(text, at, 'client-cert-chain')) facts.seen |= SEEN_CLIENT_CERT;
      break;
    default:
      break;
  }
  if (length >= 14 && startsName(text, at, 'x-forwarded-')) facts.seen |= SEEN_FORWARDED;
  return undefined;
}

/** RFC 9110 section 10.1.1: one expectation is known. */
function noteExpect(value: string, headers: Headers, facts: HeadFacts): FieldFault | undefined {
  headers.markLastHop();
  if (value.toLowerCase() !== '100-continue') {
    return refuse('request.expectation-failed', 'Expectation is not 100-continue');
  }
  facts.expectContinue = true;
  return undefined;
}

/** Seconds of `timeout=` in a Keep-Alive value, -1 when it says none. */
function timeoutOf(value: string): number {
  const timeout = /(?:^|[,\s])timeout\s*=\s*(\d{1,6})/i.exec(value);
  return timeout === null ? -1 : Number(timeout[1]);
}

/** RFC 9112 section 6.3: one line, digits only. Lists, signs and repeats are what smuggling is made of. */
function noteContentLength(
  text: string,
  start: number,
  end: number,
  headers: Headers,
  facts: HeadFacts,
): FieldFault | undefined {
  headers.markLastHop();
  if (facts.contentLength >= 0) return refuse('request.ambiguous-length', 'More than one Content-Length');
  if (end === start || end - start > LENGTH_DIGITS_MAX) {
    return refuse('request.ambiguous-length', 'Content-Length is empty or too long');
  }
  let length = 0;
  for (let i = start; i < end; i++) {
    const c = text.charCodeAt(i);
    if (!isDigit(c)) return refuse('request.ambiguous-length', 'Content-Length is not only digits');
    length = length * 10 + (c - 0x30);
  }
  facts.contentLength = length;
  return undefined;
}

function noteCoding(value: string, headers: Headers, facts: HeadFacts): FieldFault | undefined {
  headers.markLastHop();
  if (facts.chunked) return refuse('request.ambiguous-length', 'More than one Transfer-Encoding');
  const coding = value.toLowerCase();
  if (coding === 'chunked') {
    facts.chunked = true;
    return undefined;
  }
  // A list that names chunked could be read as chunked by one parser and refused by another.
  if (coding === '' || coding.includes('chunked')) {
    return refuse('request.ambiguous-length', 'Transfer-Encoding is not exactly "chunked"');
  }
  return refuse('request.coding-unsupported', 'Transfer-Encoding is unknown');
}

/**
 * Fields that `Connection` cannot take away from the next hop: they frame, route
 * or identify the message, and removing them on a client's word is a known attack.
 */
const NOT_NOMINABLE = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'content-type',
  'content-encoding',
  'cookie',
  'authorization',
  'forwarded',
  'client-cert',
  'client-cert-chain',
  'via',
  'x-request-id',
  'traceparent',
  'tracestate',
  'cache-control',
]);

function noteConnection(value: string, facts: HeadFacts): void {
  // The two values that nearly every message has.
  if (value === 'keep-alive' || value === 'Keep-Alive') {
    facts.keepAlive = true;
    return;
  }
  if (value === 'close') {
    facts.close = true;
    return;
  }
  for (const option of value.toLowerCase().split(',')) {
    const name = option.trim();
    if (name === 'close') facts.close = true;
    else if (name === 'keep-alive') facts.keepAlive = true;
    else if (name === 'upgrade') facts.connectionUpgrade = true;
    else if (name !== '') (facts.nominated ??= []).push(name);
  }
}

/** RFC 9110 section 7.6.1: fields named by Connection end here. */
function dropNominated(names: readonly string[], headers: Headers): void {
  for (const name of names) {
    if (!NOT_NOMINABLE.has(name) && !name.startsWith('x-forwarded-')) headers.markHop(name);
  }
}

function checkRequest(facts: HeadFacts): Fault | undefined {
  if (facts.chunked && facts.contentLength >= 0) {
    return new Fault('request.ambiguous-length', 'Both Content-Length and Transfer-Encoding');
  }
  if (facts.minorVersion === 0) {
    if (facts.chunked) return new Fault('request.ambiguous-length', 'Transfer-Encoding in an HTTP/1.0 request');
    facts.close = facts.close || !facts.keepAlive;
    facts.expectContinue = false;
  } else if (facts.host === undefined) {
    return new Fault('request.host-invalid', 'No Host header');
  }
  return undefined;
}

function checkResponse(facts: HeadFacts): Fault | undefined {
  if (facts.chunked && facts.contentLength >= 0) return broken('Both Content-Length and Transfer-Encoding');
  if (facts.minorVersion === 0) {
    if (facts.chunked) return broken('Transfer-Encoding in an HTTP/1.0 answer');
    facts.close = facts.close || !facts.keepAlive;
  }
  return undefined;
}

function isName(text: string, at: number, lowerName: string): boolean {
  return text.charCodeAt(at + lowerName.length) === COLON && startsName(text, at, lowerName);
}

function startsName(text: string, at: number, lowerStart: string): boolean {
  for (let k = 0; k < lowerStart.length; k++) {
    const c = text.charCodeAt(at + k);
    if ((c >= 0x41 && c <= 0x5a ? c | 0x20 : c) !== lowerStart.charCodeAt(k)) return false;
  }
  return true;
}

function isBlank(c: number): boolean {
  return c === SPACE || c === TAB;
}

function isDigit(c: number): boolean {
  return c >= 0x30 && c <= 0x39;
}

function malformed(detail: string): Fault {
  return new Fault('request.malformed', detail);
}

function broken(detail: string): Fault {
  return new Fault('upstream.malformed', detail);
}

function refuse(code: FaultCode, detail: string): FieldFault {
  return new FieldFault(code, detail);
}
