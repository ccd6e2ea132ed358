/**
 * Policies: what the policies on one target come to (a level), and how levels
 * compose from the farthest target (a Gateway) to the closest (a rule).
 *
 * - Two policies that say the same thing of the same target are a conflict: the
 *   older one counts, both are named.
 * - Of different targets the closer one counts, except for filters that add up
 *   and for security filters, which all run: they can only narrow.
 */
import { canonicalJson } from '../base/canonical.ts';
import { FILTER_CONFIGS } from '../filters/configs.ts';
import { type BackendPolicy, describe, keyOf, type Policy } from '../resource/resource.ts';
import { error, type Finding } from './finding.ts';

/** A filter as somebody asked for it. */
export interface AskedFilter {
  readonly filter: string;
  readonly config: unknown;
  /** `HTTPRoute shop/web` or `Policy shop/limits`. */
  readonly owner: string;
  readonly policy?: Policy;
  readonly field: string;
}

/** One setting of a listener: `limits/headersMax`. */
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

/**
 * What becomes of a filter that is asked for at several targets. `closest`: the
 * closest one replaces the others. `all`: all of them run, the farthest first.
 * Security filters are always `all`: a closer policy may narrow, never widen.
 */
const COMPOSITION: Readonly<Record<string, 'closest' | 'all'>> = { headers: 'all' };

const RUNNING_ORDER: ReadonlyMap<string, number> = new Map(Object.keys(FILTER_CONFIGS).map((name, i) => [name, i]));

/** @param policies  those on one target, oldest first */
export function levelOf(policies: readonly Policy[]): Level {
  const claims = new Claims<Policy>();
  for (const policy of policies) {
    for (const [filter, config] of Object.entries(policy.spec.filters ?? {})) {
      if (config !== undefined)
        claims.take(policy, { what: `filter "${filter}"`, field: `/spec/filters/${filter}` }, config);
    }
    for (const { path, value } of settingsOf(policy)) {
      claims.take(
        policy,
        { what: `listener setting "${path.replace('/', '.')}"`, field: `/spec/listener/${path}` },
        value,
      );
    }
  }
  const filters: AskedFilter[] = [];
  const settings: AskedSetting[] = [];
  for (const { policy, field, value } of claims.taken.values()) {
    if (field.startsWith(FILTERS)) {
      filters.push({ filter: field.slice(FILTERS.length), config: value, owner: describe(policy), policy, field });
    } else settings.push({ path: field.slice(SETTINGS.length), value, policy });
  }
  return { filters, settings, losers: claims.losers, findings: claims.findings };
}

const FILTERS = '/spec/filters/';
const SETTINGS = '/spec/listener/';

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

  take(policy: P, { what, field }: { readonly what: string; readonly field: string }, value: unknown): void {
    const first = this.taken.get(field);
    if (first === undefined) {
      this.taken.set(field, { policy, field, value });
      return;
    }
    if (canonicalJson(first.value) === canonicalJson(value)) return;
    const message = `${describe(first.policy)} sets ${what} of the same target and is older: it counts, this one does not`;
    this.losers.push({ policy, message });
    this.findings.push(error('policy.conflict', policy, { field, message, related: [keyOf(first.policy)] }));
  }
}

/** Settings one by one, so that two policies may each set a part. Trusted hops only make sense together. */
function settingsOf({ spec: { listener = {} } }: Policy): { path: string; value: unknown }[] {
  return Object.entries(listener).flatMap(([name, value]) => {
    if (value === undefined) return [];
    if (typeof value !== 'object' || name === 'trustedHops') return [{ path: name, value }];
    return Object.entries(value)
      .filter(([, inner]) => inner !== undefined)
      .map(([inner, of]) => ({ path: `${name}/${inner}`, value: of as unknown }));
  });
}

/** The filters that act, in running order. `levels` from the farthest to the closest. */
export function composeFilters(levels: readonly (readonly AskedFilter[])[]): AskedFilter[] {
  const byName = new Map<string, AskedFilter[]>();
  for (const level of levels) {
    const own = new Map<string, AskedFilter[]>();
    for (const asked of level) {
      const list = own.get(asked.filter);
      if (list === undefined) own.set(asked.filter, [asked]);
      else list.push(asked);
    }
    for (const [name, list] of own) {
      const farther = COMPOSITION[name] === 'all' ? (byName.get(name) ?? []) : [];
      byName.set(name, [...farther, ...list]);
    }
  }
  return [...byName.values()].flat().toSorted((a, b) => rank(a) - rank(b));
}

function rank({ filter }: AskedFilter): number {
  return RUNNING_ORDER.get(filter) ?? RUNNING_ORDER.size;
}

/** The settings that hold, by path: the closest target wins. `levels` from the farthest to the closest. */
export function composeSettings(levels: readonly (Level | undefined)[]): ReadonlyMap<string, AskedSetting> {
  const settings = new Map<string, AskedSetting>();
  for (const level of levels) for (const setting of level?.settings ?? []) settings.set(setting.path, setting);
  return settings;
}
