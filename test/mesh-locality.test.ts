/** Two zones of real programs: calls stay in the zone of the caller, go to the other while there is need, and come back. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { DOOR_HOST, Fourways, freePort } from './client/fourways.ts';
import { Load } from './client/load.ts';
import { Sidecar, tokenFor } from './client/sidecar.ts';

const dir = mkdtempSync(join(tmpdir(), 'fourways-locality-'));
const meshFile = join(dir, 'mesh.yaml');
let meshAt: string;
let control: Fourways;
let web: Sidecar;

type Zone = 'a' | 'b';

/** Says its zone. On SIGUSR2 it is sick: it answers nobody until the next one. */
const ORDERS = `
  const [, port, zone] = process.argv;
  const server = require('node:http').createServer((request, answer) => setTimeout(() => answer.end(zone), 5));
  const listen = () => server.listen(Number(port), '127.0.0.1');
  process.on('SIGUSR2', () => {
    if (!server.listening) return listen();
    server.close();
    server.closeIdleConnections();
  });
  process.on('SIGTERM', () => server.close(() => process.exit(0)));
  listen();
  // Also while it is sick.
  setInterval(() => undefined, 1_000);
`;

before(async () => {
  meshAt = `${DOOR_HOST}:${await freePort(DOOR_HOST)}`;
  writeFileSync(
    meshFile,
    `
apiVersion: fourways.io/v1alpha1
kind: Mesh
metadata: { name: mesh }
---
apiVersion: v1
kind: Service
metadata: { name: orders, namespace: shop }
spec: { ports: [{ name: http, port: 80, appProtocol: http }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: orders, namespace: shop }
spec:
  parentRefs: [{ group: "", kind: Service, name: orders }]
  rules: [{ backendRefs: [{ name: orders, port: 80 }], retry: { attempts: 2, codes: [503], backoff: 10ms } }]
`,
  );
  control = await Fourways.start({ command: 'control', config: meshFile, mesh: meshAt, data: join(dir, 'data') });
  web = await Sidecar.start({
    service: 'web.shop',
    dir,
    control: meshAt,
    token: await tokenFor(control, 'web.shop'),
    more: ['--zone', 'eu/a'],
  });
});

after(async () => {
  await web?.stop();
  await control?.stop('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

async function ordersIn(zone: Zone): Promise<Sidecar> {
  const port = String(await freePort('127.0.0.1'));
  return Sidecar.start({
    service: 'orders.shop',
    dir,
    control: meshAt,
    token: await tokenFor(control, 'orders.shop'),
    app: [port],
    command: [process.execPath, '-e', ORDERS, port, zone],
    more: ['--zone', `eu/${zone}`],
  });
}

/** Steady calls from `web`, and which zones answer them. */
class Calls implements AsyncDisposable {
  readonly load: Load;
  #last: string[] = [];

  constructor() {
    const { hostname, port } = new URL(web.proxy);
    this.load = new Load({
      target: { host: hostname, port: Number(port) },
      host: 'orders.shop',
      path: 'http://orders.shop/',
      connections: 3,
      gapMs: 5,
      renewEvery: 40,
      judge: ({ status, body }) => {
        if (status !== 200) return `Status ${status}: ${body.toString()}`;
        this.#last.push(body.toString());
        return undefined;
      },
    });
  }

  /** Waits until so many calls one after the other were answered from this zone. */
  async onlyIn(zone: Zone, count = 60): Promise<void> {
    this.#last = [];
    await control.until(
      () => this.load.failures.length > 0 || this.#isOnly(zone, count),
      `all calls are answered in zone ${zone}`,
    );
    assert.deepEqual(this.load.failures, []);
  }

  #isOnly(zone: Zone, count: number): boolean {
    const recent = this.#last.slice(-count);
    return recent.length === count && recent.every((one) => one === zone);
  }

  /** No other zone answers the next calls. */
  async stayIn(zone: Zone): Promise<void> {
    this.#last = [];
    await this.load.more(100);
    assert.deepEqual([...new Set(this.#last)], [zone]);
  }

  async end(): Promise<void> {
    await this.load.stop();
    assert.deepEqual(this.load.failures, []);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.load.stop();
  }
}

async function untilReady(count: number): Promise<void> {
  await control.until(async () => {
    const { services } = JSON.parse(await control.adminText('/mesh')) as {
      services: { service: string; ready: number }[];
    };
    return services.find(({ service }) => service.includes('orders'))?.ready === count;
  }, `${count} instances are ready`);
}

test('calls stay in the zone, go to the other one when it fails or is gone, and come back; none of them fails', async () => {
  await using near = await ordersIn('a');
  await using far = await ordersIn('b');
  await untilReady(2);
  await using calls = new Calls();
  await calls.onlyIn('a');
  await calls.stayIn('a');

  // The application beside the sidecar is sick, then well.
  near.child.kill('SIGUSR2');
  await calls.onlyIn('b');
  await untilReady(1);
  near.child.kill('SIGUSR2');
  await calls.onlyIn('a');
  await untilReady(2);
  await calls.stayIn('a');

  // It ends in good order, and another one begins.
  await near.stop();
  await calls.onlyIn('b');
  await using next = await ordersIn('a');
  await calls.onlyIn('a');

  // And the other way round nobody notices.
  await far.stop();
  await calls.stayIn('a');
  await calls.end();
  await next.stop();
});
