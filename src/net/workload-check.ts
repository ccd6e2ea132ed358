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
  const { trustDomains, federated = NONE } = validation.workloads;
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
  const roots = rootsOf(validation, trustDomains.includes(id.trustDomain) ? '' : id.trustDomain);
  if (isIssuedBelow(certificate, roots)) return undefined;
  const detail = `${id.id}: not issued by a root of "${id.trustDomain}"`;
  return { failure: 'workload-unknown-ca', detail };
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
 * it names: {@link workloadProblem} tells them apart afterwards.
 */
export function trustedBundles(cas: readonly string[], workloads: WorkloadRules | undefined): readonly string[] {
  const federated = workloads?.federated ?? NONE;
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

/** Read once for each plan, and only where there are several trust domains. */
const READ = new WeakMap<WorkloadRules, Map<string, readonly X509Certificate[]>>();

/** @param trustDomain  empty for our own */
function rootsOf({ cas, workloads }: WorkloadValidation, trustDomain: string): readonly X509Certificate[] {
  let read = READ.get(workloads);
  if (read === undefined) READ.set(workloads, (read = new Map()));
  let roots = read.get(trustDomain);
  if (roots === undefined) {
    const bundles =
      trustDomain === '' ? cas : (workloads.federated?.find((one) => one.trustDomain === trustDomain)?.cas ?? NONE);
    roots = bundles.flatMap((bundle) => [...bundle.matchAll(PEM)].map(([pem]) => new X509Certificate(pem)));
    read.set(trustDomain, roots);
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
