/** Filters of users that policies name. What does not load here will not load in a proxy either: an error. */
import type { Problem } from '../base/problem.ts';
import { namedPrograms } from '../compile/filter-references.ts';
import { error, problemOf } from '../compile/finding.ts';
import type { Resource } from '../resource/resource.ts';
import type { Io } from './command.ts';

/** One for each place that names a filter which cannot be loaded, in the order of the resources. */
export async function programProblems(resources: readonly Resource[], io: Pick<Io, 'tryProgram'>): Promise<Problem[]> {
  /** By what is loaded: many policies may name the same. */
  const tried = new Map<string, string | undefined>();
  const problems: Problem[] = [];
  for (const policy of resources) {
    if (policy.kind !== 'Policy') continue;
    for (const { field, name, spec } of namedPrograms(policy)) {
      const key = JSON.stringify(spec);
      // oxlint-disable-next-line no-await-in-loop -- each is a thread, with the memory of one
      if (!tried.has(key)) tried.set(key, await io.tryProgram(spec));
      const why = tried.get(key);
      if (why === undefined) continue;
      const message = `Cannot load the filter of "${name}": ${why}`;
      problems.push(problemOf(error('filter.module', policy, { field, message }), () => undefined));
    }
  }
  return problems;
}
