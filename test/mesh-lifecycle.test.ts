/** How instances of a mesh begin, change and end, with real programs and requests that run meanwhile. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { DOOR_HOST, Fourways, freePort } from './client/fourways.ts';
import { Load } from './client/load.ts';
import { Sidecar, type SidecarOptions, tokenFor } from './client/sidecar.ts';

const dir = mkdtempSync(join(tmpdir(), 'fourways-lifecycle-'));
let door: number;
let meshAt: string;
let program: Fourways;

before(async () => {
  door = await freePort(DOOR_HOST);
  meshAt = `${DOOR_HOST}:${await freePort(DOOR_HOST)}`;
  const service = (name: string): string => `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec: { ports: [{ name: http, port: 80, appProtocol: http }] }
---`;
  writeFileSync(
    join(dir, 'mesh.yaml'),
    `apiVersion: fourways.io/v1alpha1
kind: Mesh
metadata: { name: mesh }
---${service('orders')}${service('bills')}${service('web')}
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop }
spec: { gatewayClassName: fourways, listeners: [{ name: http, port: ${door}, protocol: HTTP }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: all, namespace: shop }
spec:
  parentRefs: [{ name: edge }]
  rules:
    - { matches: [{ path: { value: /bills } }], backendRefs: [{ name: bills, port: 80 }] }
    - { backendRefs: [{ name: orders, port: 80 }] }
`,
  );
  program = await Fourways.start({ config: join(dir, 'mesh.yaml'), workers: 1, mesh: meshAt, data: join(dir, 'data') });
});

after(async () => {
  await program?.stop('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

/** Says which process answers; ends politely; writes what it hears. */
const APPLICATION = `
  const server = require('node:http').createServer((request, answer) => {
    answer.setHeader('x-instance', String(process.pid));
    setTimeout(() => answer.end('ok'), request.url.endsWith('/slow') ? 300 : 0);
  });
  const port = Number(process.argv[1]);
  if (port > 0) server.listen(port, '127.0.0.1');
  else setInterval(() => undefined, 1000);
  for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGQUIT']) process.on(signal, () => console.log('heard ' + signal));
  for (const signal of ['SIGTERM', 'SIGINT']) {
    process.on(signal, () => {
      console.log('heard ' + signal);
      server.close();
      server.closeAllConnections();
      process.exit(9);
    });
  }
  console.log('application runs as ' + process.pid);
`;

const RUNS = /application runs as (\d+)/;

async function member(service: string, more: Partial<SidecarOptions> = {}): Promise<SidecarOptions> {
  return { service, dir, control: meshAt, token: await tokenFor(program, service), ...more };
}

async function instanceOf(service: string): Promise<Sidecar> {
  const port = await freePort('127.0.0.1');
  const command = [process.execPath, '-e', APPLICATION, String(port)];
  return Sidecar.start(await member(service, { app: [String(port)], command }));
}

/** Who answers; empty where nobody does. */
async function answererAt(path: string): Promise<string> {
  const answer = await fetch(`http://${DOOR_HOST}:${door}${path}`);
  await answer.text();
  return answer.ok ? (answer.headers.get('x-instance') ?? '') : '';
}

async function untilAnswered(path: string, who: (instance: string) => boolean): Promise<void> {
  await program.until(async () => who(await answererAt(path)), `it is answered at ${path}`);
}

async function readyOf(service: string): Promise<number> {
  const { services } = JSON.parse(await program.adminText('/mesh')) as {
    services: { service: string; ready: number }[];
  };
  return services.find((one) => one.service === service)?.ready ?? 0;
}

/** From the edge, and from a workload through its forward proxy. */
function loads(web: Sidecar): Load[] {
  const common = { host: 'orders.shop', connections: 3, gapMs: 5, renewEvery: 40 };
  const { hostname, port } = new URL(web.proxy);
  return [
    new Load({ ...common, target: { host: DOOR_HOST, port: door }, path: '/slow' }),
    new Load({ ...common, target: { host: hostname, port: Number(port) }, path: 'http://orders.shop/slow' }),
  ];
}

async function endOf(running: readonly Load[]): Promise<void> {
  await Promise.all(running.map((load) => load.more(15)));
  await Promise.all(running.map((load) => load.stop()));
  assert.deepEqual(
    running.map(({ failures }) => failures),
    running.map(() => []),
  );
}

test('from one instance to five and back to one, all of them serve, and no request fails', async () => {
  await using web = await Sidecar.start(await member('web.shop'));
  await using first = await instanceOf('orders.shop');
  await untilAnswered('/', (instance) => instance !== '');
  const running = loads(web);
  const others = await Promise.all([1, 2, 3, 4].map(() => instanceOf('orders.shop')));
  const seen = new Set<string>();
  await program.until(async () => seen.add(await answererAt('/')).size === 5, 'five serve');
  // Others end before the load does: their answers in flight are waited for.
  const ended = await Promise.all(others.map((other) => other.stop()));
  assert.deepEqual(
    ended.map(({ code }) => code),
    [9, 9, 9, 9],
  );
  await program.until(async () => (await readyOf('shop/orders')) === 1, 'one is left');
  await endOf(running);
  assert.equal((await first.stop()).code, 9);
});

