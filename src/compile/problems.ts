/** The problems of a compile: the findings of all passes, each once, errors first. */
import type { Problem } from '../base/problem.ts';
import { describeKey, keyOf, resourceKey } from '../resource/resource.ts';
import type { Found } from './found.ts';
import { streamShadows } from './stream-route.ts';
import { type Absent, type Finding, problemOf } from './finding.ts';
import type { Suggestions } from './suggestion.ts';
import { findObject } from './tables.ts';

/** Problems that are named; a folder with the same mistake in each file is not a report without end. */
export const PROBLEMS_MAX = 1_000;

export interface ProblemParts {
  readonly shadows: readonly Finding[];
  readonly suggestions: Suggestions;
  /** Who could not be read. */
  readonly unread: ReadonlySet<string>;
}

export function problemsOf(found: Found, { shadows, suggestions, unread }: ProblemParts): Problem[] {
  const { tables } = found.inventory;
  suggestions.begin(tables);
  const seen = new Set<string>();
  const errors: Finding[] = [];
  const warnings: Finding[] = [];
  for (const findings of findingLists(found, shadows)) {
    for (const finding of findings) {
      const { level, code, resource, field, message, absent } = finding;
      // It is there: the problem to solve is the one of its text, and this one would send people elsewhere.
      if (absent !== undefined && unread.has(describeAbsent(absent))) continue;
      const identity = `${keyOf(resource)}\n${field}\n${code}\n${message}`;
      if (seen.has(identity)) continue;
      seen.add(identity);
      (level === 'error' ? errors : warnings).push(finding);
    }
  }
  const all = [...errors, ...warnings];
  const problems = all
    .slice(0, PROBLEMS_MAX)
    .map((finding) => problemOf(hinted(finding, suggestions), (key) => findObject(tables, key)));
  const rest = all.length - problems.length;
  if (rest === 0) return problems;
  const level = errors.length > PROBLEMS_MAX ? 'error' : 'warning';
  return [...problems, { level, code: 'problems.more', message: `And ${rest} more problems: solve the first ones` }];
}

/** Lists with something in them; of thousands of routes nearly all have nothing to say. */
function findingLists(found: Found, shadows: readonly Finding[]): (readonly Finding[])[] {
  const { inventory, gateways, acme, routes, streams, clusters, targets, mesh } = found;
  const { levels, backendLevels, trusts, issuers } = inventory.tables;
  const lists: (readonly Finding[])[] = [inventory.findings, gateways.findings, acme.findings];
  const take = ({ findings }: { readonly findings: readonly Finding[] }): void => {
    if (findings.length > 0) lists.push(findings);
  };
  for (const results of [levels, backendLevels, trusts, issuers]) results.forEach(take);
  targets.forEach(take);
  routes.forEach(take);
  streams.forEach(take);
  // Their order tells what came when, which is nothing that the resources say.
  const flawed = [...clusters].filter(([, { findings }]) => findings.length > 0);
  for (const [, result] of flawed.toSorted(([a], [b]) => (a < b ? -1 : 1))) take(result);
  take(mesh);
  mesh.clusters.forEach(take);
  lists.push(shadows, streamShadows(streams));
  return lists;
}

function describeAbsent({ kind, namespace, name }: Absent): string {
  return describeKey(resourceKey(kind, namespace, name));
}

function hinted(finding: Finding, suggestions: Suggestions): Finding {
  if (finding.absent === undefined) return finding;
  return { ...finding, message: finding.message + suggestions.hint(finding.absent) };
}
