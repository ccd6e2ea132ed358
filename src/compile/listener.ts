/**
 * One listener of a Gateway or ListenerSet by itself: what it may carry, its
 * certificates and settings, and everything that is wrong with it before its
 * neighbours on the port are looked at.
 */
import type { PlanPort, TlsPolicy } from '../ir/plan.ts';
import { GATEWAY_GROUP } from '../resource/fields.ts';
import type { Listener } from '../resource/kinds/gateway.ts';
import { type Gateway, keyOf, type ListenerSet, resourceKey, type Secret } from '../resource/resource.ts';
import { type AcmeRequest, awaited, ISSUER_OPTION, readAcmeRequest, unusedOption } from './acme.ts';
import type { KeyPair } from './certificate.ts';
import { error, type Finding } from './finding.ts';
import { egressGateway, isMember, meshOf } from './mesh.ts';
import type { AskedFilter, Level } from './policies.ts';
import { brokenAt, issuedKeyPair, resolveCa, resolveKeyPair, toReference } from './reference.ts';
import { type ListenerSettings, settingsFor } from './settings.ts';
import { type Look, lookUp, targetKey } from './tables.ts';
import { readTlsOptions, tlsPolicyOf, type TlsPolicyView } from './tls-policy.ts';

/** Kinds of routes that each protocol carries. A protocol that is not here is not served. */
const KINDS_BY_PROTOCOL: Readonly<Record<string, readonly string[]>> = {
  HTTP: ['HTTPRoute', 'GRPCRoute'],
  HTTPS: ['HTTPRoute', 'GRPCRoute'],
  TLS: ['TLSRoute'],
  TCP: ['TCPRoute'],
  UDP: ['UDPRoute'],
};

/** Why something does not hold: what a condition needs besides its type and status. */
export interface Reason {
  readonly reason: string;
  readonly message: string;
}

export interface Certificate {
  readonly secret: Secret;
  readonly pair: KeyPair;
  /** JSON pointer of the reference, for what is said about the certificate. */
  readonly field: string;
}

export interface ListenerBase {
  readonly owner: Gateway | ListenerSet;
  readonly spec: Listener;
  /** JSON pointer of the listener. */
  readonly field: string;
  /** `Gateway/NS/NAME/LISTENER`. */
  readonly key: string;
  /** Lower case; `*` when the listener names none. */
  readonly hostname: string;
  /** Kinds of routes that may attach. */
  readonly kinds: readonly string[];
  /** It takes mTLS of workloads: its Gateway is that of the egress. */
  readonly isEgress: boolean;
  /** Why the listener itself cannot be served; undefined when it can. */
  readonly notAccepted: Reason | undefined;
  /** A reference that leads nowhere, the first one. The listener may be served all the same. */
  readonly unresolved: Reason | undefined;
  readonly certificates: readonly Certificate[];
  /** The certificate that it wants to be ordered, whether or not it is here. */
  readonly acme: AcmeRequest | undefined;
  readonly validation: PlanPort['clientValidation'];
  readonly settings: ListenerSettings;
  readonly tls: TlsPolicy;
  /** Filters of policies, from the farthest target to the closest, without empty ones. */
  readonly filters: readonly (readonly AskedFilter[])[];
  readonly findings: readonly Finding[];
}

export interface ListenerInput {
  readonly owner: Gateway | ListenerSet;
  readonly gateway: Gateway;
  readonly spec: Listener;
  readonly index: number;
}

export function readListener(input: ListenerInput, look: Look): ListenerBase {
  const { owner, spec, index } = input;
  const field = `/spec/listeners/${index}`;
  const findings: Finding[] = [];
  const served = KINDS_BY_PROTOCOL[spec.protocol];
  const kinds = readKinds(input, { served: served ?? [], findings });
  const certificates = readCertificates(input, { look, findings });
  const validation = readValidation(input, { look, findings });
  const levels = levelsOf(input, look);
  const settings = settingsFor(levels);
  const tls = readTls(input, { settings, findings });
  return {
    owner,
    spec,
    field,
    key: `${keyOf(owner)}/${spec.name}`,
    hostname: spec.hostname ?? '*',
    kinds: kinds.kinds,
    isEgress: isEgress(input, look),
    notAccepted:
      protocolFault(input, findings) ??
      egressFault(input, { look, findings }) ??
      tls.notAccepted ??
      validation.notAccepted,
    unresolved: kinds.unresolved ?? certificates.unresolved ?? validation.unresolved,
    certificates: certificates.certificates,
    acme: certificates.acme,
    validation: validation.validation,
    settings,
    tls: tls.policy,
    filters: levels.flatMap((level) => (level === undefined || level.filters.length === 0 ? [] : [level.filters])),
    findings,
  };
}

