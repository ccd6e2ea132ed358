/**
 * Keys by their SHA-256, in memory that the garbage collector does not walk: a
 * million keys are 60 MB and cost it nothing. Open addressing with linear
 * probing; digests are uniform by themselves, and nobody can choose them.
 */
import { timingSafeEqual } from 'node:crypto';
import { type Identity, identityOf } from '../../filter/identity.ts';
import { ConsumerStore } from './consumer-store.ts';
import { DIGEST_BYTES, DISABLED, ID_BYTES, type KeyEntry, KeyLineReader } from './key-line.ts';
import { RecentKeys } from './recent-keys.ts';
import { digestOf } from './record.ts';

/** What is known of a key that was found. */
export interface Found {
  readonly identity: Identity;
  /** Epoch time. */
  readonly notBeforeMs: number;
  /** Epoch time; Infinity for a key that does not end. */
  readonly expiresMs: number;
  readonly disabled: boolean;
}

export class KeyTable {
  readonly #digests: Buffer;
  readonly #ids: Buffer;
  readonly #consumerOf: Uint32Array;
  readonly #notBeforeS: Uint32Array;
  readonly #expiresS: Uint32Array;
  /** Number of a key and 1; 0 where the slot is free. */
  readonly #slots: Uint32Array;
  readonly #mask: number;
  readonly #consumers = new ConsumerStore();
  /** Makes entries of lines, for {@link add}. */
  readonly reader = new KeyLineReader(this.#consumers);
  readonly #recent: RecentKeys<Found>;
  readonly #asked = Buffer.alloc(DIGEST_BYTES);
  #count = 0;

  /** @param keysMax  how many keys will be added at most */
  constructor(keysMax: number) {
    this.#digests = Buffer.alloc(keysMax * DIGEST_BYTES);
    this.#ids = Buffer.alloc(keysMax * ID_BYTES);
    this.#consumerOf = new Uint32Array(keysMax);
    this.#notBeforeS = new Uint32Array(keysMax);
    this.#expiresS = new Uint32Array(keysMax);
    // Between one slot in three and two in three are taken.
    const slots = 2 ** Math.ceil(Math.log2(Math.max(keysMax * 1.5, 2)));
    this.#slots = new Uint32Array(slots);
    this.#mask = slots - 1;
    this.#recent = new RecentKeys(keysMax);
  }

  get size(): number {
    return this.#count;
  }

  /** Bytes held outside of the heap. */
  get bytes(): number {
    const parts = [this.#digests, this.#ids, this.#consumerOf, this.#notBeforeS, this.#expiresS, this.#slots];
    return parts.reduce((sum, { byteLength }) => sum + byteLength, this.#consumers.bytes + this.#recent.bytes);
  }

  /** @returns the number of the key that has the same hash, when there is one */
  add({ digest, id, consumer, notBeforeS, expiresS }: KeyEntry): number | undefined {
    const slot = this.#slotOf(digest);
    if (this.#slots[slot] !== 0) return this.#slots[slot]! - 1;
    const key = this.#count++;
    this.#slots[slot] = key + 1;
    this.#digests.set(digest, key * DIGEST_BYTES);
    this.#ids.set(id, key * ID_BYTES);
    this.#consumerOf[key] = consumer;
    this.#notBeforeS[key] = notBeforeS;
    this.#expiresS[key] = expiresS;
    return undefined;
  }

  /** Nothing more is added: what only that needs is let go. */
  seal(): this {
    this.#consumers.seal();
    return this;
  }

  /**
   * The key whose hash is that of `text`. Takes as long for a key that is there as for one that is not, but for those
   * that were found lately, which are compared whole in constant time.
   */
  find(text: string): Found | undefined {
    return this.#recent.find(text) ?? this.#lookUp(text);
  }

  #lookUp(text: string): Found | undefined {
    this.#asked.write(digestOf(text), 'latin1');
    const key = this.#slots[this.#slotOf(this.#asked)]! - 1;
    if (key < 0) return undefined;
    const notBeforeS = this.#notBeforeS[key]!;
    const expiresS = this.#expiresS[key]!;
    const found: Found = {
      identity: identityOf({
        method: 'apiKey',
        subject: this.#ids.toString('hex', key * ID_BYTES, (key + 1) * ID_BYTES),
        consumer: this.#consumers.get(this.#consumerOf[key]!),
      }),
      notBeforeMs: notBeforeS * 1000,
      expiresMs: expiresS === 0 ? Infinity : expiresS * 1000,
      disabled: notBeforeS === DISABLED,
    };
    this.#recent.keep(text, found);
    return found;
  }

  /** Slot of the key with this digest, or the free one where it would stand. */
  #slotOf(digest: Buffer): number {
    for (let slot = digest.readUInt32LE(0) & this.#mask; ; slot = (slot + 1) & this.#mask) {
      const key = this.#slots[slot]! - 1;
      if (key < 0) return slot;
      const at = key * DIGEST_BYTES;
      if (timingSafeEqual(digest, this.#digests.subarray(at, at + DIGEST_BYTES))) return slot;
    }
  }
}
