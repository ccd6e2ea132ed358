/**
 * Every protocol from one application to another through two sidecars, by programs that are not ours: by HTTP_PROXY and by
 * local ports. All of it is mTLS between the two.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { openSocket, WsUpstream } from '../src/proxy/testing/web-sockets.ts';
import { RedisServer } from '../src/store/testing/redis-server.ts';
import { DOOR_HOST, Fourways, freePort } from './client/fourways.ts';
import { EchoClient, EchoServer, SERVICE } from './client/grpc.ts';
import { Sidecar, tokenFor } from './client/sidecar.ts';

const run = promisify(execFile);
const dir = mkdtempSync(join(tmpdir(), 'fourways-protocols-'));
const world = new AsyncDisposableStack();
const localPorts: Record<string, number> = {};
let meshAt: string;
let program: Fourways;
let shop: Sidecar;
let web: Sidecar;
let sockets: WsUpstream;

/** Of service shop.shop, by the number that clients call it by. */
const PORTS = [
  { name: 'http', port: 80, protocol: 'http' },
  { name: 'ws', port: 81, protocol: 'kubernetes.io/ws' },
  { name: 'grpc', port: 90, protocol: 'grpc' },
  { name: 'redis', port: 6_379, protocol: 'tcp' },
  { name: 'smtp', port: 25, protocol: 'tcp' },
];

before(async () => {
  meshAt = `${DOOR_HOST}:${await freePort(DOOR_HOST)}`;
  writeFileSync(join(dir, 'mesh.yaml'), manifests(await freePort(DOOR_HOST)));
  const [control, apps] = await Promise.all([
    Fourways.start({ config: join(dir, 'mesh.yaml'), workers: 1, mesh: meshAt, data: join(dir, 'data') }),
    startApplications(),
  ]);
  world.defer(async () => void (await control.stop('SIGKILL')));
  program = control;
  for (const { port } of PORTS) localPorts[port] = await freePort('127.0.0.1');
  const [shopToken, webToken] = await Promise.all([tokenFor(program, 'shop.shop'), tokenFor(program, 'web.shop')]);
  [shop, web] = await Promise.all([
    Sidecar.start({
      service: 'shop.shop',
      dir,
      control: meshAt,
      token: shopToken,
      app: Object.entries(apps).map(([name, port]) => `${name}=${port}`),
    }),
    Sidecar.start({
      service: 'web.shop',
      dir,
      control: meshAt,
      token: webToken,
      locals: PORTS.map(({ port }) => `shop.shop:${port}=${localPorts[port]}`),
    }),
  ]);
  world.use(shop);
  world.use(web);
  await program.until(
    async () => (await curl('-x', web.proxy, 'http://shop.shop/')) === 'GET / of shop.shop',
    'the service is reachable',
  );
});

after(async () => {
  await world.disposeAsync();
  rmSync(dir, { recursive: true, force: true });
});

function manifests(door: number): string {
  const ports = PORTS.map(
    ({ name, port, protocol }) => `{ name: ${name}, port: ${port}, targetPort: ${name}, appProtocol: ${protocol} }`,
  );
  return `
apiVersion: v1
kind: Service
metadata: { name: shop, namespace: shop }
spec: { ports: [${ports.join(', ')}] }
---
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { ports: [{ name: http, port: 80 }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop }
spec: { gatewayClassName: fourways, listeners: [{ name: http, port: ${door}, protocol: HTTP }] }
`;
}

/** @returns their ports by name */
async function startApplications(): Promise<Record<string, number>> {
  const http = createServer((request, answer) => {
    answer.end(`${request.method} ${request.url} of ${request.headers.host}`);
  });
  const smtp = createTcpServer(speakFirst);
  for (const server of [http, smtp]) {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    world.defer(() => void server.close());
  }
  world.defer(() => http.closeAllConnections());
  const grpc = world.use(await EchoServer.start());
  const redis = world.use(await RedisServer.start());
  sockets = world.use(await WsUpstream.start('h1'));
  const portOf = (server: { address(): unknown }): number => (server.address() as AddressInfo).port;
  return { http: portOf(http), ws: sockets.port, grpc: grpc.port, redis: redis.port, smtp: portOf(smtp) };
}

/** As mail servers do (RFC 5321 section 3.1): a client says nothing before it was greeted. */
function speakFirst(socket: Socket): void {
  socket.on('error', () => undefined);
  socket.write('220 mail.test ready\r\n');
  socket.on('data', (bytes: Buffer) => {
    const words = bytes.toString('latin1');
    socket.write(/^QUIT/i.test(words) ? '221 bye\r\n' : '250 fine\r\n');
    if (/^QUIT/i.test(words)) socket.end();
  });
}

async function curl(...args: string[]): Promise<string> {
  const { stdout } = await run('curl', ['-sS', '-m', '20', ...args]);
  return stdout;
}

const local = (port: number): string => `127.0.0.1:${localPorts[port]}`;

