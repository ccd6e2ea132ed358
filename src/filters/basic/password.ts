/**
 * Passwords as they are kept: `$argon2id$…` (RFC 9106) and `$scrypt$…` (RFC
 * 7914), in the form of the Password Hashing Competition. Both are slow on
 * purpose, and run on the thread pool of Node.js.
 */
import { argon2, scrypt, timingSafeEqual } from 'node:crypto';

export interface PasswordHash {
  /** How much work it is: equal for hashes that take equally long. */
  readonly cost: string;
  isFor(password: string): Promise<boolean>;
}

type Derive = (password: string, salt: Buffer, bytes: number) => Promise<Buffer>;

const BASE64 = '[A-Za-z0-9+/]+';
const FORM = new RegExp(`^\\$(argon2id\\$v=19|scrypt)\\$([a-z0-9=,]{1,64})\\$(${BASE64})\\$(${BASE64})$`);

/** Largest memory of one check. Beyond: refused, a file must not be able to exhaust the machine. */
const MEMORY_BYTES_MAX = 256 * 1024 * 1024;

const SALT_BYTES = { min: 8, max: 64 };
const HASH_BYTES = { min: 16, max: 64 };

/** @throws {Error} when it is of another form; the message shows the name of the form at most */
export function readPasswordHash(text: string): PasswordHash {
  const [, algorithm, parameters, salt64, hash64] = FORM.exec(text) ?? [];
  if (algorithm === undefined || parameters === undefined) {
    const [, other] = /^\$([A-Za-z0-9-]{1,12})\$/.exec(text) ?? [];
    const got = other === undefined ? 'something else' : `$${other}$ of another form or kind`;
    throw new Error(`Expected a hash that begins with $argon2id$v=19$ or $scrypt$, got ${got}`);
  }
  const salt = Buffer.from(salt64!, 'base64');
  const hash = Buffer.from(hash64!, 'base64');
  const derive = algorithm === 'scrypt' ? scryptBy(parameters) : argon2By(parameters);
  if (!isWithin(salt.length, SALT_BYTES) || !isWithin(hash.length, HASH_BYTES)) {
    throw new Error(`Expected a salt of 8 to 64 bytes and a hash of 16 to 64, got ${salt.length} and ${hash.length}`);
  }
  return {
    cost: `${algorithm} ${parameters} ${hash.length}`,
    isFor: async (password) => timingSafeEqual(await derive(password, salt, hash.length), hash),
  };
}

function isWithin(value: number, { min, max }: { readonly min: number; readonly max: number }): boolean {
  return value >= min && value <= max;
}

function scryptBy(text: string): Derive {
  const [ln, r, p] = numbersOf(text, 'ln=15,r=8,p=1');
  const N = 2 ** ln!;
  const memory = 128 * N * r!;
  if (
    !isWithin(ln!, { min: 10, max: 20 }) ||
    !isWithin(r!, { min: 1, max: 32 }) ||
    !isWithin(p!, { min: 1, max: 16 })
  ) {
    throw new Error(`Expected ln from 10 to 20, r from 1 to 32 and p from 1 to 16, got ${text}`);
  }
  if (memory > MEMORY_BYTES_MAX) throw new Error(`Expected at most 256 MiB of memory for a check, got ${text}`);
  // OpenSSL counts a little more than the memory of the algorithm.
  const options = { N, r: r!, p: p!, maxmem: memory + 128 * r! * p! + 1024 * 1024 };
  return (password, salt, bytes) =>
    new Promise((resolve, reject) => {
      scrypt(password, salt, bytes, options, (error, key) => (error === null ? resolve(key) : reject(error)));
    });
}

function argon2By(text: string): Derive {
  const [memory, passes, parallelism] = numbersOf(text, 'm=19456,t=2,p=1');
  if (!isWithin(passes!, { min: 1, max: 20 }) || !isWithin(parallelism!, { min: 1, max: 8 })) {
    throw new Error(`Expected t from 1 to 20 and p from 1 to 8, got ${text}`);
  }
  if (!isWithin(memory!, { min: 8 * parallelism!, max: MEMORY_BYTES_MAX / 1024 })) {
    throw new Error(`Expected m from 8 for each p to ${MEMORY_BYTES_MAX / 1024}, got ${text}`);
  }
  return (message, nonce, tagLength) =>
    new Promise((resolve, reject) => {
      const parameters = { message, nonce, parallelism: parallelism!, tagLength, memory: memory!, passes: passes! };
      argon2('argon2id', parameters, (error, key) => (error === null ? resolve(key) : reject(error)));
    });
}

/** Numbers of `m=19456,t=2,p=1`, whose names stand in the order of the example. */
function numbersOf(text: string, example: string): number[] {
  const form = new RegExp(`^${example.replaceAll(/\d+/g, '(\\d{1,7})')}$`);
  const found = form.exec(text);
  if (found === null) throw new Error(`Expected parameters such as "${example}", got "${text}"`);
  return found.slice(1).map(Number);
}

export const ALGORITHMS = ['argon2id', 'scrypt'] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

/** What OWASP recommends at least: 19 MiB and two passes; 32 MiB and three lanes. */
const NEW_PARAMETERS: Readonly<Record<Algorithm, string>> = {
  argon2id: 'v=19$m=19456,t=2,p=1',
  scrypt: 'ln=15,r=8,p=3',
};

export const NEW_SALT_BYTES = 16;
const NEW_HASH_BYTES = 32;

/** A password as it is kept from now on. */
export async function hashPassword(password: string, algorithm: Algorithm, salt: Buffer): Promise<string> {
  const parameters = NEW_PARAMETERS[algorithm];
  const derive = algorithm === 'scrypt' ? scryptBy(parameters) : argon2By(parameters.replace('v=19$', ''));
  const hash = await derive(normalized(password), salt, NEW_HASH_BYTES);
  return `$${algorithm}$${parameters}$${base64(salt)}$${base64(hash)}`;
}

/** RFC 7617 section 2.1: one way to write each character. */
export function normalized(text: string): string {
  return text.normalize('NFC');
}

function base64(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '');
}
