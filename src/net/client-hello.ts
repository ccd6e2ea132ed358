/** What a TLS client asks for, read from its first message before any TLS engine is started. */
import { TICKET_KEY_NAME_BYTES } from './ticket-keys.ts';

export interface ClientHello {
  /** Server name indication in lower case without a trailing dot; empty when the client sent none. */
  readonly serverName: string;
  /** Protocols offered by ALPN, in the client's order; empty when it offers none. */
  readonly alpn: readonly string[];
  /** As numbered by IANA, in the client's order. */
  readonly cipherSuites: readonly number[];
  /** Whether it can speak TLS 1.3. */
  readonly tls13: boolean;
  /** How the ticket begins with which it wants to resume a session: the name of our key. Empty without one. */
  readonly ticketKeyName: string;
}

/** Bytes that a ClientHello may take, records included. Usual ones have 300 to 2,000 bytes. Beyond: malformed. */
export const CLIENT_HELLO_BYTES_MAX = 16 * 1024;

const RECORD_HANDSHAKE = 22;
const HANDSHAKE_CLIENT_HELLO = 1;
const EXTENSION_SERVER_NAME = 0;
const EXTENSION_ALPN = 16;
const EXTENSION_SESSION_TICKET = 35;
const EXTENSION_PRE_SHARED_KEY = 41;
const EXTENSION_SUPPORTED_VERSIONS = 43;
const VERSION_TLS_13 = 0x0304;
const NAME_TYPE_HOST = 0;
const RECORD_HEADER_BYTES = 5;
/** RFC 8446 section 5.1. */
const RECORD_BYTES_MAX = 16_384;
/** RFC 1035 section 2.3.4, less the length of the root. */
const HOST_CHARS_MAX = 253;

/**
 * Reads the ClientHello at the start of a connection.
 *
 * Only its outer form is checked: the TLS engine reads it again and is the judge
 * of everything else. What cannot be read here would be refused there.
 *
 * @param bytes  all that the client has sent so far; not kept, not changed
 * @returns `'more'` when the message is not complete; `'not-tls'` when this is another protocol (or SSL 2);
 *   `'malformed'` when no continuation can make it valid
 * @see RFC 8446 sections 4.1.2, 4.2.1, 4.2.11 and 5.1; RFC 5077 section 3.2; RFC 6066 section 3; RFC 7301 section 3.1
 */
export function readClientHello(bytes: Uint8Array): ClientHello | 'more' | 'not-tls' | 'malformed' {
  const message = unwrapRecords(bytes);
  if (typeof message === 'string') return message;
  try {
    return readMessage(new Cursor(message));
  } catch (error) {
    if (error instanceof CutShort) return 'malformed';
    throw error;
  }
}

/** The handshake message inside one or several records: a client may cut it where it likes. */
function unwrapRecords(bytes: Uint8Array): Uint8Array | 'more' | 'not-tls' | 'malformed' {
  const message = new Uint8Array(bytes.length);
  let length = 0;
  for (let at = 0; ;) {
    if (at < bytes.length && bytes[at] !== RECORD_HANDSHAKE) return at === 0 ? 'not-tls' : 'malformed';
    // All versions that are spoken say major version 3 here.
    if (at + 1 < bytes.length && bytes[at + 1] !== 3) return at === 0 ? 'not-tls' : 'malformed';
    const body = at + RECORD_HEADER_BYTES;
    if (body > bytes.length) return tooLong(bytes) ? 'malformed' : 'more';
    const size = bytes[at + 3]! * 256 + bytes[at + 4]!;
    if (size === 0 || size > RECORD_BYTES_MAX) return 'malformed';
    const piece = bytes.subarray(body, body + size);
    message.set(piece, length);
    length += piece.length;
    if (length > 0 && message[0] !== HANDSHAKE_CLIENT_HELLO) return 'malformed';
    if (length >= 4) {
      const end = 4 + message[1]! * 65_536 + message[2]! * 256 + message[3]!;
      if (end > CLIENT_HELLO_BYTES_MAX) return 'malformed';
      if (length >= end) return message.subarray(4, end);
    }
    if (piece.length < size) return tooLong(bytes) ? 'malformed' : 'more';
    at = body + size;
  }
}

/** Many tiny records could make a short message long. */
function tooLong(bytes: Uint8Array): boolean {
  return bytes.length >= CLIENT_HELLO_BYTES_MAX;
}

function readMessage(message: Cursor): ClientHello {
  message.skip(2 + 32); // version, random
  message.skip(message.uint8()); // session id
  const cipherSuites = readUint16s(message.take(message.uint16()));
  message.skip(message.uint8()); // compression methods
  let serverName = '';
  let alpn: readonly string[] = [];
  let tls13 = false;
  let ticketKeyName = '';
  // TLS 1.2 allows a message that ends here.
  const extensions = message.left === 0 ? message : message.take(message.uint16());
  while (extensions.left > 0) {
    const type = extensions.uint16();
    const body = extensions.take(extensions.uint16());
    if (type === EXTENSION_SERVER_NAME) serverName = readServerName(body);
    else if (type === EXTENSION_ALPN) alpn = readAlpn(body);
    else if (type === EXTENSION_SUPPORTED_VERSIONS) {
      tls13 = readUint16s(body.take(body.uint8())).includes(VERSION_TLS_13);
    } else if (type === EXTENSION_SESSION_TICKET) ticketKeyName ||= readTicketKeyName(body);
    else if (type === EXTENSION_PRE_SHARED_KEY) {
      // Further identities are those of older sessions.
      const identities = body.take(body.uint16());
      ticketKeyName = readTicketKeyName(identities.take(identities.uint16()));
    }
  }
  return { serverName, alpn, cipherSuites, tls13, ticketKeyName };
}

function readTicketKeyName(ticket: Cursor): string {
  return ticket.left < TICKET_KEY_NAME_BYTES ? '' : ticket.take(TICKET_KEY_NAME_BYTES).latin1();
}

function readUint16s(list: Cursor): number[] {
  const numbers: number[] = [];
  while (list.left > 0) numbers.push(list.uint16());
  return numbers;
}

function readServerName(body: Cursor): string {
  const list = body.take(body.uint16());
  while (list.left > 0) {
    const type = list.uint8();
    const name = list.take(list.uint16()).latin1();
    if (type !== NAME_TYPE_HOST) continue;
    // RFC 6066 section 3: ASCII, without a trailing dot; some clients send it all the same.
    if (name.length === 0 || name.length > HOST_CHARS_MAX + 1 || !/^[!-~]+$/.test(name)) throw new CutShort();
    return (name.endsWith('.') ? name.slice(0, -1) : name).toLowerCase();
  }
  return '';
}

function readAlpn(body: Cursor): string[] {
  const protocols: string[] = [];
  const list = body.take(body.uint16());
  while (list.left > 0) protocols.push(list.take(list.uint8()).latin1());
  return protocols;
}

/** A length points past the end. */
class CutShort extends Error {}

/** Reads big-endian numbers and pieces off the front. */
class Cursor {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  skip(length: number): void {
    if (length > this.left) throw new CutShort();
    this.#at += length;
  }

  take(length: number): Cursor {
    const start = this.#at;
    this.skip(length);
    return new Cursor(this.#bytes.subarray(start, start + length));
  }

  uint8(): number {
    this.skip(1);
    return this.#bytes[this.#at - 1]!;
  }

  uint16(): number {
    return this.uint8() * 256 + this.uint8();
  }

  /** One character for each byte. */
  latin1(): string {
    return Buffer.from(this.#bytes).toString('latin1');
  }
}
