/**
 * The code of filters by their names. Every sidecar checks user contexts and many do nothing else: what that takes is
 * found without the list of all filters and their schemas, which take 1 MB and 25 ms of the start.
 */
import type { FilterDeclaration } from '../filter/declaration.ts';
import type { FilterCode } from '../filter/filter.ts';

export type LoadableFilter = Pick<FilterDeclaration, 'name' | 'load'>;

const OF_THE_MESH: readonly LoadableFilter[] = [
  { name: 'userContext', load: async () => (await import('./user-context/filter.ts')).code as unknown as FilterCode },
  {
    name: 'signUserContext',
    load: async () => (await import('./user-context/signing.ts')).code as unknown as FilterCode,
  },
];

/** At least those of these names that there are. */
export async function filtersNamed(names: ReadonlySet<string>): Promise<readonly LoadableFilter[]> {
  const known = new Set(OF_THE_MESH.map(({ name }) => name));
  return names.isSubsetOf(known) ? OF_THE_MESH : (await import('./list.ts')).PLANNED_FILTERS;
}
