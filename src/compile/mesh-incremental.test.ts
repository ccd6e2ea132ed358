/** What changes for sidecars when something changes: parts that are the same are the same objects, for all who share them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { diffPlans } from '../ir/diff.ts';
import type { Resource } from '../resource/resource.ts';
import { type Compiled, Compiler } from './compile.ts';
import type { MeshConsumer } from './sidecar-plan.ts';
import { resourcesIn } from './testing/many-routes.ts';

const SERVICES = 20;

const serviceText = (i: number): string => `
apiVersion: v1
kind: Service
metadata: { name: s${i}, namespace: shop }
spec: { ports: [{ name: http, port: 80 }, { name: tcp, port: 9090 }] }
`;

const workloadText = (name: string, i: number, more = ''): string => `
apiVersion: fourways.io/v1alpha1
kind: Workload
metadata: { name: ${name}, namespace: shop }
spec: { service: s${i}, address: 10.0.0.${i + 1}, ports: { http: 8080, tcp: 9090 }, proxyPort: 15008${more} }
`;

const routeText = (namespace: string, header: string): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: web, namespace: ${namespace} }
spec:
  parentRefs: [{ group: "", kind: Service, name: s7, namespace: shop }]
  rules:
    - filters: [{ type: ResponseHeaderModifier, responseHeaderModifier: { set: [{ name: x-a, value: ${header} }] } }]
      backendRefs: [{ name: s7, namespace: shop, port: 80 }]
`;

const meshText = (more = ''): string => `
apiVersion: fourways.io/v1alpha1
kind: Mesh
metadata: { name: mesh }
spec: { mtls: strict${more} }
`;

const FLEET = Array.from({ length: SERVICES }, (_, i) => [serviceText(i), workloadText(`w${i}`, i)]).flat();

const ALL = Array.from({ length: SERVICES }, (_, i) => `Service/shop/s${i}`);

const sidecar = (namespace: string): MeshConsumer => ({
  namespace,
  inbound: { service: 's0', labels: {}, address: '10.0.0.1', ports: { http: 8080 }, proxyPort: 15_008 },
  forward: { address: '127.0.0.1', port: 15_001 },
  services: ALL,
});

class World {
  roots: readonly string[] = ['roots'];
  denied: readonly string[] = [];
  readonly #resources = new Map<string, Resource[]>();
  readonly #compiler = new Compiler({
    controllerName: 'test',
    bindDefault: '::',
    wallMs: () => 0,
    meshRoots: () => this.roots,
    meshDenied: () => this.denied,
  });

  compile(texts: readonly string[]): Compiled {
    return this.#compiler.compile(texts.flatMap((text) => this.#read(text)));
  }

  /** The same text is the same resources, as for a reader that remembers. */
  #read(text: string): Resource[] {
    const known = this.#resources.get(text) ?? resourcesIn(text);
    this.#resources.set(text, known);
    return known;
  }
}

const EDITS: [rule: string, before: string[], after: string[], want: { shop: string[]; desk: string[] }][] = [
  ['nothing', [meshText()], [meshText()], { shop: [], desk: [] }],
  [
    'a workload that comes',
    [meshText()],
    [meshText(), workloadText('more', 7)],
    // At the address of the one that is there: nothing that a client could see.
    { shop: [], desk: [] },
  ],
  [
    'a workload that drains',
    [meshText(), workloadText('w7', 7)],
    [meshText(), workloadText('w7', 7, ', health: draining')],
    {
      shop: ['Service/shop/s7/80', 'Service/shop/s7/9090/tcp'],
      desk: ['Service/shop/s7/80', 'Service/shop/s7/9090/tcp'],
    },
  ],
  [
    'a route beside its Service',
    [meshText()],
    [meshText(), routeText('shop', 'a')],
    {
      shop: ['HTTPRoute/shop/web@Service/shop/s7', '-Service/shop/s7/80'],
      desk: ['HTTPRoute/shop/web@Service/shop/s7', '-Service/shop/s7/80'],
    },
  ],
  [
    'an edit of a route of one namespace',
    [meshText(), routeText('desk', 'a')],
    [meshText(), routeText('desk', 'b')],
    { shop: [], desk: ['HTTPRoute/desk/web@Service/shop/s7'] },
  ],
  [
    'an identity that is denied',
    [meshText()],
    [meshText(', denied: ["spiffe://cluster.local/ns/shop/sa/old"]')],
    { shop: ['10.0.0.1:15008'], desk: ['10.0.0.1:15008'] },
  ],
];

