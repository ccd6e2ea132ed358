/**
 * What leaves one end of a call: one message at a time, the next when the one
 * before has gone through flow control. So an end that does not read costs one
 * message here, whatever it is sent.
 */
export interface OutletOptions<M> {
  encode(message: M): Iterable<Uint8Array>;
  /** Calls back when the bytes have left, with an error when they never will. */
  write(bytes: Buffer, done: (error?: Error | null) => void): void;
  /** Something has left. */
  onProgress(): void;
  /** Nothing is left to send. */
  onDrained(): void;
}

export class Outlet<M> {
  readonly #options: OutletOptions<M>;
  #messages: Iterator<Uint8Array> | undefined;
  #isClosed = false;

  constructor(options: OutletOptions<M>) {
    this.#options = options;
  }

  /** Call it again only after `onDrained`. */
  send(message: M): 'full' {
    this.#messages = this.#options.encode(message)[Symbol.iterator]();
    this.#next();
    return 'full';
  }

  /** What is left is forgotten. */
  close(): void {
    this.#isClosed = true;
    this.#messages = undefined;
  }

  #next(): void {
    if (this.#isClosed) return;
    const { value, done = false } = this.#messages!.next();
    if (done) {
      this.#messages = undefined;
      this.#options.onDrained();
      return;
    }
    const { buffer, byteOffset, length } = value as Uint8Array<ArrayBuffer>;
    this.#options.write(Buffer.from(buffer, byteOffset, length), (error) => {
      if (this.#isClosed || (error !== undefined && error !== null)) return;
      this.#options.onProgress();
      this.#next();
    });
  }
}
