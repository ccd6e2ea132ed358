/** Whoever is not told of a change has the plan that a compiler without a memory would make. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Random, seededRandom } from '../base/random.ts';
import type { PlanBundle } from '../ir/plan.ts';
import type { Resource } from '../resource/resource.ts';
import { type Compiled, Compiler } from './compile.ts';
import { addressName } from './mesh-changes.ts';
import type { MeshConsumer } from './sidecar-plan.ts';
import { resourcesIn } from './testing/many-routes.ts';

const SERVICES = 12;
const INSTANCES = 30;
const STEPS = 80;
const ROOTS = ['roots'];

const serviceText = (i: number): string => `
apiVersion: v1
kind: Service
metadata: { name: s${i}, namespace: ${i % 3 === 0 ? 'desk' : 'shop'} }
spec: { ports: [{ name: http, port: 80 }${i % 2 === 0 ? ', { name: tcp, port: 90 }' : ''}] }
`;

const sliceText = (i: number, count: number): string => `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: slice-${i}, namespace: shop, labels: { kubernetes.io/service-name: s${i} } }
addressType: IPv4
ports: [{ name: http, port: 8080 }]
endpoints: [${Array.from({ length: count }, (_, n) => `{ addresses: [10.9.${i}.${n + 1}] }`).join(', ')}]
`;

const workloadText = (name: string, i: number, more: string): string => `
apiVersion: fourways.io/v1alpha1
kind: Workload
metadata: { name: ${name}, namespace: ${i % 3 === 0 ? 'desk' : 'shop'} }
spec: { service: s${i}, address: 10.0.0.${Number(name.slice(1)) + 1}, ports: { http: 8080, tcp: 9090 }${more} }
`;

/** What is called at s1 goes to s2 in part. */
const routeText = (namespace: string, weight: number): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: split, namespace: ${namespace} }
spec:
  parentRefs: [{ group: "", kind: Service, name: s1, namespace: shop }]
  rules:
    - backendRefs: [{ name: s1, namespace: shop, port: 80, weight: ${weight} }, { name: s2, namespace: shop, port: 80 }]
`;

const MESH = `
apiVersion: fourways.io/v1alpha1
kind: Mesh
metadata: { name: mesh }
spec: { mtls: permissive }
`;

/** Of several namespaces, by name and by address; who serves something, and who serves nothing. */
const CONSUMERS: readonly MeshConsumer[] = Array.from({ length: 16 }, (_, i) => ({
  namespace: ['shop', 'desk', 'yard'][i % 3]!,
  ...(i % 4 !== 0 && {
    inbound: {
      service: `s${i % SERVICES}`,
      labels: {},
      address: `10.0.0.${i + 1}`,
      ports: { http: 8080 },
      proxyPort: 15_008,
    },
  }),
  forward: { address: '127.0.0.1', port: 15_001 },
  services: [],
}));
const NAMES = CONSUMERS.map((_, i) => [
  `s${i % SERVICES}.shop`,
  `s${(i * 5) % SERVICES}.desk`,
  `10.0.0.${(i * 2) % INSTANCES}`,
]);

class World {
  readonly #resources = new Map<string, Resource[]>();
  readonly texts = new Map<string, string>();

  get resources(): Resource[] {
    return [...this.texts.values()].flatMap((text) => {
      const known = this.#resources.get(text) ?? resourcesIn(text);
      this.#resources.set(text, known);
      return known;
    });
  }

  /** @returns whether it touches nothing but endpoints */
  step(random: Random): boolean {
    const pick = (count: number): number => Math.floor(random.unit() * count);
    const what = pick(12);
    if (what === 0) this.texts.set('route', routeText(pick(2) === 0 ? 'shop' : 'yard', pick(3)));
    else if (what === 1) this.texts.set('service', serviceText(SERVICES + pick(2)));
    else if (what < 4) this.texts.set(`slice${what}`, sliceText(what, pick(3)));
    else this.#instance(`w${pick(INSTANCES)}`, { pick });
    return what > 1;
  }

  #instance(name: string, { pick }: { readonly pick: (count: number) => number }): void {
    if (this.texts.has(name) && pick(2) === 0) this.texts.delete(name);
    else {
      const more = ['', ', proxyPort: 15008', ', proxyPort: 15008, health: draining'][pick(3)]!;
      this.texts.set(name, workloadText(name, pick(SERVICES), more));
    }
  }
}

function newCompiler(): Compiler {
  return new Compiler({ controllerName: 'test', bindDefault: '::', wallMs: () => 0, meshRoots: () => ROOTS });
}

/** Feeds ask in this way: names first, then the plan and what it depends on. */
function ask({ mesh }: Compiled, i: number, before?: PlanBundle): { bundle: PlanBundle; names: Set<string> } {
  const one = CONSUMERS[i]!;
  const services = new Set(NAMES[i]!.flatMap((name) => mesh.keysOf(name, one.namespace)));
  const consumer = { ...one, services: [...services].toSorted() };
  const addresses = NAMES[i]!.filter((name) => name.startsWith('10.')).map(addressName);
  return { bundle: mesh.planOf(consumer, before), names: new Set([...mesh.dependsOn(consumer), ...addresses]) };
}

for (const seed of [1, 2, 3]) {
  test(`who is not told of a change has the plan of now: seed ${seed}`, () => {
    const random = seededRandom(seed, 2, 3, 4);
    const world = new World();
    world.texts.set('mesh', MESH);
    for (let i = 0; i < SERVICES; i++) world.texts.set(`service${i}`, serviceText(i));
    const compiler = newCompiler();
    let compiled = compiler.compile(world.resources);
    const has = CONSUMERS.map((_, i) => ask(compiled, i));
    let asked = 0;
    let endpointSteps = 0;
    for (let step = 0; step < STEPS; step++) {
      const { number } = compiled.mesh;
      const isEndpoints = world.step(random);
      const { resources } = world;
      compiled = compiler.compile(resources);
      const changes = compiled.mesh.changesSince(number);
      assert.ok(!isEndpoints || changes !== 'all', 'a change of endpoints is for some');
      const fresh = newCompiler().compile(resources);
      for (const [i, { bundle, names }] of has.entries()) {
        const isTold = changes === 'all' || changes.values().some((name) => names.has(name));
        if (isTold) has[i] = ask(compiled, i, bundle);
        if (isTold && isEndpoints) asked++;
        const want = ask(fresh, i).bundle.plan.version;
        assert.equal(has[i]!.bundle.plan.version, want, `step ${step}, consumer ${i}, told: ${isTold}`);
      }
      if (isEndpoints) endpointSteps++;
    }
    const share = asked / (endpointSteps * CONSUMERS.length);
    assert.ok(share < 0.5, `a change of endpoints asks ${share} of all`);
  });
}

test('changes are those since the compile before, and all since an earlier one', () => {
  const world = new World();
  world.texts.set('mesh', MESH);
  const compiler = newCompiler();
  const first = compiler.compile(world.resources).mesh.number;
  world.texts.set('w1', workloadText('w1', 1, ''));
  const second = compiler.compile(world.resources).mesh;
  assert.deepEqual([...(second.changesSince(first) as Set<string>)], ['address 10.0.0.2']);
  assert.deepEqual(second.changesSince(second.number), new Set());
  assert.equal(compiler.compile(world.resources).mesh.changesSince(first), 'all');
});
