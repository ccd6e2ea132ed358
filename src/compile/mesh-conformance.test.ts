/**
 * The manifests of every Mesh case of the Gateway API, without a proxy: its
 * routes are accepted with the references that they have, and a sidecar of each
 * client finds a listener for each host that a case calls, which leads through
 * the routes that are for it.
 *
 * The data is beside the repository (../shared/conformance). Where it is absent
 * the test says so and skips.
 */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import { checkPlan } from '../ir/check.ts';
import type { PlanBundle } from '../ir/plan.ts';
import { readManifests } from '../resource/read.ts';
import { keyOf, type Resource } from '../resource/resource.ts';
import { type Compiled, Compiler } from './compile.ts';
import type { Condition } from './condition.ts';
import { runtimeOf } from './testing/runtime.ts';

const DATA = join(import.meta.dirname, '../../../shared/conformance');

interface MeshTest {
  readonly shortName: string;
  readonly baseManifests: readonly string[];
  readonly manifests: readonly string[];
  readonly cases: readonly string[];
}

interface MeshCase {
  readonly id: string;
  readonly kind: string;
  readonly from: { readonly namespace: string };
  readonly request: { readonly host: string };
}

interface Data {
  readonly tests: readonly MeshTest[];
  readonly cases: readonly MeshCase[];
}

/** Backends that the manifests name and that are not there, on purpose. */
const ABSENT = new Map([
  ['HTTPRoute/gateway-conformance-mesh/mesh-weighted-backends', 'echo-v3'],
  ['GRPCRoute/gateway-conformance-mesh/mesh-grpc-weighted-backends', 'echo-v3'],
]);

if (!existsSync(join(DATA, 'cases.json'))) {
  test('conformance of the mesh', (t) => t.skip(`not run: ${DATA} is absent, so no case was checked`));
} else defineTests();

function defineTests(): void {
  const data = JSON.parse(readFileSync(join(DATA, 'cases.json'), 'utf8')) as Data;
  const cases = new Map(data.cases.map((one) => [one.id, one]));
  const tests = data.tests.filter(({ shortName }) => shortName.startsWith('Mesh'));
  assert.equal(tests.length, 23);
  for (const one of tests) {
    test(`conformance of the mesh: ${one.shortName}`, () => {
      const resources = [...one.baseManifests, ...one.manifests].flatMap((file) => resourcesOf(file));
      const compiler = new Compiler({
        controllerName: 'test',
        bindDefault: '::',
        wallMs: () => 0,
        meshRoots: () => ['roots'],
      });
      const compiled = compiler.compile(resources);
      checkStatuses(compiled, resources);
      let called = 0;
      for (const id of one.cases) {
        const { kind, from, request } = cases.get(id)!;
        if (kind !== 'mesh') continue;
        const host = request.host.replace(/^\{\{podIP:(.*)\}\}/, (_, name: string) => addressOf(name, resources));
        checkCall(compiled, { namespace: from.namespace, host }, resources);
        called++;
      }
      assert.ok(called > 0, 'some case was checked');
    });
  }
}

/** @param name  `NAMESPACE/DEPLOYMENT` */
function addressOf(name: string, resources: readonly Resource[]): string {
  const workload = resources.find((one) => keyOf(one) === `Workload/${name}`);
  assert.ok(workload?.kind === 'Workload');
  return workload.spec.address;
}

function checkStatuses(compiled: Compiled, resources: readonly Resource[]): void {
  const items = compiled.statusOf(runtimeOf(compiled));
  for (const route of resources.filter(({ kind }) => kind.endsWith('Route'))) {
    const item = items.find(({ kind, metadata }) => kind === route.kind && metadata.name === route.metadata.name)!;
    const parents = item.status['parents'] as { conditions: Condition[]; controllerName: string }[];
    assert.equal(parents.length, (route as { spec: { parentRefs?: unknown[] } }).spec.parentRefs?.length);
    const absent = ABSENT.get(keyOf(route));
    const isAbsent = absent !== undefined && JSON.stringify(route).includes(absent);
    for (const { conditions, controllerName } of parents) {
      assert.equal(controllerName, 'test');
      const said = conditions.map(({ type, status, reason }) => `${type} ${status} ${reason}`);
      assert.deepEqual(said, [
        'Accepted True Accepted',
        isAbsent ? 'ResolvedRefs False BackendNotFound' : 'ResolvedRefs True ResolvedRefs',
      ]);
    }
  }
}

/** A sidecar in this namespace has one listener for the host, and what routes of the parent are for it lead on. */
function checkCall(
  { mesh }: Compiled,
  { namespace, host }: { readonly namespace: string; readonly host: string },
  resources: readonly Resource[],
): void {
  const [name = '', port = '80'] = host.split(':');
  const [service] = mesh.keysOf(name, namespace);
  assert.ok(service !== undefined, `${host} is known`);
  const forward = { address: '127.0.0.1', port: 15_001 };
  const bundle = mesh.planOf({ namespace, forward, services: [service] });
  assert.deepEqual(checkPlan(bundle), []);
  const key = listenerFor(bundle, `${name}:${port}`);
  const rules = Object.entries(bundle.plan.routes).flatMap(([route, { attach }]) =>
    attach.some(({ listener }) => listener === key) ? [route] : [],
  );
  assert.ok(rules.length > 0, `${host} leads somewhere`);
  const [, owner = ''] = service.split('/');
  for (const route of resources.filter(({ kind }) => kind.endsWith('Route'))) {
    const { parentRefs } = (route as unknown as { spec: { parentRefs: { name: string; port?: number }[] } }).spec;
    const isFor = parentRefs.some(
      (ref) => service === `Service/${owner}/${ref.name}` && (ref.port ?? Number(port)) === Number(port),
    );
    const isSeen = route.metadata.namespace === owner || route.metadata.namespace === namespace;
    assert.equal(rules.includes(`${keyOf(route)}@${service}`), isFor && isSeen, `${keyOf(route)} for ${host}`);
  }
}

function listenerFor({ plan }: PlanBundle, authority: string): string {
  const found = Object.entries(plan.listeners).filter(([, { hostname, alsoNamed = [] }]) =>
    [hostname, ...alsoNamed].includes(authority),
  );
  assert.equal(found.length, 1, `one listener for ${authority}`);
  return found[0]![0];
}

/** The resources of a file, with a Workload for each Deployment: what its sidecar registers. */
function resourcesOf(file: string): Resource[] {
  const text = readFileSync(join(DATA, 'manifests', file), 'utf8');
  const deployments = parseAllDocuments(text)
    .map((document) => document.toJS() as Deployment)
    .filter((one) => one?.kind === 'Deployment');
  const workloads = deployments.map(({ metadata, spec }, i) => ({
    apiVersion: 'fourways.io/v1alpha1',
    kind: 'Workload',
    metadata: { ...metadata, labels: spec.template.metadata.labels },
    spec: {
      service: metadata.name,
      address: `127.1.0.${i + 1}`,
      ports: Object.fromEntries(
        spec.template.spec.containers[0]!.ports.map((one) => [`p${one.containerPort}`, one.containerPort]),
      ),
      proxyPort: 15_008,
    },
  }));
  const all = [text, ...workloads.map((one) => JSON.stringify(one))].join('\n---\n');
  return readManifests(all, file).documents.flatMap(({ resource }) => resource ?? []);
}

interface Deployment {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: {
    readonly template: {
      readonly metadata: { readonly labels: Readonly<Record<string, string>> };
      readonly spec: {
        readonly containers: readonly { readonly ports: readonly { readonly containerPort: number }[] }[];
      };
    };
  };
}
