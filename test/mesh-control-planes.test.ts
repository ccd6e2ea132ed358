/** Several control planes on one PostgreSQL: any of them serves any proxy, and what one of them loses costs no request. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { promisify } from 'node:util';
import type { MeshSummary } from '../src/control/mesh-summary.ts';
import type { ListedProxy } from '../src/control/shared-proxies.ts';
import { PostgresServer } from '../src/store/testing/postgres-server.ts';
import { DOOR_HOST, Fourways, freePort, programOf } from './client/fourways.ts';
import { Load } from './client/load.ts';
import { Sidecar, tokenFor } from './client/sidecar.ts';

const dir = mkdtempSync(join(tmpdir(), 'fourways-planes-'));
const STATE_KEY = Buffer.alloc(32, 5).toString('base64');
const CONFIG = join(dir, 'mesh.yaml');
let postgres: PostgresServer;
let door: number;
/** Where proxies connect. */
let [nearAt, farAt] = ['', ''];
let near: Fourways;
let far: Fourways;
let gateway: Fourways;

/** Says which process has answered. */
const ORDERS = `
  const server = require('node:http').createServer((request, answer) => answer.end('orders ' + process.pid));
  server.listen(Number(process.argv[1]), '127.0.0.1');
  process.on('SIGTERM', () => server.close(() => process.exit(0)));
`;

const manifests = (): string => `
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
kind: Gateway
metadata: { name: edge, namespace: shop }
spec: { gatewayClassName: fourways, listeners: [{ name: http, port: ${door}, protocol: HTTP }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: all, namespace: shop }
spec: { parentRefs: [{ name: edge }], rules: [{ backendRefs: [{ name: orders, port: 80 }] }] }
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: orders, namespace: shop }
spec:
  parentRefs: [{ group: '', kind: Service, name: orders, port: 80 }]
  rules: [{ backendRefs: [{ name: orders, port: 80 }] }]
`;

before(async () => {
  postgres = await PostgresServer.start();
  door = await freePort(DOOR_HOST);
  [nearAt, farAt] = [`${DOOR_HOST}:${await freePort(DOOR_HOST)}`, `${DOOR_HOST}:${await freePort(DOOR_HOST)}`];
  writeFileSync(CONFIG, manifests());
  // Both begin with nothing, at once.
  [near, far] = await Promise.all([startControl(nearAt), startControl(farAt)]);
  const tokenFile = join(dir, 'edge-token');
  writeFileSync(tokenFile, await tokenFor(near, 'edge.shop'), { mode: 0o600 });
  gateway = await Fourways.start({
    command: 'gateway',
    config: '',
    args: ['--name', 'shop/edge', '--control', farAt, '--control', nearAt, '--token-file', tokenFile],
    workers: 1,
    data: join(dir, 'edge'),
    drain: '5s',
  });
});

after(async () => {
  for (const one of [gateway, near, far]) await one?.stop('SIGKILL');
  await postgres?.[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true, force: true });
});

function startControl(at: string): Promise<Fourways> {
  return Fourways.start({
    command: 'control',
    config: CONFIG,
    mesh: at,
    data: join(dir, `data-${at}`),
    env: { DATABASE_URL: postgres.url, FOURWAYS_STATE_KEY: STATE_KEY },
  });
}

/** @param controls  addresses that it knows */
async function startOrders(...controls: readonly string[]): Promise<Sidecar> {
  const port = await freePort('127.0.0.1');
  const [control = '', ...others] = controls;
  return Sidecar.start({
    service: 'orders.shop',
    dir,
    control,
    more: others.flatMap((one) => ['--control', one]),
    token: await tokenFor(far, 'orders.shop'),
    app: [String(port)],
    command: [process.execPath, '-e', ORDERS, String(port)],
  });
}

async function startWeb(control: string, ...others: readonly string[]): Promise<Sidecar> {
  const token = await tokenFor(near, 'web.shop');
  const more = others.flatMap((one) => ['--control', one]);
  return Sidecar.start({ service: 'web.shop', dir, control, more, token });
}

const run = promisify(execFile);

async function call(proxy: string): Promise<string> {
  const { stdout } = await run('curl', ['-sS', '-m', '10', '-x', proxy, 'http://orders.shop/']);
  return stdout;
}

async function cli({ admin }: Fourways, ...args: string[]): Promise<string> {
  const words = [...programOf('source'), ...args, '--admin', new URL(admin).host];
  return (await run(process.execPath, words)).stdout;
}

async function meshOf(program: Fourways): Promise<MeshSummary> {
  return JSON.parse(await program.adminText('/mesh')) as MeshSummary;
}

async function proxiesOf(program: Fourways): Promise<ListedProxy[]> {
  return (JSON.parse(await program.adminText('/proxies')) as { proxies: ListedProxy[] }).proxies;
}

