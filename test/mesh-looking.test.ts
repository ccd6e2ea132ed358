/** Looking into a mesh that runs: who has proved what to whom, and live requests of all proxies. */
import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { OpenConnection, ProvedConnection } from '../src/cli/connection-pairs.ts';
import type { TappedRequest } from '../src/ir/observed.ts';
import { DOOR_HOST, Fourways, freePort, programOf } from './client/fourways.ts';
import { Sidecar, tokenFor } from './client/sidecar.ts';

const dir = mkdtempSync(join(tmpdir(), 'fourways-looking-'));
const GATEWAY = 'spiffe://cluster.local/ns/fourways/sa/gateway';
const WEB = 'spiffe://cluster.local/ns/shop/sa/web';
const ORDERS = 'spiffe://cluster.local/ns/shop/sa/orders';

let door: number;
let ordersPort: number;
let program: Fourways;
let orders: Sidecar;
let web: Sidecar;
/** Where sidecars are looked into. */
let adminOf: Readonly<Record<'orders' | 'web', string>>;
/** A service whose instance has no sidecar. */
let legacy: Server;

const APP = `
  require('node:http').createServer((request, answer) => answer.end('orders ' + request.url))
    .listen(Number(process.argv[1]), '127.0.0.1');
`;

before(async () => {
  door = await freePort(DOOR_HOST);
  ordersPort = await freePort(DOOR_HOST);
  legacy = createServer((_, answer) => answer.end('legacy')).listen(0, DOOR_HOST);
  await once(legacy, 'listening');
  writeFileSync(join(dir, 'mesh.yaml'), manifests((legacy.address() as { port: number }).port));
  const control = `${DOOR_HOST}:${await freePort(DOOR_HOST)}`;
  program = await Fourways.start({
    config: join(dir, 'mesh.yaml'),
    workers: 2,
    mesh: control,
    data: join(dir, 'data'),
  });
  const admins = [`${DOOR_HOST}:${await freePort(DOOR_HOST)}`, `${DOOR_HOST}:${await freePort(DOOR_HOST)}`] as const;
  adminOf = { orders: admins[0], web: admins[1] };
  orders = await Sidecar.start({
    service: 'orders.shop',
    dir,
    control,
    token: await tokenFor(program, 'orders.shop'),
    app: [String(ordersPort)],
    command: [process.execPath, '-e', APP, String(ordersPort)],
    more: ['--admin', adminOf.orders],
  });
  web = await Sidecar.start({
    service: 'web.shop',
    dir,
    control,
    token: await tokenFor(program, 'web.shop'),
    more: ['--admin', adminOf.web],
  });
  for (const path of ['/', '/legacy']) {
    await program.until(async () => (await edge(path)).ok, `${path} is reachable`);
  }
  await program.until(async () => (await fromWeb('/')) === 'orders /', 'it is reachable from web');
});

after(async () => {
  legacy?.close();
  await Promise.all([program?.stop('SIGKILL'), orders?.stop('SIGKILL'), web?.stop('SIGKILL')]);
  rmSync(dir, { recursive: true, force: true });
});

function manifests(legacyPort: number): string {
  const service = (name: string, port = 80): string => `
apiVersion: v1
kind: Service
metadata: { name: ${name}, namespace: shop }
spec: { ports: [{ name: http, port: ${port}, appProtocol: http }] }
---`;
  return `
apiVersion: fourways.io/v1alpha1
kind: Mesh
metadata: { name: mesh }
spec:
  overrides:
    - { namespace: shop, service: orders, mtls: permissive }
    - { namespace: shop, service: legacy, mtls: permissive }
---${service('orders')}${service('web')}${service('legacy')}
apiVersion: fourways.io/v1alpha1
kind: Workload
metadata: { name: old, namespace: shop }
spec: { service: legacy, address: ${DOOR_HOST}, ports: { http: ${legacyPort} } }
---
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
    - matches: [{ path: { type: PathPrefix, value: /legacy } }]
      backendRefs: [{ name: legacy, port: 80 }]
    - backendRefs: [{ name: orders, port: 80 }]
`;
}

