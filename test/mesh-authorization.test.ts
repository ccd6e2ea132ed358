/** What holds between services that no policy speaks of, in a mesh that runs: tried out first, then enforced, for a namespace and for all. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { DOOR_HOST, Fourways, freePort } from './client/fourways.ts';
import { Sidecar, tokenFor } from './client/sidecar.ts';

const run = promisify(execFile);
const dir = mkdtempSync(join(tmpdir(), 'fourways-authorization-'));
const world = new AsyncDisposableStack();
let program: Fourways;
let orders: Sidecar;
let web: Sidecar;
let ordersAdmin: string;
/** Of `web`: leads to the port of `orders` that is not read. */
let rawPort: number;

const ORDERS = `
  const [http, raw] = process.argv.slice(1).map(Number);
  require('node:http').createServer((request, answer) => answer.end('orders')).listen(http, '127.0.0.1');
  require('node:net').createServer((socket) => socket.on('error', () => {}).end('raw')).listen(raw, '127.0.0.1');
`;

before(async () => {
  const control = `${DOOR_HOST}:${await freePort(DOOR_HOST)}`;
  configure('');
  program = await Fourways.start({
    config: join(dir, 'mesh.yaml'),
    workers: 1,
    mesh: control,
    data: join(dir, 'data'),
  });
  world.defer(async () => void (await program.stop('SIGKILL')));
  const [http, raw, admin] = [await freePort('127.0.0.1'), await freePort('127.0.0.1'), await freePort(DOOR_HOST)];
  rawPort = await freePort('127.0.0.1');
  ordersAdmin = `http://${DOOR_HOST}:${admin}`;
  orders = world.use(
    await Sidecar.start({
      service: 'orders.shop',
      dir,
      control,
      token: await tokenFor(program, 'orders.shop'),
      app: [`http=${http}`, `raw=${raw}`],
      command: [process.execPath, '-e', ORDERS, String(http), String(raw)],
      more: ['--admin', `${DOOR_HOST}:${admin}`],
    }),
  );
  web = world.use(
    await Sidecar.start({
      service: 'web.front',
      dir,
      control,
      token: await tokenFor(program, 'web.front'),
      locals: [`orders.shop:9000=${rawPort}`],
    }),
  );
  await until('200 raw', 'the service is reachable');
});

after(async () => {
  await world.disposeAsync();
  rmSync(dir, { recursive: true, force: true });
});

/** @param spec  of the Mesh @param policy  of who may call, more documents */
function configure(spec: string, policy = ''): void {
  writeFileSync(
    join(dir, 'mesh.yaml'),
    `apiVersion: fourways.io/v1alpha1
kind: Mesh
metadata: { name: mesh }
spec: { ${spec} }
---
apiVersion: v1
kind: Service
metadata: { name: orders, namespace: shop }
spec: { ports: [{ name: http, port: 80, targetPort: http }, { name: tcp-raw, port: 9000, targetPort: raw }] }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: front }
spec: { ports: [{ name: http, port: 80 }] }
${policy}`,
  );
}

/** `200 raw`: what both ports say to `web`. */
async function calls(): Promise<string> {
  const { stdout } = await run('curl', [
    '-sS',
    '-m',
    '10',
    '-w',
    '\n%{http_code}',
    '-x',
    web.proxy,
    'http://orders.shop/a',
  ]);
  const status = stdout.split('\n').at(-1)!;
  const socket = connect(rawPort, '127.0.0.1');
  let heard = '';
  socket.on('error', () => undefined).on('data', (bytes) => (heard += bytes.toString()));
  await once(socket, 'close');
  const fault = /"code":"([^"]+)"/.exec(stdout)?.[1];
  return [fault ?? status, heard === '' ? 'closed' : heard].join(' ');
}

async function until(want: string, what: string): Promise<void> {
  await program.until(async () => (await calls()) === want, what);
}

async function counted(event: string): Promise<number> {
  const text = await (await fetch(`${ordersAdmin}/metrics`)).text();
  return Number(
    new RegExp(`^fourways_filter_events_total\\{filter="authorize",event="${event}".*\\} (\\d+)`, 'm').exec(
      text,
    )?.[1] ?? 0,
  );
}

const policy = (mode: string, who: string): string => `---
apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: { name: who, namespace: shop }
spec:
  mode: ${mode}
  targetRefs: [{ kind: Service, name: orders }]
  filters: { authorize: { rules: [{ workloads: ['spiffe://cluster.local/ns/front/sa/${who}'] }] } }
`;

test('a default that denies is tried out: calls pass, log and metrics say which would not', async () => {
  configure('authorization: audit');
  await program.until(async () => {
    assert.equal(await calls(), '200 raw');
    return (await counted('audited')) >= 2;
  }, 'it is tried out');
  await program.until(() => {
    const lines = orders.out.split('\n');
    const isOf = (protocol: string) => (line: string) =>
      line.includes(`"protocol":"${protocol}"`) && line.includes('audit.authorize');
    return lines.some(isOf('tls')) && lines.some((line) => line.includes('"audit.authorize":"authorize.denied"'));
  }, 'the log has both');
  assert.match(orders.out, /No rule of Mesh mesh allows \\"spiffe:\/\/cluster.local\/ns\/front\/sa\/web\\"/);
});

test('it is enforced for the mesh, and not for a namespace that is allowed or tried out', async () => {
  configure('authorization: deny');
  await until('authorize.denied closed', 'it is denied');
  await program.until(() => orders.out.includes('"stream.denied"'), 'the log says so');
  configure('authorization: deny, overrides: [{ namespace: shop, authorization: allow }]');
  await until('200 raw', 'the namespace is allowed');
  configure('authorization: allow, overrides: [{ namespace: shop, authorization: deny }]');
  await until('authorize.denied closed', 'the namespace is denied');
  configure('authorization: deny, overrides: [{ namespace: shop, authorization: audit }]');
  await until('200 raw', 'the namespace is tried out');
});

test('who may call is said by a policy, tried out with the default, then enforced with it', async () => {
  configure('authorization: audit', policy('audit', 'web'));
  await until('200 raw', 'nothing is denied');
  await program.until(async () => {
    const before = await counted('audited');
    assert.equal(await calls(), '200 raw');
    return (await counted('audited')) === before;
  }, 'nothing would be refused');
  configure('authorization: audit', policy('audit', 'other'));
  await program.until(async () => {
    const before = await counted('audited');
    assert.equal(await calls(), '200 raw');
    return (await counted('audited')) >= before + 2;
  }, 'both would be refused');
  configure('authorization: deny', policy('audit', 'web'));
  await until('authorize.denied closed', 'a policy that is tried out allows nothing yet');
  configure('authorization: deny', policy('enforce', 'web'));
  await until('200 raw', 'who is named may call');
  configure('authorization: deny', policy('enforce', 'other'));
  await until('authorize.denied closed', 'nobody else may');
});