/** Whether TLS ends here. */
export function endsTls({ protocol, tls }: Listener): boolean {
  return protocol === 'HTTPS' || (protocol === 'TLS' && tls?.mode !== 'Passthrough');
}

/** Whether the listener can be served, its neighbours aside. */
export function isServable({ spec, kinds, notAccepted, certificates, acme }: ListenerBase): boolean {
  if (notAccepted !== undefined || kinds.length === 0) return false;
  // A listener whose certificate is ordered answers the validation (RFC 8737), and refuses everybody else.
  return !endsTls(spec) || certificates.length > 0 || acme !== undefined;
}

function levelsOf({ owner, gateway, spec }: ListenerInput, look: Look): (Level | undefined)[] {
  const on = (target: Gateway | ListenerSet, sectionName?: string): Level | undefined => {
    const { name, namespace } = target.metadata;
    return look(
      'levels',
      targetKey(target.kind, namespace, { name, ...(sectionName !== undefined && { sectionName }) }),
    );
  };
  return [on(gateway), ...(owner === gateway ? [] : [on(owner)]), on(owner, spec.name)];
}

function protocolFault({ owner, spec, index }: ListenerInput, findings: Finding[]): Reason | undefined {
  if (KINDS_BY_PROTOCOL[spec.protocol] !== undefined) return undefined;
  const message = `Protocol "${spec.protocol}" is not served: use ${listed(Object.keys(KINDS_BY_PROTOCOL))}`;
  findings.push(error('listener.protocol', owner, { field: `/spec/listeners/${index}/protocol`, message }));
  return { reason: 'UnsupportedProtocol', message };
}

function isEgress({ gateway }: ListenerInput, look: Look): boolean {
  return egressGateway(meshOf(look)) === keyOf(gateway);
}

/** What it takes would be open to whoever comes. */
function egressFault(input: ListenerInput, { look, findings }: Work): Reason | undefined {
  if (!isEgress(input, look)) return undefined;
  const { owner, spec, index } = input;
  if (spec.protocol !== 'HTTP' && (spec.protocol !== 'TLS' || endsTls(spec))) {
    const asked = spec.protocol === 'TLS' ? 'TLS with mode Terminate' : `protocol ${spec.protocol}`;
    const message = `The Gateway is that of the egress, where ${asked} is not served: use HTTP, or TLS with mode Passthrough`;
    findings.push(error('listener.protocol', owner, { field: `/spec/listeners/${index}/protocol`, message }));
    return { reason: 'UnsupportedProtocol', message };
  }
  if (isMember(look)) return undefined;
  return { reason: 'Pending', message: 'It takes workloads of the mesh only, and this process has no identity there' };
}

