/** A control plane alone: its gateway and its services are elsewhere, and get everything from it. */
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { makeCertificate } from '../src/net/testing/certificates.ts';
import { DOOR_HOST, Fourways, type FourwaysOptions, freePort } from './client/fourways.ts';
import { Load } from './client/load.ts';
import type { Target } from './client/raw-client.ts';
import { Sidecar, tokenFor } from './client/sidecar.ts';

const dir = mkdtempSync(join(tmpdir(), 'fourways-control-'));
let door: number;
let inner: number;
let meshAt: string;
let control: Fourways;

const ORDERS = `
  const server = require('node:http').createServer((request, answer) => answer.end('orders ' + request.url));
  server.listen(Number(process.argv[1]), '127.0.0.1');
  process.on('SIGTERM', () => server.close(() => process.exit(0)));
`;

before(async () => {
  door = await freePort(DOOR_HOST);
  inner = await freePort(DOOR_HOST);
  meshAt = `${DOOR_HOST}:${await freePort(DOOR_HOST)}`;
  writeFileSync(join(dir, 'mesh.yaml'), manifests());
  control = await startControl();
});

after(async () => {
  await control?.stop('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

function startControl(): Promise<Fourways> {
  const config = join(dir, 'mesh.yaml');
  return Fourways.start({ command: 'control', config, mesh: meshAt, data: join(dir, 'data') });
}

const root = makeCertificate({ kind: 'ca', subject: 'Root' });
const certificates = {
  edge: makeCertificate({ hosts: ['shop.test'], issuer: root }),
  inner: makeCertificate({ hosts: ['inner.test'], issuer: root }),
};

function manifests(path = '/'): string {
  const gateway = (name: 'edge' | 'inner', port: number): string => `
apiVersion: v1
kind: Secret
metadata: { name: ${name}-tls, namespace: shop }
type: kubernetes.io/tls
stringData:
  tls.crt: ${JSON.stringify(certificates[name].certificatePem)}
  tls.key: ${JSON.stringify(certificates[name].privateKeyPem)}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: ${name}, namespace: shop }
spec:
  gatewayClassName: fourways
  listeners: [{ name: https, port: ${port}, protocol: HTTPS, tls: { certificateRefs: [{ name: ${name}-tls }] } }]
---`;
  return `
apiVersion: fourways.io/v1alpha1
kind: Mesh
metadata: { name: mesh }
---
apiVersion: v1
kind: Service
metadata: { name: orders, namespace: shop }
spec: { ports: [{ name: http, port: 80, appProtocol: http }] }
---${gateway('edge', door)}${gateway('inner', inner)}
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: all, namespace: shop }
spec:
  parentRefs: [{ name: edge }]
  rules: [{ matches: [{ path: { type: PathPrefix, value: ${path} } }], backendRefs: [{ name: orders, port: 80 }] }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: secret, namespace: shop }
spec: { parentRefs: [{ name: inner }], rules: [{ backendRefs: [{ name: orders, port: 80 }] }] }
`;
}

interface GatewayStart {
  readonly data: string;
  readonly token?: string;
  readonly args?: readonly string[];
}

function gatewayOptions({ data, token, args = [] }: GatewayStart): FourwaysOptions {
  const tokenFile = join(dir, `token-of-${data}`);
  if (token !== undefined) writeFileSync(tokenFile, token, { mode: 0o600 });
  return {
    command: 'gateway',
    config: '',
    args: [
      '--name',
      'shop/edge',
      '--control',
      meshAt,
      ...args,
      ...(token === undefined ? [] : ['--token-file', tokenFile]),
    ],
    workers: 1,
    data: join(dir, data),
    drain: '5s',
  };
}

async function startOrders(): Promise<Sidecar> {
  const port = await freePort('127.0.0.1');
  return Sidecar.start({
    service: 'orders.shop',
    dir,
    control: meshAt,
    token: await tokenFor(control, 'orders.shop'),
    app: [String(port)],
    command: [process.execPath, '-e', ORDERS, String(port)],
  });
}

/** `Programmed` of a Gateway: status, reason, message. */
async function programmed(name: string): Promise<string> {
  const items = await control.status();
  const item = items.find(({ kind, metadata }) => kind === 'Gateway' && metadata.name === name);
  const { conditions } = item!.status as { conditions: Record<'type' | 'status' | 'reason' | 'message', string>[] };
  const { status, reason, message } = conditions.find(({ type }) => type === 'Programmed')!;
  return `${status} ${reason} ${message}`;
}

const target = (): Target => ({ host: DOOR_HOST, port: door, tls: { ca: root.leafPem, servername: 'shop.test' } });

test('a gateway elsewhere serves its own Gateway and knows nothing of others, also when the control plane is killed', async (t) => {
  await using orders = await startOrders();
  assert.match(
    await programmed('edge'),
    /^False Pending No proxy serves it: start one with "fourways gateway --name shop\/edge"/,
  );
  const gateway = await Fourways.start(gatewayOptions({ data: 'edge', token: await tokenFor(control, 'edge.shop') }));
  t.after(() => gateway.stop('SIGKILL'));
  await control.until(async () => (await programmed('edge')).startsWith('True'), 'the Gateway is programmed');
  assert.match(await programmed('inner'), /^False Pending No proxy serves it/);
  const plan = await gateway.adminText('/plan');
  assert.match(plan, /Gateway\/shop\/edge\/https/);
  assert.doesNotMatch(plan, /inner|HTTPRoute\/shop\/secret/);
  const { proxies } = JSON.parse(await control.adminText('/proxies')) as {
    proxies: { identity: string; gateways: string[] }[];
  };
  const row = proxies.find(({ gateways }) => gateways.length > 0);
  assert.deepEqual([row?.identity, row?.gateways], ['spiffe://cluster.local/ns/shop/sa/edge', ['Gateway/shop/edge']]);

  const load = new Load({ target: target(), host: 'shop.test', path: '/a', connections: 4, gapMs: 5, renewEvery: 20 });
  t.after(() => load.stop());
  await load.more(20);
  await control.stop('SIGKILL');
  await load.more(100);
  await load.stop();
  assert.deepEqual(load.failures, []);

  // It starts without anybody, from what it has on its disk, where nothing can be read of it.
  await gateway.stop();
  for (const file of readdirSync(join(dir, 'edge'))) {
    const text = readFileSync(join(dir, 'edge', file), 'latin1');
    assert.ok(
      !text.includes(certificates.edge.privateKeyPem.split('\n')[1]!) && !text.includes('shop.test'),
      `${file} is sealed`,
    );
  }
  await using again = await Fourways.start(gatewayOptions({ data: 'edge' }));
  const cold = new Load({ target: target(), host: 'shop.test', path: '/a', connections: 2, gapMs: 5, renewEvery: 20 });
  t.after(() => cold.stop());
  await cold.more(20);
  await cold.stop();
  assert.deepEqual(cold.failures, []);
  control = await startControl();
  await control.until(async () => (await programmed('edge')).startsWith('True'), 'the gateway is back');
  writeFileSync(join(dir, 'mesh.yaml'), manifests('/a'));
  await again.until(async () => (await again.adminText('/plan')).includes('"value": "/a"'), 'a change arrives');
  assert.equal(orders.child.exitCode, null);
});

test('a proxy of another account gets nothing of a Gateway that is not its own', async () => {
  const args = ['--account', 'inner'];
  await using other = await Fourways.start(
    gatewayOptions({ data: 'other', token: await tokenFor(control, 'inner.shop'), args }),
  );
  assert.deepEqual((JSON.parse(await other.adminText('/plan')) as { listeners: object }).listeners, {});
  assert.match(other.output(), /A Gateway does not exist, or is not for this proxy/);
});
