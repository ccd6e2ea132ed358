import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import type { Hop, Onward, RequestHop } from './call-tree.ts';
import { runCommand } from './main.ts';
import { fakeIo } from './testing/fake-io.ts';

const dir = mkdtempSync(join(tmpdir(), 'fourways-call-'));
after(() => rmSync(dir, { recursive: true, force: true }));

const service = (name: string, port: string): string => `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec: { ports: [${port}] }
---`;
const workload = (name: string, spec: string): string => `
apiVersion: fourways.io/v1alpha1
kind: Workload
metadata: { name: ${name}, namespace: shop }
spec: { ${spec} }
---`;
const HTTP = '{ name: http, port: 80, appProtocol: http }';

writeFileSync(
  join(dir, 'mesh.yaml'),
  `apiVersion: fourways.io/v1alpha1
kind: Mesh
metadata: { name: mesh }
spec:
  mtls: permissive
  denied: ['spiffe://cluster.local/ns/shop/sa/stolen']
  overrides: [{ namespace: shop, service: v2, authorization: deny }]
  peers:
    - { name: west, gateways: [{ address: 198.51.100.1 }], services: [{ namespace: shop, name: db }] }
---${service('orders', HTTP)}${service('v2', HTTP)}${service('old', HTTP)}${service('db', '{ name: tcp-db, port: 5432 }')}
${workload('orders-1', 'service: orders, address: 10.0.0.1, ports: { http: 8080 }, proxyPort: 15008, zone: a')}
${workload('orders-2', 'service: orders, address: 10.0.0.2, ports: { http: 8080 }, proxyPort: 15008, health: draining')}
${workload('v2-1', 'service: v2, address: 10.0.0.3, ports: { http: 8080 }, proxyPort: 15008')}
${workload('old-1', 'service: old, address: 10.0.0.4, ports: { http: 8080 }')}
${workload('db-1', 'service: db, address: 10.0.0.5, ports: { tcp-db: 5432 }, proxyPort: 15008')}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: canary, namespace: shop }
spec:
  parentRefs: [{ group: '', kind: Service, name: orders, port: 80 }]
  rules:
    - matches: [{ path: { value: /v2 } }]
      filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: / } } }]
      backendRefs: [{ name: v2, port: 80, weight: 1 }, { name: orders, port: 80, weight: 3 }]
    - backendRefs: [{ name: orders, port: 80 }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: own, namespace: other }
spec:
  parentRefs: [{ group: '', kind: Service, name: orders, namespace: shop }]
  rules: [{ backendRefs: [{ name: orders, namespace: shop, port: 80 }] }]
---
apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: { name: who, namespace: shop }
spec:
  targetRefs: [{ kind: Service, name: orders }]
  filters:
    authorize:
      rules:
        - { name: web, workloads: ['spiffe://cluster.local/ns/shop/sa/web'], paths: [/x, /v2] }
        - { name: staff, claims: { team: [staff] }, methods: [DELETE] }
        - { name: edge, workloads: ['spiffe://cluster.local/ns/fourways/sa/gateway'] }
---
apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: { name: who-db, namespace: shop }
spec:
  targetRefs: [{ kind: Service, name: db }]
  filters: { authorize: { rules: [{ workloads: ['spiffe://cluster.local/ns/shop/sa/web'] }] } }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop }
spec: { gatewayClassName: fourways, listeners: [{ name: http, port: 8000, protocol: HTTP }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: all, namespace: shop }
spec:
  parentRefs: [{ name: edge }]
  rules:
    - { matches: [{ path: { value: /old } }], backendRefs: [{ name: old, port: 80 }] }
    - { backendRefs: [{ name: orders, port: 80 }] }
`,
);

