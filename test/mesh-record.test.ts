/** From what is seen of calls in a mesh that runs to policies that allow just those: recorded, reviewed, tried out, enforced. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import type { RecordedCalls } from '../src/api/admin/record-routes.ts';
import { DOOR_HOST, Fourways, freePort, programOf } from './client/fourways.ts';
import { Sidecar, tokenFor } from './client/sidecar.ts';

const run = promisify(execFile);
const dir = mkdtempSync(join(tmpdir(), 'fourways-record-'));
const world = new AsyncDisposableStack();
let program: Fourways;
let orders: Sidecar;
/** Callers, each with the local port that leads to the port of `orders` that is not read. */
let web: Caller;
let job: Caller;
/** Of `orders`, in clear text. */
let clear: string;

interface Caller {
  readonly sidecar: Sidecar;
  readonly rawPort: number;
}

const ORDERS = `
  const [http, raw] = process.argv.slice(1).map(Number);
  require('node:http').createServer((request, answer) => {
    answer.statusCode = request.url.startsWith('/.') ? 404 : 200;
    answer.end('orders');
  }).listen(http, '127.0.0.1');
  require('node:net').createServer((socket) => socket.on('error', () => {}).end('raw')).listen(raw, '127.0.0.1');
`;

const MESH = `apiVersion: fourways.io/v1alpha1
kind: Mesh
metadata: { name: mesh }
spec: { mtls: permissive, authorization: audit }
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
---
apiVersion: v1
kind: Service
metadata: { name: job, namespace: front }
spec: { ports: [{ name: http, port: 80 }] }
`;

before(async () => {
  const control = `${DOOR_HOST}:${await freePort(DOOR_HOST)}`;
  writeFileSync(join(dir, 'mesh.yaml'), MESH);
  program = await Fourways.start({
    config: join(dir, 'mesh.yaml'),
    workers: 1,
    mesh: control,
    data: join(dir, 'data'),
  });
  world.defer(async () => void (await program.stop('SIGKILL')));
  const [http, raw] = [await freePort(DOOR_HOST), await freePort('127.0.0.1')];
  clear = `http://${DOOR_HOST}:${http}`;
  // Alone: the port that is permissive must be free here and there.
  orders = await startOrders(control, [http, raw]);
  [web, job] = await Promise.all([caller('web.front', control), caller('job.front', control)]);
  await program.until(async () => (await get(web, '/ready')) === '200', 'the service is reachable');
  await program.until(async () => (await knock(web)) === 'raw', 'so is its other port');
});

after(async () => {
  await world.disposeAsync();
  rmSync(dir, { recursive: true, force: true });
});

async function startOrders(control: string, [http, raw]: readonly [number, number]): Promise<Sidecar> {
  return world.use(
    await Sidecar.start({
      service: 'orders.shop',
      dir,
      control,
      token: await tokenFor(program, 'orders.shop'),
      app: [`http=${http}`, `raw=${raw}`],
      command: [process.execPath, '-e', ORDERS, String(http), String(raw)],
    }),
  );
}

async function caller(service: string, control: string): Promise<Caller> {
  const rawPort = await freePort('127.0.0.1');
  const token = await tokenFor(program, service);
  const locals = [`orders.shop:9000=${rawPort}`];
  return { sidecar: world.use(await Sidecar.start({ service, dir, control, token, locals })), rawPort };
}

/** Status, or the code of a fault. */
async function curl(...args: string[]): Promise<string> {
  const { stdout } = await run('curl', ['-sS', '-m', '10', '-w', '\n%{http_code}', ...args]);
  return /"code":"([^"]+)"/.exec(stdout)?.[1] ?? stdout.split('\n').at(-1)!;
}

function get(by: Caller, path: string, method = 'GET'): Promise<string> {
  return curl('-x', by.sidecar.proxy, '-X', method, `http://orders.shop${path}`);
}

/** What the port that is not read says; empty when it is closed. */
async function knock({ rawPort }: Caller): Promise<string> {
  const socket = connect(rawPort, '127.0.0.1');
  let heard = '';
  socket.on('error', () => undefined).on('data', (bytes) => (heard += bytes.toString()));
  await once(socket, 'close');
  return heard;
}

/** One of our own commands, in the folder of the configuration. */
async function cli(...args: string[]): Promise<{ readonly stdout: string; readonly stderr: string }> {
  return run(process.execPath, [...programOf('source'), ...args], { cwd: dir });
}

async function record(...args: string[]): Promise<{ readonly stdout: string; readonly stderr: string }> {
  return cli('record', ...args, '--admin', new URL(program.admin).host);
}

/** Every sidecar counts from now on. */
async function untilHeard(): Promise<void> {
  await program.until(async () => {
    const { heard } = JSON.parse(await program.adminText('/mesh/recording')) as RecordedCalls;
    return heard === 3;
  }, 'every sidecar is recorded');
}

