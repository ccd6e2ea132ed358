/** Roots and issuers of our own, as they are kept. */
import type { NewAuthority } from './authority-store.ts';
import { type AuthorityWish, type MadeAuthority, makeIssuer, makeRoot, openSigner, type Signer } from './x509.ts';

/** How long certificates last. */
export interface Lives {
  readonly leafMs: number;
  readonly issuerMs: number;
  readonly rootMs: number;
}

export interface PairWish {
  readonly trustDomain: string;
  readonly lives: Lives;
  readonly nowMs: number;
}

export interface MadePair {
  readonly root: NewAuthority;
  readonly issuer: NewAuthority;
}

export async function makePair({ trustDomain, lives, nowMs }: PairWish): Promise<MadePair> {
  const root = await makeRoot({ trustDomain, nowMs, lifeMs: lives.rootMs });
  const signer = await openSigner(root.certificate.pem, root.privateKeyPem);
  return { root: keptOf(root), issuer: await makeIssuerBelow(signer, { trustDomain, nowMs, lifeMs: lives.issuerMs }) };
}

export async function makeIssuerBelow(root: Signer, wish: AuthorityWish): Promise<NewAuthority> {
  return keptOf(await makeIssuer(wish, root));
}

function keptOf({ certificate, privateKeyPem }: MadeAuthority): NewAuthority {
  return { id: certificate.id, chainPem: certificate.pem, isBrought: false, privateKeyPem };
}
