/** What of the profile is not run as it stands, and why. Both lists are printed in docs/conformance.md. */

export interface Excluded {
  readonly test: string;
  readonly reason: string;
}

export const EXCLUDED: readonly Excluded[] = [
  { test: 'HTTPRouteBackendProtocolH2C', reason: 'Needs HTTP/2 on both sides, which Fourways does not speak yet' },
  {
    test: 'GatewayInfrastructure',
    reason: 'Looks at labels of generated Pods, Services and ServiceAccounts: nothing of it exists without Kubernetes',
  },
];

/** Tests whose client speaks HTTP/2 over TLS upstream; here the same cases are asked over HTTP/1.1. */
export const OVER_HTTP1: readonly Excluded[] = [
  {
    test: 'HTTPRouteHTTPSListenerDetectMisdirectedRequests',
    reason: 'The 421 rules are the same in every version of HTTP; asked over HTTP/1.1 until Fourways speaks HTTP/2',
  },
];
