/** Keys that tokens for upstreams are signed with. */
import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';

export interface SigningKey {
  readonly key: KeyObject;
  readonly algorithm: 'ES256' | 'EdDSA' | 'RS256';
  readonly kid: string;
  /** Public part, as a member of a key set (RFC 7517). */
  readonly jwk: Readonly<Record<string, unknown>>;
}

/** @throws {Error} on what is no such key; nothing of it is said */
export function signingKeyOf(pem: string, kid?: string): SigningKey {
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    throw new Error('The Secret of a signing key holds no private key in PEM (PKCS#8)');
  }
  const algorithm = algorithmOf(key);
  const members = createPublicKey(key).export({ format: 'jwk' });
  // RFC 7638 section 3: the members that make the key, in the order of their names.
  const ordered = Object.fromEntries(Object.entries(members).toSorted(([a], [b]) => (a < b ? -1 : 1)));
  const id = kid ?? createHash('sha256').update(JSON.stringify(ordered)).digest('base64url');
  return { key, algorithm, kid: id, jwk: { ...members, kid: id, alg: algorithm, use: 'sig' } };
}

function algorithmOf({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): SigningKey['algorithm'] {
  if (type === 'ec' && details?.namedCurve === 'prime256v1') return 'ES256';
  if (type === 'ed25519') return 'EdDSA';
  if (type === 'rsa' && (details?.modulusLength ?? 0) >= 2048) return 'RS256';
  throw new Error('A signing key is none of EC P-256, Ed25519 and RSA of 2048 bits or more');
}
