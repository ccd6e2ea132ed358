/**
 * Rules of routes. A rule is read once, which finds everything that is wrong
 * with it, and lowered once for each way in which the Gateways of its route
 * treat it. A rule that cannot be kept as it was written answers 500 and says
 * so; only one whose matches cannot be read is left out, because then nobody
 * knows which requests are meant.
 */
import type {
  PlanBackend,
  PlanFilter,
  PlanGrpc,
  PlanMatch,
  PlanMirror,
  PlanRetry,
  PlanRule,
  PlanValue,
} from '../ir/plan.ts';
import { FILTERS_BY_NAME } from '../filters/list.ts';
import { withClusters } from './filter-references.ts';
import { durationOr } from '../base/duration.ts';
import type { GRPCRouteRule } from '../resource/kinds/grpc-route.ts';
import type { HTTPRequestMirrorFilter, HTTPRouteRule } from '../resource/kinds/http-route.ts';
import { describe, type GRPCRoute, type HTTPRoute, keyOf, type Policy } from '../resource/resource.ts';
import { type BackendReference, type BackendTarget, backendTargetKeys, clusterKey, findBackend } from './backend.ts';
import { type ClusterNeed, isTlsAsked, protocolAsked } from './cluster.ts';
import { RETRY, RETRY_ATTEMPTS_MAX } from './defaults.ts';
import { error, type Finding, placeOf, warning } from './finding.ts';
import { grpcMatchFlaw, grpcSettings, lowerGrpcMatches } from './grpc.ts';
import type { Reason } from './listener.ts';
import { lowerMatches, type MatchFlaw, matchFlaw } from './match.ts';
import { signedUsers } from './mesh-user.ts';
import { type AskedFilter, composeFilters, composeSettings, routeLevels } from './policies.ts';
import { brokenAt, type Reference, toReference } from './reference.ts';
import { readFilters } from './rule-filter.ts';
import { NONE, settled } from './settled.ts';
import { type Asked, routeTimeouts, tunnelLimits } from './settings.ts';
import type { Look } from './tables.ts';

/** Whether rules and filters carry the place where they were written. */
export type Places = 'keep' | 'omit';

export type MatchedRoute = HTTPRoute | GRPCRoute;

/** What reading the rules of one route collects. */
export interface RuleWork {
  readonly route: MatchedRoute;
  readonly look: Look;
  readonly places: Places;
  /** Whom the rules are for: sidecars need no ReferenceGrant. */
  readonly readers: 'gateways' | 'sidecars';
  readonly findings: Finding[];
  readonly unresolved: Reason[];
  readonly flaws: RuleFlaw[];
  readonly needs: Map<string, ClusterNeed>;
  /** Values of Secrets that filters refer to, by key in the plan. */
  readonly values: Map<string, PlanValue>;
}

/** What becomes of a rule with a flaw. */
const FLAW_EFFECTS = {
  /** Nobody knows which requests are meant. */
  'left-out': 'the rule is left out',
  /** Serving without what was asked for would be worse. */
  refused: 'the rule answers 500',
  /** Only this backend is concerned. */
  share: 'the share of this backend answers 500',
} as const;

export function ruleWork(
  route: MatchedRoute,
  look: Look,
  { places, readers }: Partial<Pick<RuleWork, 'places' | 'readers'>> = {},
): RuleWork {
  return {
    route,
    look,
    places: places ?? 'omit',
    readers: readers ?? 'gateways',
    findings: [],
    unresolved: [],
    flaws: [],
    needs: new Map(),
    values: new Map(),
  };
}

export type FlawEffect = keyof typeof FLAW_EFFECTS;

/** A flaw in words, with its effect. */
export function flawText({ message, effect }: RuleFlaw): string {
  return `${message}: ${FLAW_EFFECTS[effect]}`;
}

/** Something of a rule that is not supported. */
export interface RuleFlaw extends Reason {
  readonly rule: string;
  readonly reason: 'UnsupportedValue';
  readonly effect: FlawEffect;
}

/** How the Gateways and listeners of a group of attachments treat a rule. */
export interface Treatment {
  /** Filters of policies on Gateway and listener, from the farthest. */
  readonly filters: readonly (readonly AskedFilter[])[];
  /** Key of the Gateway whose client certificate backends are shown. */
  readonly certificateOf: string | undefined;
  /** What the route needs its backends to speak, whatever they say of themselves. */
  readonly protocol?: 'h2';
}

/** A backend that was found, or why its share answers 500. */
type ReadTarget =
  | { readonly kind: 'found'; readonly target: BackendTarget }
  | Extract<PlanBackend['target'], { kind: 'invalid' }>;