function edge(path: string): Promise<Response> {
  return fetch(`http://${DOOR_HOST}:${door}${path}`);
}

function fromWeb(path: string, ...more: string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile('curl', ['-sS', '-m', '10', '-x', web.proxy, `http://orders.shop${path}`, ...more], (_, out) =>
      resolve(out),
    );
  });
}

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** One of our own commands, asked of the control plane unless told otherwise. */
function cli(args: readonly string[], admin = new URL(program.admin).host): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(process.execPath, [...programOf('source'), ...args, '--admin', admin], (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code), out, err });
    });
  });
}

interface Report {
  readonly asked: number;
  readonly unheard: readonly object[];
  readonly connections: readonly ProvedConnection[];
  readonly clear: readonly OpenConnection[];
  readonly open: readonly string[];
}

async function verified(...args: string[]): Promise<Report> {
  const { out, err } = await cli(['verify', '--json', ...args]);
  assert.equal(err, '');
  return JSON.parse(out) as Report;
}

/** A connection to the permissive port of orders, without TLS. */
async function clearClient(): Promise<Socket> {
  const socket = connect(ordersPort, DOOR_HOST);
  socket.write('GET /clear HTTP/1.1\r\nhost: orders.shop\r\n\r\n');
  await once(socket, 'data');
  return socket;
}

test('verify: both ends of a connection tell of one key, and of who has shown what', async () => {
  await fromWeb('/a');
  const { asked, unheard, connections } = await verified();
  assert.deepEqual([asked, unheard.length], [3, 0]);
  for (const client of [WEB, GATEWAY]) {
    const found = connections.filter((one) => one.client === client && one.server === ORDERS);
    assert.ok(found.length > 0, `${client} is connected to orders: ${JSON.stringify(connections)}`);
    for (const one of found) {
      assert.deepEqual([one.provedBy, one.flaws, one.service, one.protocol], ['both', [], 'shop/orders:80', 'h2']);
      assert.deepEqual([one.version, one.cipher], ['TLSv1.3', 'TLS_AES_256_GCM_SHA384']);
      const hours = (one.untilMs! - Date.now()) / 3_600_000;
      assert.ok(hours > 20 && hours <= 25, `the certificate ends in ${hours} h`);
    }
  }
});

test('verify: a table for people, of one service, and of each connection with its addresses', async () => {
  const { out } = await cli(['verify', '--service', 'orders.shop']);
  assert.match(out, /^CLIENT +SERVER +SERVICE +PROTOCOL +TLS +CIPHER +CONNECTIONS +REQUESTS +CERTIFICATE +PROVED BY$/m);
  assert.match(
    out,
    new RegExp(`^${WEB} +${ORDERS} +shop/orders:80 +h2 +TLSv1.3 +TLS_\\w+ +1 +\\d+ +2\\dh +both ends$`, 'm'),
  );
  assert.match(out, /^3 proxies have answered/m);
  assert.doesNotMatch(out, /legacy/);
  const each = await cli(['verify', '--each']);
  assert.match(each.out, new RegExp(`^${WEB} .* ${DOOR_HOST}:${orders.port} +\\d+ +2\\dh +both ends$`, 'm'));
});

