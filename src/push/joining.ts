/** What decides who may join: the control plane's side of joining, which this room only carries. */
import type { Fault } from '../base/fault.ts';
import type { TrustBundle } from './messages.ts';

export interface Issued {
  /** Leaf first, then its issuers, without the root. */
  readonly chainPem: string;
  /** What its holder is to trust from now on. */
  readonly trust: TrustBundle;
}

/** What a proxy says of itself beside its request: its service, its host, its instance. Never a reason to trust it. */
export type Facts = Readonly<Record<string, string>>;

export interface Joining {
  /** PEMs by which who knows the hash of a root can come to trust us; told to everybody. */
  anchors(): readonly string[];
  /** @param csrDer  PKCS #10 (RFC 2986) */
  join(token: string, csrDer: Buffer, facts: Facts): Promise<Issued | Fault>;
  /** @param identity  SPIFFE ID of the certificate that was shown: a new one is for the same */
  renew(identity: string, csrDer: Buffer, facts: Facts): Promise<Issued | Fault>;
}
