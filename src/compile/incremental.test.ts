/**
 * The promise of the memo: a compiler that has seen other configurations gives
 * what a fresh one gives, for any change; and it makes anew only what changed.
 */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { seededRandom } from '../base/random.ts';
import { checkPlan } from '../ir/check.ts';
import { diffPlans } from '../ir/diff.ts';
import { readManifests } from '../resource/read.ts';
import { keyOf, type Resource } from '../resource/resource.ts';
import { type Compiled, Compiler } from './compile.ts';
import type { MeshConsumer } from './sidecar-plan.ts';
import { manyRoutes, resourcesIn, routeText } from './testing/many-routes.ts';
import { BIND, runtimeOf } from './testing/runtime.ts';

const WALL_MS = Date.parse('2027-01-01T00:00:00Z');
const ROOTS = ['the roots'];
const TESTDATA = new URL('./testdata/', import.meta.url);

function newCompiler(): Compiler {
  return new Compiler({
    controllerName: 'fourways.io/gateway-controller',
    bindDefault: BIND,
    wallMs: () => WALL_MS,
    meshRoots: () => ROOTS,
  });
}

/** Those that the golden inputs name. */
const SIDECARS: readonly MeshConsumer[] = readdirSync(TESTDATA)
  .filter((name) => name.endsWith('.in.yaml'))
  .flatMap((name) => [...readFileSync(new URL(name, TESTDATA), 'utf8').matchAll(/^# sidecar \S+: (\{.*\})$/gm)])
  .map(([, json]) => JSON.parse(json!) as MeshConsumer);

/** Everything that a compile says, in a form that can be compared. */
function saidBy(compiled: Compiled): unknown {
  const { bundle, problems, mesh } = compiled;
  const sidecars = SIDECARS.map((consumer) => mesh.planOf(consumer));
  return structuredClone({ bundle, problems, sidecars, status: compiled.statusOf(runtimeOf(compiled)) });
}

/** The resources of all golden inputs by name: most names have several variants, and taking another one is an edit. */
function variants(): Map<string, Resource[]> {
  const files = readdirSync(TESTDATA).filter((name) => name.endsWith('.in.yaml'));
  const all = files.flatMap((file) => {
    const read = readManifests(readFileSync(new URL(file, TESTDATA), 'utf8'), file);
    return read.documents.flatMap(({ resource }) => resource ?? []);
  });
  // With any GatewayClass the implied one is gone, and with it nearly every Gateway.
  return Map.groupBy(
    all.filter(({ kind }) => kind !== 'GatewayClass'),
    keyOf,
  );
}

const SEEDS = 4;
const STEPS = 30;
const EDITS_MAX = 4;

for (let seed = 1; seed <= SEEDS; seed++) {
  test(`a compiler with a past gives what a fresh one gives, seed ${seed}`, () => {
    const random = seededRandom(seed, 2, 3, 4);
    const oneOf = <T>(items: readonly T[]): T => items[Math.floor(random.unit() * items.length)]!;
    const pool = variants();
    const keys = [...pool.keys()];
    const all = [...pool.values()].flat();
    const present = new Map(keys.filter(() => random.unit() < 0.8).map((key) => [key, oneOf(pool.get(key)!)]));
    const compiler = newCompiler();
    for (let step = 0; step < STEPS; step++) {
      const resources = [...present.values()];
      if (random.unit() < 0.1) resources.reverse();
      const compiled = compiler.compile(resources);
      assert.deepEqual(checkPlan(compiled.bundle), [], `step ${step}`);
      assert.deepEqual(saidBy(compiled), saidBy(newCompiler().compile(resources)), `step ${step}`);
      for (let edits = Math.floor(random.unit() * EDITS_MAX); edits >= 0; edits--) {
        // Names with many variants come up more often: a Gateway turns from one shape into another.
        const next = oneOf(all);
        if (random.unit() < 0.3) present.delete(oneOf(keys));
        else present.set(keyOf(next), next);
      }
    }
  });
}

const COUNT = 50;

/** The resources of {@link manyRoutes} with one of them replaced by what the text says. */
function edited(resources: readonly Resource[], text: string): Resource[] {
  const change = resourcesIn(text)[0]!;
  const at = resources.findIndex(
    ({ kind, metadata }) => kind === change.kind && metadata.name === change.metadata.name,
  );
  return resources.with(at, change);
}

const slice = (address: string): string => `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: service-7-a, namespace: shop, labels: { kubernetes.io/service-name: service-7 } }
addressType: IPv4
ports: [{ name: http, port: 8080 }]
endpoints: [{ addresses: [${address}] }]
`;

const annotatedGateway = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop, annotations: { note: new } }
spec:
  gatewayClassName: fourways
  listeners:
    - { name: http, port: 80, protocol: HTTP }
    - { name: shop, port: 80, protocol: HTTP, hostname: "*.shop.test" }
`;

const policyText = `
apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: { name: one, namespace: shop }
spec:
  targetRefs: [{ kind: HTTPRoute, name: route-7 }]
  filters: { cors: { allowOrigins: [https://a.test] } }
`;

const backendPolicyText = `
apiVersion: fourways.io/v1alpha1
kind: BackendPolicy
metadata: { name: slow, namespace: shop }
spec:
  targetRefs: [{ kind: Service, name: service-7 }]
  connectTimeout: 9s
`;

const EDITS: [rule: string, edit: (resources: Resource[]) => Resource[], made: Compiled['made'], set: string[]][] = [
  ['nothing', (resources) => [...resources], { routes: 0, clusters: 0 }, []],
  [
    'one route',
    (resources) => edited(resources, routeText(7, 'other')),
    { routes: 1, clusters: 0 },
    ['HTTPRoute/shop/route-7'],
  ],
  [
    'one EndpointSlice',
    (resources) => edited(resources, slice('10.9.9.9')),
    { routes: 0, clusters: 1 },
    ['Service/shop/service-7/80'],
  ],
  ['an annotation of the Gateway', (resources) => edited(resources, annotatedGateway), { routes: 0, clusters: 0 }, []],
  [
    'a policy for one route',
    (resources) => [...resources, ...resourcesIn(policyText)],
    { routes: 1, clusters: 0 },
    ['HTTPRoute/shop/route-7'],
  ],
  [
    'a BackendPolicy',
    (resources) => [...resources, ...resourcesIn(backendPolicyText)],
    { routes: 0, clusters: 1 },
    ['Service/shop/service-7/80'],
  ],
  [
    'a new route',
    (resources) => [...resources, resourcesIn(routeText(COUNT))[0]!],
    { routes: 1, clusters: 0 },
    [`HTTPRoute/shop/route-${COUNT}`],
  ],
];

for (const [rule, edit, made, set] of EDITS) {
  test(`a change of ${rule} makes anew only what it touches`, () => {
    const compiler = newCompiler();
    const resources = manyRoutes(COUNT);
    const before = compiler.compile(resources);
    const after = compiler.compile(edit(resources));
    assert.deepEqual(after.made, made);
    const delta = diffPlans(before.bundle, after.bundle);
    const named = [...Object.keys(delta.set.routes), ...Object.keys(delta.set.clusters)];
    assert.deepEqual(named, set);
    for (const [key, part] of Object.entries(before.bundle.plan.routes)) {
      if (!set.includes(key)) assert.equal(after.bundle.plan.routes[key], part, `${key} is the same object`);
    }
    if (set.length === 0) assert.equal(after.bundle, before.bundle, 'the bundle is the same object');
  });
}

test('a document that moves in its file is no change, and its problems move with it', () => {
  const text =
    'apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: { name: web }\nspec: { parentRefs: [{ name: gone }] }\n';
  const compiler = newCompiler();
  const first = readManifests(text, 'a.yaml');
  const before = compiler.compile(first.documents.flatMap(({ resource }) => resource ?? []));
  assert.equal(before.problems[0]?.at?.line, 4);
  const second = readManifests(`# moved\n\n${text}`, 'a.yaml', first.cache);
  const after = compiler.compile(second.documents.flatMap(({ resource }) => resource ?? []));
  assert.ok(second.documents[0]!.resource !== undefined);
  assert.equal(after.problems[0]?.at?.line, 6);
});

test('a listener that turns from HTTP to HTTPS on its port takes the port along', () => {
  const secret = readFileSync(new URL('tls-secret-granted.in.yaml', TESTDATA), 'utf8').replaceAll('vault', 'shop');
  const plain = secret.replace(/protocol: HTTPS, tls: .*\}/, 'protocol: HTTP }');
  const compiler = newCompiler();
  const before = compiler.compile(resourcesIn(plain));
  assert.equal(before.bundle.plan.ports['*:443']?.protocol, 'http');
  const after = compiler.compile(resourcesIn(secret));
  assert.equal(after.bundle.plan.ports['*:443']?.protocol, 'tls');
  assert.deepEqual(checkPlan(after.bundle), []);
});