test('verify: what is in clear text is listed with its reason; --strict ends with 1 for it', async () => {
  await (await edge('/legacy')).text();
  const socket = await clearClient();
  try {
    const { clear, open } = await verified();
    assert.deepEqual(
      clear.filter(({ direction }) => direction === 'in'),
      [
        {
          kind: 'clear',
          direction: 'in',
          proxy: ORDERS,
          service: 'shop/orders:80',
          remote: `${socket.localAddress}:${socket.localPort}`,
          why: 'the port is permissive',
        },
      ],
    );
    const out = clear.filter(({ direction }) => direction === 'out');
    assert.deepEqual(
      [...new Set(out.map(({ proxy, service, why }) => `${proxy} ${service} ${why}`))],
      [`${GATEWAY} shop/legacy:80 the endpoint has no sidecar, and no policy asks for TLS`],
    );
    assert.deepEqual(open, ['shop/orders:80']);
    const text = await cli(['verify', '--strict']);
    assert.equal(text.code, 1);
    assert.match(text.out, /^clear text +in +\S+orders +shop\/orders:80 +127\.\S+ +1 +the port is permissive$/m);
    assert.match(text.out, /^Clear text is taken at shop\/orders:80$/m);
    assert.match(text.out, /^Not proved: \d connections in clear text$/m);
    assert.equal((await cli(['verify'])).code, 0);
  } finally {
    socket.destroy();
  }
  // Of a service that nobody talks to in clear text there is nothing to say.
  assert.equal((await cli(['verify', '--strict', '--service', 'web.shop'])).code, 0);
});

test('verify: a sidecar tells of itself alone, and the other ends are not known there', async () => {
  await fromWeb('/b');
  const { out, code } = await cli(['verify', '--strict'], adminOf.web);
  assert.equal(code, 0, out);
  assert.match(out, /client only$/m);
  assert.match(out, /^1 proxy has answered\. 0 connections are proved by both ends, 1 by the one end/m);
});

/** A tap that runs, and the lines that it prints. */
class Tap {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  out = '';
  err = '';

  constructor(args: readonly string[], admin = new URL(program.admin).host) {
    const words = [...programOf('source'), 'tap', ...args, '--admin', admin];
    this.child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.child.stdout!.setEncoding('utf8').on('data', (text: string) => (this.out += text));
    this.child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.err += text));
    this.ended = once(this.child, 'close').then(([code]) => code as number | null);
  }

  get requests(): (TappedRequest & { readonly proxy: { readonly identity: string } })[] {
    const lines = this.out.split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as never).filter((line) => !('over' in line));
  }

  get over(): { readonly shown: number; readonly left: number; readonly heard: number; readonly why: string } {
    return (JSON.parse(this.out.trimEnd().split('\n').at(-1)!) as { over: never }).over;
  }
}

/** Questions about requests that a sidecar is answering, as its metrics say. */
async function tapsAt(name: 'orders' | 'web'): Promise<number> {
  const text = await (await fetch(`http://${adminOf[name]}/metrics`)).text();
  const values = [...text.matchAll(/^fourways_asks_open\{[^}]*topic="requests"[^}]*\} (\d+)$/gm)];
  return values.reduce((sum, [, value]) => sum + Number(value), 0);
}

async function untilTapped(count: number): Promise<void> {
  await program.until(
    async () => (await tapsAt('orders')) === count && (await tapsAt('web')) === count,
    `each sidecar has ${count} taps`,
  );
}

test('tap: what an expression takes is shown from both ends, and nothing else; no value of a query, no secret', async () => {
  const tap = new Tap(['--json', '--headers', 'request.path.startsWith("/tapped")']);
  await untilTapped(1);
  const secrets = ['-H', 'authorization: Bearer planted-1', '-H', 'x-api-key: planted-2', '-H', 'x-plain: seen'];
  await fromWeb('/other');
  await fromWeb('/tapped/1?token=planted-3', ...secrets);
  await (await edge('/tapped/2?key=planted-4')).text();
  await program.until(() => tap.out.split('\n').length > 4, 'two requests were seen at two proxies each');
  tap.child.kill('SIGINT');
  assert.equal(await tap.ended, 0);
  const seen = tap.requests.map(({ proxy, direction, path, status, service }) =>
    [proxy.identity, direction, path, status, service].join(' '),
  );
  assert.deepEqual(
    seen.toSorted(),
    [
      `${WEB} out /tapped/1 200 shop/orders:80`,
      `${ORDERS} in /tapped/1 200 shop/orders:80`,
      `${GATEWAY} edge /tapped/2 200 shop/orders:80`,
      `${ORDERS} in /tapped/2 200 shop/orders:80`,
    ].toSorted(),
  );
  assert.deepEqual(
    tap.requests
      .filter(({ direction }) => direction === 'in')
      .map(({ source }) => source)
      .toSorted(),
    [GATEWAY, WEB],
  );
  const ids = tap.requests.filter(({ path }) => path === '/tapped/1').map(({ requestId }) => requestId);
  assert.ok(ids[0] !== '' && ids[0] === ids[1], 'both ends tell of one request');
  assert.match(tap.out, /"x-plain":"seen"/);
  assert.doesNotMatch(tap.out, /planted/);
  assert.deepEqual([tap.over.why, tap.over.heard, tap.over.left], ['interrupted', 3, 0]);
  await untilTapped(0);
});

