/**
 * Bodies on their way from the peer (RFC 9113 section 5.2). A stream gets its window back when its bytes were taken,
 * so a paused one holds at most a window. The connection gets its window back at once, so that one slow stream does
 * not stop the others, until too much is held by all of them together.
 */
import { owned } from '../../net/read-buffer.ts';
import type { Headers } from '../headers.ts';
import { H2_ERROR, H2ConnectionError, WINDOW_BYTES_START } from './frame.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { H2Stream } from './stream.ts';
import { mayReceive } from './stream-state.ts';

/** What windows we give. */
export interface InFlowLimits {
  /** Of each stream: at least 65,535, which a peer may use before it knows better. */
  readonly windowBytes: number;
  /** Of the connection; what may be held beside it is as much again. */
  readonly connectionWindowBytes: number;
}

export class InFlow {
  readonly #writer: FrameWriter;
  readonly #limits: InFlowLimits;
  /** What the peer may still send. */
  #window: number;
  /** Received and not given back. */
  #owedBytes = 0;
  /** Held by paused streams. */
  #heldBytes = 0;

  constructor(writer: FrameWriter, limits: InFlowLimits) {
    this.#writer = writer;
    this.#limits = limits;
    this.#window = limits.connectionWindowBytes;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** Says how large the window of the connection is: SETTINGS cannot (section 6.9.2). */
  begin(): void {
    this.#writer.windowUpdate(0, this.#limits.connectionWindowBytes - WINDOW_BYTES_START);
  }

  open(stream: H2Stream): void {
    stream.receiveWindow = this.#limits.windowBytes;
  }

  /** A DATA frame came. @param bytes  of its payload, padding included */
  receive(bytes: number): H2ConnectionError | undefined {
    this.#window -= bytes;
    if (this.#window < 0) {
      return new H2ConnectionError(H2_ERROR.FLOW_CONTROL_ERROR, 'More bytes than the window of the connection');
    }
    this.#owedBytes += bytes;
    return undefined;
  }

  /** Hands on the body in a DATA frame, or keeps it. @param bytes  valid during the call */
  take(stream: H2Stream, bytes: Buffer): void {
    if (stream.paused || stream.heldBytes > 0) {
      stream.held.push(owned(bytes));
      stream.heldBytes += bytes.length;
      this.#heldBytes += bytes.length;
    } else {
      this.consumed(stream, bytes.length);
      stream.onBody(bytes);
    }
  }

  /** The body of the stream is complete. */
  end(stream: H2Stream, trailers: Headers | undefined): void {
    if (stream.paused || stream.heldBytes > 0) {
      stream.endHeld = true;
      stream.trailersIn = trailers;
    } else stream.onBodyEnd(trailers);
  }

  /** Hands on what was kept while the stream was paused, until it is again. */
  resume(stream: H2Stream): void {
    stream.paused = false;
    const { held, id } = stream;
    while (stream.heldBytes > 0) {
      const bytes = held.shift()!;
      stream.heldBytes -= bytes.length;
      this.#heldBytes -= bytes.length;
      this.consumed(stream, bytes.length);
      stream.onBody(bytes);
      if (stream.paused || stream.id !== id) break;
    }
    this.giveBack();
    if (stream.id !== id || stream.paused) return;
    if (stream.endHeld) {
      stream.endHeld = false;
      stream.onBodyEnd(stream.trailersIn);
    }
    if (stream.id === id) stream.onFed();
  }

  /** Bytes of the stream are done with: gives them back when they are half a window. */
  consumed(stream: H2Stream, bytes: number): void {
    stream.owedBytes += bytes;
    if (stream.owedBytes * 2 < this.#limits.windowBytes || !mayReceive(stream.state)) return;
    this.#writer.windowUpdate(stream.id, stream.owedBytes);
    stream.receiveWindow += stream.owedBytes;
    stream.owedBytes = 0;
  }

  /** Nobody wants what the stream holds. */
  drop(stream: H2Stream): void {
    this.#heldBytes -= stream.heldBytes;
    stream.heldBytes = 0;
    stream.held.length = 0;
    stream.endHeld = false;
    stream.trailersIn = undefined;
    this.giveBack();
  }

  /** The same for the connection; less what is held beyond the bound. */
  giveBack(): void {
    const { connectionWindowBytes } = this.#limits;
    const bytes = this.#owedBytes - Math.max(0, this.#heldBytes - connectionWindowBytes);
    if (bytes * 2 < connectionWindowBytes) return;
    this.#writer.windowUpdate(0, bytes);
    this.#window += bytes;
    this.#owedBytes -= bytes;
  }
}
