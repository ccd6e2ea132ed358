/** Keys that signatures are checked with. Each knows the algorithms it is for: a token cannot choose (RFC 8725 section 3.1). */
import { createHash, createPublicKey, createSecretKey, type KeyObject } from 'node:crypto';
import type { Algorithm } from './config.ts';

export interface VerifyKey {
  /** Undefined: for tokens of any key id. */
  readonly kid: string | undefined;
  readonly algorithms: ReadonlySet<string>;
  readonly key: KeyObject;
  /** Tells it from every other key. */
  readonly print: string;
  /** False once the issuer has taken it back: what it verified is not believed any more. */
  live: boolean;
}

/** The keys of one issuer, wherever they come from. */
export interface KeySet {
  /** Undefined while there are none: `waitForKeys` then. */
  keys(): readonly VerifyKey[] | undefined;
  /** The fetch that runs, one for all who wait. Never rejects; undefined when nothing is to be waited for. */
  waitForKeys(): Promise<void> | undefined;
  /** A token named a key that is not there. The same, seldom enough that made-up keys cost the issuer nothing. */
  askAgain(): Promise<void> | undefined;
  close(): void;
}

/** Members of a JWK, of which nothing is known yet. */
export type Jwk = Readonly<Record<string, unknown>>;

const KIND_ALGORITHMS: Readonly<Record<string, readonly Algorithm[]>> = {
  RSA: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
  'EC P-256': ['ES256'],
  'EC P-384': ['ES384'],
  'EC P-521': ['ES512'],
  'OKP Ed25519': ['EdDSA', 'Ed25519'],
};

/** A document that holds more is refused. */
export const KEYS_MAX = 100;

/** Bits of an RSA key: less is broken (RFC 7518 section 3.3), more only makes checks slow. */
const RSA_BITS = { min: 2048, max: 8192 };

/** Keys of a JWK set for these algorithms; those that are for something else are left out. In words when there is none. */
export function readKeySet(text: string, algorithms: readonly string[]): readonly VerifyKey[] | string {
  let set: unknown;
  try {
    set = JSON.parse(text);
  } catch {
    return 'it is not JSON';
  }
  const keys: unknown = (set as { readonly keys?: unknown } | null)?.keys;
  if (!Array.isArray(keys)) return 'it has no list "keys"';
  if (keys.length > KEYS_MAX) return `it has ${keys.length} keys, more than ${KEYS_MAX}`;
  const good = keys.flatMap((jwk: unknown) => {
    const key = typeof jwk === 'object' && jwk !== null ? publicKeyOf(jwk as Jwk, algorithms) : 'not an object';
    return typeof key === 'string' ? [] : [key];
  });
  return good.length > 0 ? good : 'it has no key for the algorithms that are taken';
}

/** In words why it is no public key for one of these algorithms. Private parts are left aside. */
export function publicKeyOf(jwk: Jwk, algorithms: readonly string[]): VerifyKey | string {
  const { kty, crv, n, e, x, y, alg, use, kid } = jwk;
  if (use !== undefined && use !== 'sig') return 'it is not for signatures';
  if (Array.isArray(jwk['key_ops']) && !jwk['key_ops'].includes('verify')) return 'it is not for signatures';
  if (kid !== undefined && typeof kid !== 'string') return 'its id is not a text';
  const kind = kty === 'RSA' ? 'RSA' : `${String(kty)} ${String(crv)}`;
  const able = Object.hasOwn(KIND_ALGORITHMS, kind) ? KIND_ALGORITHMS[kind]! : [];
  const taken = able.filter((one) => algorithms.includes(one) && (alg === undefined || alg === one));
  if (taken.length === 0) return 'it is not for the algorithms that are taken';
  const parts = kty === 'RSA' ? { kty, n, e } : kty === 'EC' ? { kty, crv, x, y } : { kty, crv, x };
  // Longer numbers are not even read: the exponent of what signs is short, and decides what a check costs.
  if (kty === 'RSA' && (String(n).length > 1400 || String(e).length > 8)) return 'its numbers are too long';
  let key: KeyObject;
  try {
    key = createPublicKey({ format: 'jwk', key: parts as never });
  } catch {
    return 'its numbers are not a key';
  }
  const bits = key.asymmetricKeyDetails?.modulusLength;
  if (kty === 'RSA' && (bits === undefined || bits < RSA_BITS.min || bits > RSA_BITS.max)) {
    return `it is not of ${RSA_BITS.min} to ${RSA_BITS.max} bits`;
  }
  return { kid, algorithms: new Set(taken), key, print: printOf([kid, taken, parts]), live: true };
}

export function secretKeyOf(bytes: Buffer, kid: string | undefined, algorithms: readonly string[]): VerifyKey {
  const key = createSecretKey(bytes);
  const print = printOf([kid, algorithms, bytes.toString('base64')]);
  return { kid, algorithms: new Set(algorithms), key, print, live: true };
}

function printOf(parts: readonly unknown[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}

/**
 * The new keys, of which those that were there before are the same objects; the
 * others of before are not live any more.
 */
export function replaceKeys(before: readonly VerifyKey[], now: readonly VerifyKey[]): readonly VerifyKey[] {
  const kept = new Map(before.map((key) => [key.print, key]));
  const keys = now.map((key) => kept.get(key.print) ?? key);
  for (const key of before) key.live = keys.includes(key);
  return keys;
}

/** Keys that a token without a key id is tried with, at most: each costs the check of a signature. */
const TRIED_MAX = 4;

/** Those that may have made this signature. */
export function candidates(keys: readonly VerifyKey[], alg: string, kid: string | undefined): readonly VerifyKey[] {
  const able = keys.filter((key) => key.algorithms.has(alg));
  if (kid === undefined) return able.slice(0, TRIED_MAX);
  return able.filter((key) => key.kid === undefined || key.kid === kid).slice(0, TRIED_MAX);
}