test('calls are recorded and proposed: tried out they refuse nothing, enforced they refuse everything else', async () => {
  assert.match((await record('start')).stdout, /^Recording, for 1440 minutes more/);
  await untilHeard();
  for (const path of ['/orders/17', '/orders/18', '/health']) assert.equal(await get(web, path), '200');
  assert.equal(await get(web, '/orders', 'POST'), '200');
  assert.equal(await get(web, '/.env'), '404');
  assert.equal(await get(job, '/health'), '200');
  assert.equal(await knock(job), 'raw');
  assert.equal(await curl(`${clear}/stock`), '200');
  const wanted = [
    'web GET /orders/* 2',
    'web GET /health 1',
    'web POST /orders 1',
    'web GET /.env 1',
    'job GET /health 1',
    'job tcp 1',
    ' GET /stock 1',
  ];
  await program.until(async () => {
    const { rows } = JSON.parse(await program.adminText('/mesh/recording/calls')) as RecordedCalls;
    const counted = rows.map(({ source, protocol, method, path, calls }) =>
      [source.split('/').at(-1), ...(protocol === 'tcp' ? [protocol] : [method, path]), calls].join(' '),
    );
    return wanted.every((one) => counted.includes(one));
  }, 'all of it is counted');
  await record('stop');

  const { stdout: diff, stderr: notes } = await record('--config', 'mesh.yaml');
  assert.match(notes, /In clear text.*\n {2}shop\/orders:80 {2}GET \/stock {2}1 call/);
  assert.match(notes, /by the application, and not proposed:\n {2}shop\/orders:80 {2}GET \/\.env/);
  assert.match(diff, /^--- a\/mesh.yaml\n\+\+\+ b\/mesh.yaml\n/);
  assert.equal(readFileSync(join(dir, 'mesh.yaml'), 'utf8'), MESH);

  await record('--config', 'mesh.yaml', '--write', 'mesh.yaml');
  await cli('check', 'mesh.yaml');
  const text = readFileSync(join(dir, 'mesh.yaml'), 'utf8');
  assert.match(text, /name: orders-callers-http[^]*mode: audit[^]*- \/orders\/\*/);
  assert.doesNotMatch(text, /stock|\.env|orders\/17/);
  // Tried out together with the default of the mesh: what is proposed is not even said any more, the rest is said and passes.
  await program.until(async () => {
    const before = orders.out.length;
    assert.equal(await get(web, '/orders/19'), '200');
    assert.equal(await get(web, '/other'), '200');
    assert.equal(await knock(web), 'raw');
    await program.until(() => orders.out.slice(before).includes('"protocol":"tls"'), 'it is logged');
    const lines = orders.out.slice(before).split('\n');
    const isAudited = (word: string): boolean =>
      lines.some((line) => line.includes(word) && line.includes('audit.authorize'));
    return !isAudited('/orders/19') && isAudited('/other') && isAudited('"protocol":"tls"');
  }, 'the policies are tried out');

  const { stderr } = await record('--config', 'mesh.yaml', '--write', 'mesh.yaml', '--enforce');
  assert.match(stderr, /Changed mesh.yaml/);
  await cli('check', 'mesh.yaml');
  assert.doesNotMatch(readFileSync(join(dir, 'mesh.yaml'), 'utf8'), /mode: audit/);
  await program.until(async () => (await get(web, '/other')) === 'authorize.denied', 'another path is refused');
  await program.until(async () => (await knock(web)) === '', 'so is another caller');
  for (const path of ['/orders/20', '/health']) assert.equal(await get(web, path), '200');
  assert.equal(await get(web, '/orders', 'POST'), '200');
  assert.equal(await get(job, '/health'), '200');
  assert.equal(await knock(job), 'raw');
  for (const [path, method] of [
    ['/orders/20', 'DELETE'],
    ['/orders/20/items', 'GET'],
    ['/.env', 'GET'],
  ] as const) {
    assert.equal(await get(web, path, method), 'authorize.denied', `${method} ${path}`);
  }
  assert.equal(await get(job, '/orders/20'), 'authorize.denied');
  assert.equal(await curl(`${clear}/stock`), 'authorize.denied');
});

test('what is called in addition is added, and what is refused is not', async () => {
  const before = readFileSync(join(dir, 'mesh.yaml'), 'utf8');
  writeFileSync(join(dir, 'mesh.yaml'), before.replace('  targetRefs:', '  mode: audit\n  targetRefs:'));
  await program.until(async () => (await get(web, '/added/7')) === '200', 'it is tried out again');
  await record('start', '--seconds', '600');
  await untilHeard();
  assert.equal(await get(web, '/added/7'), '200');
  assert.equal(await knock(web), '');
  const proposed = async (): Promise<{ diff: string; refused: { source: string; port: number }[] }> =>
    JSON.parse((await record('--config', 'mesh.yaml', '--json')).stdout) as ReturnType<typeof proposed>;
  await program.until(async () => {
    const { diff, refused } = await proposed();
    return diff.includes('/added/*') && refused.length > 0;
  }, 'both were heard of');
  const { diff, refused } = await proposed();
  assert.deepEqual(
    diff.split('\n').filter((line) => /^[+-](?!\+\+|--)/.test(line)),
    ['+            - /added/*'],
  );
  assert.deepEqual(
    refused.map(({ source, port }) => [source, port]),
    [['spiffe://cluster.local/ns/front/sa/web', 9_000]],
  );
});
