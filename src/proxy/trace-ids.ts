/**
 * Request ids and W3C trace context for requests that bring none. A trace id is
 * 64 bits of this worker and 64 random bits: unique enough for every purpose of
 * a trace, and cheap. The request id of such a request is its trace id, so that
 * log and trace find each other.
 *
 * @see W3C Trace Context, section 3.2
 */
import type { Random } from '../base/random.ts';

/** Random digits made at once: cutting an id out of a long string costs far less than making one. */
const POOL_BYTES = 2_048;
const ID_DIGITS = 16;

export class TraceIds {
  readonly #random: Random;
  readonly #worker: string;
  readonly #bytes = Buffer.alloc(POOL_BYTES);
  #pool = '';
  #next = 0;

  constructor(random: Random) {
    this.#random = random;
    this.#worker = this.spanId();
  }

  /** 32 hex digits. */
  traceId(): string {
    return this.#worker + this.spanId();
  }

  /** 16 hex digits, never all zero. */
  spanId(): string {
    if (this.#next === this.#pool.length) this.#fill();
    const start = this.#next;
    this.#next = start + ID_DIGITS;
    return this.#pool.slice(start, this.#next);
  }

  #fill(): void {
    for (let at = 0; at < POOL_BYTES; at += 4) this.#bytes.writeUInt32BE((this.#random.bits32() | 1) >>> 0, at);
    this.#pool = this.#bytes.toString('hex');
    this.#next = 0;
  }
}

const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-((?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?$/;

/** Trace id of a `traceparent` value; undefined when the value is not valid and must not be passed on. */
export function traceIdOf(traceparent: string): string | undefined {
  return TRACEPARENT.exec(traceparent)?.[1];
}

/** A request id that may be passed on: visible characters without those that break logs; at most 128. */
export function isRequestId(value: string): boolean {
  return value.length > 0 && value.length <= 128 && /^[A-Za-z0-9._~:/+=@-]+$/.test(value);
}