interface ReadBackend {
  readonly target: ReadTarget;
  readonly weight: number;
  readonly filters: readonly AskedFilter[];
}

export interface ReadRule {
  readonly index: number;
  readonly name: string;
  /** Undefined when the rule is left out. */
  readonly matches: readonly PlanMatch[] | undefined;
  /** Of the rule itself and of the policies on its route. */
  readonly filters: readonly (readonly AskedFilter[])[];
  readonly backends: readonly ReadBackend[];
  readonly mirrors: readonly { readonly target: BackendTarget; readonly share: number }[];
  /** Why the whole rule answers 500. */
  readonly refused: string | undefined;
  readonly timeouts: PlanRule['timeouts'];
  readonly retry: PlanRetry | undefined;
  readonly grpc: PlanGrpc | undefined;
  /** What policies on the route ask of tunnels. */
  readonly tunnel: PlanRule['tunnel'] | undefined;
}

type AnyRule = HTTPRouteRule | GRPCRouteRule;

export function readRule(rule: AnyRule, index: number, work: RuleWork): ReadRule {
  const { route, look } = work;
  const at = `/spec/rules/${index}`;
  const name = `${keyOf(route)}/${rule.name ?? index}`;
  const own = readFilters(rule.filters, { owner: describe(route), at: `${at}/filters` });
  const refused = refusalOf(rule, at, { own: own.flaw, name, work });
  const kind = readKind(rule, route);
  const badMatch = kind.flaw();
  if (badMatch !== undefined) {
    addFlaw(
      work,
      { rule: name, reason: 'UnsupportedValue', message: badMatch.message, effect: 'left-out' },
      at + badMatch.field,
    );
  }
  const levels = routeLevels(route, rule.name, look);
  const asked = composeSettings(levels);
  return {
    index,
    name,
    matches: badMatch === undefined ? kind.matches() : undefined,
    filters: [...levels.map((level) => level?.filters ?? []), own.filters],
    backends: rule.backendRefs.map((ref, i) => readBackend(ref, `${at}/backendRefs/${i}`, { name, work })),
    mirrors: own.mirrors.flatMap(({ filter, field }) => readMirror(filter, `${field}/requestMirror`, work) ?? []),
    refused,
    ...kind.settings(asked, { at, work }),
    tunnel: tunnelLimits(asked),
  };
}

/** What tells the rules of the two kinds apart. */
interface RuleKind {
  flaw(): MatchFlaw | undefined;
  matches(): PlanMatch[];
  settings(asked: Asked, place: RulePlace): Pick<ReadRule, 'timeouts' | 'retry' | 'grpc'>;
}

interface RulePlace {
  readonly at: string;
  readonly work: RuleWork;
}

function readKind(rule: AnyRule, { kind }: MatchedRoute): RuleKind {
  if (kind === 'HTTPRoute') {
    const http = rule as HTTPRouteRule;
    return {
      flaw: () => matchFlaw(http),
      matches: () => lowerMatches(http),
      settings: (_, { at, work }) => ({
        timeouts: routeTimeouts(http.timeouts ?? {}),
        retry: readRetry(http, at, work),
        grpc: undefined,
      }),
    };
  }
  const grpc = rule as GRPCRouteRule;
  return {
    flaw: () => grpcMatchFlaw(grpc),
    matches: () => lowerGrpcMatches(grpc),
    settings: (asked) => grpcSettings(grpc, asked),
  };
}

/** Why the rule answers 500 as a whole. Serving it without what it asks for would be worse. */
function refusalOf(
  { sessionPersistence }: AnyRule,
  at: string,
  { own, name, work }: { own: ReturnType<typeof readFilters>['flaw']; name: string; work: RuleWork },
): string | undefined {
  if (own !== undefined) {
    addFlaw(work, { rule: name, reason: own.reason, message: own.message, effect: 'refused' }, own.field);
    return own.message;
  }
  if (sessionPersistence === undefined) return undefined;
  const message = 'Session persistence is not supported yet';
  addFlaw(work, { rule: name, reason: 'UnsupportedValue', message, effect: 'refused' }, `${at}/sessionPersistence`);
  return message;
}

function addFlaw({ flaws, findings, route }: RuleWork, flaw: RuleFlaw, field: string): void {
  flaws.push(flaw);
  findings.push(error('route.unsupported', route, { field, message: flawText(flaw) }));
}

