/** Who this proxy is, for filters that sign in its name: made of the key pair of its certificate. */
import { createPrivateKey, sign, X509Certificate } from 'node:crypto';
import { spiffeIdOf } from '../base/spiffe.ts';
import type { OwnIdentity } from '../filter/env.ts';
import type { PlanSecret } from '../ir/plan.ts';
import { namesOf } from '../net/certificate.ts';

const MADE = new WeakMap<PlanSecret, { readonly own: OwnIdentity | undefined }>();

/** Undefined without a certificate of a workload. The same object for the same secret. */
export function ownIdentityOf(secret: PlanSecret | undefined): OwnIdentity | undefined {
  if (secret === undefined) return undefined;
  let made = MADE.get(secret);
  if (made === undefined) MADE.set(secret, (made = { own: identityIn(secret) }));
  return made.own;
}

function identityIn(secret: PlanSecret): OwnIdentity | undefined {
  if (!('certificatePem' in secret)) return undefined;
  const { certificatePem, privateKeyPem } = secret;
  const blocks = certificatePem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const chain = blocks.map((block) => new X509Certificate(block));
  const [leaf] = chain;
  const id = leaf && spiffeIdOf(namesOf(leaf).uri)?.id;
  if (leaf === undefined || id === undefined) return undefined;
  const key = createPrivateKey(privateKeyPem);
  return {
    id,
    x5c: chain.map(({ raw }) => raw.toString('base64')),
    notAfterMs: leaf.validToDate.getTime(),
    sign: (bytes) => sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }),
  };
}
