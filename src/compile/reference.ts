/** References from one resource to another: whether they may be made, and what stands at their end. */
import { GATEWAY_GROUP } from '../resource/fields.ts';
import { type ConfigMap, describe, keyOf, type Resource, resourceKey, type Secret } from '../resource/resource.ts';
import { type Flaw, type KeyPair, readCaBundle, readKeyPair } from './certificate.ts';
import { type Absent, error, type Finding } from './finding.ts';
import { type Look, lookUp } from './tables.ts';

/** A reference with its namespace filled in. */
export interface Reference {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** Why a reference leads nowhere: a reason for the status, a code for the problem, and a sentence for both. */
export interface Broken {
  readonly reason: string;
  readonly code: 'reference.kind' | 'reference.no-grant' | 'reference.missing' | 'certificate.invalid';
  readonly message: string;
  /** Keys of the other owners. */
  readonly related?: readonly string[];
  readonly absent?: Absent;
}

export type Resolved<T> = { readonly ok: T; readonly broken?: undefined } | { readonly broken: Broken };

function groupOf({ apiVersion }: Resource): string {
  const slash = apiVersion.indexOf('/');
  return slash < 0 ? '' : apiVersion.slice(0, slash);
}

/** Fills the namespace of the resource that refers into a reference that says none. */
export function toReference(
  ref: { readonly group: string; readonly kind: string; readonly name: string; readonly namespace?: string },
  from: Resource,
): Reference {
  return {
    group: ref.group,
    kind: ref.kind,
    name: ref.name,
    namespace: ref.namespace ?? from.metadata.namespace,
  };
}

/** A reference inside one namespace is free; across two, a ReferenceGrant beside the target must allow it. */
export function isGranted(from: Resource, to: Reference, look: Look): boolean {
  if (from.metadata.namespace === to.namespace) return true;
  const group = groupOf(from);
  return (look('grants', to.namespace) ?? []).some(
    ({ spec }) =>
      spec.from.some(
        (who) => who.group === group && who.kind === from.kind && who.namespace === from.metadata.namespace,
      ) &&
      spec.to.some(
        (what) =>
          what.group === to.group && what.kind === to.kind && (what.name === undefined || what.name === to.name),
      ),
  );
}

/** Names who refers and who would have to grant. */
export function notGranted(from: Resource, to: Reference): Broken {
  const { namespace } = from.metadata;
  return {
    reason: 'RefNotPermitted',
    code: 'reference.no-grant',
    message:
      `${describe(from)} may not refer to ${to.kind} ${to.namespace}/${to.name}: the owner of namespace ` +
      `"${to.namespace}" must allow it with a ReferenceGrant from ${from.kind} of namespace "${namespace}"`,
  };
}

export function missing(to: Reference, reason: string): Broken {
  return {
    reason,
    code: 'reference.missing',
    message: `${to.kind} ${to.namespace}/${to.name} does not exist`,
    absent: to,
  };
}

export function wrongKind(to: Reference, reason: string, wanted: string): Broken {
  const group = to.group === '' ? '' : ` of group "${to.group}"`;
  return { reason, code: 'reference.kind', message: `Kind "${to.kind}"${group} cannot be used here: use ${wanted}` };
}

/** The problem of a reference that leads nowhere. */
export function brokenAt(owner: Resource, field: string, { code, message, related, absent }: Broken): Finding {
  return error(code, owner, {
    field,
    message,
    ...(related !== undefined && { related }),
    ...(absent !== undefined && { absent }),
  });
}

export interface CertificateReasons {
  /** Reason in the status when the reference leads nowhere or to something that cannot be used. */
  readonly invalid: string;
  readonly kind?: string;
}

/** The key pair in a Secret. */
export function resolveKeyPair(
  from: Resource,
  to: Reference,
  { look, reasons }: { readonly look: Look; readonly reasons: CertificateReasons },
): Resolved<{ readonly secret: Secret; readonly pair: KeyPair }> {
  if (to.group !== '' || to.kind !== 'Secret') {
    return { broken: wrongKind(to, reasons.kind ?? reasons.invalid, 'a Secret') };
  }
  if (!isGranted(from, to, look)) return { broken: notGranted(from, to) };
  const secret = lookUp(look, 'Secret', to) ?? look('issued', resourceKey('Secret', to.namespace, to.name));
  if (secret === undefined) return { broken: missing(to, reasons.invalid) };
  const pair = keyPairOf(secret);
  if ('flaw' in pair) return { broken: flawed(secret, pair, reasons.invalid) };
  return { ok: { secret, pair } };
}

/** The key pair of a certificate that was ordered; undefined while there is none. */
export function issuedKeyPair(
  key: string,
  look: Look,
): { readonly secret: Secret; readonly pair: KeyPair } | undefined {
  const secret = look('issued', key);
  const pair = secret === undefined ? undefined : keyPairOf(secret);
  return secret === undefined || pair === undefined || 'flaw' in pair ? undefined : { secret, pair };
}

/** The certificates to trust in a ConfigMap or Secret, as PEM. */
export function resolveCa(
  from: Resource,
  to: Reference,
  { look, reasons }: { readonly look: Look; readonly reasons: CertificateReasons },
): Resolved<string> {
  if (to.group !== '' || (to.kind !== 'ConfigMap' && to.kind !== 'Secret')) {
    return { broken: wrongKind(to, reasons.kind ?? reasons.invalid, 'a ConfigMap or a Secret') };
  }
  if (!isGranted(from, to, look)) return { broken: notGranted(from, to) };
  const holder = lookUp(look, to.kind, to);
  if (holder === undefined) return { broken: missing(to, reasons.invalid) };
  const bundle = caOf(holder);
  return 'flaw' in bundle ? { broken: flawed(holder, bundle, reasons.invalid) } : { ok: bundle.pem };
}

function flawed(holder: Resource, { flaw }: Flaw, reason: string): Broken {
  return { reason, code: 'certificate.invalid', message: `${describe(holder)}: ${flaw}`, related: [keyOf(holder)] };
}

// Reading a key pair costs 0.3 ms, so it is done once per Secret; a changed Secret is another object.
const keyPairs = new WeakMap<Secret, KeyPair | Flaw>();
const bundles = new WeakMap<Secret | ConfigMap, { readonly pem: string } | Flaw>();

function keyPairOf(secret: Secret): KeyPair | Flaw {
  const known = keyPairs.get(secret);
  if (known !== undefined) return known;
  const certificate = secret.data.get('tls.crt');
  const key = secret.data.get('tls.key');
  const read =
    certificate === undefined || key === undefined
      ? { flaw: `"${certificate === undefined ? 'tls.crt' : 'tls.key'}" is not in its data` }
      : readKeyPair(certificate, key);
  keyPairs.set(secret, read);
  return read;
}

function caOf(holder: Secret | ConfigMap): { readonly pem: string } | Flaw {
  const known = bundles.get(holder);
  if (known !== undefined) return known;
  const text = holder.kind === 'Secret' ? holder.data.get('ca.crt') : holder.data['ca.crt'];
  const read = text === undefined ? { flaw: '"ca.crt" is not in its data' } : readCaBundle(text);
  bundles.set(holder, read);
  return read;
}

/** Whether a reference of the Gateway API names this kind of it. */
export function isGatewayKind(ref: { readonly group: string; readonly kind: string }, kind: string): boolean {
  return ref.group === GATEWAY_GROUP && ref.kind === kind;
}
