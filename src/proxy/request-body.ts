/** What came of a request body so far, as long as it may be needed again: for a connection that is not there yet, or for another attempt. */
import { REPLAY_BYTES_MAX } from '../base/limits.ts';
import type { Headers } from '../http/headers.ts';
import type { ClientStream } from '../http/stream.ts';
import { dropHeadNames } from '../http/trailer-names.ts';
import { owned } from '../net/read-buffer.ts';
import type { KeptBody } from './request-path.ts';

export class RequestBody {
  /** The whole body so far is here: an attempt may be repeated. */
  replayable = true;
  ended = false;
  trailers: Headers | undefined = undefined;
  /** The client is not read. */
  paused = false;
  /** Enough waits for the upstream. */
  full = false;
  /** Enough waits in the filters: apart from `full`, or a filter that is full would be told to wait for itself. */
  pathFull = false;
  #pieces: Buffer[] | undefined;
  #bytes = 0;

  get pieces(): readonly Buffer[] {
    return this.#pieces ?? NO_PIECES;
  }

  get keptBytes(): number {
    return this.#bytes;
  }

  /** More than is kept for a second attempt: it can be sent once. */
  get tooLarge(): boolean {
    return this.#bytes > REPLAY_BYTES_MAX;
  }

  keep(bytes: Buffer): void {
    (this.#pieces ??= []).push(owned(bytes));
    this.#bytes += bytes.length;
  }

  /** All is here. */
  end(trailers: Headers | undefined): void {
    if (trailers !== undefined) dropHeadNames(trailers);
    this.ended = true;
    this.trailers = trailers;
  }

  /** What has come goes back to where it comes from, as if it had not come yet. */
  takeBack(): KeptBody {
    const kept = { pieces: this.pieces, ended: this.ended, trailers: this.trailers };
    this.#pieces = undefined;
    this.#bytes = 0;
    this.ended = false;
    this.trailers = undefined;
    return kept;
  }

  /** Kept pieces go; what is sent from now on is sent once. */
  forget(): void {
    this.#pieces = undefined;
    this.#bytes = 0;
    this.replayable = false;
  }

  /** Sends what has come so far, the end included. */
  sendTo(conn: ClientStream): void {
    if (this.#pieces !== undefined) for (const bytes of this.#pieces) conn.sendBody(bytes);
    if (this.ended) conn.sendEnd(this.trailers);
    else if (this.tooLarge) this.forget();
  }
}

const NO_PIECES: readonly Buffer[] = [];
