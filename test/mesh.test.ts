/** A small mesh of real programs: a gateway that is its control plane, services beside sidecars, curl as their client. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import type { Hop } from '../src/cli/call-tree.ts';
import type { MeshSummary } from '../src/control/mesh-summary.ts';
import { DOOR_HOST, Fourways, freePort, programOf } from './client/fourways.ts';
import { Load } from './client/load.ts';
import { Sidecar, tokenFor } from './client/sidecar.ts';

const dir = mkdtempSync(join(tmpdir(), 'fourways-mesh-'));
let door: number;
let meshAt: string;
let program: Fourways;

/** Answers with its name, and says what it was told of its caller. Ends when it is asked to, once it has answered. */
const ORDERS = `
  const server = require('node:http').createServer((request, answer) => {
    answer.setHeader('x-instance', String(process.pid));
    setTimeout(() => answer.end('orders ' + request.url), request.url === '/slow' ? 300 : 0);
  });
  server.listen(Number(process.argv[1]), '127.0.0.1');
  process.on('SIGTERM', () => server.close(() => process.exit(0)));
`;

before(async () => {
  door = await freePort(DOOR_HOST);
  meshAt = `${DOOR_HOST}:${await freePort(DOOR_HOST)}`;
  writeFileSync(join(dir, 'mesh.yaml'), manifests());
  program = await startControl();
});

