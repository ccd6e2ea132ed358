/** Length of a set of keys: name, HMAC and AES key of 16 bytes each (RFC 5077 section 4, as OpenSSL has it). */
export const TICKET_KEY_BYTES = 48;

/** Length of the name, which stands in clear at the start of every ticket. */
export const TICKET_KEY_NAME_BYTES = 16;

/** One set of keys. */
export interface TicketKeySet {
  readonly bytes: Uint8Array;
  /** Its name as it stands in tickets, one character for each byte. */
  readonly name: string;
  /** Counts up with each new set. */
  readonly generation: number;
}

/**
 * The keys that seal TLS session tickets. All workers of a process hold the same,
 * so that a session begun with one resumes with any other.
 *
 * Two sets are in use at a time: the current one, and for tickets that it sealed
 * the one before. A ticket is good for one to two periods; whoever has the keys
 * can read what was sent in resumed sessions of TLS 1.2, so older ones are gone.
 */
export class TicketKeys {
  #current: TicketKeySet;
  #previous: TicketKeySet | undefined;

  /** @throws {RangeError} unless each has {@link TICKET_KEY_BYTES} bytes */
  constructor(current: Uint8Array, previous?: Uint8Array) {
    this.#previous = previous === undefined ? undefined : keySet(previous, 0);
    this.#current = keySet(current, 1);
  }

  get current(): TicketKeySet {
    return this.#current;
  }

  get previous(): TicketKeySet | undefined {
    return this.#previous;
  }

  /** The set for a client that shows a ticket sealed with the key of this name; the current one when it is not known. */
  setFor(ticketKeyName: string): TicketKeySet {
    return this.#previous?.name === ticketKeyName ? this.#previous : this.#current;
  }

  rotate(bytes: Uint8Array): void {
    const next = keySet(bytes, this.#current.generation + 1);
    this.#previous = this.#current;
    this.#current = next;
  }
}

function keySet(bytes: Uint8Array, generation: number): TicketKeySet {
  if (bytes.length !== TICKET_KEY_BYTES) {
    throw new RangeError(`Cannot use ticket keys of ${bytes.length} bytes: ${TICKET_KEY_BYTES} are needed`);
  }
  return { bytes, name: Buffer.from(bytes.subarray(0, TICKET_KEY_NAME_BYTES)).toString('latin1'), generation };
}
