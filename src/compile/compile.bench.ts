/**
 * Cost of a compile. Budget at 3,000 routes: 20 ms when one of them changed,
 * so that a change is applied in under 100 ms with everything around it.
 * Run: `node src/compile/compile.bench.ts`.
 */
import { bench, keep } from '../../tools/bench.ts';
import { Compiler } from './compile.ts';
import { manyRoutes, resourcesIn, routeText } from './testing/many-routes.ts';

const options = { controllerName: 'fourways.io/gateway-controller', bindDefault: '0.0.0.0', wallMs: () => 0 };

for (const count of [100, 3_000]) {
  const resources = manyRoutes(count);
  bench(`compile ${count} routes, all new`, () => keep(new Compiler(options).compile(resources).bundle));

  const compiler = new Compiler(options);
  compiler.compile(resources);
  bench(`compile ${count} routes, nothing changed`, () => keep(compiler.compile(resources).bundle));

  const at = resources.findIndex(
    ({ kind, metadata }) => kind === 'HTTPRoute' && metadata.name === `route-${count >> 1}`,
  );
  const variants = ['two', 'three'].map((header) => {
    const changed = resourcesIn(routeText(count >> 1, header))[0]!;
    return resources.with(at, changed);
  });
  let turn = 0;
  bench(`compile ${count} routes, one changed`, () => keep(compiler.compile(variants[turn++ % 2]!).bundle));

  const compiled = compiler.compile(resources);
  const runtime = { bind: '0.0.0.0', ports: {}, appliedVersion: compiled.bundle.plan.version };
  bench(`statuses of ${count} routes`, () => keep(compiled.statusOf(runtime)));
}