async function explain(...argv: string[]): Promise<{ exit: number; hop: Hop; text: string }> {
  const io = fakeIo({ cwd: dir });
  const exit = await runCommand(['explain', ...argv, '--config', dir, '--json'], io);
  assert.deepEqual(io.errLines, []);
  const text = fakeIo({ cwd: dir });
  assert.equal(await runCommand(['explain', ...argv, '--config', dir], text), exit);
  return { exit, hop: JSON.parse(io.outLines.join('\n')) as Hop, text: text.outLines.join('\n') };
}

const verdictsOf = ({ verdicts }: Hop): string[] => verdicts.map(({ filter, outcome }) => `${filter} ${outcome}`);

function toward({ onward }: Hop, cluster: string): Onward {
  const found = onward.find((one) => one.cluster === cluster);
  assert.ok(found !== undefined, `${cluster} is not among ${onward.map((one) => one.cluster).join(', ')}`);
  return found;
}

test('explain: a call between workloads goes on at the sidecar of who is called, as the client has changed it', async () => {
  const { exit, hop, text } = await explain('--from', 'web.shop', 'http://orders/v2/x');
  assert.equal(exit, 1);
  assert.deepEqual([hop.at, hop.proxy], ['client', 'spiffe://cluster.local/ns/shop/sa/web']);
  const main = toward(hop, 'Service/shop/orders/80');
  assert.deepEqual(
    [main.share, main.transport, main.serverName, main.peers],
    [0.75, 'mtls', '80.orders.shop.mesh.internal', ['spiffe://cluster.local/ns/shop/sa/orders']],
  );
  const [endpoint] = main.endpoints;
  assert.deepEqual(
    [endpoint!.address, endpoint!.port, endpoint!.zone, endpoint!.workload, endpoint!.health],
    ['10.0.0.1', 15_008, 'a', 'shop/orders-1', 'ready'],
  );
  assert.deepEqual(main.left, [{ workload: 'shop/orders-2', why: 'it is draining' }]);
  const inbound = main.hop as RequestHop;
  assert.deepEqual([inbound.at, inbound.request.path, inbound.workload], ['server', '/x', 'shop/orders-1']);
  assert.equal(inbound.listeners.find(({ outcome }) => outcome === 'chosen')?.listener, 'Inbound/shop/orders/80');
  assert.deepEqual(verdictsOf(inbound), ['authorize passes']);
  assert.deepEqual(
    inbound.onward.map(({ endpoints }) => endpoints[0]!.port),
    [8_080],
  );
  // The canary has no policy, and the mesh denies there what none allows.
  const canary = toward(hop, 'Service/shop/v2/80').hop!;
  assert.deepEqual(verdictsOf(canary), ['authorize refuses']);
  assert.match(text, /^ {2}└─ sidecar of shop\/orders-1 \(spiffe:\/\/cluster\.local\/ns\/shop\/sa\/orders\)$/m);
  assert.match(text, /verdict {3}authorize of Mesh mesh refuses it with 403: authorize\.denied: .*\(mesh\.yaml:\d+\)/);
  assert.match(text, /verdict {3}authorize of Policy shop\/who allows it \(mesh\.yaml:\d+\)/);
  assert.match(text, /- HTTPRoute\/other\/own it is for clients of namespace other \(mesh\.yaml:\d+\)/);
});

test('explain: clients of another namespace follow their own routes, by the long name', async () => {
  const { exit, hop } = await explain('--from', 'job.other', 'GET', 'http://orders.shop.svc.cluster.local/v2');
  assert.equal(exit, 1);
  assert.equal((hop as RequestHop).rule?.rule, 'HTTPRoute/other/own/0');
  assert.deepEqual(
    hop.passedOver?.map(({ route, why }) => [route, why]),
    [['HTTPRoute/shop/canary', 'routes of the namespace of the client come first']],
  );
  assert.deepEqual(verdictsOf(toward(hop, 'Service/shop/orders/80').hop!), ['authorize refuses']);
});

