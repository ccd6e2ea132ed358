/** Matches of a rule, as they are planned. */
import type { PlanMatch, PlanNamedMatch } from '../ir/plan.ts';
import { compileRegex } from '../base/safe-regex.ts';
import type { HTTPRouteMatch, HTTPRouteRule } from '../resource/kinds/http-route.ts';
import { NONE, settled } from './settled.ts';

const PATH_KINDS = { Exact: 'exact', PathPrefix: 'prefix', RegularExpression: 'regex' } as const;

/** What a rule without matches takes, and a match without a path. */
export const EVERY_PATH: PlanMatch['path'] = { kind: 'prefix', value: '/' };

export interface MatchFlaw {
  /** JSON pointer from the rule. */
  readonly field: string;
  readonly message: string;
}

export function lowerMatches({ matches }: Pick<HTTPRouteRule, 'matches'>): PlanMatch[] {
  if (matches.length === 0) return [{ path: EVERY_PATH, headers: NONE, query: NONE }];
  return matches.map(({ path, method, headers, queryParams }) => ({
    path: path === undefined ? EVERY_PATH : { kind: PATH_KINDS[path.type], value: path.value },
    ...(method !== undefined && { method }),
    headers: settled(headers.map((header) => lowerNamed(header, header.name.toLowerCase()))),
    query: settled(queryParams.map((parameter) => lowerNamed(parameter, parameter.name))),
  }));
}

export function lowerNamed({ type, value }: HTTPRouteMatch['headers'][number], name: string): PlanNamedMatch {
  return { name, kind: type === 'Exact' ? 'exact' : 'regex', value };
}

/** The first regular expression of a rule that cannot be used: a rule is matched as it was written or not at all. */
export function matchFlaw({ matches }: Pick<HTTPRouteRule, 'matches'>): MatchFlaw | undefined {
  for (const [i, { path, headers, queryParams }] of matches.entries()) {
    const at = `/matches/${i}`;
    const patterns = [
      ...(path?.type === 'RegularExpression' ? [{ field: `${at}/path/value`, value: path.value }] : []),
      ...regexesOf(headers, `${at}/headers`),
      ...regexesOf(queryParams, `${at}/queryParams`),
    ];
    const flaw = firstFlaw(patterns);
    if (flaw !== undefined) return flaw;
  }
  return undefined;
}

/** The first of some expressions that cannot be compiled. */
export function firstFlaw(
  patterns: readonly { readonly field: string; readonly value: string }[],
): MatchFlaw | undefined {
  for (const { field, value } of patterns) {
    const compiled = compileRegex(value);
    if (!compiled.ok) return { field, message: `Cannot use "${value}" as a regular expression: ${compiled.message}` };
  }
  return undefined;
}

export function regexesOf(
  matches: HTTPRouteMatch['headers'],
  field: string,
): { readonly field: string; readonly value: string }[] {
  return matches.flatMap(({ type, value }, i) =>
    type === 'RegularExpression' ? [{ field: `${field}/${i}/value`, value }] : [],
  );
}

/** Equal for two matches that take exactly the same requests, whatever the order of their conditions. */
export function matchKey({ path, method, headers, query }: PlanMatch): string {
  const value = path.kind === 'prefix' && path.value.length > 1 ? path.value.replace(/\/$/, '') : path.value;
  const narrowed = path.narrowedBy === undefined ? '' : ` ~${path.narrowedBy}`;
  return `${path.kind} ${value}${narrowed} ${method ?? '*'}${namedKey(headers)}${namedKey(query)}`;
}

function namedKey(matches: readonly PlanNamedMatch[]): string {
  if (matches.length === 0) return '|';
  return `|${matches
    .map(({ name, kind, value }) => JSON.stringify([name, kind, value]))
    .toSorted()
    .join()}`;
}
