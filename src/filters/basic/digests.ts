/**
 * Digests that tell credentials apart without being them. Nobody can choose one:
 * they begin with a secret. Node.js hashes bytes in half of the time that it
 * takes for a text, so what requests bring is written into bytes that stay.
 */
import { hash, randomBytes } from 'node:crypto';

/** Longest credentials that are looked at: names and passwords are shorter, and each request hashes them. */
export const TOKEN_CHARS_MAX = 2_048;

const SECRET_BYTES = 16;
/** Length of the credentials, in front of them: what is hashed together with zeros is still told apart from what has zeros. */
const LENGTH_BYTES = 2;
const TOKEN_AT = SECRET_BYTES + LENGTH_BYTES;
/** Two blocks of SHA-256 with its padding: credentials of up to 101 characters. One view serves all of these. */
const SHORT_BYTES = 119;

export class Digests {
  readonly #bytes = Buffer.alloc(TOKEN_AT + TOKEN_CHARS_MAX);
  readonly #short = this.#bytes.subarray(0, SHORT_BYTES);
  readonly #secret = randomBytes(SECRET_BYTES).toString('hex');

  constructor() {
    randomBytes(SECRET_BYTES).copy(this.#bytes);
  }

  /** @param token  of a header field, at most TOKEN_CHARS_MAX characters */
  ofToken(token: string): string {
    const bytes = this.#bytes;
    bytes[SECRET_BYTES] = token.length >>> 8;
    bytes[SECRET_BYTES + 1] = token.length & 0xff;
    const end = TOKEN_AT + bytes.write(token, TOKEN_AT, 'latin1');
    if (end > SHORT_BYTES) return hash('sha256', bytes.subarray(0, end), 'latin1');
    for (let i = end; i < SHORT_BYTES; i++) bytes[i] = 0;
    return hash('sha256', this.#short, 'latin1');
  }

  /** In hex. */
  ofName(name: string): string {
    return hash('sha256', this.#secret + name, 'hex');
  }
}
