/** Whether an answer may be kept, and for how long it is fresh (RFC 9111 sections 3 and 4.2). */
import type { Headers } from '../../http/headers.ts';
import { deltaSeconds, type Directives, parseCacheControl, parseTargeted } from './cache-control.ts';
import { parseHttpDate } from './http-date.ts';

/** Made of the configuration, once. */
export interface FreshnessRules {
  /** Fields that speak to this cache, in the order in which they are asked (RFC 9213 section 2.2). Lower case. */
  readonly targets: readonly string[];
  /** Ceiling for what origins say. */
  readonly lifetimeMsMax: number;
  readonly heuristicPercent: number;
  readonly heuristicMsMax: number;
  /** Lifetime by status, where the origin says nothing. */
  readonly defaultMs: ReadonlyMap<number, number>;
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  /** `strip`: kept without its cookies. */
  readonly setCookie: 'refuse' | 'strip';
}

export interface AnswerFacts {
  readonly status: number;
  readonly headers: Headers;
  /** When it came, since the epoch. */
  readonly wallMs: number;
  /** From asking to the head of the answer. */
  readonly delayMs: number;
  /** The request carried Authorization, or an identity that is not part of the key. */
  readonly authorised: boolean;
}

export interface Storable {
  readonly kind: 'storable';
  /** Age that it had when it came (RFC 9111 section 4.2.3). */
  readonly ageMs: number;
  readonly lifetimeMs: number;
  /** Never used without asking the origin (`no-cache`). */
  readonly revalidate: 'always' | 'when-stale';
  readonly staleWhileRevalidateMs: number;
  readonly staleIfErrorMs: number;
  readonly requestsMayStretch: 'yes' | 'no';
}

/** `why` goes to Cache-Status and counters. */
export interface NotStorable {
  readonly kind: 'not-storable';
  readonly why: WhyNot;
}

export type WhyNot =
  | 'status'
  | 'no-store'
  | 'private'
  | 'authorization'
  | 'vary'
  | 'set-cookie'
  | 'no-lifetime'
  | 'stale'
  | 'type';

/** RFC 9110 section 15.1. 206 is one of them, but here no part stands for the whole. */
const HEURISTIC: ReadonlySet<number> = new Set([200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501]);

/** Statuses whose rules for caches we keep, for `must-understand` (RFC 9111 section 5.2.2.3). */
const UNDERSTOOD: ReadonlySet<number> = new Set([...HEURISTIC, 302, 303, 307, 400, 403, 451, 500, 502, 503, 504]);

export function judge(answer: AnswerFacts, rules: FreshnessRules): Storable | NotStorable {
  const { headers } = answer;
  const { directives, source } = directivesOf(headers, rules.targets);
  const why = refusal(answer, directives, rules);
  if (why !== undefined) return { kind: 'not-storable', why };

  const dateMs = parseHttpDate(headers.get('date'), answer.wallMs) ?? answer.wallMs;
  const said = saidMs(headers, { directives, source, dateMs });
  const lifetimeMs = Math.min(said ?? unsaidMs(answer, { directives, dateMs, rules }), rules.lifetimeMsMax);
  const ageMs = initialAgeMs(answer, dateMs);
  const mayStale = !directives.noCache && !directives.mustRevalidate && !directives.proxyRevalidate;
  const swr = staleMs(mayStale, directives, {
    said: directives.staleWhileRevalidate,
    ours: rules.staleWhileRevalidateMs,
  });
  const sie = staleMs(mayStale, directives, { said: directives.staleIfError, ours: rules.staleIfErrorMs });

  if (said === undefined && lifetimeMs === 0 && !directives.noCache)
    return { kind: 'not-storable', why: 'no-lifetime' };
  const canRevalidate = headers.has('etag') || headers.has('last-modified');
  if (!canRevalidate && (directives.noCache || lifetimeMs <= ageMs)) {
    return { kind: 'not-storable', why: 'stale' };
  }
  return {
    kind: 'storable',
    ageMs,
    lifetimeMs,
    revalidate: directives.noCache ? 'always' : 'when-stale',
    staleWhileRevalidateMs: swr,
    staleIfErrorMs: sie,
    requestsMayStretch: mayStale && directives.sMaxAge === undefined ? 'yes' : 'no',
  };
}

