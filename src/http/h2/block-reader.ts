/**
 * Puts header blocks together (RFC 9113 sections 4.3, 6.2 and 6.10). A block that comes in one HEADERS frame, as nearly
 * all do, is decoded where it lies.
 */
import type { FloodGuard } from './flood-guard.ts';
import { FLAG, FRAME_BYTES_MAX, type FrameHeader, H2_ERROR, H2ConnectionError } from './frame.ts';

/** Where a complete block lies, and what its HEADERS frame said. */
export interface Block {
  bytes: Buffer;
  start: number;
  end: number;
  streamId: number;
  endStream: boolean;
}

const NOTHING = Buffer.alloc(0);

export class BlockReader {
  /** Filled by each complete block. */
  readonly block: Block = { bytes: NOTHING, start: 0, end: 0, streamId: 0, endStream: false };
  readonly #guard: FloodGuard;
  readonly #bytesMax: number;
  #held: Buffer = NOTHING;
  #heldBytes = 0;
  #open = false;

  /** @param bytesMax  of one block as it comes, compressed: a longer one cannot be decoded, nor skipped */
  constructor(guard: FloodGuard, bytesMax: number) {
    this.#guard = guard;
    this.#bytesMax = bytesMax;
  }

  /** A block has begun: nothing but its CONTINUATION may come (section 6.10). */
  get open(): boolean {
    return this.#open;
  }

  /** Whose block has begun. */
  get streamId(): number {
    return this.block.streamId;
  }

  /** HEADERS without padding and priority. @returns whether the block is complete */
  begin(frame: FrameHeader, bytes: Buffer, start: number, end: number): boolean {
    const { block } = this;
    block.streamId = frame.streamId;
    block.endStream = (frame.flags & FLAG.END_STREAM) !== 0;
    if ((frame.flags & FLAG.END_HEADERS) !== 0) {
      block.bytes = bytes;
      block.start = start;
      block.end = end;
      return true;
    }
    this.#open = true;
    this.#held = Buffer.from(bytes.subarray(start, end));
    this.#heldBytes = end - start;
    return false;
  }

  /** CONTINUATION for the block that has begun. @returns whether the block is complete */
  more(frame: FrameHeader, bytes: Buffer, start: number, end: number): boolean | H2ConnectionError {
    const last = (frame.flags & FLAG.END_HEADERS) !== 0;
    const size = end - start;
    if (!last && size < FRAME_BYTES_MAX) {
      const error = this.#guard.spend('continuation');
      if (error !== undefined) return error;
    }
    if (this.#heldBytes + size > this.#bytesMax) {
      const detail = `Header block is longer than ${this.#bytesMax} bytes`;
      return new H2ConnectionError(H2_ERROR.ENHANCE_YOUR_CALM, detail, 'header-block');
    }
    if (this.#held.length < this.#heldBytes + size) {
      const larger = Buffer.allocUnsafe(Math.min(this.#bytesMax, (this.#heldBytes + size) * 2));
      this.#held.copy(larger, 0, 0, this.#heldBytes);
      this.#held = larger;
    }
    bytes.copy(this.#held, this.#heldBytes, start, end);
    this.#heldBytes += size;
    if (!last) return false;
    const { block } = this;
    block.bytes = this.#held;
    block.start = 0;
    block.end = this.#heldBytes;
    this.#open = false;
    this.#held = NOTHING;
    this.#heldBytes = 0;
    return true;
  }

  /** The last block was decoded. */
  done(): void {
    this.block.bytes = NOTHING;
  }
}