function listed(words: readonly string[]): string {
  return `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

interface Work {
  readonly look: Look;
  readonly findings: Finding[];
}

function readKinds(
  { owner, spec, index }: ListenerInput,
  { served, findings }: { readonly served: readonly string[]; readonly findings: Finding[] },
): { kinds: readonly string[]; unresolved?: Reason } {
  const wanted = spec.allowedRoutes.kinds;
  if (wanted.length === 0 || served.length === 0) return { kinds: served };
  const kinds = new Set<string>();
  let unresolved: Reason | undefined;
  for (const [i, { group, kind }] of wanted.entries()) {
    if (group === GATEWAY_GROUP && served.includes(kind)) {
      kinds.add(kind);
      continue;
    }
    const message = `Routes of kind "${kind}" cannot be attached to a listener of protocol ${spec.protocol}: use ${served.join(', ')}`;
    const field = `/spec/listeners/${index}/allowedRoutes/kinds/${i}/kind`;
    findings.push(error('listener.route-kind', owner, { field, message }));
    unresolved ??= { reason: 'InvalidRouteKinds', message };
  }
  return { kinds: [...kinds], ...(unresolved !== undefined && { unresolved }) };
}

interface CertificateReading {
  readonly certificates: readonly Certificate[];
  readonly acme?: AcmeRequest;
  readonly unresolved?: Reason;
}

function readCertificates(input: ListenerInput, work: Work): CertificateReading {
  const { owner, spec, index } = input;
  if (!endsTls(spec)) return { certificates: [] };
  const refs = spec.tls?.certificateRefs ?? [];
  const ordered = orderedSecret(input, work.look);
  const certificates: Certificate[] = [];
  let unresolved: Reason | undefined;
  for (const [i, ref] of refs.entries()) {
    if (ordered?.index === i) continue;
    const field = `/spec/listeners/${index}/tls/certificateRefs/${i}`;
    const found = resolveKeyPair(owner, toReference(ref, owner), {
      look: work.look,
      reasons: { invalid: 'InvalidCertificateRef' },
    });
    if (found.broken === undefined) certificates.push({ ...found.ok, field });
    else {
      work.findings.push(brokenAt(owner, field, found.broken));
      unresolved ??= found.broken;
    }
  }
  if (ordered !== undefined) return withOrdered(input, { ...work, ...ordered, certificates, unresolved });
  if (refs.length === 0) {
    const message = 'A listener where TLS ends needs a certificate: name a Secret in tls.certificateRefs';
    work.findings.push(error('listener.tls', owner, { field: `/spec/listeners/${index}`, message }));
    unresolved = { reason: 'InvalidCertificateRef', message };
  } else if (spec.tls?.options?.[ISSUER_OPTION] !== undefined) work.findings.push(unusedOption(input));
  return { certificates, ...(unresolved !== undefined && { unresolved }) };
}

interface Ordered {
  /** Value of the option that orders it. */
  readonly option: string;
  /** Of the reference that names it; undefined when none does. */
  readonly index: number | undefined;
  /** Its key, when a reference names it. */
  readonly named: string | undefined;
}

/** The Secret that is to be ordered: the first that is named and that the operator has not written, or an unnamed one. */
function orderedSecret({ owner, spec }: ListenerInput, look: Look): Ordered | undefined {
  const { tls } = spec;
  const option = tls?.options?.[ISSUER_OPTION];
  if (tls === undefined || option === undefined) return undefined;
  const refs = tls.certificateRefs.map((ref) => toReference(ref, owner));
  if (refs.length === 0) return { option, index: undefined, named: undefined };
  const index = refs.findIndex(
    (to) => to.kind === 'Secret' && to.group === '' && lookUp(look, 'Secret', to) === undefined,
  );
  if (index < 0) return undefined;
  const { namespace, name } = refs[index]!;
  return { option, index, named: resourceKey('Secret', namespace, name) };
}

interface OrderedWork extends Work, Ordered {
  readonly certificates: Certificate[];
  readonly unresolved: Reason | undefined;
}

function withOrdered(input: ListenerInput, work: OrderedWork): CertificateReading {
  const { certificates } = work;
  const { request, unresolved: refused } = readAcmeRequest(input, work);
  if (request === undefined) return { certificates, unresolved: work.unresolved ?? refused };
  const issued = issuedKeyPair(request.secret, work.look);
  if (issued !== undefined) certificates.push({ ...issued, field: request.field });
  const unresolved = work.unresolved ?? (issued === undefined ? awaited(request) : undefined);
  return { certificates, acme: request, ...(unresolved !== undefined && { unresolved }) };
}

interface Validation {
  readonly validation?: NonNullable<PlanPort['clientValidation']>;
  readonly notAccepted?: Reason;
  readonly unresolved?: Reason;
}

/** Client certificates: said by the Gateway for the port, or for all ports. Ignored without TLS. */
function readValidation({ gateway, spec }: ListenerInput, { look, findings }: Work): Validation {
  const frontend = gateway.spec.tls?.frontend;
  if (!endsTls(spec) || frontend === undefined) return {};
  const at = frontend.perPort.findIndex(({ port }) => port === spec.port);
  const config = at >= 0 ? frontend.perPort[at]!.tls.validation : frontend.default.validation;
  if (config === undefined) return {};

  const base = at >= 0 ? `/spec/tls/frontend/perPort/${at}/tls` : '/spec/tls/frontend/default';
  const cas: string[] = [];
  let unresolved: Reason | undefined;
  for (const [i, ref] of config.caCertificateRefs.entries()) {
    const reasons = { invalid: 'InvalidCACertificateRef', kind: 'InvalidCACertificateKind' };
    const found = resolveCa(gateway, toReference(ref, gateway), { look, reasons });
    if (found.broken === undefined) cas.push(found.ok);
    else {
      unresolved ??= found.broken;
      findings.push(brokenAt(gateway, `${base}/validation/caCertificateRefs/${i}`, found.broken));
    }
  }
  const mode = config.mode === 'AllowInsecureFallback' ? 'optional' : 'required';
  const resolved = unresolved === undefined ? {} : { unresolved };
  if (cas.length > 0) return { validation: { cas, mode }, ...resolved };
  const message = 'Client certificates cannot be checked: none of the CA certificates is valid';
  return { notAccepted: { reason: 'NoValidCACertificate', message }, ...resolved };
}

/** Options of the listener count before what policies say. */
function readTls(
  { owner, spec, index }: ListenerInput,
  { settings, findings }: { readonly settings: ListenerSettings; readonly findings: Finding[] },
): TlsPolicyView {
  const field = `/spec/listeners/${index}/tls/options`;
  // The issuer is read with the certificates.
  const options = readTlsOptions(spec.tls?.options, { owner, field, others: [ISSUER_OPTION] }, findings);
  const asked = endsTls(spec) ? [settings.tls, options.asked] : [];
  const { policy, notAccepted } = tlsPolicyOf(asked, findings);
  return { policy, notAccepted: options.notAccepted ?? notAccepted };
}
