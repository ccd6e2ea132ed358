/**
 * Secret values at rest: AES-256-GCM with a random nonce of 96 bits (NIST SP 800-38D
 * section 8.2.2). What a value is for is sealed in with it, so that a row copied over
 * another one does not open there.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

export const STATE_KEY_BYTES = 32;

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const FORM = 'v1';

export class Seal {
  readonly #key: Uint8Array;

  /** @param key  {@link STATE_KEY_BYTES} bytes */
  constructor(key: Uint8Array) {
    if (key.length !== STATE_KEY_BYTES) throw new RangeError(`Cannot seal: the key has ${key.length} bytes`);
    this.#key = key;
  }

  /** @param purpose  what the value is for: `acme_account.key_sealed NAME` */
  close(purpose: string, value: string): string {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(Buffer.from(purpose));
    const bytes = Buffer.concat([nonce, cipher.update(value, 'utf8'), cipher.final(), cipher.getAuthTag()]);
    return `${FORM}.${bytes.toString('base64')}`;
  }

  /** @returns undefined when it was sealed with another key, for another purpose, or was changed */
  open(purpose: string, sealed: string): string | undefined {
    const [form, text = ''] = sealed.split('.', 2);
    const bytes = Buffer.from(text, 'base64');
    if (form !== FORM || bytes.length < NONCE_BYTES + TAG_BYTES) return undefined;
    const decipher = createDecipheriv('aes-256-gcm', this.#key, bytes.subarray(0, NONCE_BYTES))
      .setAAD(Buffer.from(purpose))
      .setAuthTag(bytes.subarray(-TAG_BYTES));
    try {
      const value = decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES));
      return Buffer.concat([value, decipher.final()]).toString('utf8');
    } catch {
      return undefined;
    }
  }

  /** What `console.log` and `util.inspect` print. */
  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return 'Seal [redacted]';
  }
}
