/**
 * Writes one HTTP/1.1 message to a socket in as few system calls as possible:
 * a head and small pieces of body wait for each other as one Latin-1 string and
 * leave together; large pieces go out as they are, behind what waited.
 */
import type { Duplex } from 'node:stream';
import type { Headers } from '../headers.ts';
import { latin1 } from '../latin1.ts';

/** Pieces up to this size are joined with what waits as text; for longer ones a buffer costs fewer copies. */
const STRING_BYTES_MAX = 4 * 1024;

export type Framing = 'none' | 'length' | 'chunked' | 'until-close';

export class WireWriter {
  readonly #socket: Duplex;
  #pending = '';
  #framing: Framing = 'none';
  /** Bytes still promised by Content-Length. */
  #left = 0;

  constructor(socket: Duplex) {
    this.#socket = socket;
  }

  get framing(): Framing {
    return this.#framing;
  }

  /** Starts a message. Nothing is written before body, end or flush. */
  start(head: string, framing: Framing, length: number): void {
    this.#pending += head;
    this.#framing = framing;
    this.#left = length;
  }

  /** Adds text that stands outside of any body: interim answers. */
  raw(text: string): void {
    this.#pending += text;
  }

  /**
   * @returns false when the socket holds enough: stop until its `drain`; `'overrun'` when the piece is longer
   *   than Content-Length promised (nothing of it was written)
   */
  body(bytes: Buffer): boolean | 'overrun' {
    const size = bytes.length;
    if (size === 0 || this.#framing === 'none') return true;
    if (this.#framing === 'length') {
      if (size > this.#left) return 'overrun';
      this.#left -= size;
    } else if (this.#framing === 'chunked') this.#pending += `${size.toString(16)}\r\n`;

    if (size <= STRING_BYTES_MAX && this.#pending.length + size <= STRING_BYTES_MAX * 2) {
      this.#pending += latin1(bytes, 0, size);
      if (this.#framing === 'chunked') this.#pending += '\r\n';
      return !this.#socket.writableNeedDrain;
    }
    return this.#writeLarge(bytes);
  }

  /** @returns false when fewer bytes were written than Content-Length promised: the message is not complete */
  end(trailers: Headers | undefined): boolean {
    if (this.#framing === 'chunked') {
      this.#pending += trailers === undefined ? '0\r\n\r\n' : `0\r\n${trailers.toLines()}\r\n`;
    }
    this.flush();
    return this.#framing !== 'length' || this.#left === 0;
  }

  flush(): void {
    if (this.#pending === '') return;
    const text = this.#pending;
    this.#pending = '';
    this.#socket.write(text, 'latin1');
  }

  /**
   * What waited, the piece and the end of its chunk as one buffer of its own: one copy, which a piece of the read buffer
   * needs in any case, and one write.
   */
  #writeLarge(bytes: Buffer): boolean {
    const before = this.#pending;
    const after = this.#framing === 'chunked' ? '\r\n' : '';
    this.#pending = '';
    const whole = Buffer.allocUnsafeSlow(before.length + bytes.length + after.length);
    whole.write(before, 0, 'latin1');
    whole.set(bytes, before.length);
    if (after !== '') whole.write(after, before.length + bytes.length, 'latin1');
    return this.#socket.write(whole);
  }
}
