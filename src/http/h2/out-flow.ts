/**
 * Bodies on their way to the peer, within its windows (RFC 9113 section 5.2) and what the socket takes. What cannot go
 * at once waits in its stream, and the streams take turns, a frame each: a long answer does not hold up a short one.
 */
import { owned } from '../../net/read-buffer.ts';
import type { Headers } from '../headers.ts';
import type { FloodGuard } from './flood-guard.ts';
import { FLAG, H2_ERROR, H2ConnectionError, WINDOW_BYTES_MAX, WINDOW_BYTES_START } from './frame.ts';
import type { FrameWriter } from './frame-writer.ts';
import type { PeerSettings } from './peer-settings.ts';
import type { H2Stream } from './stream.ts';

/** With so much waiting in a stream, or in all of a connection, whoever sends is asked to wait. One more piece may come. */
const STREAM_BYTES_HIGH = 32 * 1024;
const CONNECTION_BYTES_HIGH = 1024 * 1024;
/** With so little left it is told to go on. */
const STREAM_BYTES_LOW = 16 * 1024;

/** Bytes in {@link OutFlow.stalled}'s time that count as progress: fewer are a drip that only holds memory. */
const PROGRESS_BYTES = 1_024;

const NO_BYTES = Buffer.alloc(0);

export interface OutFlowOwner {
  writeTrailers(stream: H2Stream, trailers: Headers): void;
  /** The last byte of the stream was written. */
  onSent(stream: H2Stream): void;
}

export class OutFlow {
  readonly #owner: OutFlowOwner;
  readonly #writer: FrameWriter;
  readonly #peer: PeerSettings;
  readonly #guard: FloodGuard;
  #window = WINDOW_BYTES_START;
  /** Whose turn it is, of those that have something to send and a window for it. */
  #ready: H2Stream | undefined;
  #queuedBytes = 0;
  #pumping = false;

  constructor(owner: OutFlowOwner, parts: { writer: FrameWriter; peer: PeerSettings; guard: FloodGuard }) {
    const { writer, peer, guard } = parts;
    this.#owner = owner;
    this.#writer = writer;
    this.#peer = peer;
    this.#guard = guard;
  }