function readBackend(
  ref: AnyRule['backendRefs'][number],
  field: string,
  { name, work }: { readonly name: string; readonly work: RuleWork },
): ReadBackend {
  const own = readFilters(ref.filters, { owner: describe(work.route), at: `${field}/filters` });
  const mirror = own.mirrors[0];
  const flaw =
    own.flaw ??
    (mirror && {
      reason: 'UnsupportedValue' as const,
      field: mirror.field,
      message: 'A mirror belongs to the rule, not to one of its backends',
    });
  const target = findTarget(toReference(ref, work.route), { port: ref.port, field, work });
  if (flaw !== undefined) {
    addFlaw(work, { rule: name, reason: flaw.reason, message: flaw.message, effect: 'share' }, flaw.field);
    return {
      target: { kind: 'invalid', code: 'route.filter-invalid', why: flaw.message },
      weight: ref.weight,
      filters: [],
    };
  }
  return { target, weight: ref.weight, filters: own.filters };
}

interface TargetWork {
  readonly port: number | undefined;
  readonly field: string;
  readonly work: RuleWork;
}

function findTarget(to: Reference, { port, field, work }: TargetWork): ReadTarget {
  const { route, look, unresolved, findings, readers } = work;
  const free = readers === 'sidecars' ? ({ grants: 'free' } as const) : {};
  const found = findBackend(route, backendReference(to, port), { look, ...free });
  if (found.broken !== undefined) {
    unresolved.push(found.broken);
    findings.push(brokenAt(route, field, found.broken));
    return { kind: 'invalid', code: 'route.backend-invalid', why: found.broken.message };
  }
  return { kind: 'found', target: found.target };
}

export function backendReference(to: Reference, port: number | undefined): BackendReference {
  return port === undefined ? to : { ...to, port };
}

function readMirror(
  { backendRef, percent, fraction }: HTTPRequestMirrorFilter,
  field: string,
  work: RuleWork,
): ReadRule['mirrors'][number] | undefined {
  const { port } = backendRef;
  const read = findTarget(toReference(backendRef, work.route), { port, field: `${field}/backendRef`, work });
  // Gateway API, HTTPRequestMirrorFilter: a mirror that leads nowhere is dropped, and the status says so.
  if (read.kind === 'invalid') return undefined;
  if (percent !== undefined) return { target: read.target, share: percent / 100 };
  return {
    target: read.target,
    share: fraction === undefined ? 1 : Math.min(1, fraction.numerator / fraction.denominator),
  };
}

function readRetry({ retry }: HTTPRouteRule, at: string, { route, findings }: RuleWork): PlanRetry | undefined {
  if (retry === undefined) return undefined;
  const attempts = retry.attempts ?? RETRY.attempts;
  if (attempts > RETRY_ATTEMPTS_MAX) {
    const message = `At most ${RETRY_ATTEMPTS_MAX} attempts are made after the first, got ${attempts}`;
    findings.push(warning('route.retry', route, { field: `${at}/retry/attempts`, message }));
  }
  return {
    attempts: Math.min(attempts, RETRY_ATTEMPTS_MAX),
    backoffMs: durationOr(retry.backoff, RETRY.backoffMs),
    codes: retry.codes,
  };
}

/** Filters that answer themselves, so that a rule needs no backend. */
const ANSWERING = new Set(['redirect', 'directResponse']);

export function lowerRule(rule: ReadRule, treatment: Treatment, work: RuleWork): PlanRule | undefined {
  const { name, matches, timeouts, retry, grpc, tunnel } = rule;
  if (matches === undefined) return undefined;
  const filters = composeFilters([...treatment.filters, ...rule.filters]);
  const refused = rule.refused ?? brokenFilter(filters);
  if (refused !== undefined) {
    const backends = [refusal('route.filter-invalid', refused)];
    return placed(rule, work, { name, matches, filters: NONE, backends, mirrors: NONE, timeouts, ...kindOf(grpc) });
  }
  const backends = rule.backends.map((backend) => lowerBackend(backend, treatment, work));
  const answers = filters.some(({ filter }) => ANSWERING.has(filter));
  return placed(rule, work, {
    name,
    matches,
    filters: settled(filters.map((filter) => placedFilter(filter, treatment, work))),
    backends: settled(answers ? backends : withFallback(backends)),
    mirrors: settled(
      rule.mirrors.map(({ target, share }): PlanMirror => ({ cluster: need(target, treatment, work), share })),
    ),
    timeouts,
    ...(retry !== undefined && { retry }),
    ...kindOf(grpc),
    ...(tunnel !== undefined && { tunnel }),
  });
}

function kindOf(grpc: PlanGrpc | undefined): Pick<PlanRule, 'grpc'> {
  return grpc === undefined ? {} : { grpc };
}

function placed({ index }: ReadRule, { route, places }: RuleWork, rule: Omit<PlanRule, 'at'>): PlanRule {
  return places === 'omit' ? rule : { ...rule, at: placeOf(route, `/spec/rules/${index}`) };
}

