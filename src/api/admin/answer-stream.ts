import type { Clock } from '../../base/clock.ts';
import { Headers } from '../../http/headers.ts';
import type { ServerStream, ServerStreamEvents } from '../../http/stream.ts';

export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly body: Buffer;
  /** Value of Allow (RFC 9110 section 15.5.6). */
  readonly allow?: string;
}

/** A slow reader gets the next piece when it has taken this one. */
const PIECE_BYTES = 64 * 1024;

/** One answer with a body that is known beforehand, sent as fast as the client reads. */
export class AnswerStream implements ServerStreamEvents {
  readonly #stream: ServerStream;
  readonly #clock: Clock;
  readonly #isHead: boolean;
  #rest: Buffer | undefined;
  /** Set while somebody wants the body of the request. */
  #wanted: { readonly pieces: Buffer[]; resolve(body: Buffer): void } | undefined;
  #over = false;

  constructor(stream: ServerStream, clock: Clock) {
    this.#stream = stream;
    this.#clock = clock;
    this.#isHead = stream.request.method === 'HEAD';
  }

  /** Once; later calls, and those after the client has gone, do nothing. */
  send({ status, contentType, body, allow }: Answer): void {
    if (this.#over || this.#rest !== undefined) return;
    const headers = Headers.of([
      ['date', new Date(this.#clock.wallMs()).toUTCString()],
      ['content-type', contentType],
      ['cache-control', 'no-store'],
      ['x-content-type-options', 'nosniff'],
      ['cross-origin-resource-policy', 'same-origin'],
    ]);
    if (allow !== undefined) headers.add('allow', allow);
    this.#stream.sendHead({ status, reason: '', headers, bodyLength: body.length });
    this.#rest = this.#isHead ? Buffer.alloc(0) : body;
    this.#sendRest();
  }

  /**
   * The body of the request, when it is whole; never, when it does not come. Asked for in the turn of the head, or
   * it is read so that the connection can go on, and forgotten. Its bound is that of the server.
   */
  body(): Promise<Buffer> {
    this.#stream.sendContinue();
    return new Promise((resolve) => (this.#wanted = { pieces: [], resolve }));
  }

  onRequestBody(bytes: Buffer): void {
    // The bytes are lent for this call.
    this.#wanted?.pieces.push(Buffer.from(bytes));
  }

  onRequestEnd(): void {
    this.#wanted?.resolve(Buffer.concat(this.#wanted.pieces));
    this.#wanted = undefined;
  }

  onRequestFault(): void {
    this.#over = true;
    this.#stream.cut();
  }

  onClientGone(): void {
    this.#over = true;
  }

  onClientWritable(): void {
    if (this.#rest !== undefined) this.#sendRest();
  }

  onRequestIdle(): void {
    // Nothing waits for it.
  }

  #sendRest(): void {
    while (!this.#over && this.#rest !== undefined && this.#rest.length > 0) {
      const piece = this.#rest.subarray(0, PIECE_BYTES);
      this.#rest = this.#rest.subarray(piece.length);
      if (!this.#stream.sendBody(piece)) break;
    }
    if (this.#over || this.#rest?.length !== 0) {
      this.#stream.flush();
      return;
    }
    this.#over = true;
    this.#stream.sendEnd(undefined);
    this.#stream.flush();
  }
}
