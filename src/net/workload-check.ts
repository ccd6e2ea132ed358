/**
 * Whether a client is a workload that may call: one SPIFFE ID, of a trusted domain, not denied, in a certificate that holds
 * now. Asked for each connection, also for one that resumes a session, which may be older than the rules.
 */
import { X509Certificate } from 'node:crypto';
import { type SpiffeId, spiffeIdOf } from '../base/spiffe.ts';
import { namesOf } from './certificate.ts';

/** As in ir/plan.ts. */
export interface WorkloadRules {
  readonly trustDomains: readonly string[];
  /** Other trust domains, each with the PEM bundles that are good for it alone. */
  readonly federated?: readonly { readonly trustDomain: string; readonly cas: readonly string[] }[];
  /** Identities that are turned away although their certificates are good. */
  readonly denied: readonly string[];
}

export const WORKLOAD_REFUSALS = [
  'workload-expired',
  'workload-self-signed',
  'workload-unknown-ca',
  'workload-no-spiffe-id',
  'workload-wrong-trust-domain',
  'workload-denied',
] as const;

export type WorkloadRefusal = (typeof WORKLOAD_REFUSALS)[number];

export interface Refused {
  readonly failure: WorkloadRefusal | 'client-certificate-missing' | 'client-certificate-invalid';
  /** For the log. */
  readonly detail: string;
}

/** What OpenSSL found wrong, by the code that Node has for it. */
const BY_CODE: Readonly<Record<string, WorkloadRefusal>> = {
  CERT_HAS_EXPIRED: 'workload-expired',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'workload-self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: 'workload-unknown-ca',
  UNABLE_TO_GET_ISSUER_CERT: 'workload-unknown-ca',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'workload-unknown-ca',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'workload-unknown-ca',
  CERT_SIGNATURE_FAILURE: 'workload-unknown-ca',
};

/** The words for a certificate that OpenSSL does not accept. @param problem  begins with its code */
export function refusalOf(shown: X509Certificate | undefined, problem: string): Refused {
  if (shown === undefined) return { failure: 'client-certificate-missing', detail: problem };
  const failure = BY_CODE[/^\w+/.exec(problem)?.[0] ?? ''] ?? 'client-certificate-invalid';
  return { failure, detail: `${nameOf(shown)}: ${problem}` };
}

/** What a port takes from workloads. */
export interface WorkloadValidation {
  /** PEM bundles of the own trust domains. */
  readonly cas: readonly string[];
  readonly workloads: WorkloadRules;
}

/** A connection whose certificate OpenSSL accepts. */
export interface VerifiedPeer {
  readonly certificate: X509Certificate;
  readonly wallMs: number;
  /** `resumed`: what was verified when the session began is not shown again. */
  readonly session: 'full' | 'resumed';
}

/** Why a certificate that OpenSSL accepts is not one of a workload that may call; undefined when it is. */
export function workloadProblem(
  { certificate, wallMs, session }: VerifiedPeer,
  validation: WorkloadValidation,
): Refused | undefined {
  const { federated = NONE } = validation.workloads;
  const name = nameOf(certificate);
  // A session that is resumed was verified when it began.
  if (!(wallMs < Date.parse(certificate.validTo))) {
    return { failure: 'workload-expired', detail: `${name}: valid until ${certificate.validTo}` };
  }
  const id = spiffeIdOf(namesOf(certificate).uri);
  if (id === undefined) return { failure: 'workload-no-spiffe-id', detail: `${name}: not exactly one SPIFFE ID` };
  const problem = identityProblem(id, validation.workloads);
  // With one set of roots there is nothing to be mixed up.
  if (problem !== undefined || federated.length === 0 || session === 'resumed') return problem;
  const detail = domainProblem(certificate, id, { cas: validation.cas, federated });
  return detail === undefined ? undefined : { failure: 'workload-unknown-ca', detail };
}

/** Roots of the own trust domain, and of others; each is good for its own identities and no others. */
export interface DomainRoots {
  /** PEM bundles. */
  readonly cas: readonly string[];
  readonly federated: readonly { readonly trustDomain: string; readonly cas: readonly string[] }[];
}

/** Why a certificate that OpenSSL accepts says nothing: the root that it leads to is one of another trust domain. */
export function domainProblem(
  certificate: X509Certificate,
  { id, trustDomain }: SpiffeId,
  { cas, federated }: DomainRoots,
): string | undefined {
  const bundles = federated.find((one) => one.trustDomain === trustDomain)?.cas ?? cas;
  return isIssuedBelow(certificate, rootsOf(bundles)) ? undefined : `${id}: not issued by a root of "${trustDomain}"`;
}

/** Why whoever is that may not call; undefined when it may. */
export function identityProblem(
  id: SpiffeId,
  { trustDomains, federated = NONE, denied }: WorkloadRules,
): Refused | undefined {
  if (!trustDomains.includes(id.trustDomain) && !federated.some((one) => one.trustDomain === id.trustDomain)) {
    const detail = `${id.id}: the trust domain is none of ${trustDomains.join(', ')}`;
    return { failure: 'workload-wrong-trust-domain', detail };
  }
  return denied.includes(id.id) ? { failure: 'workload-denied', detail: id.id } : undefined;
}

/**
 * Every bundle that a handshake may be verified by. OpenSSL takes a certificate of any of them, whatever trust domain
 * it names: {@link domainProblem} tells them apart afterwards.
 */
export function trustedBundles(
  cas: readonly string[],
  { federated = NONE }: Partial<Pick<DomainRoots, 'federated'>> = {},
): readonly string[] {
  return federated.length === 0 ? cas : [...cas, ...federated.flatMap((other) => other.cas)];
}

const NONE: readonly never[] = [];

/** Certificates between a workload and its root. */
const CHAIN_MAX = 8;

/**
 * Follows the certificates that were shown, in their order, by signature and not by name: who may sign for one trust domain
 * could call itself like an authority of another.
 */
function isIssuedBelow(leaf: X509Certificate, roots: readonly X509Certificate[]): boolean {
  let certificate = leaf;
  for (let i = 0; i < CHAIN_MAX; i++) {
    const below = certificate;
    if (roots.some((root) => isIssuedBy(below, root) || (i > 0 && root.fingerprint256 === below.fingerprint256))) {
      return true;
    }
    const next = certificate.issuerCertificate;
    if (next === undefined || !next.ca || !isIssuedBy(certificate, next)) return false;
    certificate = next;
  }
  return false;
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/** Read once for each list of bundles, and only where there are several trust domains. */
const READ = new WeakMap<readonly string[], readonly X509Certificate[]>();

function rootsOf(bundles: readonly string[]): readonly X509Certificate[] {
  let roots = READ.get(bundles);
  if (roots === undefined) {
    roots = bundles.flatMap((bundle) => [...bundle.matchAll(PEM)].map(([pem]) => new X509Certificate(pem)));
    READ.set(bundles, roots);
  }
  return roots;
}

const PEM = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** What a certificate calls itself, which nobody has to believe: its URIs, else its subject. Bounded for the log. */
function nameOf(certificate: X509Certificate): string {
  const uris = namesOf(certificate).uri.join(' ');
  return (uris === '' ? (certificate.subject ?? '').replaceAll('\n', ',') : uris).slice(0, NAME_CHARS_MAX);
}

const NAME_CHARS_MAX = 512;