export function refusal(code: 'route.backend-invalid' | 'route.filter-invalid', why: string): PlanBackend {
  return { target: { kind: 'invalid', code, why }, weight: 1, filters: NONE };
}

/** Gateway API: a rule without a backend that can be picked answers 500. */
function withFallback(backends: PlanBackend[]): PlanBackend[] {
  if (backends.length === 0) return [refusal('route.backend-invalid', 'The rule names no backend')];
  if (backends.some(({ weight }) => weight > 0)) return backends;
  return [...backends, refusal('route.backend-invalid', 'Every backend of the rule has weight 0')];
}

function lowerBackend({ target, weight, filters }: ReadBackend, treatment: Treatment, work: RuleWork): PlanBackend {
  if (target.kind === 'invalid') return { target, weight, filters: NONE };
  const composed = composeFilters([...senderLevels(target.target, work.look), filters]);
  const broken = brokenFilter(composed);
  if (broken !== undefined) return { ...refusal('route.filter-invalid', broken), weight };
  return {
    target: { kind: 'cluster', cluster: need(target.target, treatment, work) },
    weight,
    // The last, behind all that could write what it says.
    filters: settled([
      ...composed.map((filter) => placedFilter(filter, treatment, work)),
      ...(work.readers === 'gateways' ? signedUsers(target.target, work) : []),
    ]),
  };
}

/** What policies on a backend come to, the farthest first. */
export function backendLevels(target: BackendTarget, look: Look): (readonly AskedFilter[])[] {
  return backendTargetKeys(target)
    .map((key) => look('levels', key)?.filters ?? [])
    .toReversed();
}

/** Where all endpoints have a sidecar, that is where the policies of their Service act: nobody can go around them. */
function senderLevels(target: BackendTarget, look: Look): (readonly AskedFilter[])[] {
  const levels = backendLevels(target, look);
  if (levels.every((level) => level.length === 0)) return [];
  return look('sidecars', keyOf(target.resource)) === 'all' ? [] : levels;
}

/** Registers that the cluster of a backend is needed; gives its key. */
function need(target: BackendTarget, treatment: Treatment, { needs, look }: FilterWork): string {
  const { certificateOf, protocol } = treatment;
  const variant = {
    certificateOf: certificateOf !== undefined && isTlsAsked(target, look) ? certificateOf : undefined,
    // Asking is a traced look-up: a route that needs nothing must not come anew with every BackendPolicy.
    protocol: protocol === undefined || protocol === protocolAsked(target, look) ? undefined : protocol,
  };
  const key = clusterKey(target, variant);
  needs.set(key, { key, target, ...variant });
  return key;
}

/** What lowering a filter needs and fills. */
export type FilterWork = Pick<RuleWork, 'look' | 'needs' | 'values'>;

function placedFilter(asked: AskedFilter, treatment: Treatment, work: RuleWork): PlanFilter {
  const lowered = lowerFilter(asked, treatment, work);
  if (work.places === 'omit') return lowered;
  return { ...lowered, at: placeOf(asked.policy ?? asked.from ?? work.route, asked.field) };
}

export function lowerFilter(asked: AskedFilter, treatment: Treatment, work: FilterWork): PlanFilter {
  const { filter, owner, policy, mode, references } = asked;
  const { values } = work;
  for (const { key, secret } of references?.values ?? []) values.set(key, secret);
  return {
    filter,
    config:
      references === undefined ? asked.config : withClusters(references, (target) => need(target, treatment, work)),
    owner,
    ...(policy !== undefined && planMode(policy, filter)),
    ...(mode !== undefined && { audit: true as const }),
  };
}

/** How a policy wants its filters to act: audited, and which of them are alternatives. */
function planMode({ spec, metadata }: Policy, filter: string): Pick<PlanFilter, 'audit' | 'alternative' | 'anonymous'> {
  const { mode, authentication } = spec;
  const audit = mode === 'audit' ? ({ audit: true } as const) : {};
  if (authentication === undefined || FILTERS_BY_NAME.get(filter)?.phase !== 'authenticate') return audit;
  const { require, anonymous } = authentication;
  return {
    ...audit,
    ...((require === 'any' || anonymous !== undefined) && { alternative: `${metadata.namespace}/${metadata.name}` }),
    ...(anonymous !== undefined && {
      anonymous: { name: anonymous.consumer, groups: anonymous.groups, labels: anonymous.labels },
    }),
  };
}

/** Why filters cannot run: serving without them could let requests in. */
export function brokenFilter(filters: readonly AskedFilter[]): string | undefined {
  for (const { filter, owner, references } of filters) {
    const why = references?.broken[0]?.why;
    if (why !== undefined) return `Filter "${filter}" of ${owner} cannot run: ${why.message}`;
  }
  return undefined;
}