test('a sidecar is upgraded in its place, at either end of a call, and no request fails', async () => {
  const app = await listening((_, answer) => answer.setHeader('x-instance', 'app').end('ok'));
  const { port } = app.address() as { port: number };
  await using web = await Sidecar.start(await member('web.shop'));
  await using orders = await Sidecar.start(await member('orders.shop', { app: [String(port)] }));
  await untilAnswered('/', (instance) => instance === 'app');
  const running = loads(web);
  await Promise.all(running.map((load) => load.more(5)));
  const before = await proxiesNow();
  await using newOrders = await orders.successor();
  assert.deepEqual(await orders.ended, { code: 0, signal: null });
  await Promise.all(running.map((load) => load.more(15)));
  await using newWeb = await web.successor();
  assert.deepEqual(await web.ended, { code: 0, signal: null });
  await program.until(async () => (await proxiesNow()).length === 2, 'both are connected');
  await endOf(running);
  // The same instances, with the certificates that they had.
  assert.deepEqual(await proxiesNow(), before);
  assert.notEqual(newOrders.child.pid, orders.child.pid);
  assert.match(newWeb.err, /Took over/);
  assert.doesNotMatch(newWeb.err, /Joined the mesh/);
  app.close();
});

async function proxiesNow(): Promise<string[]> {
  const { proxies } = JSON.parse(await program.adminText('/proxies')) as {
    proxies: { identity: string; instance: string }[];
  };
  return proxies.map(({ identity, instance }) => `${identity} ${instance}`).toSorted();
}

async function listening(onRequest: Parameters<typeof createServer>[1]): Promise<Server> {
  const server = createServer({ keepAliveTimeout: 60_000 }, onRequest!);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

test('a take-over of what is no sidecar of this folder is refused', async () => {
  await using web = await Sidecar.start(await member('web.shop'));
  await using other = await Sidecar.spawn(await member('web.shop'));
  await other.stop('SIGKILL');
  const wrong = other.successorAt(web.proxy);
  assert.equal((await wrong.ended).code, 1);
  assert.match(wrong.err, /Cannot take over: process \d+ \(\S+\) holds port \d+/);
  assert.equal(web.child.exitCode, null);
});

test('signals are passed on, and the exit code of the application is that of both', async () => {
  await using service = await instanceOf('bills.shop');
  await service.heard(RUNS);
  for (const signal of ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGQUIT'] as const) {
    service.child.kill(signal);
    await service.heard(new RegExp(`heard ${signal}`));
  }
  assert.equal(service.child.exitCode, null);
  assert.deepEqual(await service.stop('SIGINT'), { code: 9, signal: null });
  assert.match(service.out, /heard SIGINT/);
});

test('it drains before the application is told to end', async () => {
  await using service = await instanceOf('bills.shop');
  await untilAnswered('/bills/', (instance) => instance !== '');
  const slow = answererAt('/bills/slow');
  await program.until(async () => (await exchangesNow()) > 0, 'the request is there');
  assert.deepEqual(await service.stop('SIGTERM'), { code: 9, signal: null });
  assert.notEqual(await slow, '');
  assert.equal(await answererAt('/bills/'), '');
});

/** Requests that the gateway has open. */
async function exchangesNow(): Promise<number> {
  const { workers } = JSON.parse(await program.adminText('/endpoints')) as { workers: { exchanges: number }[] };
  return workers.reduce((sum, { exchanges }) => sum + exchanges, 0);
}

test('an application that crashes takes its sidecar with it, and nobody calls it any more', async () => {
  await using service = await instanceOf('bills.shop');
  await untilAnswered('/bills/', (instance) => instance !== '');
  const started = performance.now();
  process.kill(Number((await service.heard(RUNS))[1]), 'SIGKILL');
  assert.deepEqual(await service.ended, { code: 128 + 9, signal: null });
  assert.match(service.err, /The application ended by SIGKILL/);
  await program.until(async () => (await readyOf('shop/bills')) === 0, 'it is taken out');
  // By its word, and not because it was waited for in vain.
  assert.doesNotMatch(program.output(), /did not come back/);
  assert.ok(performance.now() - started < 15_000);
});

test('an application that never opens its port gets nothing, and is told to end like any other', async () => {
  const port = await freePort('127.0.0.1');
  const command = [process.execPath, '-e', APPLICATION, '0'];
  await using service = await Sidecar.start(await member('bills.shop', { app: [String(port)], command }));
  await program.until(async () => (await program.adminText('/mesh')).includes('"notReady": 1'), 'it is not ready');
  assert.equal(await answererAt('/bills/'), '');
  assert.deepEqual(await service.stop(), { code: 9, signal: null });
});

test('who waits for a control plane that is away ends when it is told to', async () => {
  const nowhere = `${DOOR_HOST}:${await freePort(DOOR_HOST)}`;
  await using waiting = await Sidecar.spawn({ ...(await member('web.shop')), control: nowhere, command: ['true'] });
  await waiting.said(/Cannot join yet/);
  assert.equal((await waiting.stop()).code, 128 + 15);
});

const isRoot = process.getuid?.() === 0;

test('as the first process of a container it passes signals and exit codes on', { skip: !isRoot }, async (t) => {
  const within = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'];
  try {
    execFileSync(within[0]!, [...within.slice(1), 'true']);
  } catch {
    t.skip('no namespaces of processes here');
    return;
  }
  const port = await freePort('127.0.0.1');
  const command = [process.execPath, '-e', APPLICATION, String(port)];
  await using service = await Sidecar.start(await member('bills.shop', { app: [String(port)], command, within }));
  await untilAnswered('/bills/', (instance) => instance !== '');
  assert.match(service.err, /"pid":1[,}]/);
  // Signals from outside of the namespace reach its first process as from its container's engine.
  const inner = execFileSync('pgrep', ['-P', String(service.child.pid)], { encoding: 'utf8' }).trim();
  process.kill(Number(inner), 'SIGTERM');
  assert.deepEqual(await service.ended, { code: 9, signal: null });
});