for (const [rule, before, after, want] of EDITS) {
  test(`sidecars get what changed and no more: ${rule}`, () => {
    const world = new World();
    const consumers = { shop: sidecar('shop'), desk: sidecar('desk') };
    const fleet = FLEET.filter(
      (text) => !before.some((one) => nameIn(one) !== undefined && nameIn(one) === nameIn(text)),
    );
    const first = world.compile([...fleet, ...before]).mesh;
    const had = { shop: first.planOf(consumers.shop), desk: first.planOf(consumers.desk) };
    const second = world.compile([...fleet, ...after]).mesh;
    for (const name of ['shop', 'desk'] as const) {
      const now = second.planOf(consumers[name], had[name]);
      const { set, remove } = diffPlans(had[name], now);
      const changed = [
        ...[set.ports, set.listeners, set.routes, set.streams, set.clusters].flatMap((parts) => Object.keys(parts)),
        ...[remove.ports, remove.listeners, remove.routes, remove.streams, remove.clusters]
          .flat()
          .map((key) => `-${key}`),
      ];
      assert.deepEqual(changed, want[name], name);
      if (changed.length === 0) assert.equal(now, had[name], 'the bundle is the same object');
    }
  });
}

function nameIn(text: string): string | undefined {
  return /name: (w\d+)/.exec(text)?.[1];
}

test('parts of a Service are made once for all clients of whom nothing else is said', () => {
  const world = new World();
  const { mesh } = world.compile([meshText(), ...FLEET, routeText('desk', 'a')]);
  const [s7, s8] = ['Service/shop/s7', 'Service/shop/s8'] as const;
  assert.equal(mesh.partsOf(s7, 'one'), mesh.partsOf(s7, 'two'));
  assert.notEqual(mesh.partsOf(s7, 'desk'), mesh.partsOf(s7, 'two'), 'desk has a route of its own');
  assert.equal(mesh.partsOf(s8, 'desk'), mesh.partsOf(s8, 'two'));
  assert.notEqual(mesh.partsOf(s8, 'shop'), mesh.partsOf(s8, 'two'), 'its own namespace has a shorter name for it');
  assert.equal(mesh.partsOf('Service/shop/gone', 'one'), undefined);
});

test('parts of Services that a change does not touch stay the same objects', () => {
  const world = new World();
  const texts = [meshText(), ...FLEET];
  const ask = (compiled: Compiled): Map<string, unknown> =>
    new Map(ALL.map((key) => [key, compiled.mesh.partsOf(key, 'desk')]));
  const first = ask(world.compile(texts));
  const second = ask(world.compile([...texts, workloadText('more', 3, ', weight: 2').replace('10.0.0.4', '10.0.1.4')]));
  assert.deepEqual(
    ALL.filter((key) => first.get(key) !== second.get(key)),
    ['Service/shop/s3'],
  );
});

test('a Workload that is called by its address is reached by mTLS, whatever routes its Service has', () => {
  const world = new World();
  const texts = [meshText(), ...FLEET, routeText('shop', 'a')];
  const key = 'Workload/shop/w7';
  const before = world.compile(texts).mesh.partsOf(key, 'desk');
  const { mesh } = world.compile([...texts, workloadText('more', 7).replace('10.0.0.8', '10.0.1.8')]);
  assert.equal(mesh.partsOf(key, 'desk'), before, 'another workload of the Service is no change');
  const { plan } = mesh.planOf({ namespace: 'desk', forward: { address: '127.0.0.1', port: 15_001 }, services: [key] });
  assert.deepEqual(
    Object.entries(plan.listeners).map(([name, { hostname }]) => [name, hostname]),
    [
      [`${key}/8080`, '10.0.0.8:8080'],
      [`${key}/9090`, '10.0.0.8:9090'],
    ],
  );
  assert.deepEqual([Object.keys(plan.routes), Object.keys(plan.streams)], [[`${key}/8080`], [`${key}/9090`]]);
  const { endpoints, tls } = plan.clusters[`${key}/8080`]!;
  assert.deepEqual(endpoints, [{ address: '10.0.0.8', port: 15_008, weight: 1 }]);
  assert.equal(tls?.serverName, '80.s7.shop.mesh.internal');
});

