/** Which filters of the rules of a plan cannot do their work, for statuses. */
import type { FailingFilter } from '../ir/node-stats.ts';
import type { Rule } from './rule.ts';

/** One policy may be on thousands of rules, and be wrong on each in its own way. */
const FAILING_MAX = 200;

export function failingFilters(rules: Iterable<Rule>): readonly FailingFilter[] {
  const found = new Map<string, FailingFilter>();
  for (const rule of rules) {
    for (const watched of rule.watched) {
      const why = watched.failing();
      if (why === undefined) continue;
      const { filter, owner } = watched.planned;
      found.set(JSON.stringify([owner, filter, why]), { filter, owner, why });
      if (found.size === FAILING_MAX) return [...found.values()];
    }
  }
  return [...found.values()];
}
