/**
 * Two data centres, each with its own control plane, authority and addresses, which are even the same: what goes from one to the
 * other goes through the east-west gateways, by mTLS from sidecar to sidecar.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import tls from 'node:tls';
import { promisify } from 'node:util';
import { makeCertificate } from '../src/net/testing/certificates.ts';
import { Fourways, programOf } from './client/fourways.ts';
import { Load } from './client/load.ts';
import { RawClient } from './client/raw-client.ts';
import { Network, type NetworkHost, noNetwork } from './client/network.ts';
import { Sidecar, tokenFor } from './client/sidecar.ts';

const run = promisify(execFile);
const reason = noNetwork();
if (reason !== undefined) console.log(`Not tried: ${reason}`);

/** Of the workloads, the same in both: no route leads from one data centre to the other. */
const INSIDE = '10.77.0.1';
const MESH_AT = `${INSIDE}:15010`;
const GATE = 15_443;
const PROXY = 15_001;
const EDGE = 8090;

type Name = 'east' | 'west';
const OTHER: Readonly<Record<Name, Name>> = { east: 'west', west: 'east' };

const APP = `
  require('node:http')
    .createServer((request, answer) => answer.end(process.argv[2] + ' ' + request.url))
    .listen(Number(process.argv[1]), '127.0.0.1', () => console.log('listening'));
`;

class DataCentre {
  readonly name: Name;
  readonly host: NetworkHost;
  /** The same host, by the address of its workloads. */
  readonly inside: NetworkHost;
  readonly dir: string;
  control!: Fourways;
  /** What the other one has to know of it. */
  roots = '';
  readonly #world: AsyncDisposableStack;

  constructor(name: Name, host: NetworkHost, world: AsyncDisposableStack) {
    this.name = name;
    this.host = host;
    this.inside = { address: INSIDE, within: host.within };
    this.dir = mkdtempSync(join(tmpdir(), `fourways-${name}-`));
    this.#world = world;
    world.defer(() => rmSync(this.dir, { recursive: true, force: true }));
  }

  /** Another address at which others reach the host. */
  get second(): string {
    return this.host.address.replace(/\d+$/, (last) => String(Number(last) + 100));
  }

  async exec(...command: readonly string[]): Promise<string> {
    const [first = '', ...rest] = [...this.host.within, ...command];
    return (await run(first, rest)).stdout;
  }

  /** `up` in the east, which is its own gateway; processes of their own in the west. */
  async start(): Promise<void> {
    await this.exec('ip', 'address', 'add', `${INSIDE}/32`, 'dev', 'lo');
    await this.exec('ip', 'address', 'add', `${this.second}/24`, 'dev', 'eth0');
    await this.exec('ip', 'route', 'delete', 'default');
    const config = join(this.dir, 'mesh.yaml');
    writeFileSync(config, manifests(this.name));
    const command = this.name === 'east' ? 'up' : 'control';
    const data = join(this.dir, 'data');
    const options = {
      command,
      config,
      mesh: MESH_AT,
      data,
      at: this.host,
      ...(command === 'up' && { workers: 1 }),
    } as const;
    this.control = await Fourways.start(options);
    this.#world.defer(async () => void (await this.control.stop('SIGKILL')));
  }

  /** @param bind  which of the host's addresses */
  async startGateway(bind: string): Promise<Fourways> {
    const token = join(this.dir, `gateway-${bind}.token`);
    writeFileSync(token, await tokenFor(this.control, 'east-west.mesh'), { mode: 0o600 });
    const named = [
      '--name',
      'mesh/east-west',
      '--control',
      MESH_AT,
      '--token-file',
      token,
      '--trust-domain',
      'west.test',
    ];
    const gateway = await Fourways.start({
      command: 'gateway',
      config: '',
      args: named,
      workers: 1,
      data: join(this.dir, `gateway-${bind}`),
      bind,
      at: this.host,
    });
    this.#world.defer(async () => void (await gateway.stop('SIGKILL')));
    return gateway;
  }

  async readRoots(): Promise<void> {
    const admin = this.control.admin.replace('http://', '');
    this.roots = await this.exec(
      process.execPath,
      ...programOf('source'),
      'certs',
      'roots',
      '--json',
      '--admin',
      admin,
    );
  }

  /** The mesh is joined with that of the other data centre. */
  join(other: DataCentre, mode: 'failover' | 'spread' = 'failover'): void {
    writeFileSync(join(this.dir, 'mesh.yaml'), manifests(this.name, joined(other, mode)));
  }

