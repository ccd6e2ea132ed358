import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '../base/log.ts';
import { type Compiled, Compiler } from '../compile/compile.ts';
import type { LearnedSpeech, Plan } from '../ir/plan.ts';
import { readManifests } from '../resource/read.ts';
import type { Resource, Workload } from '../resource/resource.ts';
import { LearnedPorts } from './learned-ports.ts';

const PORTS = { web: 8080, mail: 2525, rpc: 9090 };

function resources(text: string): readonly Resource[] {
  const { documents, problems } = readManifests(text, 'test.yaml');
  assert.deepEqual(problems, []);
  return documents.flatMap(({ resource }) => resource ?? []);
}

const service = (ports: string, name = 'shop', more = ''): string =>
  `apiVersion: v1\nkind: Service\nmetadata: { name: ${name}, namespace: shop }\nspec: { ports: [${ports}]${more} }\n---\n`;

const WEB = '{ name: web, port: 80 }';
const MAIL = '{ name: mail, port: 25 }';
const RPC = '{ name: rpc, port: 90 }';
const SERVICE = service([WEB, MAIL, RPC].join(', '));

/** As the registry has it. */
function workload(name: string, protocols: Readonly<Record<string, LearnedSpeech>>): Workload {
  const said = Object.keys(protocols).length === 0 ? '' : `, protocols: ${JSON.stringify(protocols)}`;
  const [only] = resources(
    `apiVersion: fourways.io/v1alpha1\nkind: Workload\nmetadata: { name: ${name}, namespace: shop }\n` +
      `spec: { service: shop, address: 10.0.0.1, proxyPort: 15008, ports: ${JSON.stringify(PORTS)}${said} }\n`,
  );
  return only as Workload;
}

class World {
  readonly learned = new LearnedPorts(silentLog);
  readonly #compiler = new Compiler({
    controllerName: 'fourways.io/gateway-controller',
    bindDefault: '127.0.0.1',
    wallMs: () => 0,
    meshRoots: () => ['roots'],
  });

  compile(read: readonly Resource[], workloads: readonly Workload[]): Compiled {
    return this.#compiler.compile([...this.learned.with(read, workloads), ...workloads]);
  }
}

/** Plan of a sidecar of the service, which calls it, too. */
function planOf({ mesh }: Compiled): Plan {
  const inbound = { service: 'shop', labels: {}, address: '10.0.0.1', ports: PORTS, proxyPort: 15_008 };
  const forward = { address: '127.0.0.1', port: 15_001 };
  return mesh.planOf({ namespace: 'shop', services: ['Service/shop/shop'], inbound, forward }).plan;
}

/** What each end takes a port for, and what the sidecar is told of it. */
function ends(plan: Plan): string[] {
  return [80, 25, 90].map((port) => {
    const inbound = plan.listeners[`Inbound/shop/shop/${port}`]!;
    const outbound = plan.listeners[`Service/shop/shop/${port}`]!;
    const kind = (listener: typeof inbound): string => (listener.stream === undefined ? 'http' : 'bytes');
    const { protocol } = plan.clusters[`Inbound/shop/shop/${port}`]!;
    return `${inbound.speech ?? 'declared'}: ${kind(outbound)} to ${kind(inbound)} as ${protocol}`;
  });
}

const ALL = { web: 'http', mail: 'tcp', rpc: 'h2c' } as const;

test('what an instance has found is so for both ends, and when it has gone', () => {
  const world = new World();
  const read = resources(SERVICE);
  const unknown = [
    'unknown: http to http as http1',
    'unknown: http to http as http1',
    'unknown: http to http as http1',
  ];
  assert.deepEqual(ends(planOf(world.compile(read, []))), unknown);
  assert.deepEqual(ends(planOf(world.compile(read, [workload('a', {})]))), unknown);
  const known = ['http: http to http as http1', 'tcp: bytes to bytes as http1', 'h2c: http to http as h2'];
  const first = workload('a', ALL);
  const compiled = world.compile(read, [first]);
  assert.deepEqual(ends(planOf(compiled)), known);
  assert.deepEqual(compiled.services()[0]?.learned, { 25: 'tcp', 80: 'http', 90: 'h2c' });
  const other = workload('b', { web: 'tcp', rpc: 'tcp' });
  assert.deepEqual(ends(planOf(world.compile(read, [other, first]))), known);
  assert.deepEqual(ends(planOf(world.compile(read, []))), known);
  // The same as long as nothing changed: whoever compiles compares by identity.
  assert.equal(world.learned.with(read, [])[0], world.learned.with(read, [other])[0]);
});

