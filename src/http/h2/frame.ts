/**
 * Frames of HTTP/2: their names, and reading them off the front of whatever pieces a socket delivers.
 * Writing is in frame-writer.ts.
 *
 * @see RFC 9113 sections 4 and 6
 */
import { owned } from '../../net/read-buffer.ts';

export const FRAME_HEADER_BYTES = 9;
/** SETTINGS_MAX_FRAME_SIZE of both sides unless said otherwise (RFC 9113 section 6.5.2). We never ask for more. */
export const FRAME_BYTES_MAX = 16_384;
/** Flow-control windows at the start (RFC 9113 section 6.9.2). */
export const WINDOW_BYTES_START = 65_535;
/** Largest flow-control window (RFC 9113 section 6.9.1). */
export const WINDOW_BYTES_MAX = 0x7fffffff;
export const STREAM_ID_MAX = 0x7fffffff;

/** What a client sends first (RFC 9113 section 3.4). */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');

export const FRAME = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
  /** RFC 9218 section 7.1. */
  PRIORITY_UPDATE: 16,
} as const;

export const FLAG = { END_STREAM: 1, ACK: 1, END_HEADERS: 4, PADDED: 8, PRIORITY: 32 } as const;

export const SETTING = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
  /** RFC 8441 section 3. */
  ENABLE_CONNECT_PROTOCOL: 8,
  /** RFC 9218 section 2.1. */
  NO_RFC7540_PRIORITIES: 9,
} as const;

/** Error codes (RFC 9113 section 7), by the names that logs and metrics print. */
export const H2_ERROR = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  SETTINGS_TIMEOUT: 4,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  CONNECT_ERROR: 10,
  ENHANCE_YOUR_CALM: 11,
  INADEQUATE_SECURITY: 12,
  HTTP_1_1_REQUIRED: 13,
} as const;

const ERROR_NAMES: readonly string[] = Object.keys(H2_ERROR);

/** For logs: codes that are not known print as numbers (RFC 9113 section 7: they are no error of their own). */
export function h2ErrorName(code: number): string {
  return ERROR_NAMES[code] ?? String(code);
}

/** What ends a whole connection: the code for GOAWAY and words for the log. */
export class H2ConnectionError {
  readonly code: number;
  readonly detail: string;
  /** For metrics, of a closed list: what was overdone (flood-guard.ts), else the name of the code. */
  readonly reason: string;

  constructor(code: number, detail: string, reason: string = h2ErrorName(code)) {
    this.code = code;
    this.detail = detail;
    this.reason = reason;
  }
}

/**
 * Told of every complete frame, in order. `bytes` holds the payload from `start` to `end` and is valid only during the
 * call. Nothing is interpreted here but the frame header.
 */
export interface FrameSink {
  /** @returns a connection error, which ends the reading, or undefined to go on */
  onFrame(frame: FrameHeader, bytes: Buffer, start: number, end: number): H2ConnectionError | undefined;
}

/** One object per connection, overwritten by each frame. */
export interface FrameHeader {
  type: number;
  flags: number;
  streamId: number;
}

/** Finds frames in what a socket delivers. A frame that lies in one piece is not copied. */
export class FrameReader {
  readonly #sink: FrameSink;
  readonly #frameBytesMax: number;
  readonly #header: FrameHeader = { type: 0, flags: 0, streamId: 0 };
  /** The beginning of a frame whose rest has not come; grows to the size of that frame and no further. */
  #held: Buffer | undefined;
  #heldBytes = 0;

  constructor(sink: FrameSink, frameBytesMax: number = FRAME_BYTES_MAX) {
    this.#sink = sink;
    this.#frameBytesMax = frameBytesMax;
  }

  /** Whether the pieces so far end inside a frame. */
  get insideFrame(): boolean {
    return this.#heldBytes > 0;
  }

  /** Type of the frame inside which the pieces end; -1 when that is not known yet. */
  get heldType(): number {
    return this.#heldBytes > 3 ? this.#held![3]! : -1;
  }

  /** @returns a connection error: of a frame larger than we allow, or of the sink */
  take(piece: Buffer): H2ConnectionError | undefined {
    let at = 0;
    if (this.#heldBytes > 0) {
      const used = this.#fill(piece);
      if (used instanceof H2ConnectionError) return used;
      at = used;
    }
    while (piece.length - at >= FRAME_HEADER_BYTES) {
      const size = (piece[at]! << 16) | (piece[at + 1]! << 8) | piece[at + 2]!;
      if (size > this.#frameBytesMax) return this.#tooLarge(size);
      const start = at + FRAME_HEADER_BYTES;
      if (piece.length - start < size) break;
      const error = this.#emit(piece, at, start + size);
      if (error !== undefined) return error;
      at = start + size;
    }
    if (at < piece.length) this.#hold(piece, at);
    return undefined;
  }

  /** Completes the held frame from `piece`. @returns how many bytes of it were used */
  #fill(piece: Buffer): number | H2ConnectionError {
    let held = this.#held!;
    let at = 0;
    while (this.#heldBytes < FRAME_HEADER_BYTES) {
      if (at === piece.length) return at;
      held[this.#heldBytes++] = piece[at++]!;
    }
    const size = (held[0]! << 16) | (held[1]! << 8) | held[2]!;
    if (size > this.#frameBytesMax) return this.#tooLarge(size);
    const whole = FRAME_HEADER_BYTES + size;
    if (held.length < whole) {
      const larger = Buffer.allocUnsafe(whole);
      held.copy(larger, 0, 0, this.#heldBytes);
      this.#held = held = larger;
    }
    const more = Math.min(whole - this.#heldBytes, piece.length - at);
    piece.copy(held, this.#heldBytes, at, at + more);
    this.#heldBytes += more;
    if (this.#heldBytes < whole) return at + more;
    this.#held = undefined;
    this.#heldBytes = 0;
    return this.#emit(held, 0, whole) ?? at + more;
  }

  #hold(piece: Buffer, at: number): void {
    const rest = piece.length - at;
    this.#held = rest < FRAME_HEADER_BYTES ? Buffer.allocUnsafe(FRAME_HEADER_BYTES) : owned(piece.subarray(at));
    if (rest < FRAME_HEADER_BYTES) piece.copy(this.#held, 0, at);
    this.#heldBytes = rest;
  }

  #emit(bytes: Buffer, at: number, end: number): H2ConnectionError | undefined {
    const header = this.#header;
    header.type = bytes[at + 3]!;
    header.flags = bytes[at + 4]!;
    // The highest bit is reserved and ignored (RFC 9113 section 4.1).
    header.streamId = ((bytes[at + 5]! & 0x7f) << 24) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 8) | bytes[at + 8]!;
    return this.#sink.onFrame(header, bytes, at + FRAME_HEADER_BYTES, end);
  }

  #tooLarge(size: number): H2ConnectionError {
    return new H2ConnectionError(
      H2_ERROR.FRAME_SIZE_ERROR,
      `Frame of ${size} bytes: at most ${this.#frameBytesMax} are allowed`,
    );
  }
}
