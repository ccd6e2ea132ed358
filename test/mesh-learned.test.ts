/**
 * Ports of which nobody has said what they speak: found out once, by the first sidecar of their Service, and known from then
 * on, whoever comes and goes.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import type { ServiceRow } from '../src/compile/mesh-calls.ts';
import { DOOR_HOST, Fourways, type FourwaysOptions, freePort } from './client/fourways.ts';
import { EchoClient, EchoServer } from './client/grpc.ts';
import { Sidecar, tokenFor } from './client/sidecar.ts';

const run = promisify(execFile);
const dir = mkdtempSync(join(tmpdir(), 'fourways-learned-'));
const world = new AsyncDisposableStack();
/** Requests that nobody but a sidecar makes. */
let asked = 0;
/** That came from a client to the server which speaks first. */
let heard = '';
let options: FourwaysOptions & { readonly mesh: string };
let program: Fourways;
let shop: Sidecar;
let web: Sidecar;
let app: readonly string[];
let mailPort: number;
let rpcPort: number;

before(async () => {
  const mesh = `${DOOR_HOST}:${await freePort(DOOR_HOST)}`;
  writeFileSync(join(dir, 'mesh.yaml'), manifests(await freePort(DOOR_HOST)));
  options = { config: join(dir, 'mesh.yaml'), workers: 1, mesh, data: join(dir, 'data') };
  world.defer(async () => void (await program?.stop('SIGKILL')));
  [program, app] = await Promise.all([Fourways.start(options), startApplications()]);
  [mailPort, rpcPort] = [await freePort('127.0.0.1'), await freePort('127.0.0.1')];
  shop = world.use(await startShop());
  web = world.use(
    await Sidecar.start({
      service: 'web.shop',
      dir,
      control: mesh,
      token: await tokenFor(program, 'web.shop'),
      locals: [`shop.shop:25=${mailPort}`, `shop.shop:90=${rpcPort}`],
    }),
  );
});

after(async () => {
  await world.disposeAsync();
  rmSync(dir, { recursive: true, force: true });
});

async function startShop(): Promise<Sidecar> {
  const token = await tokenFor(program, 'shop.shop');
  return Sidecar.start({ service: 'shop.shop', dir, control: options.mesh, token, app });
}

function manifests(door: number): string {
  return `
apiVersion: v1
kind: Service
metadata: { name: shop, namespace: shop }
spec: { ports: [{ name: web, port: 80 }, { name: mail, port: 25 }, { name: rpc, port: 90 }] }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { ports: [{ name: http, port: 80 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: shop, namespace: shop }
spec:
  parentRefs: [{ group: '', kind: Service, name: shop, port: 80 }]
  rules:
    - matches: [{ path: { type: PathPrefix, value: /v2 } }]
      filters: [{ type: URLRewrite, urlRewrite: { path: { type: ReplacePrefixMatch, replacePrefixMatch: /second } } }]
      backendRefs: [{ name: shop, port: 80 }]
    - backendRefs: [{ name: shop, port: 80 }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop }
spec: { gatewayClassName: fourways, listeners: [{ name: http, port: ${door}, protocol: HTTP }] }
`;
}

/** @returns their ports, as \`--app\` takes them */
async function startApplications(): Promise<string[]> {
  const http = createServer((request, answer) => {
    if (request.url === '*') asked++;
    answer.end(`${request.method} ${request.url}`);
  });
  const mail = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (bytes: Buffer) => (heard += bytes.toString('latin1')));
    socket.write('220 mail.test ready\r\n');
  });
  for (const server of [http, mail]) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    world.defer(() => void server.close());
  }
  world.defer(() => http.closeAllConnections());
  const rpc = world.use(await EchoServer.start());
  const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;
  return [`web=${portOf(http)}`, `mail=${portOf(mail)}`, `rpc=${rpc.port}`];
}

async function get(path: string): Promise<string> {
  const { stdout } = await run('curl', ['-sS', '-m', '20', '-x', web.proxy, `http://shop.shop${path}`]);
  return stdout;
}

/** What a client hears that says nothing. */
async function greeting(): Promise<string> {
  const socket = connect(mailPort, '127.0.0.1');
  try {
    const [bytes] = (await Promise.race([once(socket, 'data'), once(socket, 'close')])) as [unknown];
    return String(bytes);
  } finally {
    socket.destroy();
  }
}

async function row(): Promise<ServiceRow | undefined> {
  const { services } = JSON.parse(await program.adminText('/mesh')) as { readonly services: readonly ServiceRow[] };
  return services.find(({ service }) => service === 'shop/shop');
}

async function areReady(count: number): Promise<void> {
  await program.until(async () => ((await row())?.ready ?? 0) === count, `${count} instances are ready`);
}

/** Each as what it is: routed by path, greeted without a word, called by gRPC. */
async function callAll(): Promise<void> {
  assert.equal(await get('/v2/a'), 'GET /second/a');
  assert.equal(await greeting(), '220 mail.test ready\r\n');
  using client = new EchoClient(`127.0.0.1:${rpcPort}`);
  const { body, status } = await client.unary('hello');
  assert.deepEqual([body?.toString(), status.code], ['hello', 0]);
}

const FOUND = { 25: 'tcp', 80: 'http', 90: 'h2c' };

test('what ports speak is found out before anybody is sent there, and both ends take it for that', async () => {
  await areReady(1);
  assert.deepEqual((await row())?.learned, FOUND);
  await program.until(async () => (await get('/v2/a')) === 'GET /second/a', 'the plan of the caller is of now');
  await callAll();
  assert.equal(asked, 1);
  assert.equal(heard, '', 'who speaks first was told nothing');
  const { stdout } = await run(process.execPath, [
    'src/main/fourways.ts',
    'status',
    '--admin',
    new URL(program.admin).host,
  ]);
  assert.match(stdout, /^shop\/shop .* 25 tcp, 80 http, 90 h2c$/m);
});

test('a second instance is not asked, and neither is anybody when the control plane has forgotten all', async () => {
  await using second = await startShop();
  await areReady(2);
  await program.stop('SIGKILL');
  await callAll();
  program = await Fourways.start(options);
  // Its store knows them before they are back.
  await Promise.all([shop, second].map((sidecar) => sidecar.said(/(?:Connected to the control plane[^]*){2}/)));
  await areReady(2);
  assert.deepEqual((await row())?.learned, FOUND);
  await callAll();
  assert.equal(asked, 1);
  await second.stop();
});

test('the control plane keeps it while there is no instance', async () => {
  await shop.stop();
  await areReady(0);
  await using again = await startShop();
  await areReady(1);
  await program.until(async () => (await get('/v2/a')) === 'GET /second/a', 'it is called');
  await callAll();
  assert.equal(asked, 1);
  await again.stop();
});
