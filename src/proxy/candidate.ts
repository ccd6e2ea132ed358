/**
 * Candidate: one match of one rule, compiled. The same object is the answer of a
 * lookup, so that a hit allocates nothing.
 */
import { compileRegex, type Regex } from '../base/safe-regex.ts';
import type { Headers } from '../http/headers.ts';
import type { RequestHead } from '../http/message.ts';
import { normalisePath } from '../http/path.ts';
import { queryValue } from '../http/query.ts';
import type { PlanMatch, PlanNamedMatch } from '../ir/plan.ts';

/** What a lookup gives: the payload of the rule, and what of the path it matched. */
export interface Found<R> {
  readonly rule: R;
  /** Exact path or prefix that matched, for prefix replacement; undefined for a regular expression. */
  readonly matchedPath: string | undefined;
}

export interface Candidate<R> extends Found<R> {
  /** `HTTPRoute/NS/NAME`. */
  readonly routeKey: string;
  readonly createdMs: number;
  /** Place of the rule in its route, from 0. */
  readonly ruleIndex: number;
  /** Place of the match in its rule, from 0. */
  readonly matchIndex: number;
  /** As the plan has it, for `explain`. */
  readonly match: PlanMatch;
  readonly pathRegex: Regex | undefined;
  readonly method: string | undefined;
  readonly headers: readonly FieldTest[];
  readonly query: readonly FieldTest[];
}

/** Why a candidate on the right path does not take a request. */
export type Loss =
  | { readonly kind: 'path' }
  | { readonly kind: 'method' }
  | { readonly kind: 'header'; readonly name: string }
  | { readonly kind: 'query'; readonly name: string };

/** A test of one header or query parameter. */
export interface FieldTest {
  readonly name: string;
  /** Value for an exact test; headers as latin1 of its UTF-8 bytes, as the wire has it. */
  readonly exact: string | undefined;
  readonly regex: Regex | undefined;
  readonly loss: Loss;
}

/** Compiled expressions by source: routes tend to repeat them, and each owns a table of states. */
export type RegexCache = Map<string, Regex>;

export interface CandidateOrigin<R> {
  readonly routeKey: string;
  readonly createdMs: number;
  readonly ruleIndex: number;
  readonly matchIndex: number;
  readonly rule: R;
}

/** @throws {Error} on a regular expression that does not compile: the plan was checked, so this is a bug of the compiler */
export function makeCandidate<R>(match: PlanMatch, origin: CandidateOrigin<R>, cache: RegexCache): Candidate<R> {
  const { kind, value, narrowedBy } = match.path;
  const pathRegex = kind === 'regex' ? value : narrowedBy;
  return {
    ...origin,
    match,
    matchedPath: kind === 'regex' ? undefined : matchPath(value),
    pathRegex: pathRegex === undefined ? undefined : regexOf(pathRegex, cache),
    method: match.method,
    headers: match.headers.map((test) => fieldTest('header', test, cache)),
    query: match.query.map((test) => fieldTest('query', test, cache)),
  };
}

export const PATH_LOSS: Loss = { kind: 'path' };
const METHOD_LOSS: Loss = { kind: 'method' };

/** Why this candidate, found under the right exact path or prefix, does not take the request; undefined when it does. */
export function lossOf<R>(candidate: Candidate<R>, request: RequestHead): Loss | undefined {
  if (candidate.pathRegex !== undefined && !candidate.pathRegex.test(request.path)) return PATH_LOSS;
  if (candidate.method !== undefined && candidate.method !== request.method) return METHOD_LOSS;
  for (const test of candidate.headers) if (!passes(test, headerValue(request.headers, test.name))) return test.loss;
  for (const test of candidate.query) if (!passes(test, queryValue(request.query, test.name))) return test.loss;
  return undefined;
}

/**
 * Order of two candidates of one host: negative when `a` goes first. Gateway API,
 * HTTPRouteRule.matches: exact path, then [our choice: regular expression], then
 * prefix by length; method; number of headers; number of query parameters; age;
 * name; place in the route.
 *
 * A regular expression goes before prefixes because it was written to narrow
 * one: behind them, a catch-all prefix `/` would hide every expression of the host.
 * Matches of a GRPCRoute are exact paths and prefixes with a rank, so that most
 * characters of the service go first, then of the method (GRPCRouteRule.matches).
 */
export function compareCandidates<R>(a: Candidate<R>, b: Candidate<R>): number {
  return (
    PATH_RANK[a.match.path.kind] - PATH_RANK[b.match.path.kind] ||
    b.match.path.value.length - a.match.path.value.length ||
    (b.match.path.rank ?? 0) - (a.match.path.rank ?? 0) ||
    Number(b.method !== undefined) - Number(a.method !== undefined) ||
    b.headers.length - a.headers.length ||
    b.query.length - a.query.length ||
    a.createdMs - b.createdMs ||
    compareText(a.routeKey, b.routeKey) ||
    a.ruleIndex - b.ruleIndex ||
    a.matchIndex - b.matchIndex
  );
}

const PATH_RANK = { exact: 0, regex: 1, prefix: 2 } as const;

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** Lines of one name joined with a comma, as plans speak of them. */
export function headerValue(headers: Headers, name: string): string | undefined {
  const combined = headers.combined(name);
  // Several lines would show as ", ", which a single line may also hold.
  return combined === undefined || !combined.includes(', ') ? combined : headers.getAll(name).join(',');
}

function passes(test: FieldTest, value: string | undefined): boolean {
  if (value === undefined) return false;
  return test.exact !== undefined ? test.exact === value : test.regex!.test(value);
}

function fieldTest(side: 'header' | 'query', match: PlanNamedMatch, cache: RegexCache): FieldTest {
  const { name, kind, value } = match;
  const onWire = side === 'header' ? Buffer.from(value, 'utf8').toString('latin1') : value;
  return {
    name,
    exact: kind === 'exact' ? onWire : undefined,
    regex: kind === 'regex' ? regexOf(value, cache) : undefined,
    loss: { kind: side, name },
  };
}

function regexOf(source: string, cache: RegexCache): Regex {
  const known = cache.get(source);
  if (known !== undefined) return known;
  const compiled = compileRegex(source);
  if (!compiled.ok) throw new Error(`Cannot compile "${source}" at ${compiled.offset}: ${compiled.message}`);
  cache.set(source, compiled);
  return compiled;
}

/** Paths are compared in normal form, so what an operator wrote is brought into it too (`%7euser` is `/~user`). */
function matchPath(value: string): string {
  if (!value.includes('%')) return value;
  const normal = normalisePath(value, {
    dotSegments: 'resolve',
    encodedSlash: 'keep',
    emptySegments: 'keep',
    backslash: 'slash',
    parameters: 'keep',
    invalidUtf8: 'keep',
  });
  return typeof normal === 'string' ? normal : value;
}
