/** Length of a set of keys: name, HMAC and AES key of 16 bytes each (RFC 5077 section 4, as OpenSSL has it). */
export const TICKET_KEY_BYTES = 48;

/**
 * The keys that seal TLS session tickets. All workers of a process hold the same,
 * so that a session begun with one resumes with any other.
 *
 * One set is in use at a time: after `rotate` a client with an older ticket makes
 * one full handshake. Rotate daily; whoever has the keys can read what was sent in
 * resumed sessions of TLS 1.2.
 */
export class TicketKeys {
  #bytes: Uint8Array;
  #generation = 0;

  /** @throws {RangeError} unless there are {@link TICKET_KEY_BYTES} bytes */
  constructor(bytes: Uint8Array) {
    this.#bytes = checked(bytes);
  }

  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** Changes with the keys. */
  get generation(): number {
    return this.#generation;
  }

  rotate(bytes: Uint8Array): void {
    this.#bytes = checked(bytes);
    this.#generation++;
  }
}

function checked(bytes: Uint8Array): Uint8Array {
  if (bytes.length === TICKET_KEY_BYTES) return bytes;
  throw new RangeError(`Cannot use ticket keys of ${bytes.length} bytes: ${TICKET_KEY_BYTES} are needed`);
}