test('of two that asked at once the answer counts, whoever is heard first', () => {
  const read = resources(SERVICE);
  const [late, good] = [workload('a', { web: 'tcp' }), workload('b', { web: 'http' })];
  const all = [[late], [late, good], [good], [good, late], [late]];
  for (const orders of [all, all.toReversed()]) {
    const world = new World();
    for (const workloads of orders) world.compile(read, workloads);
    assert.match(ends(planOf(world.compile(read, [late])))[0]!, /^http/);
  }
});

test('a port that is declared is what was declared, and one that was away is learned anew', () => {
  const world = new World();
  world.compile(resources(SERVICE), [workload('a', ALL)]);
  const declared = service(
    `{ name: web, port: 80, appProtocol: tcp }, { name: http-mail, port: 25, targetPort: mail }, ${RPC}`,
  );
  const want = ['declared: bytes to bytes as http1', 'declared: http to http as http1', 'h2c: http to http as h2'];
  assert.deepEqual(ends(planOf(world.compile(resources(declared), []))), want);
  const again = ['unknown: http to http as http1', 'unknown: http to http as http1', 'h2c: http to http as h2'];
  assert.deepEqual(ends(planOf(world.compile(resources(SERVICE), []))), again);
  world.compile([], []);
  const read = resources(SERVICE);
  assert.match(ends(planOf(world.compile(read, [])))[2]!, /^unknown/);
  // Also where the same resource comes back, with the same instance.
  const first = workload('a', ALL);
  for (const round of [1, 2]) {
    assert.match(ends(planOf(world.compile(read, [first])))[2]!, /^h2c/, `round ${round}`);
    world.compile([], [first]);
  }
});

test('a Mesh that says what ports speak has nothing learned', () => {
  const world = new World();
  const mesh =
    'apiVersion: fourways.io/v1alpha1\nkind: Mesh\nmetadata: { name: mesh }\nspec: { defaultProtocol: tcp }\n';
  const bytes = 'declared: bytes to bytes as http1';
  const read = resources(SERVICE + mesh);
  assert.deepEqual(ends(planOf(world.compile(read, [workload('a', ALL)]))), [bytes, bytes, bytes]);
});

test('what an instance has found holds for each Service that it is an instance of', () => {
  const world = new World();
  const wide = service('{ name: front, port: 8000, targetPort: rpc }', 'wide', ', selector: { app: shop }');
  const own = service([WEB, MAIL, RPC].join(', '), 'shop', ', selector: { app: shop, version: v1 }');
  const plan = planOf(world.compile(resources(own + wide), [workload('a', ALL)]));
  assert.equal(plan.listeners['Inbound/shop/wide/8000']?.speech, 'h2c');
});

test('clear text is taken in when it is known what is spoken, and policies are not gone around by what is not read', () => {
  const world = new World();
  const mesh =
    'apiVersion: fourways.io/v1alpha1\nkind: Mesh\nmetadata: { name: mesh }\nspec: { mtls: permissive }\n---\n';
  const policy = `apiVersion: fourways.io/v1alpha1\nkind: Policy\nmetadata: { name: who, namespace: shop }
spec:
  targetRefs: [{ kind: Service, name: shop }]
  filters: { ipAccess: { allow: [10.0.0.0/8] } }
`;
  const unread = world.compile(resources(SERVICE + mesh + policy), [workload('a', {})]);
  assert.equal(planOf(unread).ports['10.0.0.1:8080'], undefined);
  const plan = planOf(world.compile(resources(SERVICE + mesh + policy), [workload('a', ALL)]));
  assert.equal(plan.ports['10.0.0.1:8080']?.protocol, 'http');
  assert.match(JSON.stringify(plan.streams['Inbound/shop/shop/25']?.backends), /set appProtocol of the port/);
  const open = planOf(world.compile(resources(SERVICE + mesh), [workload('a', ALL)]));
  assert.deepEqual(open.streams['Inbound/shop/shop/25']?.backends, [{ weight: 1, cluster: 'Inbound/shop/shop/25' }]);
});