test('new roots are a change of what is trusted and of nothing else', () => {
  const world = new World();
  const texts = [meshText(), ...FLEET];
  const had = world.compile(texts).mesh.planOf(sidecar('desk'));
  world.roots = ['roots', 'next'];
  const now = world.compile(texts).mesh.planOf(sidecar('desk'), had);
  const { set } = diffPlans(had, now);
  assert.deepEqual(Object.keys(set.ports), ['10.0.0.1:15008']);
  assert.equal(Object.keys(set.clusters).length, 2 * SERVICES);
  assert.deepEqual([set.listeners, set.routes, set.streams], [{}, {}, {}]);
});

test('without roots nobody is planned, and nothing goes out unverified', () => {
  const world = new World();
  world.roots = [];
  const compiled = world.compile([meshText(), ...FLEET]);
  assert.throws(() => compiled.mesh.planOf(sidecar('shop')), /roots of the mesh are not known/);
  const tls = compiled.mesh.partsOf('Service/shop/s1', 'shop')?.clusters['Service/shop/s1/80']?.tls;
  assert.equal(tls?.state, 'invalid');
  assert.equal(tls?.clientCertificate, undefined);
});

test('an earlier compile is not asked', () => {
  const world = new World();
  const { mesh } = world.compile(FLEET);
  world.compile(FLEET);
  assert.throws(() => mesh.planOf(sidecar('shop')), /there is a later one/);
});

const HOSTS: [host: string, namespace: string, want: readonly string[]][] = [
  ['s1', 'shop', ['Service/shop/s1']],
  ['s1', 'desk', []],
  ['S1.Shop', 'desk', ['Service/shop/s1']],
  ['s1.shop.svc', 'desk', ['Service/shop/s1']],
  ['s1.shop.svc.cluster.local', 'desk', ['Service/shop/s1']],
  ['s1.shop.svc.other.local', 'desk', []],
  ['s1.shop.com', 'desk', []],
  ['10.96.0.1', 'desk', ['Service/shop/virtual']],
  ['[fd00::1]', 'desk', ['Service/shop/virtual6']],
  ['10.96.0.2', 'desk', []],
  ['10.0.0.3', 'desk', ['Workload/shop/w2']],
  ['None', 'desk', []],
  ['', 'shop', []],
  ['.shop', 'desk', []],
];

test('which Service or Workload a host stands for', () => {
  const virtual = (name: string, address: string): string =>
    `apiVersion: v1\nkind: Service\nmetadata: { name: ${name}, namespace: shop }\nspec: { clusterIP: "${address}", ports: [{ port: 80 }] }\n`;
  const texts = [
    ...FLEET,
    virtual('virtual', '10.96.0.1'),
    virtual('virtual6', 'fd00::1'),
    virtual('headless', 'None'),
  ];
  const { mesh } = new World().compile(texts);
  for (const [host, namespace, want] of HOSTS)
    assert.deepEqual(mesh.keysOf(host, namespace), want, `${host} ${namespace}`);
});

test('an identity that the authority denies is in the plans of all, and is no endpoint', () => {
  const world = new World();
  const texts = [...FLEET, meshText(', denied: ["spiffe://cluster.local/ns/shop/sa/old"]')];
  const before = world.compile(texts).mesh.planOf(sidecar('desk'));
  world.denied = ['spiffe://cluster.local/ns/shop/sa/s7'];
  const { mesh } = world.compile(texts);
  const { plan } = mesh.planOf(sidecar('desk'));
  const denied = ['spiffe://cluster.local/ns/shop/sa/old', 'spiffe://cluster.local/ns/shop/sa/s7'];
  assert.deepEqual(mesh.denied, denied);
  assert.deepEqual(plan.ports['10.0.0.1:15008']?.clientValidation?.workloads?.denied, denied);
  assert.equal(before.plan.clusters['Service/shop/s7/80']?.endpoints.length, 1);
  assert.deepEqual(plan.clusters['Service/shop/s7/80']?.endpoints, []);
  world.denied = [];
  assert.equal(world.compile(texts).mesh.planOf(sidecar('desk')).plan.version, before.plan.version);
});

