/** Seals what browsers keep: AES-256-GCM, so that it can neither be read nor changed, nor used for something else. */
import { createCipheriv, createDecipheriv, hkdfSync } from 'node:crypto';

/** NIST SP 800-38D section 8.2.2: with random nonces of 96 bits a key may seal 2^32 times. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const ID_BYTES = 4;
const KEY_CHARS_MIN = 32;

interface Key {
  readonly id: Buffer;
  readonly key: Buffer;
}

export class Sealer {
  readonly #keys: readonly Key[];
  readonly #randomBytes: (count: number) => Buffer;

  /**
   * @param owner  policy whose cookies they are: those of another one cannot be opened, though it has the same keys
   * @throws {Error} when a secret is too short to be a key
   */
  constructor(secrets: readonly string[], owner: string, randomBytes: (count: number) => Buffer) {
    this.#keys = secrets.map((secret) => {
      if (secret.trim().length < KEY_CHARS_MIN)
        throw new Error(`A key of cookies has less than ${KEY_CHARS_MIN} characters`);
      const bytes = Buffer.from(hkdfSync('sha256', secret.trim(), '', `fourways oidc 1 ${owner}`, ID_BYTES + 32));
      return { id: bytes.subarray(0, ID_BYTES), key: bytes.subarray(ID_BYTES) };
    });
    this.#randomBytes = randomBytes;
  }

  /** @param use  what it is for, and for whom: has to be the same when it is opened */
  seal(value: object, use: string): string {
    const { id, key } = this.#keys[0]!;
    const nonce = this.#randomBytes(NONCE_BYTES);
    const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
    cipher.setAAD(Buffer.from(use));
    const sealed = Buffer.concat([cipher.update(JSON.stringify(value)), cipher.final()]);
    return Buffer.concat([id, nonce, sealed, cipher.getAuthTag()]).toString('base64url');
  }

  /** Undefined for what was not sealed here, for this use. */
  open(text: string, use: string): unknown {
    const bytes = Buffer.from(text, 'base64url');
    if (bytes.length < ID_BYTES + NONCE_BYTES + TAG_BYTES) return undefined;
    const found = this.#keys.find(({ id }) => id.equals(bytes.subarray(0, ID_BYTES)));
    if (found === undefined) return undefined;
    const nonce = bytes.subarray(ID_BYTES, ID_BYTES + NONCE_BYTES);
    const decipher = createDecipheriv('aes-256-gcm', found.key, nonce, { authTagLength: TAG_BYTES });
    decipher.setAAD(Buffer.from(use));
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES));
    try {
      const plain = decipher.update(bytes.subarray(ID_BYTES + NONCE_BYTES, -TAG_BYTES), undefined, 'utf8');
      return JSON.parse(plain + decipher.final('utf8')) as unknown;
    } catch {
      return undefined;
    }
  }
}
