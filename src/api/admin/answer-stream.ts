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

const NOTHING = Buffer.alloc(0);

/** Joined into one piece. */
const LINES_AT_ONCE = 32;

/** Lines that wait for a reader who is slow. Beyond: they are left out, and whoever says them hears that. */
const WAITING_CHARS_MAX = 4 * 1024 * 1024;

/** Takes the lines of an answer while they come. */
export interface LineTaker {
  /** @returns false when it was left out, because nobody reads fast enough or at all */
  line(value: object): boolean;
  /** The last one, which is never left out; then the answer is whole. */
  end(value?: object): void;
}

/** One answer with a body that is known beforehand, sent as fast as the client reads; or lines that come bit by bit. */
export class AnswerStream implements ServerStreamEvents {
  readonly #stream: ServerStream;
  readonly #clock: Clock;
  /** Only the head of the answer is wanted. */
  readonly isHead: boolean;
  #rest: Buffer | undefined;
  /** Set while somebody wants the body of the request. */
  #wanted: { readonly pieces: Buffer[]; resolve(body: Buffer): void } | undefined;
  #over = false;
  #isFull = false;
  /** Of an answer in lines: what was not sent yet, and whether it is all. */
  #lines: { readonly waiting: string[]; chars: number; isWhole: boolean; readonly onGone: () => void } | undefined;

  constructor(stream: ServerStream, clock: Clock) {
    this.#stream = stream;
    this.#clock = clock;
    this.isHead = stream.request.method === 'HEAD';
  }

  /** Nothing can be sent any more: the client has gone, or has everything. */
  get isOver(): boolean {
    return this.#over;
  }

  /** Once; later calls, and those after the client has gone, do nothing. */
  send({ status, contentType, body, allow }: Answer): void {
    if (this.#over || this.#rest !== undefined) return;
    const headers = this.#headersOf(contentType);
    if (allow !== undefined) headers.add('allow', allow);
    this.#stream.sendHead({ status, reason: '', headers, bodyLength: body.length });
    this.#rest = this.isHead ? NOTHING : body;
    this.#sendRest();
  }

  /**
   * An answer of lines, each a JSON object. Once, and nothing else is sent then.
   *
   * @param onGone  called once when nobody reads any more before its end
   */
  sendLines(contentType: string, onGone: () => void): LineTaker {
    const lines = { waiting: [] as string[], chars: 0, isWhole: false, onGone };
    this.#lines = lines;
    this.#stream.sendHead({ status: 200, reason: '', headers: this.#headersOf(contentType), bodyLength: -1 });
    this.#stream.flush();
    return {
      line: (value) => !lines.isWhole && this.#sendLine(JSON.stringify(value), WAITING_CHARS_MAX),
      end: (value) => {
        if (lines.isWhole) return;
        if (value !== undefined) this.#sendLine(JSON.stringify(value), Number.POSITIVE_INFINITY);
        lines.isWhole = true;
        this.#sendWaiting();
      },
    };
  }

  #headersOf(contentType: string): Headers {
    return Headers.of([
      ['date', new Date(this.#clock.wallMs()).toUTCString()],
      ['content-type', contentType],
      ['cache-control', 'no-store'],
      ['x-content-type-options', 'nosniff'],
      ['cross-origin-resource-policy', 'same-origin'],
    ]);
  }

  #sendLine(text: string, charsMax: number): boolean {
    const lines = this.#lines!;
    const line = `${text}\n`;
    if (this.#over || lines.chars + line.length > charsMax) return false;
    lines.waiting.push(line);
    lines.chars += line.length;
    // One that is waited for is sent when the client takes more.
    if (!this.#isFull) this.#sendWaiting();
    return true;
  }

  #sendWaiting(): void {
    const lines = this.#lines!;
    while (!this.#over && !this.#isFull && lines.waiting.length > 0) {
      const text = lines.waiting.splice(0, LINES_AT_ONCE).join('');
      lines.chars -= text.length;
      this.#isFull = !this.#stream.sendBody(Buffer.from(text));
    }
    if (!this.#over && lines.isWhole && lines.waiting.length === 0) {
      this.#over = true;
      this.#stream.sendEnd(undefined);
    }
    this.#stream.flush();
  }

  #gone(): void {
    const isEarly = !this.#over;
    this.#over = true;
    if (isEarly) this.#lines?.onGone();
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
    this.#gone();
    this.#stream.cut();
  }

  onClientGone(): void {
    this.#gone();
  }

  onClientWritable(): void {
    this.#isFull = false;
    if (this.#rest !== undefined) this.#sendRest();
    else if (this.#lines !== undefined) this.#sendWaiting();
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
