/**
 * Request ids and W3C trace context for requests that bring none. A trace id is
 * 64 bits of this worker and 64 random bits: unique enough for every purpose of
 * a trace, and cheap. The request id of such a request is its trace id, so that
 * log and trace find each other.
 *
 * @see W3C Trace Context, section 3.2
 */
import type { Random } from '../base/random.ts';

const HEX3 = Array.from({ length: 4096 }, (_, n) => n.toString(16).padStart(3, '0'));
const HEX2 = Array.from({ length: 256 }, (_, n) => n.toString(16).padStart(2, '0'));

export class TraceIds {
  readonly #random: Random;
  readonly #worker: string;

  constructor(random: Random) {
    this.#random = random;
    this.#worker = hex8(random.bits32() | 1) + hex8(random.bits32());
  }

  /** 32 hex digits. */
  traceId(): string {
    return this.#worker + this.spanId();
  }

  /** 16 hex digits, never all zero. */
  spanId(): string {
    return hex8(this.#random.bits32() | 1) + hex8(this.#random.bits32());
  }
}

function hex8(bits: number): string {
  return HEX3[bits >>> 20]! + HEX3[(bits >>> 8) & 0xfff]! + HEX2[bits & 0xff]!;
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