test('tap: one that is killed leaves no tap running', async () => {
  const tap = new Tap([]);
  await untilTapped(1);
  tap.child.kill('SIGKILL');
  await tap.ended;
  await untilTapped(0);
});

test('tap: only proxies that are chosen are asked; --limit ends it', async () => {
  const tap = new Tap(['--service', 'orders.shop', '--limit', '2']);
  await program.until(async () => (await tapsAt('orders')) === 1, 'orders is asked');
  assert.equal(await tapsAt('web'), 0);
  for (const i of [1, 2, 3]) await fromWeb(`/limited/${i}`);
  assert.equal(await tap.ended, 0);
  assert.match(tap.out, /^TIME +WAY +CLIENT +SERVICE +STATUS +TOOK +REQUEST +ROUTE +REQUEST ID +FAULT$/m);
  assert.equal(tap.out.match(/ in +\S+\/sa\/web +shop\/orders:80 +200 +[\d.]+ms +GET \/limited\/\d/g)?.length, 2);
  assert.match(tap.err, /^2 requests of 1 proxy$/m);
  await untilTapped(0);
});

test('tap: an expression that is wrong is shown with its place, before any proxy is asked', async () => {
  const { code, out, err } = await cli(['tap', 'response.state == 500']);
  assert.deepEqual([code, out], [2, '']);
  assert.match(
    err,
    /No such key: state; "response" has status, fault, durationMs\n {2}response\.state == 500\n {11}\^\n/,
  );
  assert.deepEqual([await tapsAt('orders'), await tapsAt('web')], [0, 0]);
});

test('tap: nobody who is meant is there', async () => {
  const { code, err } = await cli(['tap', '--service', 'nobody.shop', '--seconds', '1']);
  assert.equal(code, 1);
  assert.match(err, /No proxy that is connected here is meant/);
});

test('tap: under load each proxy shows so many a second and counts the others, and the load goes on', async () => {
  const tap = new Tap(['--json', '--seconds', '4', '--service', 'orders']);
  await program.until(async () => (await tapsAt('orders')) === 1, 'orders is asked');
  let isOver = false;
  let failed = 0;
  const caller = async (): Promise<void> => {
    while (!isOver) {
      const answer = await edge('/load').catch(() => undefined);
      if ((await answer?.text()) !== 'orders /load') failed++;
    }
  };
  const callers = Promise.all(Array.from({ length: 16 }, caller));
  assert.equal(await tap.ended, 0);
  isOver = true;
  await callers;
  const { shown, left, why } = tap.over;
  assert.equal(why, 'time');
  // The seconds of the proxy begin and end within those of the tap.
  assert.ok(shown <= 600, `${shown} were shown in 4 s`);
  assert.ok(left > 0, `${left} were left, ${shown} were shown`);
  assert.equal(failed, 0);
  const text = new Tap(['--seconds', '2', '--service', 'orders']);
  await program.until(async () => (await tapsAt('orders')) === 1, 'orders is asked again');
  await Promise.all(Array.from({ length: 300 }, async () => (await edge('/burst')).text()));
  assert.equal(await text.ended, 0);
  assert.match(text.err, /^\d+ more were not shown: of each proxy at most 100 a second are$/m);
});
