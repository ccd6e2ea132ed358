/**
 * Whether a client is a workload that may call: one SPIFFE ID, of a trusted domain, not denied, in a certificate that holds
 * now. Asked for each connection, also for one that resumes a session, which may be older than the rules.
 */
import type { X509Certificate } from 'node:crypto';
import { type SpiffeId, spiffeIdOf } from '../base/spiffe.ts';
import { namesOf } from './certificate.ts';

/** As in ir/plan.ts. */
export interface WorkloadRules {
  readonly trustDomains: readonly string[];
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

/** Why a certificate that OpenSSL accepts is not one of a workload that may call; undefined when it is. */
export function workloadProblem(
  certificate: X509Certificate,
  rules: WorkloadRules,
  wallMs: number,
): Refused | undefined {
  const name = nameOf(certificate);
  // A session that is resumed was verified when it began.
  if (!(wallMs < Date.parse(certificate.validTo))) {
    return { failure: 'workload-expired', detail: `${name}: valid until ${certificate.validTo}` };
  }
  const id = spiffeIdOf(namesOf(certificate).uri);
  if (id === undefined) return { failure: 'workload-no-spiffe-id', detail: `${name}: not exactly one SPIFFE ID` };
  return identityProblem(id, rules);
}

/** Why whoever is that may not call; undefined when it may. */
export function identityProblem(id: SpiffeId, { trustDomains, denied }: WorkloadRules): Refused | undefined {
  if (!trustDomains.includes(id.trustDomain)) {
    const detail = `${id.id}: the trust domain is none of ${trustDomains.join(', ')}`;
    return { failure: 'workload-wrong-trust-domain', detail };
  }
  return denied.includes(id.id) ? { failure: 'workload-denied', detail: id.id } : undefined;
}

/** What a certificate calls itself, which nobody has to believe: its URIs, else its subject. Bounded for the log. */
function nameOf(certificate: X509Certificate): string {
  const uris = namesOf(certificate).uri.join(' ');
  return (uris === '' ? (certificate.subject ?? '').replaceAll('\n', ',') : uris).slice(0, NAME_CHARS_MAX);
}

const NAME_CHARS_MAX = 512;
