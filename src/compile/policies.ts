/**
 * Policies: what the policies on one target come to (a level), and how levels
 * compose from the farthest target (a Gateway) to the closest (a rule).
 *
 * - Two policies that say the same thing of the same target are a conflict: the
 *   first one counts (the older, then the first by name), both are named.
 * - Of different targets the closer one counts, except for filters that add up
 *   and for security filters, which all run: they can only narrow.
 */
import { canonicalJson } from '../base/canonical.ts';
import { pointerOf } from '../schema/compile.ts';
import { type Composition, type FilterPart, type Phase, PHASES } from '../filter/declaration.ts';
import { FILTERS_BY_NAME, PLANNED_FILTERS } from '../filters/list.ts';
import { type BackendPolicy, describe, keyOf, type Policy, type Resource } from '../resource/resource.ts';
import { type FilterReferences, filterReferences } from './filter-references.ts';
import { error, type Finding } from './finding.ts';
import { brokenAt } from './reference.ts';
import { NONE } from './settled.ts';
import { type Look, targetKey } from './tables.ts';

/** A filter as somebody asked for it. */
export interface AskedFilter {
  readonly filter: string;
  readonly config: unknown;
  /** `HTTPRoute shop/web` or `Policy shop/limits`. */
  readonly owner: string;
  readonly policy?: Policy;
  /** Of what no policy asked for. */
  readonly mode?: 'audit';
  /** Who asks for it, where that is neither a policy nor the route itself. */
  readonly from?: Resource;
  readonly field: string;
  /** Of a part that has a phase of its own. */
  readonly phase?: Phase;
  readonly references?: FilterReferences | undefined;
}

/** One setting of a listener, `limits/headersMax`, of gRPC, `grpc/timeout`, or of tunnels, `tunnel/idle`. */
export interface AskedSetting {
  readonly path: string;
  readonly value: unknown;
  readonly policy: Policy;
}

/** What the policies on one target come to. */
export interface Level {
  readonly filters: readonly AskedFilter[];
  readonly settings: readonly AskedSetting[];
  readonly losers: readonly Loser<Policy>[];
  readonly findings: readonly Finding[];
}

/** A filter that is not known narrows: the other way round, a plan of a newer compiler could let requests in. */
function compositionOf(filter: string): Composition {
  return FILTERS_BY_NAME.get(filter)?.composition ?? 'narrows';
}

/** By phase, then by place in the list; parts of a configuration run last in the phase that they name. */
const RUNNING_ORDER: ReadonlyMap<string, number> = new Map(PLANNED_FILTERS.map(({ name }, i) => [name, i]));
const PHASE_OF: ReadonlyMap<string, Phase> = new Map(PLANNED_FILTERS.map(({ name, phase }) => [name, phase]));

/** For the filters of a policy that cannot be obeyed; the reader has said why. */
const REFUSED: FilterReferences = {
  config: {},
  backends: [],
  values: [],
  broken: [{ path: [], why: { reason: 'Invalid', code: 'reference.missing', message: 'The policy has mistakes' } }],
};

/** @param policies  those on one target, the first one to count first */
export function levelOf(policies: readonly Policy[], look: Look): Level {
  const claims = new Claims<Policy>();
  const filters: AskedFilter[] = [];
  const settings: AskedSetting[] = [];
  for (const policy of policies) {
    for (const [filter, config] of Object.entries(policy.spec.filters ?? {})) {
      if (config === undefined) continue;
      const field = `/spec/filters/${filter}`;
      const isTaken =
        compositionOf(filter) !== 'narrows' && !claims.take(policy, { what: `filter "${filter}"`, field }, config);
      if (isTaken) continue;
      for (const part of partsOf(filter, config)) {
        const asked = { filter, config: part.config, policy, field: field + part.pointer };
        const references = filterReferences(asked, look);
        for (const { path, why } of references?.broken ?? [])
          claims.findings.push(brokenAt(policy, asked.field + pointerOf(path), why));
        const { phase } = part;
        filters.push({ ...asked, owner: describe(policy), references, ...(phase !== undefined && { phase }) });
      }
    }
    for (const filter of policy.spec.refusedFilters ?? []) {
      const field = `/spec/filters/${filter}`;
      filters.push({ filter, config: {}, owner: describe(policy), policy, field, references: REFUSED });
    }
    for (const { path, value } of settingsOf(policy)) {
      const isOwn = OWN_PARTS.test(path);
      const what = `${isOwn ? '' : 'listener '}setting "${path.replace('/', '.')}"`;
      const field = isOwn ? `/spec/${path}` : `/spec/listener/${path}`;
      if (claims.take(policy, { what, field }, value)) settings.push({ path, value, policy });
    }
  }
  return { filters, settings, losers: claims.losers, findings: claims.findings };
}