test('explain: claims say which user asks', async () => {
  const call = ['--from', 'job.other', 'DELETE', 'http://orders.shop/'];
  assert.equal((await explain(...call)).exit, 1);
  assert.equal((await explain(...call, '--claim', 'team=guest')).exit, 1);
  assert.equal((await explain(...call, '--claim', 'sub=ann', '--claim', 'team=["staff"]')).exit, 0);
});

test('explain: a workload that is denied is refused before anything is read', async () => {
  const { exit, hop, text } = await explain('--from', 'stolen.shop', 'http://orders/x');
  assert.equal(exit, 1);
  const { refused, verdicts } = toward(hop, 'Service/shop/orders/80').hop!;
  assert.match(refused!, /^workload-denied: spiffe:\/\/cluster\.local\/ns\/shop\/sa\/stolen/);
  assert.deepEqual(verdicts, []);
  assert.match(text, /refused {3}workload-denied/);
});

test('explain: a connection that is not read goes on by its port', async () => {
  const { exit, hop, text } = await explain('--from', 'web.shop', 'tcp://db:5432');
  assert.equal(exit, 0);
  assert.deepEqual([hop.kind, hop.at], ['stream', 'client']);
  const { hop: inbound, transport, serverName } = toward(hop, 'Service/shop/db/5432/tcp');
  assert.deepEqual([inbound!.kind, transport, serverName], ['stream', 'mtls', '5432.db.shop.mesh.internal']);
  assert.deepEqual(inbound!.onward[0]!.endpoints[0]!.port, 5_432);
  assert.match(text, /endpoint 127\.0\.0\.1:5432 gets 100%/);
  assert.match(
    text,
    /endpoint 10\.0\.0\.5:15008 gets 100% .*\n.*endpoint 198\.51\.100\.1:15443 gets what the others cannot take/,
  );
});

test('explain: a connection of somebody whom no rule allows is refused by the sidecar', async () => {
  const { exit, hop } = await explain('--from', 'job.shop', 'tcp://db:5432');
  assert.equal(exit, 1);
  assert.match(
    toward(hop, 'Service/shop/db/5432/tcp').hop!.refused!,
    /^No rule of Policy shop\/who-db allows "spiffe:.*job"$/,
  );
});

test('explain: a name that stands for nothing', async () => {
  const { exit, hop } = await explain('--from', 'web.shop', 'http://nobody.shop/');
  assert.equal(exit, 1);
  assert.equal((hop as RequestHop).fault?.code, 'mesh.service-unknown');
});

test('explain: from the edge the gateway calls as itself', async () => {
  const { exit, hop } = await explain('http://shop.test:8000/a');
  assert.equal(exit, 0);
  assert.deepEqual([hop.at, hop.proxy], ['gateway', 'spiffe://cluster.local/ns/fourways/sa/gateway']);
  const { hop: inbound } = toward(hop, 'Service/shop/orders/80');
  assert.deepEqual([inbound!.at, verdictsOf(inbound!)], ['server', ['authorize passes']]);
});

test('explain: what has no sidecar is called in clear text, and nothing goes on from there', async () => {
  const { exit, hop } = await explain('http://shop.test:8000/old');
  assert.equal(exit, 0);
  const { transport, hop: inbound, endpoints } = toward(hop, 'Service/shop/old/80');
  assert.deepEqual([transport, inbound, endpoints[0]!.port], ['clear', undefined, 8_080]);
});

const WRONG: [what: string, argv: string[], want: RegExp][] = [
  ['a caller that is no name', ['--from', 'a b', 'http://orders/'], /Option --from is "a b"/],
  ['a claim without a value', ['--from', 'web.shop', '--claim', 'team', 'http://orders/'], /Option --claim is "team"/],
];
for (const [what, argv, want] of WRONG) {
  test(`explain: refuses ${what}`, async () => {
    const io = fakeIo({ cwd: dir });
    assert.equal(await runCommand(['explain', ...argv, '--config', dir], io), 2);
    assert.match(io.errLines.join('\n'), want);
  });
}
