/** Versions, cipher suites and groups of TLS, as policies and options ask for them, checked against the OpenSSL that runs. */
import { nearest } from '../base/problem.ts';
import type { TlsPolicy } from '../ir/plan.ts';
import type { Resource } from '../resource/resource.ts';
import { cipherFault, isGroup } from './certificate.ts';
import { TLS_POLICY } from './defaults.ts';
import { error, type Finding, warning } from './finding.ts';
import type { Reason } from './listener.ts';

/** Where a value was written. */
export interface TlsPlace {
  readonly owner: Resource;
  /** JSON pointer. */
  readonly field: string;
}

/** What was asked for, each with its place. What nobody asked for is absent. */
export interface AskedTls {
  readonly values: Partial<TlsPolicy>;
  readonly places: Readonly<Partial<Record<keyof TlsPolicy, TlsPlace>>>;
}

export interface TlsPolicyView {
  readonly policy: TlsPolicy;
  /** Why it cannot be kept: serving with something weaker than what was meant would be worse than not serving. */
  readonly notAccepted: Reason | undefined;
}

/** @param asked  from the farthest to the closest: the last one that says something counts */
export function tlsPolicyOf(asked: readonly AskedTls[], findings: Finding[]): TlsPolicyView {
  const policy: TlsPolicy = Object.assign({ ...TLS_POLICY }, ...asked.map(({ values }) => values));
  const places: AskedTls['places'] = Object.assign({}, ...asked.map(({ places: own }) => own));
  const fault = faultOf(policy);
  const place = fault && (places[fault.of] ?? places[fault.or ?? fault.of]);
  if (fault === undefined || place === undefined) {
    const left = places.ciphers && halfMeant(policy);
    if (left)
      findings.push(warning('tls.policy', places.ciphers!.owner, { field: places.ciphers!.field, message: left }));
    return { policy, notAccepted: undefined };
  }
  const { message } = fault;
  findings.push(error('tls.policy', place.owner, { field: place.field, message }));
  return { policy, notAccepted: { reason: 'UnsupportedValue', message } };
}

interface Fault {
  /** What is to be changed. */
  readonly of: keyof TlsPolicy;
  /** Or this, where nobody wrote the first. */
  readonly or?: keyof TlsPolicy;
  readonly message: string;
}

function faultOf({ versionMin, versionMax, ciphers, curves }: TlsPolicy): Fault | undefined {
  if (versionMin === 'TLSv1.3' && versionMax === 'TLSv1.2') {
    const message = 'No version of TLS is left: the newest allowed is TLSv1.2, the oldest TLSv1.3';
    return { of: 'versionMax', or: 'versionMin', message };
  }
  const cipherMessage = cipherFault(ciphers);
  if (cipherMessage !== undefined) {
    return { of: 'ciphers', message: `The cipher suites "${ciphers}" cannot be used: ${cipherMessage}` };
  }
  const unknown = curves === '' ? undefined : curves.split(':').find((name) => !isGroup(name));
  if (unknown !== undefined)
    return { of: 'curves', message: `The group "${unknown}" cannot be used: OpenSSL has none` };
  return emptyFault({ versionMin, versionMax, ciphers, curves });
}

/** A list with nothing but suites of TLS 1.3 takes TLS 1.2 out, which nobody said. The other way round 1.3 keeps its own. */
function halfMeant({ versionMin, versionMax, ciphers }: TlsPolicy): string | undefined {
  if (versionMin === versionMax || !ciphers.split(':').every((name) => name.startsWith('TLS_'))) return undefined;
  return `TLSv1.2 is not spoken: "${ciphers}" has none of its suites. Add one, or set the oldest version to TLSv1.3`;
}

