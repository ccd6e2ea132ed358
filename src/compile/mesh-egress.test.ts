/** What is not served, and not found, of an egress. What is stands in testdata/mesh-egress.in.yaml. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatProblem } from '../base/problem.ts';
import { readManifests } from '../resource/read.ts';
import { type Compiled, Compiler } from './compile.ts';
import { condenseStatus } from './testing/condense.ts';
import { runtimeOf } from './testing/runtime.ts';

const MESH = `
apiVersion: fourways.io/v1alpha1
kind: Mesh
metadata: { name: mesh }
spec: { egress: { gateway: { name: egress, namespace: out } } }
`;

const GATEWAY = `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: egress, namespace: out }
spec: { gatewayClassName: fourways, listeners: [{ name: http, port: 15080, protocol: HTTP }] }
`;

const ROUTE = `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: api, namespace: out }
spec: { parentRefs: [{ name: egress }], hostnames: [api.partner.test], rules: [{ backendRefs: [] }] }
`;

function compile(text: string, roots: readonly string[] = ['roots']): Compiled {
  const { documents, problems } = readManifests(text, 'in.yaml');
  assert.deepEqual(problems, []);
  const compiler = new Compiler({
    controllerName: 'c',
    bindDefault: '0.0.0.0',
    wallMs: () => 0,
    meshRoots: () => roots,
  });
  return compiler.compile(documents.flatMap(({ resource }) => resource ?? []));
}

function problemsOf({ problems }: Compiled): string {
  return problems.map(formatProblem).join('\n');
}

test('without a Gateway of this name nothing is called', () => {
  const compiled = compile(MESH);
  assert.match(
    problemsOf(compiled),
    /error: Gateway out\/egress does not exist.*\(Mesh mesh, \/spec\/egress\/gateway\)/,
  );
  assert.deepEqual(compiled.mesh.keysOf('api.partner.test', 'shop'), []);
});

test('a Gateway that binds every address does not say where it is', () => {
  const compiled = compile(MESH + GATEWAY + ROUTE);
  assert.match(problemsOf(compiled), /error: Sidecars cannot find Gateway out\/egress.*\/spec\/egress\/addresses/);
  const said = MESH.replace('namespace: out }', 'namespace: out }, addresses: [egress.internal]');
  const found = compile(said + GATEWAY + ROUTE);
  assert.doesNotMatch(problemsOf(found), /cannot find/);
  const parts = found.mesh.partsOf('Egress/api.partner.test', 'shop');
  assert.deepEqual(parts?.clusters['Egress/out/egress/http']?.endpoints, [
    { address: 'egress.internal', port: 15_080, weight: 1 },
  ]);
});

test('a process that knows no workload does not open the way out to everybody', () => {
  const compiled = compile(MESH + GATEWAY + ROUTE, []);
  assert.deepEqual(compiled.bundle.plan.ports, {});
  assert.deepEqual(compiled.bundle.plan.listeners, {});
  assert.match(
    JSON.stringify(condenseStatus(compiled.statusOf(runtimeOf(compiled)))),
    /takes workloads of the mesh only/,
  );
});

test('names of hosts outside: the closest counts, and a service of the same name comes first', () => {
  const service = `---
apiVersion: v1
kind: Service
metadata: { name: partner, namespace: test }
spec: { ports: [{ port: 80 }] }
`;
  const hosts = ROUTE.replace('[api.partner.test]', '[api.partner.test, "*.partner.test", partner.test]');
  const { mesh } = compile(MESH + GATEWAY + hosts + service);
  const keysOf = (host: string): readonly string[] => mesh.keysOf(host, 'shop');
  assert.deepEqual(keysOf('API.partner.test'), ['Egress/api.partner.test']);
  assert.deepEqual(keysOf('x.y.partner.test'), ['Egress/*.partner.test']);
  assert.deepEqual(keysOf('partner.test'), ['Service/test/partner']);
  assert.deepEqual(keysOf('test'), []);
});
