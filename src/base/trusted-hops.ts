/** Which peers may speak for a client in X-Forwarded-* and Forwarded. */
export interface TrustedHops {
  /** Number of proxies of ours in front; 0 trusts nobody. */
  readonly count: number;
  /** Peers whose headers are believed, as CIDR; empty means any peer when count > 0. */
  readonly cidrs: readonly string[];
}
