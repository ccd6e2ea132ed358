/**
 * Nonces for proofs of possession (RFC 9449 section 9): a client has to put a word of ours into its proof, so that
 * none can be made in advance for a time when its key is out of reach. A nonce is its time and a MAC over it: nothing
 * is kept, and each proxy with the same secret takes those of the others.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

/** Half of a SHA-256: as hard to guess as anything here. */
const MAC_BYTES = 16;
/** Seconds of epoch time. */
const TIME_BYTES = 6;
const NONCE_BYTES = TIME_BYTES + MAC_BYTES;
const NONCE_CHARS = Math.ceil((NONCE_BYTES * 4) / 3);

/** Clocks of other proxies run ahead, too. */
const AHEAD_S = 10;

/** Apart from everything else that the secret may be used for. */
const LABEL = 'fourways dpop nonce';

/** RFC 2104 section 3: a shorter secret makes the MAC weaker. */
const SECRET_BYTES_MIN = 32;

export class Nonces {
  readonly #secret: Buffer;
  readonly #lifetimeS: number;
  readonly #nowS: () => number;
  /** The same for a second: many clients may ask at once. */
  #last = { timeS: -1, nonce: '' };

  /** @throws {Error} on a secret that is too short */
  constructor(secret: string, lifetimeMs: number, wallMs: () => number) {
    this.#secret = Buffer.from(secret.replace(/\r?\n$/, ''));
    if (this.#secret.length < SECRET_BYTES_MIN) {
      throw new Error(
        `The secret of dpop.nonce has ${this.#secret.length} bytes, and needs ${SECRET_BYTES_MIN} at least`,
      );
    }
    this.#lifetimeS = Math.floor(lifetimeMs / 1000);
    this.#nowS = () => Math.floor(wallMs() / 1000);
  }

  fresh(): string {
    const timeS = this.#nowS();
    if (this.#last.timeS !== timeS) this.#last = { timeS, nonce: this.#nonceOf(timeS) };
    return this.#last.nonce;
  }

  /** `aging`: still good, and time for a new one. */
  ageOf(nonce: unknown): 'fresh' | 'aging' | 'bad' {
    if (typeof nonce !== 'string' || nonce.length !== NONCE_CHARS) return 'bad';
    const bytes = Buffer.from(nonce, 'base64url');
    if (bytes.length !== NONCE_BYTES) return 'bad';
    const timeS = bytes.readUIntBE(0, TIME_BYTES);
    if (!timingSafeEqual(bytes.subarray(TIME_BYTES), this.#macOf(bytes.subarray(0, TIME_BYTES)))) return 'bad';
    const ageS = this.#nowS() - timeS;
    if (ageS > this.#lifetimeS || ageS < -AHEAD_S) return 'bad';
    return ageS * 2 > this.#lifetimeS ? 'aging' : 'fresh';
  }

  #nonceOf(timeS: number): string {
    const time = Buffer.alloc(TIME_BYTES);
    time.writeUIntBE(timeS, 0, TIME_BYTES);
    return Buffer.concat([time, this.#macOf(time)]).toString('base64url');
  }

  #macOf(time: Buffer): Buffer {
    return createHmac('sha256', this.#secret).update(LABEL).update(time).digest().subarray(0, MAC_BYTES);
  }
}