interface Spoken {
  readonly directives: Directives;
  /** `targeted`: Cache-Control and Expires have no say (RFC 9213 section 2.1). */
  readonly source: 'general' | 'targeted';
}

function directivesOf(headers: Headers, targets: readonly string[]): Spoken {
  for (const name of targets) {
    const value = headers.combined(name);
    const directives = value === undefined ? undefined : parseTargeted(value);
    if (directives !== undefined) return { directives, source: 'targeted' };
  }
  return { directives: parseCacheControl(headers.combined('cache-control')), source: 'general' };
}

/** RFC 9111 section 3. */
function refusal(answer: AnswerFacts, said: Directives, rules: FreshnessRules): WhyNot | undefined {
  const { status, headers, authorised } = answer;
  if (status < 200 || status === 206 || status === 304) return 'status';
  const understood = UNDERSTOOD.has(status);
  if (said.mustUnderstand && !understood) return 'status';
  if (said.noStore && !said.mustUnderstand) return 'no-store';
  if (said.isPrivate) return 'private';
  // RFC 9111 section 3.5.
  if (authorised && !said.isPublic && !said.mustRevalidate && said.sMaxAge === undefined) return 'authorization';
  if (rules.setCookie === 'refuse' && (headers.has('set-cookie') || headers.has('set-cookie2'))) return 'set-cookie';
  return undefined;
}

/** RFC 9111 section 4.2.1. Undefined where the origin says nothing of it. */
function saidMs(
  headers: Headers,
  { directives, source, dateMs }: Spoken & { readonly dateMs: number },
): number | undefined {
  const seconds = directives.sMaxAge ?? directives.maxAge;
  if (seconds !== undefined) return seconds * 1_000;
  const expires = source === 'general' ? headers.combined('expires') : undefined;
  if (expires === undefined) return undefined;
  // What is no date, such as 0, is in the past (RFC 9111 section 5.3).
  return Math.max(0, (parseHttpDate(expires, dateMs) ?? 0) - dateMs);
}

interface Unsaid {
  readonly directives: Directives;
  readonly dateMs: number;
  readonly rules: FreshnessRules;
}

/** What the operator says, or a guess from the age of the content (RFC 9111 section 4.2.2). */
function unsaidMs({ status, headers, wallMs }: AnswerFacts, { directives, dateMs, rules }: Unsaid): number {
  if (directives.noCache) return 0;
  const ours = rules.defaultMs.get(status);
  if (ours !== undefined) return ours;
  if (rules.heuristicMsMax === 0 || (!HEURISTIC.has(status) && !directives.isPublic)) return 0;
  const modifiedMs = parseHttpDate(headers.get('last-modified'), wallMs);
  if (modifiedMs === undefined || modifiedMs >= dateMs) return 0;
  return Math.min(((dateMs - modifiedMs) * rules.heuristicPercent) / 100, rules.heuristicMsMax);
}

/** RFC 9111 section 4.2.3. Of several values of Age the first counts; what is none is passed by (section 5.1). */
function initialAgeMs({ headers, wallMs, delayMs }: AnswerFacts, dateMs: number): number {
  const ageSeconds = deltaSeconds(headers.combined('age')?.split(',', 1)[0]?.trim()) ?? 0;
  return Math.max(0, wallMs - dateMs, ageSeconds * 1_000 + delayMs);
}

/**
 * RFC 9111 section 4.2.4: what `s-maxage` forbids to us, an origin that says otherwise beside it allows again, as every
 * CDN reads it; the operator's own wish does not.
 */
function staleMs(
  may: boolean,
  directives: Directives,
  wish: { readonly said: number | undefined; readonly ours: number },
): number {
  if (!may) return 0;
  if (wish.said !== undefined) return wish.said * 1_000;
  return directives.sMaxAge === undefined ? wish.ours : 0;
}
