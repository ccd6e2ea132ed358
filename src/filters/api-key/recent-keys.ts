/**
 * Keys that were found lately, so that a key in use is not hashed for each
 * request: SHA-256 takes most of a microsecond. Only keys that are valid get in;
 * they are compared whole, in a time that does not depend on what they hold.
 */

/** Each place costs 64 bytes and what is kept with the key. */
const PLACES_MAX = 8_192;

/** Longer keys are hashed each time. Ours have 52 characters. */
const CHARS_MAX = 64;
const WORDS = CHARS_MAX / 4;

export class RecentKeys<T> {
  readonly #words: Int32Array;
  /** 0 where nothing is kept. */
  readonly #lengths: Uint8Array;
  readonly #kept: (T | undefined)[];
  readonly #mask: number;
  #turn = 0;
  /** What is asked for, with zeros behind it. */
  readonly #asked = new Int32Array(WORDS);
  readonly #askedBytes = Buffer.from(this.#asked.buffer);

  /** @param keysMax  how many keys there are */
  constructor(keysMax: number) {
    const places = Math.min(PLACES_MAX, 2 ** Math.ceil(Math.log2(keysMax * 2 + 2)));
    this.#words = new Int32Array(places * WORDS);
    this.#lengths = new Uint8Array(places);
    this.#kept = Array.from({ length: places });
    this.#mask = places - 1;
  }

  get bytes(): number {
    return this.#words.byteLength + this.#lengths.byteLength;
  }

  find(text: string): T | undefined {
    const place = this.#placeOf(text);
    if (place < 0) return undefined;
    return this.#isAt(place, text.length) ? this.#kept[place] : this.#other(place ^ 1, text.length);
  }

  keep(text: string, what: T): void {
    const place = this.#placeOf(text);
    if (place < 0) return;
    // One of two places: else two keys in use that meet would put each other out.
    const taken = this.#lengths[place] === 0 ? place : place ^ this.#turn;
    this.#turn ^= 1;
    this.#lengths[taken] = text.length;
    this.#kept[taken] = what;
    // Copied: a piece of a request would keep the whole request in memory.
    this.#words.set(this.#asked, taken * WORDS);
  }

  #other(place: number, length: number): T | undefined {
    return this.#isAt(place, length) ? this.#kept[place] : undefined;
  }

  #isAt(place: number, length: number): boolean {
    const words = this.#words;
    const start = place * WORDS;
    let difference = this.#lengths[place]! ^ length;
    for (let i = 0; i < WORDS; i++) difference |= words[start + i]! ^ this.#asked[i]!;
    return difference === 0;
  }

  /** Takes the text as what is asked for. -1 when it cannot be a key that is kept. Who makes keys meet in one place wins nothing. */
  #placeOf(text: string): number {
    const asked = this.#asked;
    for (let i = 0; i < WORDS; i++) asked[i] = 0;
    // Keys are ASCII: of anything else the bytes are more than the characters.
    if (text.length > CHARS_MAX || this.#askedBytes.write(text) !== text.length) return -1;
    let hash = 0x811c_9dc5 | 0;
    for (let i = 0; i < WORDS; i++) {
      hash = Math.imul(hash ^ asked[i]!, 0x0100_0193);
      hash ^= hash >>> 15;
    }
    return hash & this.#mask;
  }
}