  /** Bytes that wait, of all streams. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** @returns false when enough waits: stop until `onWritable` of the stream */
  data(stream: H2Stream, bytes: Buffer): boolean {
    let at = 0;
    if (stream.queuedBytes === 0 && this.#ready === undefined) {
      while (at < bytes.length) {
        const next = this.#write(stream, bytes, at);
        if (next === at) break;
        at = next;
      }
    }
    if (at === bytes.length) return true;
    stream.queue.push(owned(at === 0 ? bytes : bytes.subarray(at)));
    stream.queuedBytes += bytes.length - at;
    this.#queuedBytes += bytes.length - at;
    if (stream.sendWindow > 0) this.#link(stream);
    if (stream.queuedBytes <= STREAM_BYTES_HIGH && this.#queuedBytes <= CONNECTION_BYTES_HIGH) return true;
    stream.stopped = true;
    return false;
  }

  /** The end of the stream, behind what waits. */
  end(stream: H2Stream, trailers: Headers | undefined): void {
    if (stream.queuedBytes > 0) {
      stream.endAsked = true;
      stream.trailersOut = trailers;
    } else this.#finish(stream, trailers);
  }

  /** Nothing of the stream is to be sent any more. */
  drop(stream: H2Stream): void {
    this.#queuedBytes -= stream.queuedBytes;
    stream.queuedBytes = 0;
    stream.queue.length = 0;
    stream.endAsked = false;
    stream.trailersOut = undefined;
    this.#unlink(stream);
  }

  /** WINDOW_UPDATE for the connection. */
  widen(bytes: number): H2ConnectionError | undefined {
    if (this.#window + bytes > WINDOW_BYTES_MAX) {
      return new H2ConnectionError(H2_ERROR.FLOW_CONTROL_ERROR, 'Window of the connection is above 2^31-1');
    }
    this.#window += bytes;
    this.pump();
    return undefined;
  }

  /** WINDOW_UPDATE for a stream, or a new size for all. @returns false when its window would be too large */
  widenStream(stream: H2Stream, bytes: number): boolean {
    if (stream.sendWindow + bytes > WINDOW_BYTES_MAX) return false;
    stream.sendWindow += bytes;
    if (stream.sendWindow > 0) {
      if (stream.queuedBytes > 0) this.#link(stream);
    } else this.#unlink(stream);
    this.pump();
    return true;
  }

  /** Sends as much as can be sent now: the socket or a window has room again. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    for (let stream = this.#ready; stream !== undefined; stream = this.#ready) {
      if (this.#window <= 0 || this.#writer.full) break;
      this.#turn(stream);
    }
    this.#pumping = false;
  }

  /** Calls `onStalled` of each stream that waits and has made no progress since the last call. */
  stalled(streams: readonly H2Stream[]): void {
    for (const stream of streams) {
      const sent = stream.sentBytes - stream.sentBytesSeen;
      stream.sentBytesSeen = stream.sentBytes;
      if (stream.queuedBytes > 0 && sent < PROGRESS_BYTES) stream.onStalled();
    }
  }

  /** One frame of the first piece. */
  #turn(stream: H2Stream): void {
    const bytes = stream.queue[0]!;
    const sent = this.#write(stream, bytes, 0);
    stream.queuedBytes -= sent;
    this.#queuedBytes -= sent;
    if (sent === bytes.length) stream.queue.shift();
    else stream.queue[0] = bytes.subarray(sent);
    if (stream.queuedBytes === 0) {
      this.#unlink(stream);
      if (stream.endAsked) return this.#finish(stream, stream.trailersOut);
    } else if (stream.sendWindow <= 0) this.#unlink(stream);
    else this.#ready = stream.nextReady;
    if (!stream.stopped || stream.queuedBytes > STREAM_BYTES_LOW) return;
    stream.stopped = false;
    stream.onWritable();
  }

  /** At most one frame of `bytes` from `at` on. @returns the offset behind what was written */
  #write(stream: H2Stream, bytes: Buffer, at: number): number {
    const window = Math.min(stream.sendWindow, this.#window);
    if (window <= 0 || this.#writer.full) return at;
    const size = Math.min(bytes.length - at, window, this.#peer.frameBytesMax);
    stream.frameAt = this.#writer.data(stream.id, bytes, at, at + size, 0);
    stream.frameBatch = this.#writer.batch;
    stream.sendWindow -= size;
    stream.sentBytes += size;
    this.#window -= size;
    this.#guard.sent(size, at + size === bytes.length ? 'whole' : 'cut');
    return at + size;
  }

  #finish(stream: H2Stream, trailers: Headers | undefined): void {
    if (trailers !== undefined) this.#owner.writeTrailers(stream, trailers);
    else if (!this.#writer.endStream(stream.frameBatch, stream.frameAt)) {
      this.#writer.data(stream.id, NO_BYTES, 0, 0, FLAG.END_STREAM);
    }
    this.#owner.onSent(stream);
  }

  /** Behind all others. */
  #link(stream: H2Stream): void {
    if (stream.nextReady !== undefined) return;
    const first = this.#ready;
    if (first === undefined) {
      stream.nextReady = stream.previousReady = stream;
      this.#ready = stream;
      return;
    }
    const last = first.previousReady!;
    stream.previousReady = last;
    stream.nextReady = first;
    last.nextReady = first.previousReady = stream;
  }

  #unlink(stream: H2Stream): void {
    const next = stream.nextReady;
    if (next === undefined) return;
    const previous = stream.previousReady!;
    if (this.#ready === stream) this.#ready = next === stream ? undefined : next;
    previous.nextReady = next;
    next.previousReady = previous;
    stream.nextReady = stream.previousReady = undefined;
  }
}
