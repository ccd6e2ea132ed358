/**
 * Follows the frames of one direction of a WebSocket (RFC 6455 section 5.2) to know where one ends and where the closing
 * handshake begins. Nothing is kept, copied or unmasked: the bytes go on as they are, and whether frames mean anything is for the
 * two ends to judge.
 */

/** RFC 6455 section 5.5.1. */
const CLOSE = 0x8;

/** Length of a header without extended length and mask. */
const HEAD_BYTES_MIN = 2;
const MASK_BYTES = 4;

export class FrameTracker {
  /** Bytes of the open frame's payload that are still to come. Infinite once a length was not valid: no border is known then. */
  #payloadLeft = 0;
  /** Bytes of the open frame's header that have come. */
  #headBytes = 0;
  #headSize = HEAD_BYTES_MIN;
  #lengthEnd = HEAD_BYTES_MIN;
  #length = 0;
  #opcode = 0;
  #closing = false;

  /** Whether no frame is open. */
  get atBorder(): boolean {
    return this.#payloadLeft === 0 && this.#headBytes === 0;
  }

  /** Whether a Close frame has begun: no data frame may follow it. */
  get closing(): boolean {
    return this.#closing;
  }

  /** Takes the next piece, cut wherever. @returns offset in it behind the last frame that ends there; -1 when none does */
  push(bytes: Uint8Array): number {
    const end = bytes.length;
    let border = -1;
    let at = 0;
    while (at < end) {
      if (this.#payloadLeft > 0) {
        const skipped = Math.min(this.#payloadLeft, end - at);
        this.#payloadLeft -= skipped;
        at += skipped;
      } else at = this.#readHead(bytes, at);
      if (this.#payloadLeft === 0 && this.#headBytes === 0) border = at;
    }
    return border;
  }

  /** Reads as much of a header as is there. @returns offset of what follows */
  #readHead(bytes: Uint8Array, from: number): number {
    const end = bytes.length;
    let at = from;
    while (at < end) {
      const byte = bytes[at++]!;
      const nth = this.#headBytes++;
      if (nth === 0) this.#opcode = byte & 0x0f;
      else if (nth === 1) this.#readLength(byte);
      else if (nth < this.#lengthEnd) {
        // The most significant bit must be 0.
        if (nth === 2 && byte >= 0x80 && this.#lengthEnd === HEAD_BYTES_MIN + 8) this.#length = Infinity;
        this.#length = this.#length * 256 + byte;
      }
      if (nth > 0 && this.#headBytes === this.#headSize) {
        this.#headBytes = 0;
        this.#payloadLeft = this.#length;
        if (this.#opcode === CLOSE) this.#closing = true;
        break;
      }
    }
    return at;
  }

  /** The second byte: whether there is a mask, and the length or how many bytes of it follow. */
  #readLength(byte: number): void {
    const short = byte & 0x7f;
    const more = short < 126 ? 0 : short === 126 ? 2 : 8;
    this.#length = more === 0 ? short : 0;
    this.#lengthEnd = HEAD_BYTES_MIN + more;
    this.#headSize = this.#lengthEnd + (byte >= 0x80 ? MASK_BYTES : 0);
  }
}
