/**
 * Join tokens: what a proxy proves with that it may join, before it has a certificate.
 *
 *     fwj_ + base64url( id 16 | secret 32 | hash of the root 32 | CRC-32 4 )
 *
 * The id finds the row, the secret is kept as its SHA-256 only (256 random bits need no slow
 * hash), the hash of the root is what the proxy knows the control plane by, and the checksum
 * tells a token that was cut when it was copied from one that is not known.
 */
import { createHash, randomBytes, timingSafeEqual, X509Certificate } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { Flaw } from '../base/spiffe.ts';

const PREFIX = 'fwj_';
const ID_BYTES = 16;
const SECRET_BYTES = 32;
const HASH_BYTES = 32;
const BODY_BYTES = ID_BYTES + SECRET_BYTES + HASH_BYTES;
/** 84 bytes are 112 digits, without padding. */
const DIGITS = 112;
const DIGIT = /^[A-Za-z0-9_-]+$/;

export interface MadeToken {
  readonly id: string;
  /** SHA-256 of the secret, hex. */
  readonly hash: string;
  /** Shown once. */
  readonly text: string;
}

export interface ReadToken {
  readonly id: string;
  readonly hash: string;
  /** SHA-256 of a root of the control plane, hex. */
  readonly root: string;
}

/** @param root  SHA-256 of the root's DER, hex */
export function makeToken(root: string): MadeToken {
  const id = randomBytes(ID_BYTES);
  const secret = randomBytes(SECRET_BYTES);
  const body = Buffer.concat([id, secret, Buffer.from(root, 'hex')]);
  return {
    id: id.toString('hex'),
    hash: hashOfSecret(secret),
    text: PREFIX + Buffer.concat([body, checksum(body)]).toString('base64url'),
  };
}

export function readToken(text: string): ReadToken | Flaw {
  const digits = text.slice(PREFIX.length);
  if (!text.startsWith(PREFIX) || !DIGIT.test(digits))
    return { flaw: `A join token is "${PREFIX}" and ${DIGITS} digits` };
  if (digits.length !== DIGITS) return { flaw: `The join token has ${digits.length} digits: it should have ${DIGITS}` };
  const bytes = Buffer.from(digits, 'base64url');
  const body = bytes.subarray(0, BODY_BYTES);
  if (!checksum(body).equals(bytes.subarray(BODY_BYTES))) {
    return { flaw: 'The join token was changed or cut when it was copied' };
  }
  return {
    id: body.toString('hex', 0, ID_BYTES),
    hash: hashOfSecret(body.subarray(ID_BYTES, ID_BYTES + SECRET_BYTES)),
    root: body.toString('hex', ID_BYTES + SECRET_BYTES),
  };
}

/** Compares hashes without telling by time where they differ. */
export function isSameHash(a: string, b: string): boolean {
  const left = Buffer.from(a, 'hex');
  const right = Buffer.from(b, 'hex');
  return left.length === right.length && timingSafeEqual(left, right);
}

/**
 * What a proxy that joins trusts. The control plane sends its anchors to whoever asks; the one whose hash stands in the
 * token is believed, and what is not signed by itself serves to get from there to a root that came later.
 *
 * @returns PEMs for `ca` of a TLS client; undefined when none of them is the root of the token
 */
export function anchorsFor(anchors: readonly string[], root: string): readonly string[] | undefined {
  const own: string[] = [];
  const between: string[] = [];
  for (const pem of anchors) {
    let certificate: X509Certificate;
    try {
      certificate = new X509Certificate(pem);
    } catch {
      continue;
    }
    const hash = createHash('sha256').update(certificate.raw).digest('hex');
    if (isSameHash(hash, root)) own.push(pem);
    else if (certificate.subject !== certificate.issuer) between.push(pem);
  }
  return own.length === 0 ? undefined : [...own, ...between];
}

function hashOfSecret(secret: Uint8Array): string {
  return createHash('sha256').update(secret).digest('hex');
}

function checksum(body: Uint8Array): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(crc32(body));
  return bytes;
}
