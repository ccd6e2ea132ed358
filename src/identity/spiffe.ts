/**
 * SPIFFE IDs: `spiffe://TRUST-DOMAIN/PATH`. Strict: what the specification does not allow
 * is refused and nothing is made lower case or decoded, so equal identities are equal texts.
 *
 * @see SPIFFE-ID section 2
 */

export interface SpiffeId {
  readonly trustDomain: string;
  /** With its leading slash; empty for the trust domain itself. */
  readonly path: string;
}

/** Who a workload of the mesh is: `spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`. */
export interface WorkloadId {
  readonly trustDomain: string;
  readonly namespace: string;
  readonly account: string;
}

/** What is wrong with something that was handed in: `A SPIFFE ID has no query`. */
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

export function parseSpiffeId(text: string): SpiffeId | Flaw {
  if (text.length > ID_BYTES_MAX) return { flaw: `A SPIFFE ID has at most ${ID_BYTES_MAX} bytes` };
  if (!text.startsWith(SCHEME)) return { flaw: `A SPIFFE ID starts with "${SCHEME}"` };
  const slash = text.indexOf('/', SCHEME.length);
  const trustDomain = slash === -1 ? text.slice(SCHEME.length) : text.slice(SCHEME.length, slash);
  const flaw = trustDomainFlaw(trustDomain);
  if (flaw !== undefined) return { flaw };
  const path = slash === -1 ? '' : text.slice(slash);
  for (const segment of path.split('/').slice(1)) {
    // Section 2.2: no empty segment, so no slash at the end; none that a reader of paths would take away.
    if (!isSegment(segment)) {
      return {
        flaw: 'Each part of the path of a SPIFFE ID has letters, digits, ".", "-" and "_", and is not "." or ".."',
      };
    }
  }
  return { trustDomain, path };
}

/** Why a text is no trust domain; undefined when it is one. */
export function trustDomainFlaw(text: string): string | undefined {
  if (text.length > TRUST_DOMAIN_BYTES_MAX) return `A trust domain has at most ${TRUST_DOMAIN_BYTES_MAX} bytes`;
  return TRUST_DOMAIN.test(text) ? undefined : 'A trust domain has lower-case letters, digits, ".", "-" and "_"';
}

/** Whether it can stand in the path of an ID, as a namespace or an account. */
export function isSegment(text: string): boolean {
  return SEGMENT.test(text) && text !== '.' && text !== '..';
}

export function parseWorkloadId(text: string): WorkloadId | Flaw {
  const id = parseSpiffeId(text);
  if ('flaw' in id) return id;
  const [, ns, namespace, sa, account, more] = id.path.split('/');
  if (ns !== 'ns' || sa !== 'sa' || namespace === undefined || account === undefined || more !== undefined) {
    return { flaw: 'The identity of a workload has the path "/ns/NAMESPACE/sa/ACCOUNT"' };
  }
  return { trustDomain: id.trustDomain, namespace, account };
}

/** @throws {RangeError} when one of them cannot stand in an ID: the caller has checked what people wrote */
export function formatWorkloadId({ trustDomain, namespace, account }: WorkloadId): string {
  const text = `${SCHEME}${trustDomain}/ns/${namespace}/sa/${account}`;
  const read = parseWorkloadId(text);
  if ('flaw' in read) throw new RangeError(`Cannot make an identity: ${read.flaw}`);
  return text;
}

/** Who the control plane is. No token is for it: who has it can give every proxy a plan. */
export function controlId(trustDomain: string): string {
  return formatWorkloadId({ trustDomain, namespace: 'fourways', account: 'control' });
}
