/**
 * Writes frames of one HTTP/2 connection. Frames of all its streams gather in one buffer and leave together, in as few
 * system calls as possible: at the latest when the event loop has handled what is readable now.
 *
 * Nothing here waits for flow control: the connection writes only what the windows allow.
 */
import type { Duplex } from 'node:stream';
import type { TurnEnd } from '../../net/turn-end.ts';
import { FRAME, FRAME_HEADER_BYTES, FLAG } from './frame.ts';
import { GATHER_BYTES, giveBuffer, takeBuffer } from './gather-buffers.ts';

/** With so much gathered it leaves at once: waiting for company saves nothing. */
const LARGE_BYTES = 32 * 1024;

/** Up to this size what leaves is copied, so that a socket which is slow to take it holds no more than that. */
const COPY_BYTES_MAX = 16 * 1024;

export class FrameWriter {
  readonly #socket: Duplex;
  readonly #turnEnd: TurnEnd;
  /** Number of the buffer that is gathered now: says whether a frame can still be changed. */
  batch = 0;
  #buffer: Buffer | undefined;
  #at = 0;
  #asked = false;
  /** Lent to the socket, the oldest first; as many as make it full. */
  readonly #inFlight: Buffer[] = [];
  readonly #onWritten = (error?: Error | null): void => {
    const buffer = this.#inFlight.shift()!;
    // After a failure the system may still read from it.
    if (error === undefined || error === null) giveBuffer(buffer);
  };

  constructor(socket: Duplex, turnEnd: TurnEnd) {
    this.#socket = socket;
    this.#turnEnd = turnEnd;
  }

  /** Whether the socket holds enough: stop writing bodies until its `drain`. */
  get full(): boolean {
    return this.#socket.writableNeedDrain;
  }

  /**
   * Room for one frame of at most `payloadBytesMax`. The caller writes the payload into the result from
   * {@link FrameWriter.payloadAt} on and then calls {@link FrameWriter.commit}.
   */
  reserve(payloadBytesMax: number): Buffer {
    const need = FRAME_HEADER_BYTES + payloadBytesMax;
    let buffer = this.#buffer;
    if (buffer === undefined || buffer.length - this.#at < need) {
      this.flush();
      this.#buffer = buffer = need <= GATHER_BYTES ? takeBuffer() : Buffer.allocUnsafeSlow(need);
    }
    return buffer;
  }

  /** Where the payload of the reserved frame begins. */
  get payloadAt(): number {
    return this.#at + FRAME_HEADER_BYTES;
  }

  /** Completes the reserved frame. @returns where it begins, for {@link FrameWriter.endStream} */
  commit(type: number, flags: number, streamId: number, payloadBytes: number): number {
    const buffer = this.#buffer!;
    const at = this.#at;
    buffer[at] = payloadBytes >>> 16;
    buffer[at + 1] = payloadBytes >>> 8;
    buffer[at + 2] = payloadBytes;
    buffer[at + 3] = type;
    buffer[at + 4] = flags;
    buffer[at + 5] = streamId >>> 24;
    buffer[at + 6] = streamId >>> 16;
    buffer[at + 7] = streamId >>> 8;
    buffer[at + 8] = streamId;
    this.#at = at + FRAME_HEADER_BYTES + payloadBytes;
    this.#ask();
    return at;
  }

  /**
   * The HEADERS or DATA frame that was written last for a stream is its last one.
   *
   * @param batch  value of {@link FrameWriter.batch} when the frame was written
   * @returns false when it has left already
   */
  endStream(batch: number, at: number): boolean {
    if (batch !== this.batch || this.#buffer === undefined) return false;
    this.#buffer[at + 4]! |= FLAG.END_STREAM;
    return true;
  }

  /** One DATA frame with `bytes` from `start` to `end`, which are copied. At most the peer's SETTINGS_MAX_FRAME_SIZE. */
  data(streamId: number, bytes: Uint8Array, start: number, end: number, flags: number): number {
    const size = end - start;
    const buffer = this.reserve(size);
    buffer.set(start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end), this.payloadAt);
    const at = this.commit(FRAME.DATA, flags, streamId, size);
    if (this.#at >= LARGE_BYTES) this.flush();
    return at;
  }

  rstStream(streamId: number, code: number): void {
    this.reserve(4).writeUInt32BE(code, this.payloadAt);
    this.commit(FRAME.RST_STREAM, 0, streamId, 4);
  }

  windowUpdate(streamId: number, bytes: number): void {
    this.reserve(4).writeUInt32BE(bytes, this.payloadAt);
    this.commit(FRAME.WINDOW_UPDATE, 0, streamId, 4);
  }

  /** @param values  identifier, value, identifier, value … */
  settings(values: readonly number[]): void {
    const buffer = this.reserve(values.length * 3);
    let at = this.payloadAt;
    for (let i = 0; i < values.length; i += 2) {
      at = buffer.writeUInt16BE(values[i]!, at);
      at = buffer.writeUInt32BE(values[i + 1]!, at);
    }
    this.commit(FRAME.SETTINGS, 0, 0, values.length * 3);
  }

  settingsAck(): void {
    this.reserve(0);
    this.commit(FRAME.SETTINGS, FLAG.ACK, 0, 0);
  }

  /** @param opaque  8 bytes */
  ping(opaque: Uint8Array, flags: number): void {
    this.reserve(8).set(opaque, this.payloadAt);
    this.commit(FRAME.PING, flags, 0, 8);
  }

  /** @param debug  words for whoever reads the peer's log; nothing of a request */
  goAway(lastStreamId: number, code: number, debug: string): void {
    const buffer = this.reserve(8 + debug.length);
    const at = this.payloadAt;
    buffer.writeUInt32BE(lastStreamId, at);
    buffer.writeUInt32BE(code, at + 4);
    buffer.write(debug, at + 8, 'latin1');
    this.commit(FRAME.GOAWAY, 0, 0, 8 + debug.length);
  }

  /** Bytes that are no frame: the preface of a client. */
  raw(bytes: Uint8Array): void {
    this.reserve(bytes.length).set(bytes, this.#at);
    this.#at += bytes.length;
    this.#ask();
  }

  /** Gives everything that waits to the socket. Whatever is written later begins a new buffer. */
  flush(): void {
    const buffer = this.#buffer;
    if (buffer === undefined || this.#at === 0) return;
    const size = this.#at;
    this.#at = 0;
    this.#buffer = undefined;
    this.batch++;
    if (this.#socket.destroyed) return giveBuffer(buffer);
    if (size <= COPY_BYTES_MAX) {
      const copy = Buffer.allocUnsafe(size);
      buffer.copy(copy, 0, 0, size);
      this.#socket.write(copy);
      return giveBuffer(buffer);
    }
    this.#inFlight.push(buffer);
    this.#socket.write(buffer.subarray(0, size), this.#onWritten);
  }

  #ask(): void {
    if (this.#asked) return;
    this.#asked = true;
    this.#turnEnd.add(this);
  }

  /** For {@link TurnEnd}. */
  onTurnEnd(): void {
    this.#asked = false;
    this.flush();
  }
}