/** Instances of orders that are ready. */
async function ready(program: Fourways): Promise<number> {
  return (await meshOf(program)).services.find(({ service }) => service === 'shop/orders')?.ready ?? 0;
}

async function untilServed(): Promise<void> {
  await gateway.until(async () => (await fetch(`http://${DOOR_HOST}:${door}/`)).ok, 'the service is reachable');
}

/** Calls through the gateway until the end of the test. */
function loadOn(t: TestContext): Load {
  const target = { host: DOOR_HOST, port: door };
  const load = new Load({ target, host: 'shop.test', path: '/', connections: 4, gapMs: 5, renewEvery: 20 });
  t.after(() => load.stop());
  return load;
}

test('proxies of two control planes call each other, and either control plane knows all of them', async () => {
  await using orders = await startOrders(nearAt);
  await using web = await startWeb(farAt);
  await untilServed();
  assert.match(await call(web.proxy), /^orders \d+$/);
  for (const [program, other] of [
    [near, farAt],
    [far, nearAt],
  ] as const) {
    await program.until(async () => (await proxiesOf(program)).length === 3, 'all proxies are listed');
    const rows = await proxiesOf(program);
    const holds = (account: string): string | undefined =>
      rows.find(({ identity }) => identity.endsWith(`/sa/${account}`))?.control;
    assert.deepEqual([holds('orders'), holds('web')], [nearAt, farAt]);
    await program.until(
      async () =>
        (await proxiesOf(program)).every(({ version, wanted }) => version !== undefined && version === wanted),
      'all of them serve their plan',
    );
    const lines = await cli(program, 'proxies');
    assert.match(lines, new RegExp(`shop/orders .* ${nearAt}$`, 'm'));
    assert.match(lines, new RegExp(`sa/web .* ${farAt}$`, 'm'));
    assert.match(await cli(program, 'status'), new RegExp(`^Control planes: .*${other} \\((leads|follows)\\)`, 'm'));
    assert.match(await cli(program, 'status'), /^3 of 3 proxies serve their plan$/m);
    // Each knows of proxies of the other who has acknowledged what.
    await program.until(async () => {
      const now = await proxiesOf(program);
      const served = (account: string): string => {
        const { wanted = 'none' } = now.find(({ identity }) => identity.endsWith(`/sa/${account}`))!;
        return `True +Acknowledged: 1 of 1 proxies serve it: plan ${wanted.slice(0, 12)}$`;
      };
      const text = await cli(program, 'status');
      return [
        `^Gateway shop/edge +- +fourways.io/Acknowledged +${served('edge')}`,
        `^HTTPRoute shop/all +Gateway shop/edge +fourways.io/Acknowledged +${served('edge')}`,
        `^HTTPRoute shop/orders +Service shop/orders +fourways.io/Acknowledged +${served('web')}`,
      ].every((line) => new RegExp(line, 'm').test(text));
    }, 'objects say who serves them');
    const verified = JSON.parse(await cli(program, 'verify', '--json')) as {
      unheard: { identity: string; reason: string }[];
    };
    assert.match(
      verified.unheard.map(({ identity, reason }) => `${identity}: ${reason}`).join('\n'),
      new RegExp(`/sa/${other === farAt ? 'web' : 'orders'}: It is connected to the control plane ${other}: ask there`),
    );
  }
  // What they do now can be asked where they are connected: of one control plane, or of both.
  await call(web.proxy);
  const notAsked = new RegExp(
    `^\\S+/sa/web \\(\\S+\\) was not asked: It is connected to the control plane ${farAt}: ask there$`,
    'm',
  );
  assert.match(await cli(near, 'verify'), notAsked);
  const both = await cli(near, 'verify', '--strict', '--admin', new URL(far.admin).host);
  assert.match(both, /^\S+\/sa\/web +\S+\/sa\/orders .* both ends$/m);
  assert.match(both, /^3 proxies have answered/m);
  const leaders = [await meshOf(near), await meshOf(far)].filter(({ control }) => control.leads);
  assert.equal(leaders.length, 1, 'one leads');
  assert.equal(orders.child.exitCode, null);
});

test('an endpoint that changes at one control plane is seen at the other within a second', async () => {
  await using _first = await startOrders(nearAt);
  const tookMs: number[] = [];
  for (let i = 0; i < 3; i++) {
    const second = await startOrders(nearAt);
    tookMs.push(await lagOf(2));
    await second.stop();
    tookMs.push(await lagOf(1));
  }
  // A machine that is busy with something else may be late once.
  assert.ok(tookMs.toSorted((a, b) => a - b)[2]! < 1_000, `it took ${tookMs.join(', ')} ms`);
});

