/**
 * What HTTP/2 asks of one field, as tables (RFC 9113 sections 8.2 and 8.3). A name that stands in a table of HPACK is
 * read once, when it comes in. Stricter than section 8.2.1 where HTTP/1.1 is: what could not be written on as a field
 * line of HTTP/1.1 is refused here.
 */
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

/** What a name is to the codec. Kinds from CONTENT_LENGTH on are framing or hop-by-hop; from METHOD on, pseudo-headers. */
export const ORDINARY = 0;
export const COOKIE = 1;
export const CONTENT_LENGTH = 2;
export const HOST = 3;
export const TE = 4;
export const EXPECT = 5;
export const METHOD = 6;
export const SCHEME = 7;
export const AUTHORITY = 8;
export const PATH = 9;
export const PROTOCOL = 10;
export const STATUS = 11;

/** What is known of a name. */
export interface NameFacts {
  readonly kind: number;
  /** Bits of http/seen.ts. */
  readonly seen: number;
  /** The rule that the name breaks. */
  readonly rule: string | undefined;
}

const PLAIN: NameFacts = { kind: ORDINARY, seen: 0, rule: undefined };
const UNDERSCORED: NameFacts = { kind: ORDINARY, seen: SEEN_UNDERSCORE, rule: undefined };
const FORWARDED: NameFacts = { kind: ORDINARY, seen: SEEN_FORWARDED, rule: undefined };
const NOT_A_NAME: NameFacts = { kind: ORDINARY, seen: 0, rule: 'Field name is not a lower-case token' };
const UNKNOWN_PSEUDO: NameFacts = { kind: ORDINARY, seen: 0, rule: 'Pseudo-header is not known' };

function known(kind: number, seen = 0): NameFacts {
  return { kind, seen, rule: undefined };
}

/** RFC 9113 section 8.2.2: what these say of a connection, HTTP/2 says in frames. */
function connectionSpecific(name: string): [string, NameFacts] {
  return [name, { kind: ORDINARY, seen: 0, rule: `Field "${name}" belongs to a connection of HTTP/1.1` }];
}

const KNOWN: ReadonlyMap<string, NameFacts> = new Map([
  [':method', known(METHOD)],
  [':scheme', known(SCHEME)],
  [':authority', known(AUTHORITY)],
  [':path', known(PATH)],
  [':protocol', known(PROTOCOL)], // RFC 8441 section 4
  [':status', known(STATUS)],
  ['cookie', known(COOKIE)],
  ['content-length', known(CONTENT_LENGTH)],
  ['host', known(HOST)],
  ['te', known(TE, SEEN_TE_TRAILERS)],
  ['expect', known(EXPECT)],
  ['date', known(ORDINARY, SEEN_DATE)],
  ['server', known(ORDINARY, SEEN_SERVER)],
  ['forwarded', FORWARDED],
  ['client-cert', known(ORDINARY, SEEN_CLIENT_CERT)],
  ['client-cert-chain', known(ORDINARY, SEEN_CLIENT_CERT)],
  ['x-request-id', known(ORDINARY, SEEN_REQUEST_ID)],
  ['traceparent', known(ORDINARY, SEEN_TRACEPARENT)],
  connectionSpecific('connection'),
  connectionSpecific('keep-alive'),
  connectionSpecific('proxy-connection'),
  connectionSpecific('http2-settings'),
  connectionSpecific('transfer-encoding'),
  connectionSpecific('upgrade'),
]);

const NAME = 1;
const VALUE = 2;
const TARGET = 4;
const TOKEN = 8;

/** Which bytes may stand where. */
const BYTES = new Uint8Array(256);
for (let c = 0x20; c < 0x100; c++) if (c !== 0x7f) BYTES[c] = VALUE;
BYTES[0x09] = VALUE;
for (let c = 0x21; c < 0x7f; c++) BYTES[c]! |= TARGET;
for (const c of "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz") BYTES[c.charCodeAt(0)]! |= NAME | TOKEN;
for (const c of 'ABCDEFGHIJKLMNOPQRSTUVWXYZ') BYTES[c.charCodeAt(0)]! |= TOKEN;

/** Reads a name as it stands in a field. */
export function nameFacts(name: string): NameFacts {
  const facts = KNOWN.get(name);
  if (facts !== undefined) return facts;
  if (name.charCodeAt(0) === 0x3a) return UNKNOWN_PSEUDO;
  if (name === '' || !consistsOf(name, NAME)) return NOT_A_NAME;
  if (name.startsWith('x-forwarded-'))
    return name.includes('_') ? known(ORDINARY, SEEN_FORWARDED | SEEN_UNDERSCORE) : FORWARDED;
  return name.includes('_') ? UNDERSCORED : PLAIN;
}

/** @returns the rule that the value breaks; names the field, never the value */
export function valueRule(name: string, kind: number, value: string): string | undefined {
  switch (kind) {
    case TE: // RFC 9113 section 8.2.2
      return value.toLowerCase() === 'trailers' ? undefined : 'Value of "te" is not "trailers"';
    case CONTENT_LENGTH: // 15 digits stay an exact integer
      return /^\d{1,15}$/.test(value) ? undefined : 'Value of "content-length" is not a length';
    case METHOD:
      return value !== '' && consistsOf(value, TOKEN) ? undefined : 'Value of ":method" is not a token';
    case STATUS:
      return /^[1-5]\d\d$/.test(value) ? undefined : 'Value of ":status" is not three digits from 100 to 599';
    case SCHEME:
    case AUTHORITY:
    case PATH:
    case PROTOCOL: // a blank would end the target in a request line of HTTP/1.1
      return consistsOf(value, TARGET) ? undefined : `Value of "${name}" has forbidden bytes`;
    default:
      if (!consistsOf(value, VALUE)) return `Value of "${short(name)}" has forbidden bytes`;
      return hasOuterBlank(value) ? `Value of "${short(name)}" begins or ends with a blank` : undefined;
  }
}

function consistsOf(text: string, mark: number): boolean {
  for (let i = 0; i < text.length; i++) if ((BYTES[text.charCodeAt(i)]! & mark) === 0) return false;
  return true;
}

function hasOuterBlank(value: string): boolean {
  if (value === '') return false;
  const first = value.charCodeAt(0);
  const last = value.charCodeAt(value.length - 1);
  return first === 0x20 || first === 0x09 || last === 0x20 || last === 0x09;
}

/** Names are the peer's: what is logged of one has a bound. */
function short(name: string): string {
  return name.length > 64 ? `${name.slice(0, 64)}…` : name;
}
