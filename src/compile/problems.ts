/** The problems of a compile: the findings of all passes, each once, errors first. */
import type { Problem } from '../base/problem.ts';
import { keyOf } from '../resource/resource.ts';
import type { Found } from './found.ts';
import { type Finding, problemOf } from './finding.ts';
import { findShadows } from './shadow.ts';
import type { Suggestions } from './suggestion.ts';

/** Problems that are named; a folder with the same mistake in each file is not a report without end. */
export const PROBLEMS_MAX = 1_000;

export function problemsOf(found: Found, suggestions: Suggestions): Problem[] {
  const { tables } = found.inventory;
  suggestions.begin(tables.objects);
  const seen = new Set<string>();
  const errors: Finding[] = [];
  const warnings: Finding[] = [];
  for (const finding of allFindings(found)) {
    const { level, code, resource, field, message } = finding;
    const identity = `${keyOf(resource)}\n${field}\n${code}\n${message}`;
    if (seen.has(identity)) continue;
    seen.add(identity);
    (level === 'error' ? errors : warnings).push(finding);
  }
  const all = [...errors, ...warnings];
  const problems = all.slice(0, PROBLEMS_MAX).map((finding) => problemOf(hinted(finding, suggestions), tables.objects));
  const rest = all.length - problems.length;
  if (rest === 0) return problems;
  const level = errors.length > PROBLEMS_MAX ? 'error' : 'warning';
  return [...problems, { level, code: 'problems.more', message: `And ${rest} more problems: solve the first ones` }];
}

function* allFindings(found: Found): Generator<Finding> {
  const { inventory, gateways, routes, laterRoutes, clusters, targets } = found;
  const { tables } = inventory;
  yield* inventory.findings;
  yield* gateways.findings;
  for (const { findings } of tables.levels.values()) yield* findings;
  for (const { findings } of tables.backendLevels.values()) yield* findings;
  for (const { findings } of tables.trusts.values()) yield* findings;
  for (const { findings } of targets) yield* findings;
  for (const { findings } of routes) yield* findings;
  for (const { attached } of laterRoutes) yield* attached.findings;
  for (const { findings } of clusters.values()) yield* findings;
  yield* findShadows(routes);
}

function hinted(finding: Finding, suggestions: Suggestions): Finding {
  if (finding.absent === undefined) return finding;
  return { ...finding, message: finding.message + suggestions.hint(finding.absent) };
}
