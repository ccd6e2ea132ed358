/** Key pairs as they travel beside the plan, and the references by which it names them. */
import type { PlanSecret, PlanSecretRef } from '../ir/plan.ts';
import { hashSecret } from '../ir/version.ts';
import { keyOf, type Secret } from '../resource/resource.ts';
import type { AcmeChallenge } from './acme.ts';
import type { KeyPair } from './certificate.ts';

export interface NamedSecret {
  readonly ref: PlanSecretRef;
  readonly secret: PlanSecret;
}

const named = new WeakMap<KeyPair, NamedSecret>();

/** The same objects for the same key pair, so that a plan that did not change is the same objects too. */
export function nameSecret({ secret, pair }: { readonly secret: Secret; readonly pair: KeyPair }): NamedSecret {
  const known = named.get(pair);
  if (known !== undefined) return known;
  const value: PlanSecret = { certificatePem: pair.certificatePem, privateKeyPem: pair.privateKeyPem };
  const fresh: NamedSecret = { ref: { secret: keyOf(secret), hash: hashSecret(value) }, secret: value };
  named.set(pair, fresh);
  return fresh;
}

export type AlpnChallenge = Extract<AcmeChallenge, { readonly kind: 'tls-alpn-01' }>;

/** Names what answers the validation of one host name: `AcmeChallenge/shop/tls/shop.test`. */
export function challengeKey({ secret, hostname }: { readonly secret: string; readonly hostname: string }): string {
  return `AcmeChallenge/${secret.slice('Secret/'.length)}/${hostname}`;
}

const challenges = new WeakMap<AlpnChallenge, NamedSecret>();

/** The certificate that answers a validation: a secret of its own beside that of the listener. */
export function nameAlpnChallenge(challenge: AlpnChallenge): NamedSecret {
  const known = challenges.get(challenge);
  if (known !== undefined) return known;
  const { certificatePem, privateKeyPem } = challenge;
  const value: PlanSecret = { certificatePem, privateKeyPem };
  const fresh: NamedSecret = { ref: { secret: challengeKey(challenge), hash: hashSecret(value) }, secret: value };
  challenges.set(challenge, fresh);
  return fresh;
}