/** From when so many are ready at the near one until they are at the far one. */
async function lagOf(count: number): Promise<number> {
  const seen = [near, far].map(async (program) => {
    await program.until(async () => (await ready(program)) === count, `${count} are ready`);
    return performance.now();
  });
  const [here = 0, there = 0] = await Promise.all(seen);
  return there - here;
}

test('a token that was used at one control plane is refused at the other', async () => {
  const token = await tokenFor(near, 'web.shop');
  await using _web = await Sidecar.start({ service: 'web.shop', dir, control: nearAt, token });
  await using second = await Sidecar.spawn({ service: 'web.shop', dir, control: farAt, token });
  assert.notEqual((await second.ended).code, 0);
  assert.match(second.err, /The join token was used already/);
  await far.until(() => /"code":"token\.spent"/.test(far.output()), 'it is logged');
});

test('who is denied at one control plane is cut off at the other, and let in again', async () => {
  await using _orders = await startOrders(nearAt);
  await using web = await startWeb(farAt);
  await far.until(async () => (await ready(far)) === 1, 'orders is known');
  const calls = async (): Promise<boolean> => (await call(web.proxy)).startsWith('orders ');
  assert.ok(await calls());
  const identity = 'spiffe://cluster.local/ns/shop/sa/web';
  await post(near, '/mesh/deny', { identity, reason: 'lost' });
  await web.said(/push.identity-refused/);
  await far.until(async () => !(await calls()), 'its calls are turned away');
  assert.match(await far.adminText('/mesh/denied'), /shop\/sa\/web/);
  await post(far, '/mesh/allow', { identity });
  await near.until(calls, 'it is let in again');
});

async function post({ admin }: Fourways, path: string, body: object): Promise<void> {
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(admin + path, { method: 'POST', headers, body: JSON.stringify(body) });
  assert.equal(answer.status, 200, await answer.text());
}

test('PostgreSQL is killed and comes back: no request fails, and who came meanwhile is served', async (t) => {
  await using orders = await startOrders(nearAt);
  await using web = await startWeb(farAt);
  const second = await startOrders(nearAt);
  await second.stop();
  await untilServed();
  const load = loadOn(t);
  await load.more(20);
  await postgres.kill('SIGKILL');
  for (const program of [near, far]) {
    await program.until(async () => (await meshOf(program)).store.state === 'away', 'the loss is said');
    assert.equal((await fetch(`${program.admin}/readyz`)).status, 200);
  }
  await using came = await second.again();
  await near.until(async () => (await ready(near)) === 2, 'it has registered');
  await load.more(100);
  assert.equal(await ready(far), 1, 'the other one does not know it yet');
  await postgres.resume();
  await far.until(async () => (await ready(far)) === 2, 'the other one knows it');
  const answers = new Set<string>();
  await far.until(async () => answers.add(await call(web.proxy)).size === 2, 'both are called by whoever is there');
  await load.more(100);
  await load.stop();
  assert.deepEqual(load.failures, []);
  await near.until(
    async () => (await Promise.all([near, far].map(meshOf))).filter(({ control }) => control.leads).length === 1,
    'one leads again',
  );
  assert.deepEqual([orders.child.exitCode, came.child.exitCode], [null, null]);
});

test('a control plane is killed: no request fails, and its proxies go to the other one', async (t) => {
  await using orders = await startOrders(nearAt, farAt);
  await using web = await startWeb(farAt, nearAt);
  await untilServed();
  assert.match(await call(web.proxy), /^orders /);
  const load = loadOn(t);
  await load.more(20);
  await near.until(async () => (await proxiesOf(near)).length === 3, 'all proxies are listed');
  const holder = (await proxiesOf(near)).find(({ identity }) => identity.endsWith('/sa/orders'))!.control;
  const [lost, left, lostAt, leftAt] = holder === nearAt ? [near, far, nearAt, farAt] : [far, near, farAt, nearAt];
  await lost.stop('SIGKILL');
  await left.until(async () => {
    const rows = await proxiesOf(left);
    return rows.length === 3 && rows.every(({ control }) => control === leftAt);
  }, 'all proxies are at the one that is left');
  await left.until(
    async () => (await meshOf(left)).controls.some(({ name, state }) => name === lostAt && state === 'lost'),
    'it is said to be gone',
  );
  await left.until(async () => (await meshOf(left)).control.leads, 'the one that is left leads');
  assert.match(await cli(left, 'proxies'), /shop\/orders/);
  for (let i = 0; i < 10; i++) assert.match(await call(web.proxy), /^orders /);
  const back = await startControl(lostAt);
  if (holder === nearAt) near = back;
  else far = back;
  await back.until(async () => (await proxiesOf(back)).length === 3, 'the one that is back knows all proxies');
  assert.equal(await ready(back), 1);
  await load.more(100);
  await load.stop();
  assert.deepEqual(load.failures, []);
  assert.equal(orders.child.exitCode, null);
});