test('HTTP: by HTTP_PROXY in absolute form, through a tunnel, and by a local port', async () => {
  assert.equal(await curl('-x', web.proxy, 'http://shop.shop/a'), 'GET /a of shop.shop');
  assert.equal(await curl('-p', '-x', web.proxy, 'http://shop.shop/b'), 'GET /b of shop.shop');
  assert.equal(await curl('-x', web.proxy, '-d', 'x', 'http://shop/c'), 'POST /c of shop');
  assert.equal(await curl('-H', 'host: shop.shop', `http://${local(80)}/d`), 'GET /d of shop.shop');
  // Whatever a client calls it: there is nothing else to choose.
  assert.equal(await curl(`http://${local(80)}/e`), `GET /e of ${local(80)}`);
  assert.equal(await curl('--http2-prior-knowledge', `http://${local(80)}/f`), `GET /f of ${local(80)}`);
});

test('gRPC by a local port', async () => {
  using client = new EchoClient(local(90));
  const { body, status } = await client.unary('hello');
  assert.deepEqual([body?.toString(), status.code], ['hello', 0]);
});

/** A job that knows nothing of a mesh: what `run` sets is all that it is told. */
async function job(script: string, env: Record<string, string> = {}): Promise<string> {
  const settings = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const command = ['env', ...settings, process.execPath, '-e', script];
  const token = await tokenFor(program, 'web.shop');
  await using sidecar = await Sidecar.spawn({ service: 'web.shop', dir, control: meshAt, token, command });
  const { code } = await sidecar.ended;
  assert.equal(code, 0, sidecar.err);
  return sidecar.out;
}

test('an application that is run with a sidecar: gRPC, fetch and a WebSocket go by HTTP_PROXY', async () => {
  const grpcFrom = JSON.stringify(import.meta.resolve('@grpc/grpc-js').replace('file://', ''));
  const script = `
    const grpc = require(${grpcFrom});
    setTimeout(() => { console.log('It is late'); process.exit(3); }, 30000).unref();
    const same = (bytes) => bytes;
    const client = new grpc.Client('shop.shop:90', grpc.credentials.createInsecure());
    const asked = (done) =>
      client.makeUnaryRequest('/${SERVICE}/Unary', same, same, Buffer.from('hi'), { deadline: Date.now() + 20000 }, done);
    asked((error, answer) => {
      console.log('grpc:', error === null ? String(answer) : error.message);
      client.close();
      fetch('http://shop.shop/fetched').then((got) => got.text()).then((text) => {
        console.log('fetch:', text);
        const socket = new WebSocket('ws://shop.shop:81/socket');
        socket.onopen = () => socket.send('hello');
        socket.onerror = (event) => { console.log('ws failed', event.message, event.error); process.exit(1); };
        socket.onmessage = ({ data }) => { console.log('ws:', data); socket.close(1000); };
        socket.onclose = () => process.exit(0);
      });
    });
  `;
  const talked = (async () => {
    const peer = await sockets.accept();
    const heard = await peer.nextText();
    peer.text(`${heard} back`);
    const { code } = await peer.nextClose();
    peer.close(code);
    peer.end();
  })();
  const out = await job(script, { NODE_USE_ENV_PROXY: '1' });
  await talked;
  assert.match(out, /^grpc: hi$/m);
  assert.match(out, /^fetch: GET \/fetched of shop.shop$/m);
  assert.match(out, /^ws: hello back$/m);
});

test('a WebSocket by a local port', async () => {
  const client = await openSocket('h1', localPorts[81]!, { path: '/socket' });
  const peer = await sockets.accept();
  client.text('hello');
  assert.equal(await peer.nextText(), 'hello');
  peer.text('and back');
  assert.equal(await client.nextText(), 'and back');
  client.close(1_000);
  assert.equal((await peer.nextClose()).code, 1_000);
  peer.close(1_000);
  assert.equal((await client.nextClose()).code, 1_000);
  for (const end of [client, peer]) end.end();
});

test('TCP: Redis, and a server that speaks first', async () => {
  const redis = async (...words: string[]): Promise<string> => {
    const { stdout } = await run('redis-cli', ['-p', String(localPorts[6_379]), ...words]);
    return stdout.trim();
  };
  assert.equal(await redis('SET', 'a', 'mesh'), 'OK');
  assert.equal(await redis('GET', 'a'), 'mesh');
  const greeted = /^250 fine/m;
  assert.match(await curl('-X', 'NOOP', `smtp://${local(25)}`), greeted);
  assert.match(await curl('-X', 'NOOP', '-p', '-x', web.proxy, 'smtp://shop.shop:25'), greeted);
});

test('who called is known of each connection, and nothing of it went in clear text', async () => {
  interface Line {
    readonly listener: string;
    readonly peer: string;
  }
  const lines = (): Line[] =>
    shop.out
      .trim()
      .split('\n')
      .flatMap((line) => (line.startsWith('{') && line.includes('"listener"') ? [JSON.parse(line) as Line] : []));
  const isSeen = (port: number): boolean => lines().some(({ listener }) => listener === `Inbound/shop/shop/${port}`);
  await program.until(() => PORTS.every(({ port }) => isSeen(port)), 'calls of all ports are logged');
  // The name of a listener in clear text would end in @clear; and only mTLS says who somebody is.
  assert.deepEqual(
    new Set(lines().map(({ listener, peer }) => `${listener.replace(/\d+$/, '')} ${peer}`)),
    new Set(['Inbound/shop/shop/ spiffe://cluster.local/ns/shop/sa/web']),
  );
});
