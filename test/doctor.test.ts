/** `fourways doctor` as a program: rules of nftables in a network namespace, and a mesh that runs. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { DOOR_HOST, Fourways, freePort, programOf } from './client/fourways.ts';
import { noNetwork } from './client/network.ts';
import { Sidecar, tokenFor } from './client/sidecar.ts';

interface Row {
  readonly check: string;
  readonly level: 'ok' | 'warning' | 'problem';
  readonly found: string;
  readonly fix?: string;
}

interface Report {
  readonly checks: readonly Row[];
  readonly code: number;
}

const run = promisify(execFile);
const DOCTOR = [process.execPath, ...programOf('source'), 'doctor', '--json'] as const;

/** @param words  a program and its arguments, which ends as the doctor does */
async function report([program, ...args]: readonly [string, ...string[]]): Promise<Report> {
  const done = await run(program, args).catch((error: { stdout: string; code: number }) => error);
  return { ...(JSON.parse(done.stdout) as Omit<Report, 'code'>), code: 'code' in done ? done.code : 0 };
}

const doctor = (...more: string[]): Promise<Report> => report([...DOCTOR, ...more]);

function of(check: string, { checks }: Report): string[] {
  return checks.filter((row) => row.check === check).map(({ level, found }) => `${level}: ${found}`);
}

/** Holds the sockets of two sidecars, one of which has lost its table, in a namespace with three tables; then looks twice. */
const HOLDER = `
  for (const uid of ['4243', '4244']) require('node:net').createServer().listen({ path: '\\0fourways_user_' + uid });
  console.log('held');
`;
const SCRIPT = `
  ip link set lo up
  nft add table inet fourways_user_4242 && nft add table inet fourways_user_4243 && nft add table inet filter || exit 3
  mkfifo "$1/held"
  "$2" -e "$3" > "$1/held" &
  read -r _ < "$1/held"
  "$2" "$4" doctor --json
  code=$?
  kill $!
  exit $code
`;

const reason = noNetwork();

test('doctor: tables of capture that were left behind, and one that was lost', { skip: reason ?? false }, async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'fourways-doctor-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const args = ['sh', dir, process.execPath, HOLDER, programOf('source')[0]!];
  const seen = await report(['unshare', '--net', 'sh', '-c', SCRIPT, ...args]);
  assert.equal(seen.code, 1);
  assert.deepEqual(
    of('capture', seen).map((text) => text.slice(0, 50)),
    [
      'problem: table fourways_user_4242 was left behind by a sidecar'.slice(0, 50),
      'ok: table fourways_user_4243 has its sidecar',
      'problem: a sidecar runs for fourways_user_4244, and'.slice(0, 50),
    ],
  );
  const { fix } = seen.checks.find(({ found }) => found.includes('left behind'))!;
  const [command] = /nft delete table inet \S+/.exec(fix!)!;
  const mended = `nft add table inet fourways_user_4242; ${command} && "$1" "$2" doctor --json`;
  const after = ['unshare', '--net', 'sh', '-c', mended, 'sh', process.execPath, programOf('source')[0]!] as const;
  assert.deepEqual(of('capture', await report([...after])), ['ok: no sidecar captures here, and none left rules']);
});

test('doctor: a mesh that runs, from both ends, and a sidecar that loses its control plane', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'fourways-doctor-'));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  const config = join(dir, 'mesh.yaml');
  const [mesh, door, own] = [await freePort(DOOR_HOST), await freePort(DOOR_HOST), await freePort(DOOR_HOST)];
  const meshAt = `${DOOR_HOST}:${mesh}`;
  writeFileSync(config, manifests(door));
  await using program = await Fourways.start({ config, workers: 1, mesh: meshAt, data: join(dir, 'data') });
  const application = createServer((_, answer) => answer.end('orders'));
  application.keepAliveTimeout = 1_000;
  application.listen(0, '127.0.0.1');
  await once(application, 'listening');
  t.after(() => application.close());
  const { port: app } = application.address() as AddressInfo;
  await using sidecar = await Sidecar.start({
    service: 'orders.shop',
    dir,
    control: meshAt,
    token: await tokenFor(program, 'orders.shop'),
    app: [String(app)],
    more: ['--admin', `${DOOR_HOST}:${own}`],
  });
  const admin = new URL(program.admin).host;
  await program.until(
    async () => (await program.adminText('/proxies')).includes('"lagMs": 0'),
    'the sidecar is current',
  );

  const seen = await doctor('--admin', admin, '--config', config, '--control', meshAt);
  assert.equal(seen.code, 1);
  assert.match(of('port', seen).join('\n'), new RegExp(`^ok: .*:${door} .* held by the Fourways that runs$`, 'm'));
  const [here, there] = of('name', seen);
  assert.match(here!, /^problem: no\.such\.invalid \(Backend\/shop\/away.*is not found here/);
  assert.match(there!, /^problem: no\.such\.invalid \(Backend\/shop\/away.*has no address/);
  assert.deepEqual(of('clock', seen), [`ok: agrees with ${admin}`, `ok: agrees with ${meshAt}`]);
  assert.deepEqual(of('proxy', seen), ['ok: 1 connected, and each serves its plan']);
  assert.match(of('certificate', seen).join(), /^ok: \d+ good/);
  assert.match(of('open files', seen).join(), new RegExp(`process ${program.pid} may have`));

  const beside = await doctor('--admin', `${DOOR_HOST}:${own}`, '--app', String(app));
  assert.deepEqual(of('control plane', beside), [`ok: connected to ${meshAt}`]);
  assert.deepEqual(of('clock', beside), [`ok: agrees with ${DOOR_HOST}:${own}`, `ok: agrees with ${meshAt}`]);
  assert.deepEqual(of('certificate', beside), ['ok: 1 good, none late to be renewed']);
  assert.match(of('application', beside).join(), /^warning: .* for 1s: hardly any is used again/);

  await program.stop('SIGKILL');
  await sidecar.said(/Not connected to the control plane/);
  const alone = await doctor('--admin', `${DOOR_HOST}:${own}`);
  assert.equal(alone.code, 1);
  assert.match(
    of('control plane', alone).join(),
    /^warning: none for \d+s: .* plan and certificate of before are used$/,
  );
  assert.match(
    of('clock', alone).join('\n'),
    new RegExp(`problem: ${meshAt} does not say what time it is: .*ECONNREFUSED`),
  );
});

function manifests(port: number): string {
  return `
apiVersion: fourways.io/v1alpha1
kind: Mesh
metadata: { name: mesh }
---
apiVersion: v1
kind: Service
metadata: { name: orders, namespace: shop }
spec: { ports: [{ name: http, port: 80, appProtocol: http }] }
---
apiVersion: fourways.io/v1alpha1
kind: Backend
metadata: { name: away, namespace: shop }
spec: { endpoints: [{ address: no.such.invalid, port: 80 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop }
spec: { gatewayClassName: fourways, listeners: [{ name: http, port: ${port}, protocol: HTTP }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: away, namespace: shop }
spec:
  parentRefs: [{ name: edge }]
  rules: [{ backendRefs: [{ group: fourways.io, kind: Backend, name: away, port: 80 }] }]
`;
}