test('several applications of one host are called by its address, one of them by each port', () => {
  const at = (name: string, port: number, more = ''): string => `
apiVersion: fourways.io/v1alpha1
kind: Workload
metadata: { name: ${name}, namespace: shop }
spec: { service: s1, address: 10.9.0.1, ports: { http: ${port} }, proxyPort: 15008${more} }
`;
  const world = new World();
  const { mesh } = world.compile([...FLEET, at('gone', 8081, ', health: draining'), at('a', 8081), at('b', 8082)]);
  assert.deepEqual(mesh.keysOf('10.9.0.1', 'desk'), ['Workload/shop/a', 'Workload/shop/b']);
});

test('an instance has the labels that its Service selects, and is found by wider selectors', () => {
  const service = (name: string, selector: string): string => `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec: { selector: ${selector}, ports: [{ name: http, port: 80 }] }
`;
  const texts = [
    service('s1', '{ app: a, version: v1 }'),
    service('all', '{ app: a }'),
    service('v2', '{ app: a, version: v2 }'),
    workloadText('w', 1),
  ];
  const world = new World();
  const endpointsOf = ({ mesh }: Compiled, name: string): unknown =>
    mesh.partsOf(`Service/shop/${name}`, 'shop')?.clusters[`Service/shop/${name}/80`]?.endpoints.length;
  const compiled = world.compile(texts);
  assert.deepEqual(
    ['s1', 'all', 'v2'].map((name) => endpointsOf(compiled, name)),
    [1, 1, 0],
  );
  const changed = world.compile([service('s1', '{ app: a, version: v2 }'), ...texts.slice(1)]);
  assert.equal(endpointsOf(changed, 'v2'), 1);
});

test('a port that no instance serves behind its sidecar is spoken to as it is, and policies act at whoever sends', () => {
  const slice = `
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: s1, namespace: shop, labels: { kubernetes.io/service-name: s1 } }
addressType: IPv4
ports: [{ name: http, port: 8080 }, { name: more, port: 8081 }]
endpoints: [{ addresses: [10.0.0.2] }]
`;
  const service = serviceText(1).replace('{ name: tcp, port: 9090 }', '{ name: more, port: 81, appProtocol: http }');
  const { mesh } = new World().compile([service, workloadText('w', 1), slice]);
  const clusters = mesh.partsOf('Service/shop/s1', 'shop')!.clusters;
  const [known, more] = [clusters['Service/shop/s1/80'], clusters['Service/shop/s1/81']];
  assert.deepEqual([known?.endpoints.length, known?.tls?.state, known?.protocol], [1, 'ok', 'auto']);
  assert.deepEqual([more?.endpoints.length, more?.tls, more?.protocol], [1, undefined, 'http1']);
});

test('whoever serves a Gateway may say who the user is, unless the mesh names others or denies it', () => {
  const gateway = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop, annotations: { fourways.io/served-by: 'ops/door, nonsense' } }
spec: { gatewayClassName: fourways, listeners: [{ name: http, port: 80, protocol: HTTP }] }
`;
  const id = (path: string): string => `spiffe://cluster.local/ns/${path}`;
  const all = [id('fourways/sa/gateway'), id('ops/sa/door'), id('shop/sa/edge')];
  const rows: [more: string, want: string[]][] = [
    ['', all],
    [`, denied: ['${id('ops/sa/door')}']`, [all[0]!, all[2]!]],
    [`, userContext: { from: ['${id('ops/sa/door')}'] }`, [all[1]!]],
    [', userContext: { from: [] }', []],
  ];
  for (const [more, want] of rows) {
    const { mesh } = new World().compile([meshText(more), gateway, ...FLEET]);
    const [filter] = mesh.planOf(sidecar('shop')).plan.routes['Inbound/shop/s0/80']!.rules[0]!.filters;
    assert.equal(filter?.filter, 'userContext');
    assert.deepEqual((filter.config as { signers: string[] }).signers, want);
  }
});