after(async () => {
  await program?.stop('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

function startControl(): Promise<Fourways> {
  return Fourways.start({ config: join(dir, 'mesh.yaml'), workers: 1, mesh: meshAt, data: join(dir, 'data') });
}

function manifests(): string {
  const service = (name: string): string => `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec: { ports: [{ name: http, port: 80, appProtocol: http }] }
---`;
  return `
apiVersion: fourways.io/v1alpha1
kind: Mesh
metadata: { name: mesh }
---${service('orders')}${service('web')}
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop }
spec: { gatewayClassName: fourways, listeners: [{ name: http, port: ${door}, protocol: HTTP }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: all, namespace: shop }
spec: { parentRefs: [{ name: edge }], rules: [{ backendRefs: [{ name: orders, port: 80 }] }] }
`;
}

async function startOrders(): Promise<Sidecar> {
  const port = await freePort('127.0.0.1');
  return Sidecar.start({
    service: 'orders.shop',
    dir,
    control: meshAt,
    token: await tokenFor(program, 'orders.shop'),
    app: [String(port)],
    command: [process.execPath, '-e', ORDERS, String(port)],
  });
}

const run = promisify(execFile);

async function curl(...args: string[]): Promise<string> {
  const { stdout } = await run('curl', ['-sS', '-m', '10', ...args]);
  return stdout;
}

/** Output of one of our own commands. */
async function cli(...args: string[]): Promise<string> {
  return (await run(process.execPath, [...programOf('source'), ...args])).stdout;
}

async function untilReachable(): Promise<void> {
  await program.until(async () => (await fetch(`http://${DOOR_HOST}:${door}/`)).ok, 'the service is reachable');
}

test('a service is called by its name, from a sidecar and through the gateway, and both are who they are', async () => {
  assert.match(await program.adminText('/problems'), /Service shop\/orders has no Workload yet/);
  await using orders = await startOrders();
  await untilReachable();
  assert.doesNotMatch(await program.adminText('/problems'), /Service shop\/orders has no/);
  assert.equal(await curl(`http://${DOOR_HOST}:${door}/edge`), 'orders /edge');

  const token = await tokenFor(program, 'web.shop');
  await using web = await Sidecar.start({ service: 'web.shop', dir, control: meshAt, token });
  for (const host of ['orders', 'orders.shop', 'orders.shop.svc.cluster.local']) {
    assert.equal(await curl('-x', web.proxy, `http://${host}/a`), 'orders /a');
  }
  const unknown = JSON.parse(await curl('-x', web.proxy, 'http://nobody.shop/')) as { code: string };
  assert.equal(unknown.code, 'mesh.service-unknown');

  // The access log of the one that is called says who called, by the certificate of the connection.
  const peersOf = (): string[] => orders.out.split('\n').flatMap((line) => /"peer":"([^"]+)"/.exec(line)?.[1] ?? []);
  await program.until(() => new Set(peersOf()).size > 1, 'the access log has both');
  const peers = peersOf();
  assert.deepEqual(
    new Set(peers),
    new Set(['spiffe://cluster.local/ns/fourways/sa/gateway', 'spiffe://cluster.local/ns/shop/sa/web']),
  );
  // Of what runs, "explain" knows the instances that have registered themselves.
  const asked = ['--from', 'web.shop', 'http://orders/a', '--json', '--admin', new URL(program.admin).host];
  const { onward } = JSON.parse(await cli('explain', ...asked)) as Hop;
  assert.deepEqual(
    onward.map(({ transport, endpoints, hop }) => [transport, endpoints[0]!.source, hop?.at]),
    [['mtls', 'registered', 'server']],
  );

  const { mesh } = JSON.parse(await cli('status', '--json', '--admin', new URL(program.admin).host)) as {
    mesh: MeshSummary;
  };
  assert.deepEqual([mesh.proxies.connected, mesh.control.leads, mesh.store.state], [2, true, 'open']);
  assert.deepEqual(mesh.services, [
    { service: 'shop/orders', ready: 1, notReady: 0, draining: 0, sidecars: 1, learned: {} },
  ]);

  const { proxies } = JSON.parse(await program.adminText('/proxies')) as {
    proxies: { identity: string; lagMs: number }[];
  };
  assert.deepEqual(proxies.map(({ identity }) => identity).toSorted(), [
    'spiffe://cluster.local/ns/shop/sa/orders',
    'spiffe://cluster.local/ns/shop/sa/web',
  ]);
});

test('who may call is decided where the call is received, by the identity of the caller', async () => {
  await using _orders = await startOrders();
  await untilReachable();
  const token = await tokenFor(program, 'web.shop');
  await using web = await Sidecar.start({ service: 'web.shop', dir, control: meshAt, token });
  assert.equal(await curl('-x', web.proxy, 'http://orders.shop/a'), 'orders /a');
  const allowed = 'spiffe://cluster.local/ns/fourways/sa/gateway';
  const problemOf = async (url: string): Promise<unknown[]> => {
    const { status, code, hop } = JSON.parse(await curl('-x', web.proxy, url)) as Record<string, unknown>;
    return [status, code, hop];
  };
  writeFileSync(
    join(dir, 'mesh.yaml'),
    `${manifests()}---
apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: { name: who, namespace: shop }
spec:
  targetRefs: [{ kind: Service, name: orders }]
  filters: { authorize: { rules: [{ workloads: ['${allowed}'] }] } }
`,
  );
  await program.until(
    async () => (await curl('-x', web.proxy, 'http://orders.shop/a')) !== 'orders /a',
    'it is denied',
  );
  assert.deepEqual(await problemOf('http://orders.shop/a'), [403, 'authorize.denied', 'sidecar-inbound']);
  assert.deepEqual(await problemOf('http://nobody.shop/a'), [502, 'mesh.service-unknown', 'sidecar-outbound']);
  assert.equal(await curl(`http://${DOOR_HOST}:${door}/edge`), 'orders /edge');
  writeFileSync(join(dir, 'mesh.yaml'), manifests());
  await program.until(
    async () => (await curl('-x', web.proxy, 'http://orders.shop/a')) === 'orders /a',
    'it is allowed again',
  );
});

test('an application that is run with a sidecar calls others without knowing of it, and its exit code is that of both', async () => {
  await using orders = await startOrders();
  await untilReachable();
  const job = async (...command: string[]): Promise<Sidecar> =>
    Sidecar.spawn({ service: 'web.shop', dir, control: meshAt, token: await tokenFor(program, 'web.shop'), command });
  await using called = await job('curl', '-sS', 'http://orders.shop/job');
  assert.deepEqual(await called.ended, { code: 0, signal: null });
  assert.match(called.out, /^orders \/job/m);
  await using failed = await job('sh', '-c', 'exit 7');
  assert.deepEqual(await failed.ended, { code: 7, signal: null });
  assert.equal(orders.child.exitCode, null);
});

test('an identity that is denied by hand is turned away everywhere, until it is allowed again', async () => {
  await using _orders = await startOrders();
  await untilReachable();
  const token = await tokenFor(program, 'web.shop');
  await using web = await Sidecar.start({ service: 'web.shop', dir, control: meshAt, token });
  const calls = async (): Promise<boolean> => (await curl('-x', web.proxy, 'http://orders.shop/a')) === 'orders /a';
  assert.ok(await calls());
  const identity = 'spiffe://cluster.local/ns/shop/sa/web';
  assert.deepEqual((await post('/mesh/deny', { identity, reason: 'lost' })).status, 200);
  await web.said(/push.identity-refused/);
  await program.until(async () => !(await calls()), 'its calls are turned away');
  assert.equal((await fetch(`http://${DOOR_HOST}:${door}/`)).status, 200);
  assert.match(await program.adminText('/mesh/denied'), /shop\/sa\/web/);
  assert.doesNotMatch(await program.adminText('/proxies'), /shop\/sa\/web/);
  assert.deepEqual((await post('/mesh/allow', { identity })).status, 200);
  await program.until(calls, 'it is let in again');
});

function post(path: string, body: object): Promise<Response> {
  const headers = { 'content-type': 'application/json' };
  return fetch(program.admin + path, { method: 'POST', headers, body: JSON.stringify(body) });
}

const REFUSED: [rule: string, service: string, token: () => Promise<string | undefined>, words: RegExp][] = [
  ['without a token', 'web.shop', async () => undefined, /has no certificate that is good/],
  [
    'with a token of another service',
    'web.shop',
    () => tokenFor(program, 'orders.shop'),
    /is for .*orders.*, not for .*web/,
  ],
  ['with a token that was used', 'web.shop', usedToken, /was used already/],
  ['with a token that was cut', 'web.shop', async () => (await tokenFor(program, 'web.shop')).slice(0, -3), /digits/],
];

for (const [rule, service, token, words] of REFUSED) {
  test(`no proxy joins ${rule}`, async () => {
    const made = await token();
    const options = { service, dir, control: meshAt, ...(made !== undefined && { token: made }) };
    await using sidecar = await Sidecar.spawn(options);
    assert.equal((await sidecar.ended).code, 1);
    assert.match(sidecar.err, words);
    assert.ok(made === undefined || !sidecar.err.includes(made), 'the token is in no log');
  });
}

async function usedToken(): Promise<string> {
  const token = await tokenFor(program, 'web.shop');
  await using first = await Sidecar.start({ service: 'web.shop', dir, control: meshAt, token });
  await first.stop();
  return token;
}

test('instances come and go under load, and no request fails', async () => {
  await using first = await startOrders();
  await untilReachable();
  const load = new Load({
    target: { host: DOOR_HOST, port: door },
    host: 'shop.test',
    path: '/slow',
    connections: 4,
    gapMs: 5,
    renewEvery: 50,
  });
  await using _second = await startOrders();
  const instances = new Set<string | null>();
  await program.until(async () => {
    const answer = await fetch(`http://${DOOR_HOST}:${door}/`);
    await answer.text();
    return instances.add(answer.headers.get('x-instance')).size === 2;
  }, 'both serve');
  assert.equal((await first.stop()).code, 0);
  assert.match(await curl(`http://${DOOR_HOST}:${door}/still`), /orders \/still/);
  await load.more(20);
  await load.stop();
  assert.deepEqual(load.failures, []);
});

test('the control plane is killed and comes back: calls go on meanwhile and after, and a new proxy joins', async () => {
  await using orders = await startOrders();
  await untilReachable();
  const token = await tokenFor(program, 'web.shop');
  await using web = await Sidecar.start({ service: 'web.shop', dir, control: meshAt, token });
  assert.equal(await curl('-x', web.proxy, 'http://orders.shop/a'), 'orders /a');
  await program.stop('SIGKILL');
  for (let i = 0; i < 20; i++) assert.equal(await curl('-x', web.proxy, `http://orders.shop/${i}`), `orders /${i}`);
  program = await startControl();
  await web.said(/Connected to the control plane(.|\n)*Connected to the control plane/);
  await untilReachable();
  for (let i = 0; i < 20; i++) assert.equal(await curl('-x', web.proxy, `http://orders.shop/${i}`), `orders /${i}`);
  const late = await tokenFor(program, 'web.shop');
  await using joined = await Sidecar.start({ service: 'web.shop', dir, control: meshAt, token: late });
  assert.equal(await curl('-x', joined.proxy, 'http://orders.shop/late'), 'orders /late');
  assert.equal(orders.child.exitCode, null);
});
