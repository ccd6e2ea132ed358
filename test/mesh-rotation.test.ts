/** Trust changes in a mesh that runs: real sidecars, requests all the time, and not one of them fails. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import type { MeshCertificate, RotationReport } from '../src/api/admin/trust-view.ts';
import { DOOR_HOST, Fourways, freePort, programOf } from './client/fourways.ts';
import { Load } from './client/load.ts';
import { Sidecar, tokenFor } from './client/sidecar.ts';

const ORDERS = `
  require('node:http').createServer((request, answer) => answer.end('orders')).listen(Number(process.argv[1]), '127.0.0.1');
`;
/** Renewed at half of it: three rotations of leaves are seen in seconds. */
const LEAF = '10s';

const dir = mkdtempSync(join(tmpdir(), 'fourways-rotation-'));
let door: number;
let program: Fourways;
let orders: Sidecar;
let web: Sidecar;
let meshAt: string;

before(async () => {
  door = await freePort(DOOR_HOST);
  meshAt = `${DOOR_HOST}:${await freePort(DOOR_HOST)}`;
  writeFileSync(
    join(dir, 'mesh.yaml'),
    `
apiVersion: fourways.io/v1alpha1
kind: Mesh
metadata: { name: mesh }
spec: { leafLifetime: ${LEAF} }
---
apiVersion: v1
kind: Service
metadata: { name: orders, namespace: shop }
spec: { ports: [{ name: http, port: 80, appProtocol: http }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop }
spec: { gatewayClassName: fourways, listeners: [{ name: http, port: ${door}, protocol: HTTP }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: all, namespace: shop }
spec: { parentRefs: [{ name: edge }], rules: [{ backendRefs: [{ name: orders, port: 80 }] }] }
`,
  );
  program = await Fourways.start({
    config: join(dir, 'mesh.yaml'),
    workers: 1,
    mesh: meshAt,
    data: join(dir, 'data'),
  });
  const port = String(await freePort('127.0.0.1'));
  orders = await start('orders.shop', { app: [port], command: [process.execPath, '-e', ORDERS, port] });
  web = await start('web.shop', {});
  await program.until(async () => (await fetch(`http://${DOOR_HOST}:${door}/`)).ok, 'the service is reachable');
});

after(async () => {
  for (const one of [web, orders]) await one?.stop();
  await program?.stop();
  rmSync(dir, { recursive: true, force: true });
});

async function start(service: string, more: { app?: string[]; command?: string[] }): Promise<Sidecar> {
  return Sidecar.start({ service, dir, control: meshAt, token: await tokenFor(program, service), ...more });
}

/** Through the gateway, and from a sidecar: the two ways on which mTLS is spoken. */
function loads(): Load[] {
  const common = { path: '/', connections: 2, gapMs: 5, renewEvery: 20 };
  const { hostname, port } = new URL(web.proxy);
  return [
    new Load({ ...common, target: { host: DOOR_HOST, port: door }, host: 'shop.test' }),
    new Load({
      ...common,
      target: { host: hostname, port: Number(port) },
      host: 'orders.shop',
      path: 'http://orders.shop/',
    }),
  ];
}

async function underLoad(action: () => Promise<void>): Promise<void> {
  const running = loads();
  try {
    await action();
    for (const load of running) await load.more(20);
  } finally {
    for (const load of running) await load.stop();
  }
  for (const load of running) assert.deepEqual(load.failures, []);
}

const run = promisify(execFile);

async function certs(...args: string[]): Promise<{ readonly code: number; readonly out: string }> {
  const words = [...programOf('source'), 'certs', ...args, '--admin', new URL(program.admin).host];
  try {
    const { stdout } = await run(process.execPath, words);
    return { code: 0, out: stdout };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout + stderr };
  }
}

async function certificates(): Promise<readonly MeshCertificate[]> {
  const { mesh } = JSON.parse(await program.adminText('/certificates')) as { mesh: MeshCertificate[] };
  return mesh;
}

async function leafSerials(): Promise<ReadonlyMap<string, string>> {
  const rows = (await certificates()).filter(({ what }) => ['control plane', 'gateway', 'proxy'].includes(what));
  return new Map(rows.map(({ owner, serial }) => [owner, serial]));
}

const ids = async (): Promise<RotationReport> =>
  JSON.parse(await program.adminText('/mesh/rotation')) as RotationReport;

test('certificates of all proxies are rotated three times under load, and no request fails', async () => {
  await underLoad(async () => {
    const seen = new Map<string, Set<string>>();
    await program.until(async () => {
      for (const [owner, serial] of await leafSerials()) {
        const serials = seen.get(owner) ?? new Set();
        seen.set(owner, serials.add(serial));
      }
      return seen.size === 4 && [...seen.values()].every(({ size }) => size > 3);
    }, 'each of four has had three more certificates');
  });
});

test('an issuer and a root are rotated under load, by command, and no request fails', async () => {
  const before = await ids();
  await underLoad(async () => {
    const issuer = await certs('rotate', '--issuer', '--now', '--wait');
    assert.equal(issuer.code, 0, issuer.out);
    const between = await ids();
    assert.notEqual(between.issuer, before.issuer);
    assert.equal(between.root, before.root);
    const root = await certs('rotate', '--root', '--now', '--wait');
    assert.equal(root.code, 0, root.out);
    assert.match(root.out, /Rotation of the root: (.|\n)*At rest/);
    const now = await ids();
    assert.notEqual(now.root, before.root);
    const rows = await certificates();
    assert.ok(rows.every(({ issuedBy = 'active' }) => issuedBy === 'active'));
  });
});

test('a drill rotates everything of the running mesh, says how long it took, and no request fails', async () => {
  const before = await ids();
  const serials = await leafSerials();
  await underLoad(async () => {
    const { code, out } = await certs('drill');
    assert.equal(code, 0, out);
    for (const phase of ['check', 'issuer: renew', 'issuer: verify', 'root: spread', 'root: renew', 'root: withdraw']) {
      assert.match(out, new RegExp(`^${phase} +[0-9.]+ s$`, 'm'));
    }
    assert.match(out, /^The drill has passed in /m);
  });
  const now = await ids();
  assert.notEqual(now.root, before.root);
  for (const [owner, serial] of await leafSerials()) assert.notEqual(serial, serials.get(owner), owner);
  const metrics = await program.adminText('/metrics');
  assert.match(metrics, /^fourways_mesh_rotation_phase\{phase="rest"\} 1$/m);
  assert.match(metrics, /^fourways_mesh_workloads 1$/m);
});

test('a root that a proxy does not come to trust can be taken back, and it is said who is waited for', async () => {
  const before = await ids();
  web.child.kill('SIGSTOP');
  try {
    await certs('rotate', '--root', '--now');
    await program.until(async () => (await ids()).waits?.for === 'trust', 'somebody is waited for');
    const asked = await certs('rotate');
    assert.match(asked.out, /spread, both roots are trusted, the old one issues(.|\n)* {2}spiffe:\S+web \(/);
    assert.equal((await certs('rotate', '--cancel')).code, 0);
    assert.deepEqual((({ phase, root, issuer }) => ({ phase, root, issuer }))(await ids()), {
      phase: 'rest',
      root: before.root,
      issuer: before.issuer,
    });
  } finally {
    web.child.kill('SIGCONT');
  }
  await web.said(/Connected to the control plane/);
});
