/**
 * Takes the framing off one HTTP/1.1 body: by length, by chunks, or until the
 * connection closes. Hands on slices of the receive buffer, never copies, and
 * stops at the first byte that belongs to the next message.
 *
 * @see RFC 9112 sections 6 and 7
 */
import { Fault } from '../../base/fault.ts';
import { Headers } from '../headers.ts';
import { latin1 } from '../latin1.ts';
import { parseTrailers } from './parse-head.ts';

export interface BodySink {
  onBytes(bytes: Buffer): void;
}

/** Longest chunk-size line, extensions included. Extensions have no known use; long ones are an attack. */
const CHUNK_LINE_BYTES_MAX = 256;
/** Hex digits of the largest chunk size: 13 digits is 2^52 - 1. */
const HEX_DIGITS_MAX = 13;

const CR = 0x0d;
const LF = 0x0a;
const SEMICOLON = 0x3b;

type State =
  | 'done'
  | 'length'
  | 'until-close'
  | 'size'
  | 'extension'
  | 'size-lf'
  | 'chunk'
  | 'chunk-cr'
  | 'chunk-lf'
  | 'trailers';

export class BodyReader {
  #state: State = 'done';
  #left = 0;
  #digits = 0;
  #lineBytes = 0;
  #total = 0;
  #bytesMax = 0;
  #trailerBytesMax = 0;
  #headersMax = 0;
  #trailerText = '';
  trailers: Headers | undefined;

  /** @param bytesMax  bound of the body without framing, 0 for none */
  limit(bytesMax: number, trailerBytesMax: number, headersMax: number): void {
    this.#bytesMax = bytesMax;
    this.#trailerBytesMax = trailerBytesMax;
    this.#headersMax = headersMax;
  }

  startLength(length: number): void {
    this.trailers = undefined;
    this.#left = length;
    this.#state = length === 0 ? 'done' : 'length';
  }

  startChunked(): void {
    this.trailers = undefined;
    this.#total = 0;
    this.#beginSize();
  }

  startUntilClose(): void {
    this.trailers = undefined;
    this.#total = 0;
    this.#state = 'until-close';
  }

  get done(): boolean {
    return this.#state === 'done';
  }

  /** Whether the body ends with the connection, so that a close is its proper end. */
  get endsWithClose(): boolean {
    return this.#state === 'until-close';
  }

  /**
   * Reads from `bytes[at]` on, calling `sink` for each piece of body.
   *
   * @returns offset of the first byte that was not used: `bytes.length` when more is needed, less when
   *   the body is {@link done}; or a fault (`request.malformed`, `request.body-too-large`,
   *   `request.headers-too-large` for trailers), whose side the caller knows
   */
  read(bytes: Buffer, at: number, sink: BodySink): number | Fault {
    let i = at;
    while (i < bytes.length) {
      switch (this.#state) {
        case 'done':
          return i;
        case 'length':
        case 'chunk': {
          const n = Math.min(this.#left, bytes.length - i);
          this.#left -= n;
          if (this.#left === 0) this.#state = this.#state === 'length' ? 'done' : 'chunk-cr';
          sink.onBytes(n === bytes.length ? bytes : bytes.subarray(i, i + n));
          i += n;
          break;
        }
        case 'until-close': {
          const fault = this.#countBytes(bytes.length - i);
          if (fault !== undefined) return fault;
          sink.onBytes(i === 0 ? bytes : bytes.subarray(i));
          return bytes.length;
        }
        case 'trailers': {
          const next = this.#readTrailers(bytes, i);
          if (typeof next !== 'number') return next;
          i = next;
          break;
        }
        default: {
          const fault = this.#readFraming(bytes[i]!);
          if (fault !== undefined) return fault;
          i++;
        }
      }
    }
    return i;
  }

  /** One byte of a chunk-size line or of the CRLF after a chunk (RFC 9112 section 7.1). */
  #readFraming(byte: number): Fault | undefined {
    switch (this.#state) {
      case 'size': {
        const digit = hexDigit(byte);
        if (digit >= 0) {
          if (++this.#digits > HEX_DIGITS_MAX) return malformed('Chunk size is too long');
          this.#left = this.#left * 16 + digit;
          return undefined;
        }
        if (this.#digits === 0) return malformed('Chunk size is not hexadecimal');
        if (byte === CR) this.#state = 'size-lf';
        else if (byte === SEMICOLON) this.#state = 'extension';
        else return malformed('Chunk size is followed by a byte that is not allowed');
        return undefined;
      }
      case 'extension':
        if (++this.#lineBytes > CHUNK_LINE_BYTES_MAX) return malformed('Chunk extension is too long');
        if (byte === CR) this.#state = 'size-lf';
        else if ((byte < 0x20 && byte !== 0x09) || byte > 0x7e)
          return malformed('Chunk extension has a byte that is not allowed');
        return undefined;
      case 'size-lf':
        if (byte !== LF) return malformed('Chunk size line does not end in CRLF');
        return this.#beginChunk();
      case 'chunk-cr':
        if (byte !== CR) return malformed('Chunk is longer than its size');
        this.#state = 'chunk-lf';
        return undefined;
      default:
        if (byte !== LF) return malformed('Chunk does not end in CRLF');
        this.#beginSize();
        return undefined;
    }
  }

  #beginSize(): void {
    this.#state = 'size';
    this.#left = 0;
    this.#digits = 0;
    this.#lineBytes = 0;
  }

  #beginChunk(): Fault | undefined {
    if (this.#left === 0) {
      this.#state = 'trailers';
      this.#trailerText = '';
      return undefined;
    }
    this.#state = 'chunk';
    return this.#countBytes(this.#left);
  }

  #countBytes(bytes: number): Fault | undefined {
    this.#total += bytes;
    if (this.#bytesMax === 0 || this.#total <= this.#bytesMax) return undefined;
    return new Fault('request.body-too-large', `Body is longer than ${this.#bytesMax} bytes`);
  }

  /** Collects trailer lines until the empty one. Nearly always that is the first. */
  #readTrailers(bytes: Buffer, at: number): number | Fault {
    const before = this.#trailerText.length;
    const room = this.#trailerBytesMax + 2 - before;
    const text = this.#trailerText + latin1(bytes, at, Math.min(bytes.length, at + room + 2));
    if (text.startsWith('\r\n')) {
      this.#state = 'done';
      return at + 2 - before;
    }
    const end = text.indexOf('\r\n\r\n');
    if (end < 0) {
      if (text.length > this.#trailerBytesMax) {
        return new Fault('request.headers-too-large', `Trailer section is longer than ${this.#trailerBytesMax} bytes`);
      }
      if (hasBareLf(text)) return malformed('Trailer line ends in a bare LF');
      this.#trailerText = text;
      return bytes.length;
    }
    const trailers = new Headers();
    const fault = parseTrailers(text, { start: 0, end: end + 2 }, trailers, this.#headersMax);
    if (fault !== undefined) return fault;
    this.trailers = trailers;
    this.#state = 'done';
    this.#trailerText = '';
    return at + end + 4 - before;
  }
}

/** A line feed from `from` on that no carriage return goes before: some parsers end a line there (RFC 9112 section 2.2). */
export function hasBareLf(text: string, from = 0): boolean {
  for (let i = text.indexOf('\n', from); i >= 0; i = text.indexOf('\n', i + 1)) {
    if (text.charCodeAt(i - 1) !== CR) return true;
  }
  return false;
}

/** Value of an ASCII hex digit, or -1. */
function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function malformed(detail: string): Fault {
  return new Fault('request.malformed', detail);
}
