/**
 * Finds the end of a message head in what arrives, in one piece nearly always,
 * in single bytes if it must be. Refuses early what can never become a head, so
 * that nobody waits for a timeout to learn of a mistake.
 */
import { Fault } from '../../base/fault.ts';
import { latin1 } from '../latin1.ts';
import { hasBareLf } from './body-reader.ts';

/** Where a complete head lies. One object per collector, filled anew for each head. */
export interface FoundHead {
  text: string;
  start: number;
  /** Offset of the final empty line. */
  end: number;
  /** What follows the head; undefined when nothing does. */
  rest: Buffer | undefined;
}

/** Most heads are shorter; only longer ones cost a second look. */
const FIRST_LOOK_BYTES = 4_096;

const END = '\r\n\r\n';

export class HeadCollector {
  readonly #lineBytesMax: number;
  readonly #headerBytesMax: number;
  readonly #found: FoundHead = { text: '', start: 0, end: 0, rest: undefined };
  #pending: Buffer | undefined;
  /** Bytes of `#pending` that were searched for the end already. */
  #searched = 0;
  /** Bytes of `#pending` in use; it grows by doubling. */
  #length = 0;

  constructor(lineBytesMax: number, headerBytesMax: number) {
    this.#lineBytesMax = lineBytesMax;
    this.#headerBytesMax = headerBytesMax;
  }

  /** Whether part of a head has arrived. */
  get started(): boolean {
    return this.#length > 0;
  }

  take(bytes: Buffer): FoundHead | 'more' | Fault {
    if (this.#length > 0) return this.#takeMore(bytes);
    const start = leadingEmptyLine(bytes);
    let text = latin1(bytes, 0, Math.min(bytes.length, FIRST_LOOK_BYTES));
    let at = text.indexOf(END, start);
    if (at < 0 && bytes.length > FIRST_LOOK_BYTES) {
      text = latin1(bytes, 0, Math.min(bytes.length, this.#bytesMax()));
      at = text.indexOf(END, start);
    }
    if (at < 0) return this.#keep(bytes, text);
    return this.#checked(text, start, at, bytes);
  }

  /** Forgets a half-arrived head. */
  clear(): void {
    this.#pending = undefined;
    this.#length = 0;
    this.#searched = 0;
  }

  #takeMore(bytes: Buffer): FoundHead | 'more' | Fault {
    this.#append(bytes);
    const pending = this.#pending!.subarray(0, this.#length);
    const from = Math.max(0, this.#searched - 3);
    const start = leadingEmptyLine(pending);
    const at = pending.indexOf(END, Math.max(start, from), 'latin1');
    if (at < 0) {
      this.#searched = this.#length;
      return this.#refusedEarly(pending, start, from) ?? 'more';
    }
    const text = latin1(pending, 0, at + END.length);
    // The pieces are copied out: `pending` is used again for the next head.
    const rest = this.#length > at + END.length ? Buffer.from(pending.subarray(at + END.length)) : undefined;
    this.clear();
    const found = this.#checked(text, start, at, undefined);
    if (!(found instanceof Fault)) found.rest = rest;
    return found;
  }

  #append(bytes: Buffer): void {
    const needed = this.#length + bytes.length;
    if (this.#pending === undefined || this.#pending.length < needed) {
      const grown = Buffer.allocUnsafeSlow(Math.max(256, needed * 2));
      this.#pending?.copy(grown, 0, 0, this.#length);
      this.#pending = grown;
    }
    bytes.copy(this.#pending, this.#length);
    this.#length = needed;
  }

  #keep(bytes: Buffer, text: string): 'more' | Fault {
    if (bytes.length === 0) return 'more';
    const fault = refusedAtOnce(text, this.#limits(), leadingEmptyLine(bytes));
    if (fault !== undefined) return fault;
    this.#append(bytes);
    this.#searched = this.#length;
    return 'more';
  }

  #refusedEarly(pending: Buffer, start: number, from: number): Fault | undefined {
    // Only what is new is looked at for forbidden bytes, with the byte before it, and the line lengths once per piece.
    const before = Math.max(0, from - 1);
    if (hasBareLf(latin1(pending, before), from - before)) return malformedLf();
    if (from < start + 1 && pending.length > start) {
      const fault = badFirstByte(pending[start]!);
      if (fault !== undefined) return fault;
    }
    return this.#length > Math.min(this.#lineBytesMax, this.#headerBytesMax)
      ? tooLong(latin1(pending, 0, this.#length), start, this.#limits(), this.#length)
      : undefined;
  }

  #checked(text: string, start: number, at: number, bytes: Buffer | undefined): FoundHead | Fault {
    if (at - start > Math.min(this.#lineBytesMax, this.#headerBytesMax)) {
      const fault = tooLong(text, start, this.#limits(), at + 2);
      if (fault !== undefined) return fault;
    }
    const found = this.#found;
    found.text = text;
    found.start = start;
    found.end = at + 2;
    const next = at + END.length;
    found.rest = bytes !== undefined && bytes.length > next ? bytes.subarray(next) : undefined;
    return found;
  }

  #limits(): Limits {
    return { lineBytesMax: this.#lineBytesMax, headerBytesMax: this.#headerBytesMax };
  }

  #bytesMax(): number {
    return this.#lineBytesMax + this.#headerBytesMax + END.length + 2;
  }
}

interface Limits {
  readonly lineBytesMax: number;
  readonly headerBytesMax: number;
}

/** RFC 9112 section 2.2: one empty line before a request is passed over. */
function leadingEmptyLine(bytes: Buffer): number {
  return bytes[0] === 0x0d && bytes[1] === 0x0a ? 2 : 0;
}

function refusedAtOnce(text: string, limits: Limits, start: number): Fault | undefined {
  if (hasBareLf(text)) return malformedLf();
  const fault = text.length > start ? badFirstByte(text.charCodeAt(start)) : undefined;
  if (fault !== undefined) return fault;
  return tooLong(text, start, limits, text.length);
}

/** No method and no version begins like this; a CR may still become the empty line before a request. */
function badFirstByte(first: number): Fault | undefined {
  if ((first >= 0x21 && first <= 0x7e) || first === 0x0d) return undefined;
  return new Fault(
    'request.malformed',
    first === 0x16 ? 'TLS on a port without TLS' : 'Head begins with a forbidden byte',
  );
}

function malformedLf(): Fault {
  return new Fault('request.malformed', 'Line ends in a bare LF');
}

/** The first line counts for itself (414), the others together (431). */
function tooLong(text: string, start: number, limits: Limits, end: number): Fault | undefined {
  const lineEnd = text.indexOf('\r\n', start);
  const lineBytes = (lineEnd < 0 ? end : lineEnd) - start;
  if (lineBytes > limits.lineBytesMax) {
    return new Fault('request.line-too-long', `Request line is longer than ${limits.lineBytesMax} bytes`);
  }
  if (lineEnd >= 0 && end - lineEnd - 2 > limits.headerBytesMax) {
    return new Fault('request.headers-too-large', `Headers are longer than ${limits.headerBytesMax} bytes`);
  }
  return undefined;
}
