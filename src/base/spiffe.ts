/**
 * SPIFFE IDs: who a workload is, in one line.
 *
 * @see https://spiffe.io/docs/latest/spiffe-specs/spiffe-id/ section 2, x509-svid section 2
 */

export interface SpiffeId {
  /** The whole: `spiffe://cluster.local/ns/shop/sa/orders`. */
  readonly id: string;
  readonly trustDomain: string;
  /** Of a path of the form `/ns/NAMESPACE/sa/ACCOUNT`; undefined for any other. */
  readonly namespace: string | undefined;
  readonly account: string | undefined;
}

const ID_CHARS_MAX = 2_048;

const ID = /^spiffe:\/\/([a-z0-9._-]{1,255})((?:\/[A-Za-z0-9._-]+)*)$/;

/** Undefined for what is not a SPIFFE ID in its one valid spelling. */
export function parseSpiffeId(text: string): SpiffeId | undefined {
  if (text.length > ID_CHARS_MAX) return undefined;
  const found = ID.exec(text);
  if (found === null || /\/\.{1,2}(?:\/|$)/.test(found[2]!)) return undefined;
  const workload = /^\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(found[2]!);
  return { id: text, trustDomain: found[1]!, namespace: workload?.[1], account: workload?.[2] };
}

/** The one SPIFFE ID of a certificate. Two URIs are none: which of them is meant could be read in two ways. */
export function spiffeIdOf(uris: readonly string[]): SpiffeId | undefined {
  return uris.length === 1 ? parseSpiffeId(uris[0]!) : undefined;
}
