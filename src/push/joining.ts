/** What decides who may join: the control plane's side of joining, which this room only carries. */
import type { Fault } from '../base/fault.ts';

export interface Issued {
  /** Leaf first, then its issuers, without the root. */
  readonly chainPem: string;
  /** Roots that the proxy is to trust. */
  readonly trustPem: string;
}

/** What a proxy says of itself beside its request: its service, its host. For the log and the token's bounds, never for trust. */
export type Facts = Readonly<Record<string, string>>;

export interface Joining {
  /** @param csrDer  PKCS #10 (RFC 2986) */
  join(token: string, csrDer: Buffer, facts: Facts): Promise<Issued | Fault>;
  /** @param identity  SPIFFE ID of the certificate that was shown: a new one is for the same */
  renew(identity: string, csrDer: Buffer): Promise<Issued | Fault>;
}