/** Each by itself is fine, and together they leave nothing to agree on. */
function emptyFault({ versionMin, versionMax, ciphers, curves }: TlsPolicy): Fault | undefined {
  const suites = ciphers === '' ? [] : ciphers.split(':');
  const for13 = suites.some((name) => name.startsWith('TLS_'));
  const for12 = suites.some((name) => !name.startsWith('TLS_'));
  if (suites.length > 0 && versionMin === 'TLSv1.3' && !for13) {
    const message = `No cipher suite is left: TLSv1.3 has none of "${ciphers}"`;
    return { of: 'ciphers', message };
  }
  if (suites.length > 0 && versionMax === 'TLSv1.2' && !for12) {
    const message = `No cipher suite is left: TLSv1.2 has none of "${ciphers}"`;
    return { of: 'ciphers', message };
  }
  if (curves !== '' && versionMax === 'TLSv1.2' && curves.split(':').every((name) => TLS_13_GROUP.test(name))) {
    return { of: 'curves', message: `No group is left: TLSv1.2 has none of "${curves}"` };
  }
  return undefined;
}

/** Key encapsulation, alone or beside a curve, came after TLS 1.2. */
const TLS_13_GROUP = /MLKEM/i;

const PREFIX = 'fourways.io/tls-';
const OPTIONS: ReadonlyMap<string, keyof TlsPolicy> = new Map([
  [`${PREFIX}version-min`, 'versionMin'],
  [`${PREFIX}version-max`, 'versionMax'],
  [`${PREFIX}ciphers`, 'ciphers'],
  [`${PREFIX}curves`, 'curves'],
]);

// Maps, not objects: those have a "constructor" by themselves.
const VERSIONS: ReadonlyMap<string, TlsPolicy['versionMin']> = new Map([
  ['1.2', 'TLSv1.2'],
  ['TLSv1.2', 'TLSv1.2'],
  ['1.3', 'TLSv1.3'],
  ['TLSv1.3', 'TLSv1.3'],
]);

export interface OptionsView {
  readonly asked: AskedTls;
  readonly notAccepted: Reason | undefined;
}

/** Where options stand. */
export interface OptionsPlace extends TlsPlace {
  /** Names of options there that somebody else reads. */
  readonly others: readonly string[];
}

/** `options` of Gateway API. */
export function readTlsOptions(
  options: Readonly<Record<string, string>> | undefined,
  at: OptionsPlace,
  findings: Finding[],
): OptionsView {
  const values: Partial<Record<keyof TlsPolicy, string>> = {};
  const places: Partial<Record<keyof TlsPolicy, TlsPlace>> = {};
  let notAccepted: Reason | undefined;
  const { owner, others } = at;
  for (const [name, text] of Object.entries(options ?? {})) {
    const field = `${at.field}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    if (others.includes(name)) continue;
    const option = OPTIONS.get(name);
    if (option === undefined) {
      findings.push(warning('tls.policy', owner, { field, message: unknownOption(name, others) }));
      continue;
    }
    const isVersion = option === 'versionMin' || option === 'versionMax';
    const value = isVersion ? VERSIONS.get(text) : text;
    if (value === undefined) {
      const message = `Expected TLS version "1.2" or "1.3", got "${text}"`;
      findings.push(error('tls.policy', owner, { field, message }));
      notAccepted = { reason: 'UnsupportedValue', message };
      continue;
    }
    values[option] = value;
    places[option] = { owner, field };
  }
  return { asked: { values: values as Partial<TlsPolicy>, places }, notAccepted };
}

function unknownOption(name: string, others: readonly string[]): string {
  const known = [...OPTIONS.keys(), ...others];
  const near = nearest(name, known);
  const hint = near === undefined ? `known are ${known.join(', ')}` : `did you mean "${near}"`;
  return `Unknown TLS option "${name}": ${hint}`;
}

/** The fields of `tls` in our own kinds. @param at  of the object that they are in */
export function askedOf(tls: Partial<TlsPolicy>, at: TlsPlace): AskedTls {
  const names = (['versionMin', 'versionMax', 'ciphers', 'curves'] as const).filter((name) => tls[name] !== undefined);
  return {
    values: Object.fromEntries(names.map((name) => [name, tls[name]])),
    places: Object.fromEntries(names.map((name) => [name, { owner: at.owner, field: `${at.field}/${name}` }])),
  };
}
