/** The authority's state in the shapes in which it is asked. Made anew for each revision. */
import { hashOf } from '../base/canonical.ts';
import type { Kept, KeptAuthority } from './authority-store.ts';
import { trustedRoots } from './rotation.ts';
import { type Certificate, readAuthority } from './x509.ts';

/** What a proxy trusts, and is to say that it does. */
export interface TrustBundle {
  /** Of what follows but the issuer: what proxies acknowledge. */
  readonly hash: string;
  readonly trustDomain: string;
  /** PEM, of this trust domain. Two while a root is rotated. */
  readonly roots: readonly string[];
  /** Others whose workloads are known here. Their anchors are good for their identities only, whoever checks. */
  readonly federated: readonly { readonly trustDomain: string; readonly anchors: readonly string[] }[];
  /** Id of the issuer that issues now: who has a certificate of another one renews it soon. */
  readonly issuer: string;
}

export interface Current {
  readonly kept: Kept;
  readonly bundle: TrustBundle;
  readonly root: Certificate;
  readonly issuer: Certificate;
  /** Of the issuer: itself, then what is between it and its root. */
  readonly issuerChainPem: string;
  readonly denied: ReadonlySet<string>;
  /** PEMs for who joins: every root that a token may name, and what leads from former ones to the one of now. */
  readonly anchors: readonly string[];
}

export function currentOf(kept: Kept): Current {
  const { state, trustDomain, federations } = kept;
  const trusted = trustedRoots(state).map((id) => authorityIn(kept, id).chainPem);
  const issuer = authorityIn(kept, state.active.issuer);
  const root = authorityIn(kept, state.active.root);
  const content = { trustDomain, roots: trusted, federated: federations };
  const former = state.former.flatMap(({ root: id, cross }) => [id, cross]);
  const anchors = new Set([...trustedRoots(state), state.active.root, ...former]);
  return {
    kept,
    bundle: { ...content, hash: hashOf(content), issuer: issuer.id },
    root: readAuthority(root.chainPem).certificate,
    issuer: readAuthority(issuer.chainPem).certificate,
    issuerChainPem: issuer.chainPem,
    denied: new Set(kept.denials.map(({ identity }) => identity)),
    anchors: [...anchors].map((id) => authorityIn(kept, id).chainPem),
  };
}

/** @throws {Error} when the state names one that is not kept: they are written together */
export function authorityIn({ authorities }: Kept, id: string): KeptAuthority {
  const found = authorities.find((authority) => authority.id === id);
  if (found === undefined) throw new Error(`Cannot find the certificate ${id} of the authority`);
  return found;
}
