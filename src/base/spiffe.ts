/**
 * SPIFFE IDs: who a workload is, in one line. Strict: what the specification does not allow is refused, and nothing is made
 * lower case or decoded, so equal identities are equal texts.
 *
 * @see https://spiffe.io/docs/latest/spiffe-specs/spiffe-id/ section 2, x509-svid section 2
 */

export interface SpiffeId {
  /** The whole: `spiffe://cluster.local/ns/shop/sa/orders`. */
  readonly id: string;
  readonly trustDomain: string;
  /** With its leading slash; empty for the trust domain itself. */
  readonly path: string;
  /** Of a path of the form `/ns/NAMESPACE/sa/ACCOUNT`; undefined for any other. */
  readonly namespace: string | undefined;
  readonly account: string | undefined;
}

/** What is wrong with something that was handed in: `A SPIFFE ID starts with "spiffe://"`. */
export interface Flaw {
  readonly flaw: string;
}

/** SPIFFE-ID section 2.3: longer ones need not be understood by anybody. */
const ID_BYTES_MAX = 2_048;
/** SPIFFE-ID section 2.1, as the host of RFC 3986 section 3.2.2. */
const TRUST_DOMAIN_BYTES_MAX = 255;

const SCHEME = 'spiffe://';
const TRUST_DOMAIN = /^[a-z0-9._-]+$/;
const SEGMENT = /^[A-Za-z0-9._-]+$/;
const WORKLOAD = /^\/ns\/([^/]+)\/sa\/([^/]+)$/;

export function readSpiffeId(text: string): SpiffeId | Flaw {
  if (text.length > ID_BYTES_MAX) return { flaw: `A SPIFFE ID has at most ${ID_BYTES_MAX} bytes` };
  if (!text.startsWith(SCHEME)) return { flaw: `A SPIFFE ID starts with "${SCHEME}"` };
  const slash = text.indexOf('/', SCHEME.length);
  const trustDomain = slash === -1 ? text.slice(SCHEME.length) : text.slice(SCHEME.length, slash);
  const flaw = trustDomainFlaw(trustDomain);
  if (flaw !== undefined) return { flaw };
  const path = slash === -1 ? '' : text.slice(slash);
  // Section 2.2: no empty segment, so no slash at the end; none that a reader of paths would take away.
  if (!path.split('/').slice(1).every(isSegment)) {
    return {
      flaw: 'Each part of the path of a SPIFFE ID has letters, digits, ".", "-" and "_", and is not "." or ".."',
    };
  }
  const workload = WORKLOAD.exec(path);
  return { id: text, trustDomain, path, namespace: workload?.[1], account: workload?.[2] };
}

/** Undefined for what is not a SPIFFE ID. */
export function parseSpiffeId(text: string): SpiffeId | undefined {
  const read = readSpiffeId(text);
  return 'flaw' in read ? undefined : read;
}

/**
 * The one SPIFFE ID of a certificate (X509-SVID section 2). Two URIs are none: which of them is meant could be read in two
 * ways. The trust domain alone is nobody's.
 */
export function spiffeIdOf(uris: readonly string[]): SpiffeId | undefined {
  const id = uris.length === 1 ? parseSpiffeId(uris[0]!) : undefined;
  return id?.path === '' ? undefined : id;
}

/** Whether it can stand in the path of an ID, as a namespace or an account. */
export function isSegment(text: string): boolean {
  return SEGMENT.test(text) && text !== '.' && text !== '..';
}

/** Why a text is no trust domain; undefined when it is one. */
function trustDomainFlaw(text: string): string | undefined {
  if (text.length > TRUST_DOMAIN_BYTES_MAX) return `A trust domain has at most ${TRUST_DOMAIN_BYTES_MAX} bytes`;
  return TRUST_DOMAIN.test(text) ? undefined : 'A trust domain has lower-case letters, digits, ".", "-" and "_"';
}
