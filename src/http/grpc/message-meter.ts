/**
 * Counts the messages of one direction of a gRPC call by their five-byte
 * prefixes (flag, length), whatever the pieces in which they come. Keeps no byte.
 */

/** What the last piece broke. */
export type MeterVerdict = 'ok' | 'too-large' | 'malformed';

const PREFIX_BYTES = 5;

export class MessageMeter {
  /** Whole messages so far. */
  messages = 0;
  /**
   * Where in the last piece its last whole message ended; -1 when what follows began in an earlier piece. What is
   * before this may be passed on, and trailers may follow it.
   */
  boundary = 0;
  readonly #bytesMax: number;
  #prefixBytes = 0;
  #length = 0;
  #left = 0;

  /** @param bytesMax  longest message, without its prefix; 0 for no bound */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Whether everything so far is whole messages. */
  get atBoundary(): boolean {
    return this.#prefixBytes === 0 && this.#left === 0;
  }

  take(bytes: Buffer): MeterVerdict {
    this.boundary = this.atBoundary ? 0 : -1;
    let at = 0;
    while (at < bytes.length) {
      if (this.#left > 0) {
        const step = Math.min(this.#left, bytes.length - at);
        this.#left -= step;
        at += step;
        if (this.#left === 0) this.#ended(at);
        continue;
      }
      const byte = bytes[at++]!;
      if (this.#prefixBytes === 0) {
        // The flag: 0 plain, 1 compressed.
        if (byte > 1) return 'malformed';
        this.#length = 0;
      } else this.#length = this.#length * 256 + byte;
      if (++this.#prefixBytes < PREFIX_BYTES) continue;
      this.#prefixBytes = 0;
      if (this.#bytesMax > 0 && this.#length > this.#bytesMax) return 'too-large';
      this.#left = this.#length;
      if (this.#left === 0) this.#ended(at);
    }
    return 'ok';
  }

  #ended(at: number): void {
    this.messages++;
    this.boundary = at;
  }
}
