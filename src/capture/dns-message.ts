/** Messages of DNS (RFC 1035 section 4), as far as an answerer for a handful of names needs them. */

/** Header, and behind it at most a name, type and class: RFC 1035 section 4.1.1. */
const HEADER_BYTES = 12;
const LABEL_BYTES_MAX = 63;
const NAME_BYTES_MAX = 255;

/** Of a message over TCP; one of UDP with EDNS has at most as many. */
export const MESSAGE_BYTES_MAX = 65_535;

/** What we say that we take by UDP: no fragment on any path (DNS flag day 2020). */
const UDP_BYTES = 1_232;

export const TYPES = { a: 1, any: 255, opt: 41 } as const;
const CLASS_IN = 1;

/** Response codes: RFC 1035 section 4.1.1. */
export const RCODES = { noError: 0, malformed: 1, failed: 2, notImplemented: 4 } as const;

const QR = 0x8000;
const AA = 0x0400;
const RD = 0x0100;
const RA = 0x0080;
const OPCODE = 0x7800;

export interface Question {
  readonly id: number;
  /** Lower case, without the dot at the end; undefined for a name with bytes that no name of a host has. */
  readonly name: string | undefined;
  readonly type: number;
  /** Whether it asks about the Internet: other classes are none of our business. */
  readonly isInternet: boolean;
  /** First byte behind it. */
  readonly end: number;
  readonly recursionDesired: boolean;
  /** Whether the client speaks EDNS (RFC 6891): then so must the answer. */
  readonly hasOptions: boolean;
}

/** Reads a query. @returns a response code when it gets no other answer, undefined when it gets none at all */
export function readQuestion(bytes: Uint8Array): Question | number | undefined {
  if (bytes.length < HEADER_BYTES || bytes.length > MESSAGE_BYTES_MAX) return undefined;
  const view = viewOf(bytes);
  const flags = view.getUint16(2);
  if ((flags & QR) !== 0) return undefined;
  if ((flags & OPCODE) !== 0) return RCODES.notImplemented;
  // RFC 9619: one question, and a query has no answers in it.
  if (view.getUint16(4) !== 1 || view.getUint16(6) !== 0 || view.getUint16(8) !== 0) return RCODES.malformed;
  const read = readName(bytes);
  if (read === undefined || read.end + 4 > bytes.length) return RCODES.malformed;
  const end = read.end + 4;
  return {
    id: view.getUint16(0),
    name: read.name,
    type: view.getUint16(read.end),
    isInternet: view.getUint16(read.end + 2) === CLASS_IN,
    end,
    recursionDesired: (flags & RD) !== 0,
    hasOptions: view.getUint16(10) > 0 && hasOptions(bytes, end),
  };
}

/** The first name. Nothing stands before it that a pointer could lead to: so there is none. */
function readName(bytes: Uint8Array): { readonly name: string | undefined; readonly end: number } | undefined {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  let isPlain = true;
  for (;;) {
    const length = bytes[at];
    if (length === undefined || length > LABEL_BYTES_MAX) return undefined;
    if (length === 0) break;
    const label = bytes.subarray(at + 1, at + 1 + length);
    at += 1 + length;
    if (label.length < length || at - HEADER_BYTES >= NAME_BYTES_MAX) return undefined;
    isPlain &&= label.every((byte) => byte > 0x20 && byte < 0x7f && byte !== 0x2e);
    labels.push(String.fromCharCode(...label).toLowerCase());
  }
  return { name: isPlain ? labels.join('.') : undefined, end: at + 1 };
}

/** The first additional record is nearly always the only one. Its owner is the root: one zero byte. */
function hasOptions(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0 && at + 3 <= bytes.length && viewOf(bytes).getUint16(at + 1) === TYPES.opt;
}

/** An answer of our own. @param addresses  IPv4, in text; none: there is the name, and nothing of this type */
export function answerTo(
  query: Uint8Array,
  question: Question,
  { addresses, ttlS }: { readonly addresses: readonly string[]; readonly ttlS: number },
): Uint8Array {
  const records = addresses.map((address) => {
    const record = Buffer.alloc(16);
    // The name is that of the question: a pointer to it (RFC 1035 section 4.1.4).
    record.writeUInt16BE(0xc000 | HEADER_BYTES, 0);
    record.writeUInt16BE(TYPES.a, 2);
    record.writeUInt16BE(CLASS_IN, 4);
    record.writeUInt32BE(ttlS, 6);
    record.writeUInt16BE(4, 10);
    for (const [i, byte] of address.split('.').entries()) record[12 + i] = Number(byte);
    return record;
  });
  const head = headOf(query, question, { flags: AA, count: records.length });
  return Buffer.concat([head, ...records, optionsOf(question)]);
}

/** An answer without an answer. `question` is absent when it could not be read. */
export function refusalOf(query: Uint8Array, rcode: number, question?: Question): Uint8Array {
  if (question !== undefined) {
    return Buffer.concat([headOf(query, question, { flags: rcode, count: 0 }), optionsOf(question)]);
  }
  const head = Buffer.alloc(HEADER_BYTES);
  head.set(query.subarray(0, 2));
  head.writeUInt16BE(QR | (viewOf(query).getUint16(2) & (OPCODE | RD)) | RA | rcode, 2);
  return head;
}

function headOf(
  query: Uint8Array,
  { id, end, recursionDesired, hasOptions: options }: Question,
  { flags, count }: { readonly flags: number; readonly count: number },
): Buffer {
  const head = Buffer.alloc(end);
  head.writeUInt16BE(id, 0);
  head.writeUInt16BE(QR | RA | flags | (recursionDesired ? RD : 0), 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(count, 6);
  head.writeUInt16BE(options ? 1 : 0, 10);
  head.set(query.subarray(HEADER_BYTES, end), HEADER_BYTES);
  return head;
}

function optionsOf({ hasOptions: options }: Question): Uint8Array {
  return options ? Buffer.from([0, 0, TYPES.opt, UDP_BYTES >> 8, UDP_BYTES & 0xff, 0, 0, 0, 0, 0, 0]) : Buffer.alloc(0);
}

/** The same message under another id. */
export function withId(message: Uint8Array, id: number): Uint8Array {
  const copy = Buffer.from(message);
  copy.writeUInt16BE(id, 0);
  return copy;
}

/** Whether this came as the answer to that: its id, and its question to the letter (RFC 5452 section 9.1). */
export function isAnswerTo(query: Uint8Array, end: number, answer: Uint8Array): boolean {
  if (answer.length < HEADER_BYTES || (answer[2]! & 0x80) === 0) return false;
  if (answer[0] !== query[0] || answer[1] !== query[1]) return false;
  // A server that cannot read the question may leave it out.
  if (viewOf(answer).getUint16(4) === 0) return (answer[3]! & 0x0f) !== RCODES.noError;
  return Buffer.from(answer.subarray(HEADER_BYTES, end)).equals(query.subarray(HEADER_BYTES, end));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