  async app(port: number): Promise<ChildProcess> {
    const [first, ...rest] = [...this.host.within, process.execPath, '-e', APP, String(port), this.name];
    const child = spawn(first, rest, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#world.defer(() => void child.kill('SIGKILL'));
    await new Promise<void>((resolve) => child.stdout!.once('data', () => resolve()));
    return child;
  }

  async sidecar(service: string, app: readonly string[], proxy = 0): Promise<Sidecar> {
    const dir = join(this.dir, service);
    mkdirSync(dir, { recursive: true });
    const sidecar = await Sidecar.start({
      service: `${service}.shop`,
      dir,
      control: MESH_AT,
      token: await tokenFor(this.control, `${service}.shop`),
      at: this.inside,
      app,
      more: ['--trust-domain', `${this.name}.test`],
      ...(proxy !== 0 && { proxy: `${this.host.address}:${proxy}` }),
    });
    this.#world.defer(async () => void (await sidecar.stop('SIGKILL')));
    return sidecar;
  }
}

function joined({ name, host, second, roots }: DataCentre, mode: string): string {
  return `
  federation: [${roots.trim()}]
  peers:
    - name: ${name}
      trustDomain: ${name}.test
      gateways: [{ address: ${host.address}, port: ${GATE} }, { address: ${second} }]
      services: [{ namespace: shop }]
      mode: ${mode}`;
}

function manifests(name: Name, more = ''): string {
  const service = (of: string): string => `
apiVersion: v1
kind: Service
metadata: { name: ${of}, namespace: shop }
spec: { ports: [{ name: http, port: 80 }, { name: tcp, port: 81 }] }
---
apiVersion: fourways.io/v1alpha1
kind: BackendPolicy
metadata: { name: ${of}, namespace: shop }
spec:
  targetRefs: [{ kind: Service, name: ${of} }]
  connectTimeout: 1s
  http2: { pingInterval: 500ms, pingTimeout: 500ms }
---`;
  return `
apiVersion: fourways.io/v1alpha1
kind: Mesh
metadata: { name: mesh }
spec:
  trustDomain: ${name}.test${more}
---${['orders', 'stock', 'mail', 'web', 'guest'].map(service).join('')}
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: east-west, namespace: mesh }
spec:
  gatewayClassName: fourways
  listeners:
    - name: mesh
      port: ${GATE}
      protocol: TLS
      hostname: '*.mesh.internal'
      tls: { mode: Passthrough }
      allowedRoutes: { namespaces: { from: All } }
---
apiVersion: fourways.io/v1alpha1
kind: Policy
metadata: { name: callers, namespace: shop }
spec:
  targetRefs: [{ kind: Service, name: stock }]
  filters:
    authorize:
      rules: [{ workloads: ['spiffe://${OTHER[name]}.test/ns/shop/sa/web', 'spiffe://${OTHER[name]}.test/ns/fourways/sa/gateway'] }]
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop }
spec: { gatewayClassName: fourways, listeners: [{ name: http, port: ${EDGE}, protocol: HTTP }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: stock, namespace: shop }
spec: { parentRefs: [{ name: edge }], rules: [{ backendRefs: [{ name: stock, port: 80 }] }] }
`;
}

/** All that comes comes from one place: at once, or when those who call have heard. */
async function settled(load: Load, places: Set<string>, want: string): Promise<void> {
  for (const endMs = performance.now() + 60_000; performance.now() < endMs && load.failures.length === 0;) {
    places.clear();
    // oxlint-disable-next-line no-await-in-loop -- one look after the other
    await load.more(50);
    if (places.size === 1 && places.has(want)) return;
  }
  assert.deepEqual([[...places], load.failures], [[want], []]);
}

/** What an application beside the sidecar gets whose forward proxy is there. */
function call({ host }: DataCentre, port: number, service: string): Promise<{ status: number; text: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
  const asked = request({ host: host.address, port, path: `http://${service}.shop/x`, agent: false }, (answer) => {
    let text = '';
    answer.setEncoding('utf8').on('data', (part: string) => (text += part));
    answer.on('end', () => resolve({ status: answer.statusCode!, text }));
  });
  asked.on('error', reject).end();
  return promise;
}

suite('two data centres', { skip: reason ?? false }, () => {
  const world = new AsyncDisposableStack();
  let network: Network;
  let east: DataCentre;
  let west: DataCentre;
  let gateways: Fourways[];
  let orders: Sidecar;
  let stock: Sidecar;

  before(async () => {
    network = world.use(await Network.make(2));
    east = new DataCentre('east', network.hosts[0]!, world);
    west = new DataCentre('west', network.hosts[1]!, world);
    await Promise.all([east.start(), west.start()]);
    await Promise.all([east.readRoots(), west.readRoots()]);
    east.join(west);
    west.join(east);
    await Promise.all([east.app(8080), west.app(8080), west.app(8081), west.app(8082)]);
    gateways = [await west.startGateway(west.host.address), await west.startGateway(west.second)];
    orders = await east.sidecar('orders', ['http=8080']);
    [, stock] = await Promise.all([
      west.sidecar('orders', ['http=8080']),
      west.sidecar('stock', ['http=8081', 'tcp=8082']),
    ]);
    await Promise.all([east.sidecar('web', [], PROXY), east.sidecar('guest', [], PROXY + 1)]);
    await answers('stock', /^200 west/);
  });

  after(() => world.disposeAsync());

  async function said(service: string, port = PROXY): Promise<string> {
    const { status, text } = await call(east, port, service);
    return `${status} ${text}`;
  }

  async function answers(service: string, want: RegExp): Promise<void> {
    let last = '';
    await east.control
      .until(async () => want.test((last = await said(service).catch(String))), `${service} answers ${want}`, 60_000)
      .catch((error: Error) => assert.fail(`${error.message}\nlast: ${last}`));
  }

  test('workloads of the other data centre cannot be routed to', async () => {
    await assert.rejects(east.exec('ip', 'route', 'get', '10.78.0.1'), /unreachable/i);
    assert.match(await east.exec('ip', 'route', 'get', INSIDE), /^local /);
  });

  test('calls stay here as long as there is an instance', async () => {
    await answers('orders', /^200 east/);
    const all = await Promise.all(Array.from({ length: 40 }, () => said('orders')));
    assert.deepEqual([...new Set(all)], ['200 east /x']);
  });

  test('a Service that is only there is called there, by who it is: its identity is known and authorised', async () => {
    assert.equal(await said('stock'), '200 west /x');
    assert.match(await said('stock', PROXY + 1), /^403 /);
    await stock.heard(/"peer":"spiffe:\/\/east\.test\/ns\/shop\/sa\/web"/);
    await stock.heard(/"peer":"spiffe:\/\/east\.test\/ns\/shop\/sa\/guest"/);
  });

  test('a gateway at the edge calls there, too; and what is not HTTP goes there as it is', async () => {
    const answer = await fetch(`http://${east.host.address}:${EDGE}/x`);
    assert.equal(await answer.text(), 'west /x');
    assert.equal(await connected(PROXY), 'west /raw');
    // Whether it is closed or reset is a matter of what was on its way.
    assert.equal(await connected(PROXY + 1).catch(() => 'refused'), 'refused');
  });

  /** What a program behind the sidecar of `web` or `guest` reads from the port of `stock` that is not read by proxies. */
  async function connected(port: number): Promise<string> {
    await using client = await RawClient.open({ host: east.host.address, port });
    client.send('CONNECT stock.shop:81 HTTP/1.1\r\nHost: stock.shop:81\r\n\r\n');
    assert.equal((await client.responseHead())?.status, 200);
    client.send('GET /raw HTTP/1.1\r\nHost: any\r\n\r\n');
    return Buffer.from((await client.response()).body).toString();
  }

  /** Calls of one service without a pause, one behind the other on each of four connections. */
  function loadOf(service: string): { readonly load: Load; readonly places: Set<string> } {
    const places = new Set<string>();
    const load = new Load({
      target: { host: east.host.address, port: PROXY },
      host: `${service}.shop`,
      path: `http://${service}.shop/x`,
      connections: 4,
      gapMs: 10,
      renewEvery: 0,
      judge: ({ status, body }) => {
        const text = Buffer.from(body).toString();
        places.add(text);
        return status === 200 ? undefined : `${status} ${text}`;
      },
    });
    return { load, places };
  }

  test('instances here are killed under load: calls go to the other data centre, and come back with them', async () => {
    const { load, places } = loadOf('orders');
    try {
      await settled(load, places, 'east /x');
      await orders.stop('SIGKILL');
      await settled(load, places, 'west /x');
      orders = await east.sidecar('orders', ['http=8080']);
      await settled(load, places, 'east /x');
    } finally {
      await load.stop();
    }
    assert.deepEqual(load.failures, []);
    console.log(`${load.requests} requests, none failed`);
  });

  test('calls are spread where that is asked for', async () => {
    east.join(west, 'spread');
    const seen = new Set<string>();
    const isSpread = async (): Promise<boolean> => seen.add(await said('orders')).size === 2;
    await east.control.until(isSpread, 'both data centres answer');
    east.join(west);
    await east.control.until(async () => {
      const all = await Promise.all(Array.from({ length: 20 }, () => said('orders')));
      return all.every((one) => one === '200 east /x');
    }, 'calls stay here again');
  });

  test('one of two gateways is killed under load: the other one passes on, and no call fails', async () => {
    const { load, places } = loadOf('stock');
    try {
      await load.more(100);
      await gateways[0]!.stop('SIGKILL');
      await load.more(300);
    } finally {
      await load.stop();
    }
    assert.deepEqual([load.failures, [...places]], [[], ['west /x']]);
    console.log(`${load.requests} requests, none failed`);
    gateways[0] = await west.startGateway(west.host.address);
  });

  /** Whether TLS began, and with whom; or how it was refused. */
  function knock(
    servername: string,
    shown?: { readonly certificatePem: string; readonly privateKeyPem: string },
  ): Promise<string> {
    const { promise, resolve } = Promise.withResolvers<string>();
    const socket = tls.connect({
      host: west.host.address,
      port: GATE,
      servername,
      rejectUnauthorized: false,
      ...(shown !== undefined && { cert: shown.certificatePem, key: shown.privateKeyPem }),
    });
    let seen = 'nothing';
    socket.on('secureConnect', () => {
      seen = socket.getPeerX509Certificate()?.subjectAltName ?? 'nobody';
      socket.write('GET / HTTP/1.1\r\nhost: stock.shop\r\n\r\n');
    });
    socket.on('data', () => resolve(`${seen}, served`));
    socket.on('error', ({ code }: NodeJS.ErrnoException) => resolve(`${seen}, ${code}`));
    socket.on('close', () => resolve(`${seen}, closed`));
    return promise;
  }

  test('the gateway passes names of its own mesh alone, and a third mesh is refused behind it', async () => {
    const root = makeCertificate({ kind: 'ca', subject: 'Root of a stranger' });
    const uris = ['spiffe://east.test/ns/shop/sa/web'];
    const stranger = makeCertificate({ kind: 'workload', uris, issuer: root });
    const whose = 'URI:spiffe://west.test/ns/shop/sa/stock';
    assert.match(await knock('80.stock.shop.mesh.internal', stranger), new RegExp(`^${whose}, (?!served)`));
    assert.match(await knock('80.stock.shop.mesh.internal'), new RegExp(`^${whose}, (?!served)`));
    for (const name of [
      '82.stock.shop.mesh.internal',
      '80.nobody.shop.mesh.internal',
      'example.org',
      '80.mail.shop.mesh.internal',
    ])
      assert.match(await knock(name, stranger), /^nothing, /, name);
    await stock.said(/workload-unknown-ca/);
  });

  test('nothing goes in a circle: what neither has is refused at once', async () => {
    const startedMs = performance.now();
    const { status, text } = await call(east, PROXY, 'mail');
    // The gateways close the connection, which is all that they can say.
    assert.equal(status, 502, text);
    assert.match(text, /"code":"upstream\.tls-failed"/);
    assert.ok(performance.now() - startedMs < 20_000);
  });

  test('the link is cut: a clear fault for what is only there, and what is here goes on', async () => {
    assert.equal(await said('stock'), '200 west /x');
    await network.link(west.host, 'down');
    const { status, text } = await call(east, PROXY, 'stock');
    assert.ok([502, 503, 504].includes(status), text);
    assert.match(text, /"code":"upstream\.(connect|closed|unreachable|timeout|tls)/);
    assert.equal(await said('orders'), '200 east /x');
    await network.link(west.host, 'up');
    await answers('stock', /^200 west/);
  });

  test('without a gateway there is no way, until there is one again', async () => {
    await Promise.all(gateways.map((one) => one.stop('SIGKILL')));
    assert.match(await said('stock'), /^503 /);
    assert.equal(await said('orders'), '200 east /x');
    await west.startGateway(west.second);
    await answers('stock', /^200 west/);
  });
});
