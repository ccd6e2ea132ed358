/**
 * Certificates that are ordered: what a listener asks for, and what is there already.
 *
 * The compiler orders nothing. It says which certificates are wanted (wishes), and is
 * given what has been issued, and what a validation that runs has to be answered with.
 */
import { OWN_GROUP } from '../resource/fields.ts';
import {
  type AcmeIssuer,
  describe,
  describeKey,
  keyOf,
  type Origin,
  resourceKey,
  type Secret,
} from '../resource/resource.ts';
import { error, type Finding, warning } from './finding.ts';
import type { ChallengeType, IssuerTerms, IssuerView } from './issuer.ts';
import type { ListenerInput, Reason } from './listener.ts';
import { brokenAt, type Broken, isGranted, missing, notGranted, toReference } from './reference.ts';
import { type Look, lookUp } from './tables.ts';

export const ISSUER_OPTION = 'fourways.io/acme-issuer';

/** One certificate that somebody wants. */
export interface CertificateWish {
  /** The Secret that it becomes: `Secret/shop/acme-authority-shop.test`. */
  readonly secret: string;
  /** Lower case, sorted. */
  readonly hostnames: readonly string[];
  readonly issuer: IssuerTerms;
  /** What can be answered for all of its names, in the order of the issuer. Never empty. */
  readonly challenges: readonly ChallengeType[];
  /** Where the issuer is written, which is where what is wrong with the certificate has its place. */
  readonly origin: Origin;
}

/** What a validation that runs is answered with. */
export type AcmeChallenge =
  | {
      readonly kind: 'http-01';
      readonly secret: string;
      readonly hostname: string;
      readonly token: string;
      readonly keyAuthorization: string;
    }
  | {
      readonly kind: 'tls-alpn-01';
      readonly secret: string;
      readonly hostname: string;
      readonly certificatePem: string;
      readonly privateKeyPem: string;
    };

/** What has come of the wishes so far. */
export interface Issued {
  /** By key. A Secret of the operator's with the same key goes first. */
  readonly secrets: ReadonlyMap<string, Secret>;
  readonly challenges: readonly AcmeChallenge[];
}

export const NOTHING_ISSUED: Issued = { secrets: new Map(), challenges: [] };

/** How it stands with one wish. What it says changes while nothing is compiled, so it is asked for with the status. */
export interface CertificateProgress {
  /** When the certificate is renewed, or tried again. Undefined while it is being ordered, or when somebody else orders. */
  readonly nextMs: number | undefined;
  /** Why the last attempt failed; undefined when it did not. */
  readonly error: string | undefined;
}

/** What one listener asks for. */
export interface AcmeRequest {
  readonly secret: string;
  readonly hostname: string;
  readonly issuer: AcmeIssuer;
  readonly terms: IssuerTerms;
  /** JSON pointer of the option. */
  readonly field: string;
}

/** The request of a listener, or why there is none. */
export type AcmeReading =
  | { readonly request: AcmeRequest; readonly unresolved?: undefined }
  | { readonly request?: undefined; readonly unresolved: Reason };

/** For the log and for `owner` of a filter: who asked for what is served for a certificate. */
export function generatedFor(secret: string): string {
  return `ACME for ${describeKey(secret)}`;
}

interface RequestWork {
  readonly look: Look;
  readonly findings: Finding[];
  /** Value of the option. */
  readonly option: string;
  /** Key of the Secret that its certificateRefs name and that the operator has not written. */
  readonly named: string | undefined;
}

export function readAcmeRequest(input: ListenerInput, { look, findings, option, named }: RequestWork): AcmeReading {
  const { owner, spec, index } = input;
  const field = optionField(index);
  const refuse = (code: string, at: string, message: string): AcmeReading => {
    findings.push(error(code, owner, { field: at, message }));
    return { unresolved: { reason: 'InvalidCertificateRef', message } };
  };
  const found = resolveIssuer(input, option, look);
  if ('broken' in found) {
    findings.push(brokenAt(owner, field, found.broken));
    return { unresolved: found.broken };
  }
  const { issuer, terms, unresolved } = found;
  // What is wrong with the issuer is said of the issuer.
  if (terms === undefined) return { unresolved };
  const listener = `/spec/listeners/${index}`;
  if (spec.hostname === undefined) {
    return refuse(
      'acme.hostname',
      listener,
      `A certificate from ${describe(issuer)} needs a host name: set hostname of listener "${spec.name}"`,
    );
  }
  if (spec.hostname.startsWith('*')) {
    return refuse(
      'acme.wildcard',
      `${listener}/hostname`,
      `A certificate for "${spec.hostname}" can only be proved by DNS (dns-01), which is not served: use one listener for each name, or a Secret`,
    );
  }
  const secret = named ?? resourceKey('Secret', owner.metadata.namespace, generatedName(issuer, spec.hostname));
  if (!secret.startsWith(`Secret/${owner.metadata.namespace}/`)) {
    return refuse(
      'acme.secret',
      `${listener}/tls/certificateRefs`,
      `A certificate from ${describe(issuer)} becomes a Secret of namespace "${owner.metadata.namespace}", where the listener is: name no other one`,
    );
  }
  return { request: { secret, hostname: spec.hostname, issuer, terms, field } };
}

function optionField(index: number): string {
  return `/spec/listeners/${index}/tls/options/${ISSUER_OPTION.replace('/', '~1')}`;
}

/** What a listener waits for. */
export function awaited({ secret, hostname, issuer }: AcmeRequest): Reason {
  const message = `${describeKey(secret)} with the certificate for "${hostname}" is not here yet: it is ordered from ${describe(issuer)}`;
  return { reason: 'InvalidCertificateRef', message };
}

/** An option beside certificates that are all there orders nothing. */
export function unusedOption({ owner, spec, index }: ListenerInput): Finding {
  const message = `Nothing is ordered for listener "${spec.name}": every Secret of its certificateRefs exists. Remove the option, or the certificateRefs`;
  return warning('acme.unused', owner, { field: optionField(index), message });
}

/** Longest name of an object. */
const NAME_CHARS_MAX = 253;

function generatedName({ metadata }: AcmeIssuer, hostname: string): string {
  const name = `acme-${metadata.name}-${hostname}`;
  // A long issuer makes way: the host name is what tells certificates apart.
  return name.length <= NAME_CHARS_MAX ? name : `acme-${hostname}`.slice(0, NAME_CHARS_MAX);
}

/** `NAME` in the namespace of the listener's owner, or `NAMESPACE/NAME`, which needs a ReferenceGrant there. */
function resolveIssuer({ owner }: ListenerInput, value: string, look: Look): IssuerView | { readonly broken: Broken } {
  const slash = value.indexOf('/');
  const named = {
    group: OWN_GROUP,
    kind: 'AcmeIssuer',
    name: value.slice(slash + 1),
    ...(slash >= 0 && { namespace: value.slice(0, slash) }),
  };
  const to = toReference(named, owner);
  if (!isGranted(owner, to, look)) return { broken: notGranted(owner, to) };
  const issuer = lookUp(look, 'AcmeIssuer', to);
  if (issuer === undefined) return { broken: missing(to, 'InvalidCertificateRef') };
  return look('issuers', keyOf(issuer))!;
}
