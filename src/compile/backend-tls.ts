/** TLS to backends: what a BackendTLSPolicy, or the short form in our own kinds, comes to. */
import type { PlanClusterTls } from '../ir/plan.ts';
import type { SubjectAltName } from '../resource/fields.ts';
import type { UpstreamTLS } from '../resource/kinds/backend.ts';
import type { Backend, BackendPolicy, BackendTLSPolicy } from '../resource/resource.ts';
import { error, type Finding } from './finding.ts';
import type { Reason } from './listener.ts';
import { brokenAt, resolveCa, resolveKeyPair, toReference } from './reference.ts';
import { nameSecret, type NamedSecret } from './secret.ts';
import type { Look } from './tables.ts';
import { askedOf, readTlsOptions, tlsPolicyOf } from './tls-policy.ts';

type Tls = Omit<PlanClusterTls, 'clientCertificate'>;

/** What a BackendTLSPolicy says, and whether it can be kept. */
export interface TrustView {
  readonly policy: BackendTLSPolicy;
  readonly tls: Tls;
  readonly notAccepted: Reason | undefined;
  readonly unresolved: Reason | undefined;
  readonly findings: readonly Finding[];
}

export function readTrust(policy: BackendTLSPolicy, look: Look): TrustView {
  const { hostname, caCertificateRefs, wellKnownCACertificates: wellKnown, subjectAltNames } = policy.spec.validation;
  const findings: Finding[] = [];
  const cas: string[] = [];
  let unresolved: Reason | undefined;
  for (const [i, ref] of caCertificateRefs.entries()) {
    const reasons = { invalid: 'InvalidCACertificateRef', kind: 'InvalidKind' };
    const found = resolveCa(policy, toReference(ref, policy), { look, reasons });
    if (found.broken === undefined) cas.push(found.ok);
    else {
      unresolved ??= found.broken;
      findings.push(brokenAt(policy, `/spec/validation/caCertificateRefs/${i}`, found.broken));
    }
  }
  const options = readTlsOptions(policy.spec.options, { owner: policy, field: '/spec/options', others: [] }, findings);
  const spoken = tlsPolicyOf([options.asked], findings);
  const notAccepted = trustFault(policy, { cas, findings, wellKnown }) ?? options.notAccepted ?? spoken.notAccepted;
  const state = notAccepted === undefined ? 'ok' : 'invalid';
  const tls: Tls = {
    serverName: hostname,
    cas,
    subjectAltNames: namesOf(subjectAltNames),
    policy: spoken.policy,
    state,
  };
  return { policy, tls, notAccepted, unresolved, findings };
}

function trustFault(
  policy: BackendTLSPolicy,
  { cas, findings, wellKnown }: { cas: readonly string[]; findings: Finding[]; wellKnown: string | undefined },
): Reason | undefined {
  if (wellKnown !== undefined && wellKnown !== 'System') {
    const message = `The well-known certificates "${wellKnown}" are not known: use System`;
    findings.push(error('policy.value', policy, { field: '/spec/validation/wellKnownCACertificates', message }));
    return { reason: 'Invalid', message };
  }
  if (cas.length > 0 || wellKnown !== undefined) return undefined;
  const message = 'No CA certificate of the policy is valid: requests to its target fail rather than go out unverified';
  return { reason: 'NoValidCACertificate', message };
}

export interface UpstreamTlsView {
  readonly tls: Tls;
  readonly clientCertificate: NamedSecret | undefined;
  readonly unresolved: Reason | undefined;
  readonly findings: readonly Finding[];
}

/** TLS as Backend and BackendPolicy say it. A broken reference breaks the whole: nothing goes out unverified. */
export function readUpstreamTls(
  owner: Backend | BackendPolicy,
  { tls, serverName }: { readonly tls: UpstreamTLS; readonly serverName: string },
  look: Look,
): UpstreamTlsView {
  const findings: Finding[] = [];
  const cas: string[] = [];
  let unresolved: Reason | undefined;
  for (const [i, ref] of tls.caCertificateRefs.entries()) {
    const found = resolveCa(owner, toReference(ref, owner), { look, reasons: { invalid: 'InvalidCACertificateRef' } });
    if (found.broken === undefined) cas.push(found.ok);
    else {
      unresolved ??= found.broken;
      findings.push(brokenAt(owner, `/spec/tls/caCertificateRefs/${i}`, found.broken));
    }
  }
  let clientCertificate: NamedSecret | undefined;
  if (tls.clientCertificateRef !== undefined) {
    const to = toReference(tls.clientCertificateRef, owner);
    const found = resolveKeyPair(owner, to, { look, reasons: { invalid: 'InvalidClientCertificateRef' } });
    if (found.broken === undefined) clientCertificate = nameSecret(found.ok);
    else {
      unresolved ??= found.broken;
      findings.push(brokenAt(owner, '/spec/tls/clientCertificateRef', found.broken));
    }
  }
  const spoken = tlsPolicyOf([askedOf(tls, { owner, field: '/spec/tls' })], findings);
  unresolved ??= spoken.notAccepted;
  const state = unresolved === undefined ? 'ok' : 'invalid';
  const subjectAltNames = namesOf(tls.subjectAltNames);
  return {
    tls: { serverName: tls.serverName ?? serverName, cas, subjectAltNames, policy: spoken.policy, state },
    clientCertificate,
    unresolved,
    findings,
  };
}

function namesOf(names: readonly SubjectAltName[]): PlanClusterTls['subjectAltNames'] {
  return names.map((name) =>
    name.type === 'Hostname' ? { kind: 'dns', value: name.hostname } : { kind: 'uri', value: name.uri },
  );
}
