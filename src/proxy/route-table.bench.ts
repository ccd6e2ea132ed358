/**
 * Cost of a route lookup, which must not grow with the number of routes, and of a
 * change of one route. Budget: a lookup under 1 µs at any size, a change under
 * 5 ms with 3,000 routes on one host, 5,000 routes in under 20 MB.
 * Run: `node --expose-gc src/proxy/route-table.bench.ts`.
 */
import { bench, keep } from '../../tools/bench.ts';
import type { PlanMatch, PlanRoute } from '../ir/plan.ts';
import { RouteTables } from './route-table.ts';
import { is, LISTENER, match, nameOf, request, route } from './testing/routes.ts';

type Routes = Record<string, PlanRoute>;

function routes(count: number, one: (i: number) => PlanRoute): Routes {
  return Object.fromEntries(Array.from({ length: count }, (_, i) => [`HTTPRoute/shop/r${i}`, one(i)]));
}

const rule = (path: string, rest?: Partial<PlanMatch>): PlanMatch[][] => [[match(path, rest)]];

const SHAPES: [name: string, one: (i: number) => PlanRoute, middle: (i: number) => ReturnType<typeof request>][] = [
  ['one host, prefixes', (i) => route(['a.test'], rule(`/s${i}/v1`)), (i) => request(`GET a.test/s${i}/v1/items/7`)],
  ['one host, exact', (i) => route(['a.test'], rule(`=/s${i}/v1`)), (i) => request(`GET a.test/s${i}/v1`)],
  ['many hosts', (i) => route([`h${i}.test`], rule('/')), (i) => request(`GET h${i}.test/items/7`)],
  ['many wildcards', (i) => route([`*.h${i}.test`], rule('/')), (i) => request(`GET www.h${i}.test/items/7`)],
  [
    'one path, by header',
    (i) => route(['a.test'], rule('/', { headers: is('tenant', `t${i}`) })),
    (i) =>
      request('GET a.test/items/7', [
        ['accept', '*/*'],
        ['tenant', `t${i}`],
      ]),
  ],
  ['one host, expressions', (i) => route(['a.test'], rule(`~/s${i}/[0-9]+`)), (i) => request(`GET a.test/s${i}/17`)],
];

for (const [name, one, middle] of SHAPES) {
  for (const count of [10, 1_000, 10_000]) {
    const { tables } = RouteTables.empty<string>().with({ set: routes(count, one), remove: [] }, nameOf);
    const table = tables.listener(LISTENER)!;
    const asked = middle(count >> 1);
    if (table.find(asked) === undefined) throw new Error(`No hit: ${name}`);
    bench(`find, ${name}, ${count} routes`, () => keep(table.find(asked)));
  }
}

for (const [name, one] of SHAPES) {
  const { tables } = RouteTables.empty<string>().with({ set: routes(3_000, one), remove: [] }, nameOf);
  let i = 0;
  bench(`change one of 3,000 routes, ${name}`, () => {
    i = (i + 1) % 3_000;
    keep(tables.with({ set: { [`HTTPRoute/shop/r${i}`]: one(i) }, remove: [] }, nameOf));
  });
}

for (const [name, one] of SHAPES) {
  const plan = routes(5_000, one);
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  const start = performance.now();
  const { tables } = RouteTables.empty<string>().with({ set: plan, remove: [] }, nameOf);
  const buildMs = Math.round(performance.now() - start);
  globalThis.gc?.();
  const heapMb = Math.round((process.memoryUsage().heapUsed - before) / 1e5) / 10;
  keep(tables);
  console.log(JSON.stringify({ name: `5,000 routes, ${name}`, buildMs, heapMb }));
}
