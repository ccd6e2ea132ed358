/**
 * Reads for connections that are passed on unread. The pieces of a fast flow are read into memory of their own and
 * leave from there, without a copy; small pieces come through the one buffer of the thread (read-buffer.ts), which costs
 * no memory per connection and a copy of a few bytes.
 *
 * A piece is free again when nothing of it waits in the socket that it was written to. Nearly always that is at once: the
 * system takes it whole. Measured: docs/decisions/0031-streams-without-copies.md.
 */
import type net from 'node:net';
import { adoptHandle, type Intake, type ReadingSocket, sharedReadBuffer } from './read-buffer.ts';

/** Of a piece: what the system is asked for at once. */
const PIECE_BYTES = 128 * 1024;

/** After a read of less than this the next one goes through the buffer of the thread. */
const SMALL_BYTES = 16 * 1024;

/** Pieces kept for the next flow: 8 MB for a thread. */
const SPARE_MAX = 64;

/** Pieces in use in a thread, 64 MB. Beyond: bytes are copied, which costs time and no memory. */
const PIECES_MAX = 512;

const spare: Buffer[] = [];
let pieces = 0;

function takePiece(): Buffer | undefined {
  const piece = spare.pop();
  if (piece !== undefined) return piece;
  if (pieces >= PIECES_MAX) return undefined;
  pieces++;
  return Buffer.allocUnsafeSlow(PIECE_BYTES);
}

function givePiece(piece: Buffer): void {
  if (spare.length < SPARE_MAX) spare.push(piece);
  else pieces--;
}

/** Where bytes go that were read; what waits in it is not sent yet. */
interface Target {
  readonly writableLength: number;
}

export class StreamReads implements Intake {
  take: (bytes: Buffer) => void = ignore;
  /** Set before the flow begins. Without it every piece goes through the buffer of the thread. */
  target: Target | undefined;

  readonly #shared = sharedReadBuffer();
  #piece: Buffer | undefined;
  /** Pieces that were handed over and of which something may still wait: a write that is under way, hardly ever two. */
  readonly #waiting: Buffer[] = [];
  #lastBytes = 0;

  /** For `net.connect` and `new net.Socket`. */
  readonly onread: net.OnReadOpts = {
    buffer: () => this.#next(),
    callback: (bytesRead, buffer) => {
      this.#lastBytes = bytesRead;
      this.take((buffer as Buffer).subarray(0, bytesRead));
      return true;
    },
  };

  /** The connection is over: nothing more is read. */
  close(): void {
    const sent = this.target === undefined || this.target.writableLength === 0;
    for (const piece of this.#waiting.splice(0)) {
      // What still waits to be sent keeps its memory; the collector takes it later.
      if (sent) givePiece(piece);
      else pieces--;
    }
    if (this.#piece === undefined) return;
    if (sent) givePiece(this.#piece);
    else pieces--;
    this.#piece = undefined;
  }

  /** Memory for the next read: called after each one. */
  #next(): Buffer {
    const { target } = this;
    if (target === undefined) return this.#shared;
    if (target.writableLength === 0) {
      while (this.#waiting.length > 0) givePiece(this.#waiting.pop()!);
    } else if (this.#piece !== undefined) {
      this.#waiting.push(this.#piece);
      this.#piece = undefined;
    }
    if (this.#lastBytes < SMALL_BYTES) {
      if (this.#piece !== undefined) givePiece(this.#piece);
      this.#piece = undefined;
      return this.#shared;
    }
    this.#piece ??= takePiece();
    return this.#piece ?? this.#shared;
  }
}

/** As `adoptAccepted` of read-buffer.ts, for a connection that is passed on; nothing is read before `resume`. */
export function adoptStream(accepted: net.Socket): ReadingSocket {
  const reads = new StreamReads();
  const socket = adoptHandle(accepted, reads.onread, 'paused');
  return socket === undefined ? { socket: accepted, intake: undefined } : { socket, intake: reads };
}

const ignore = (): void => undefined;
