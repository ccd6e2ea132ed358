/**
 * HalfSipHash-1-3 with 64 bits of result, over the UTF-16 units of a text: SipHash for machines of 32-bit words, which
 * is what a number of JavaScript is. Keyed, so that nobody who chooses texts can choose where they fall.
 *
 * @see https://131002.net/siphash/
 */

/** What was read so far, to go on from. */
export interface HashState {
  readonly v0: number;
  readonly v1: number;
  readonly v2: number;
  readonly v3: number;
}

/** Rounds at the end, for each half. */
const LAST_ROUNDS = 3;

export class KeyedHash {
  /** Both halves of the last result, 32 bits each. */
  lo = 0;
  hi = 0;
  readonly #key0: number;
  readonly #key1: number;
  #v0 = 0;
  #v1 = 0;
  #v2 = 0;
  #v3 = 0;

  constructor(key0: number, key1: number) {
    this.#key0 = key0;
    this.#key1 = key1;
  }

  /** State after `text` without NUL, and its end: do this once for what many texts begin with. */
  prefix(text: string): HashState {
    this.#v0 = this.#key0;
    this.#v1 = this.#key1 ^ 0xee;
    this.#v2 = this.#key0 ^ 0x6c79_6765;
    this.#v3 = this.#key1 ^ 0x7465_6462;
    // An end that no text has, so that a prefix and what follows cannot pass for another prefix.
    const ended = text.length % 2 === 0 ? `${text}\0\0` : `${text}\0`;
    for (let i = 0; i < ended.length; i += 2) this.#word(ended.charCodeAt(i) | (ended.charCodeAt(i + 1) << 16));
    return { v0: this.#v0, v1: this.#v1, v2: this.#v2, v3: this.#v3 };
  }

  /** Leaves the result for the prefix and `text` in `lo` and `hi`. */
  read(prefix: HashState, text: string): void {
    this.#v0 = prefix.v0;
    this.#v1 = prefix.v1;
    this.#v2 = prefix.v2;
    this.#v3 = prefix.v3;
    const { length } = text;
    const even = length & ~1;
    for (let i = 0; i < even; i += 2) this.#word(text.charCodeAt(i) | (text.charCodeAt(i + 1) << 16));
    // The last word: what is left, and the length.
    this.#word((length === even ? 0 : text.charCodeAt(even)) | ((length & 0xffff) << 16));
    this.#v2 ^= 0xee;
    for (let i = 0; i < LAST_ROUNDS; i++) this.#round();
    this.lo = this.#v1 ^ this.#v3;
    this.#v1 ^= 0xdd;
    for (let i = 0; i < LAST_ROUNDS; i++) this.#round();
    this.hi = this.#v1 ^ this.#v3;
  }

  #word(word: number): void {
    this.#v3 ^= word;
    this.#round();
    this.#v0 ^= word;
  }

  #round(): void {
    let v0 = (this.#v0 + this.#v1) | 0;
    let v1 = ((this.#v1 << 5) | (this.#v1 >>> 27)) ^ v0;
    v0 = (v0 << 16) | (v0 >>> 16);
    let v2 = (this.#v2 + this.#v3) | 0;
    let v3 = ((this.#v3 << 8) | (this.#v3 >>> 24)) ^ v2;
    v0 = (v0 + v3) | 0;
    v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
    v2 = (v2 + v1) | 0;
    v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
    v2 = (v2 << 16) | (v2 >>> 16);
    this.#v0 = v0;
    this.#v1 = v1;
    this.#v2 = v2;
    this.#v3 = v3;
  }
}