function partsOf(filter: string, config: unknown): readonly (Omit<FilterPart, 'phase'> & { readonly phase?: Phase })[] {
  return FILTERS_BY_NAME.get(filter)?.parts?.of(config as never) ?? [{ pointer: '', config }];
}

export interface Claim<P> {
  readonly policy: P;
  readonly field: string;
  readonly value: unknown;
}

/** A policy that lost to an older one, and the sentence that says what. */
export interface Loser<P> {
  readonly policy: P;
  readonly message: string;
}

/** Fields of one target, each claimed by the first policy that sets it. */
export class Claims<P extends Policy | BackendPolicy> {
  readonly taken = new Map<string, Claim<P>>();
  readonly losers: Loser<P>[] = [];
  readonly findings: Finding[] = [];

  /** Whether the field was free. Saying what the first one says is no conflict. */
  take(policy: P, { what, field }: { readonly what: string; readonly field: string }, value: unknown): boolean {
    const first = this.taken.get(field);
    if (first === undefined) {
      this.taken.set(field, { policy, field, value });
      return true;
    }
    if (canonicalJson(first.value) === canonicalJson(value)) return false;
    const message = `${describe(first.policy)} sets ${what} of the same target and comes first: it counts, this one does not`;
    this.losers.push({ policy, message });
    this.findings.push(error('policy.conflict', policy, { field, message, related: [keyOf(first.policy)] }));
    return false;
  }
}

/** Parts of a policy whose settings stand beside those of the listener, not in them. */
const OWN_PARTS = /^(?:grpc|tunnel)\//;

/** Settings one by one, so that two policies may each set a part. Trusted hops and the PROXY protocol only make sense together. */
function settingsOf({ spec: { listener = {}, grpc, tunnel } }: Policy): { path: string; value: unknown }[] {
  return Object.entries({ ...listener, grpc, tunnel }).flatMap(([name, value]) => {
    if (value === undefined) return [];
    if (typeof value !== 'object' || name === 'trustedHops' || name === 'proxyProtocol') return [{ path: name, value }];
    return Object.entries(value)
      .filter(([, inner]) => inner !== undefined)
      .map(([inner, of]) => ({ path: `${name}/${inner}`, value: of as unknown }));
  });
}

/** The filters that act, in running order. `levels` from the farthest to the closest. */
export function composeFilters(levels: readonly (readonly AskedFilter[])[]): readonly AskedFilter[] {
  if (levels.every((level) => level.length === 0)) return NONE;
  const byName = new Map<string, AskedFilter[]>();
  for (const level of levels) {
    const own = new Map<string, AskedFilter[]>();
    for (const asked of level) {
      const list = own.get(asked.filter);
      if (list === undefined) own.set(asked.filter, [asked]);
      else list.push(asked);
    }
    for (const [name, list] of own) {
      const farther = compositionOf(name) === 'closest' ? [] : (byName.get(name) ?? []);
      byName.set(name, [...farther, ...list]);
    }
  }
  return [...byName.values()].flat().toSorted((a, b) => rank(a) - rank(b));
}

function rank({ filter, phase }: AskedFilter): number {
  const place = phase === undefined ? RUNNING_ORDER.get(filter) : RUNNING_ORDER.size - 1;
  const inPhase = PHASES.indexOf(phase ?? PHASE_OF.get(filter) ?? PHASES.at(-1)!);
  return inPhase * (RUNNING_ORDER.size + 1) + (place ?? RUNNING_ORDER.size);
}

/** What policies on a route and on one rule of it come to, the farthest first. */
export function routeLevels(
  { kind, metadata: { namespace, name } }: Resource,
  ruleName: string | undefined,
  look: Look,
): (Level | undefined)[] {
  return [
    look('levels', targetKey(kind, namespace, { name })),
    ruleName === undefined ? undefined : look('levels', targetKey(kind, namespace, { name, sectionName: ruleName })),
  ];
}

/** The settings that hold, by path: the closest target wins. `levels` from the farthest to the closest. */
export function composeSettings(levels: readonly (Level | undefined)[]): ReadonlyMap<string, AskedSetting> {
  const settings = new Map<string, AskedSetting>();
  for (const level of levels) for (const setting of level?.settings ?? []) settings.set(setting.path, setting);
  return settings;
}
