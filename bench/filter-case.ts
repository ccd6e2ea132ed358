/** Filters under load, each against the empty chain and, where it has the same thing, against nginx. */
import type { Manifest } from '../test/client/manifests.ts';
import type { Scenario } from './scenario.ts';

export interface FilterCase {
  /** `filters` of one Policy on the route. @param dir  where its files may be written; it is the folder of the manifests */
  filters(dir: string): Readonly<Record<string, unknown>>;
  /** Further objects: Secrets. */
  readonly manifests?: readonly Manifest[];
  /** The same in nginx: lines of `http` and of `location`. Absent: nginx proxies as ever. */
  readonly nginx?: { readonly http?: string; readonly location: string };
}

interface NamedCase {
  readonly name: string;
  readonly about: string;
  readonly headers?: readonly string[];
  readonly bodyBytes?: number;
  readonly filter: FilterCase;
}

const CASES: readonly NamedCase[] = [
  {
    name: 'ip-access',
    about: 'ten networks to let in, ten to keep out',
    filter: {
      filters: () => ({
        ipAccess: { allow: ['127.0.0.0/8', ...networks('10')], deny: networks('172') },
      }),
      nginx: {
        location: [
          ...networks('172').map((net) => `deny ${net};`),
          ...networks('10').map((net) => `allow ${net};`),
          'allow 127.0.0.0/8; deny all;',
        ].join(' '),
      },
    },
  },
  {
    name: 'authorize',
    about: 'ten rules, of which the last one allows',
    filter: {
      filters: () => ({
        authorize: {
          rules: [
            ...Array.from({ length: 4 }, (_, i) => ({ effect: 'deny', paths: [`/internal${i}/**`] })),
            ...Array.from({ length: 5 }, (_, i) => ({ methods: ['PUT'], paths: ['/**'], subjects: [`user${i}`] })),
            { methods: ['GET', 'POST'], when: 'request.path.startsWith("/") && source.address.inCidr("127.0.0.0/8")' },
          ],
        },
      }),
    },
  },
  {
    name: 'cache',
    about: 'an answer from the cache, while nginx proxies each',
    filter: { filters: () => ({ cache: { defaults: [{ lifetime: '1h' }] } }) },
  },
];

function networks(first: string): string[] {
  return Array.from({ length: 10 }, (_, i) => `${first}.${20 + i}.0.0/16`);
}

/** @param plain  what a scenario is without a filter */
export function filterScenarios(plain: Omit<Scenario, 'name' | 'about'>): Scenario[] {
  return CASES.map(({ name, about, headers = [], bodyBytes = plain.bodyBytes, filter }) => ({
    ...plain,
    name: `filter-${name}`,
    about: `filter: ${about}`,
    headers,
    bodyBytes,
    filter,
    only: ['fourways', 'fourways-empty', 'nginx'],
  }));
}
