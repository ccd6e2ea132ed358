/** Files that filters name. They stand beside the proxy, which may be another machine: their absence is a warning here. */
import { access, constants } from 'node:fs/promises';
import type { Problem } from '../base/problem.ts';
import { namedFiles } from '../compile/filter-references.ts';
import { problemOf, warning } from '../compile/finding.ts';
import type { Resource } from '../resource/resource.ts';
import { systemReason } from '../source/file-problem.ts';

/** One for each place that names a file which cannot be read, in the order of the resources. */
export async function namedFileProblems(resources: readonly Resource[]): Promise<Problem[]> {
  const policies = resources.filter((resource) => resource.kind === 'Policy');
  const asked = policies.flatMap((policy) =>
    namedFiles(policy).map(async ({ field, name, file }) => {
      const reason = await access(file, constants.R_OK).then(() => undefined, systemReason);
      if (reason === undefined) return [];
      const message = `Cannot read "${name}": ${reason}; the filter needs it where the proxy runs`;
      return [problemOf(warning('file.unreadable', policy, { field, message }), () => undefined)];
    }),
  );
  return (await Promise.all(asked)).flat();
}
