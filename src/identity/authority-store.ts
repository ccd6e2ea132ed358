/** What the authority keeps, and what of it several control planes must agree on. Implemented on SQL by sql-store.ts. */
import type { RotationState } from './rotation.ts';

/** Seals private keys at rest: what `Seal` of the store does. */
export interface KeySeal {
  close(purpose: string, value: string): string;
  /** @returns undefined when it was sealed with another key, for another purpose, or was changed */
  open(purpose: string, sealed: string): string | undefined;
}

/** A certificate of an authority. Never changed; its key is forgotten when it has issued its last. */
export interface KeptAuthority {
  /** SHA-256 of its certificate. */
  readonly id: string;
  /** Its certificate, then those between it and its root, without the root. */
  readonly chainPem: string;
  readonly isBrought: boolean;
}

export interface KeptDenial {
  /** SPIFFE ID. */
  readonly identity: string;
  readonly reason: string;
  readonly atMs: number;
}

/** Another trust domain whose workloads are known here. */
export interface KeptFederation {
  readonly trustDomain: string;
  /** PEMs to trust: each root of it, fenced in. */
  readonly anchors: readonly string[];
}

/** Everything but tokens, leaves and keys, as of one revision. */
export interface Kept {
  readonly revision: number;
  readonly trustDomain: string;
  readonly state: RotationState;
  readonly authorities: readonly KeptAuthority[];
  readonly denials: readonly KeptDenial[];
  readonly federations: readonly KeptFederation[];
}

export interface KeptToken {
  readonly id: string;
  /** SHA-256 of the secret, hex. */
  readonly hash: string;
  /** The root that it names. */
  readonly root: string;
  /** What it may ask for; `*` is any. */
  readonly namespace: string;
  readonly account: string;
  readonly used: number;
  readonly usesMax: number;
  readonly createdMs: number;
  readonly expiresMs: number;
}

export interface KeptLeaf {
  readonly serial: string;
  /** Who has it: one running proxy. */
  readonly proxy: string;
  readonly identity: string;
  readonly issuer: string;
  readonly notAfterMs: number;
}

/** What one proxy says of itself. */
export interface Acknowledgement {
  readonly proxy: string;
  readonly identity: string;
  /** Of the certificate that it uses. */
  readonly serial: string;
  /** Hash of the trust bundle by which all of it works. */
  readonly bundle: string;
}

export interface NewAuthority extends KeptAuthority {
  /** Sealed; undefined for one whose key is not here. */
  readonly privateKeyPem: string | undefined;
}

/** A change of the state, kept whole or not at all. */
export interface StateChange {
  readonly state: RotationState;
  readonly add?: readonly NewAuthority[];
  /** Ids of authorities whose keys are destroyed. */
  readonly forgetKeys?: readonly string[];
  /** Ids of authorities of which nothing is left. */
  readonly forget?: readonly string[];
  /** Only if every holder of a certificate that is good at this time has acknowledged this bundle, also those of this moment. */
  readonly onlyIf?: { readonly bundle: string; readonly nowMs: number };
}

export interface Holders {
  readonly behind: number;
  readonly elsewhere: number;
  /** Some of those that are waited for, for the status. Bound: {@link HOLDERS_NAMED_MAX}. */
  readonly named: readonly { readonly proxy: string; readonly identity: string }[];
}

export const HOLDERS_NAMED_MAX = 10;
/** As many proxies as one control plane has. */
export const LEAVES_LISTED_MAX = 20_000;

/**
 * What became of an issue: `moved`, another issuer issues now; `spent`, the token was used up or ended meanwhile;
 * `denied`, the identity was turned away meanwhile. Only `kept` is a certificate that may leave.
 */
export type Issue = 'kept' | 'moved' | 'spent' | 'denied';

export interface AuthorityStore {
  revision(): Promise<number | undefined>;
  /** @returns undefined before the first {@link begin} */
  load(): Promise<Kept | undefined>;
  /** The first state of all. Whoever comes second changes nothing. */
  begin(trustDomain: string, change: StateChange): Promise<void>;
  /** @returns false when the state is not of this revision any more, or its condition does not hold: nothing was changed */
  change(revision: number, change: StateChange): Promise<boolean>;
  /** @returns undefined when there is none, or it does not open with our seal */
  privateKey(id: string): Promise<string | undefined>;

  /** One certificate that was signed, with the use of a token that it costs. */
  issue(leaf: KeptLeaf, spends?: { readonly token: string; readonly nowMs: number }): Promise<Issue>;
  acknowledge(said: readonly Acknowledgement[]): Promise<void>;
  /** A proxy that ended in good order uses its certificates no more. */
  release(proxy: string, identity: string): Promise<void>;
  /** The newest certificate of each proxy that has not ended at this time, by identity. Bound: {@link LEAVES_LISTED_MAX}. */
  leaves(nowMs: number): Promise<readonly (KeptLeaf & { readonly bundle: string })[]>;
  holders(of: { readonly bundle: string; readonly issuer: string; readonly nowMs: number }): Promise<Holders>;

  addToken(token: KeptToken): Promise<void>;
  token(id: string): Promise<KeptToken | undefined>;
  tokens(): Promise<readonly KeptToken[]>;
  /** @returns whether there was one */
  forgetToken(id: string): Promise<boolean>;

  deny(denial: KeptDenial): Promise<void>;
  allow(identity: string): Promise<boolean>;
  federate(federation: KeptFederation): Promise<void>;
  unfederate(trustDomain: string): Promise<boolean>;

  /** Forgets what has ended before: certificates, tokens. */
  prune(beforeMs: number): Promise<void>;
}
