/**
 * Endpoints that vanish while they are at work: from DNS, from an EndpointSlice in a file, from the catalog of Consul. What
 * runs there ends well, also what has been made of a request, and nothing new goes there.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { systemClock } from '../src/base/clock.ts';
import { silentLog } from '../src/base/log.ts';
import { systemRandom } from '../src/base/random.ts';
import { ConsulAgent } from '../src/control/testing/consul-agent.ts';
import { Resolver } from '../src/net/dns.ts';
import { DnsServer } from '../src/net/testing/dns-server.ts';
import { clusterTo, Harness, routeOf, ruleTo } from '../src/proxy/testing/node-harness.ts';
import { DOOR_HOST, Fourways, freePort, pause, programOf } from './client/fourways.ts';

const dir = mkdtempSync(join(tmpdir(), 'fourways-discovery-'));
const config = join(dir, 'config.yaml');

/** An instance of a service: says who it is, holds answers back until it is told, and takes up connections. */
class Instance implements Disposable {
  readonly address: string;
  /** Requests that came. */
  requests = 0;
  readonly #server: http.Server;
  #held: http.ServerResponse[] = [];
  readonly #upgraded = new Set<Socket>();

  private constructor(address: string) {
    this.address = address;
    this.#server = http.createServer((request, response) => this.#answer(request, response));
    this.#server.on('upgrade', (request: http.IncomingMessage, socket: Socket) => this.#takeUp(request, socket));
  }

  static async start(address: string, port: number): Promise<Instance> {
    const instance = new Instance(address);
    instance.#server.listen(port, address);
    await once(instance.#server, 'listening');
    return instance;
  }

  #answer({ url }: http.IncomingMessage, response: http.ServerResponse): void {
    this.requests++;
    response.setHeader('x-instance', this.address);
    if (url !== '/hold') return void response.end(this.address);
    response.write('begun, ');
    this.#held.push(response);
  }

  #takeUp({ headers }: http.IncomingMessage, socket: Socket): void {
    this.requests++;
    const accept = createHash('sha1')
      .update(`${headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest('base64');
    const fields = `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}`;
    socket.write(`HTTP/1.1 101 Switching Protocols\r\n${fields}\r\nx-instance: ${this.address}\r\n\r\n`);
    socket.on('error', () => undefined).pipe(socket);
    this.#upgraded.add(socket);
  }

  /** All that is held back is answered. */
  release(): void {
    for (const response of this.#held.splice(0)) response.end('ended');
  }

  [Symbol.dispose](): void {
    this.#server.close();
    this.#server.closeAllConnections();
    for (const socket of this.#upgraded) socket.destroy();
  }
}

interface Door {
  readonly host: string;
  readonly port: number;
  /** Host of the requests. */
  readonly name: string;
}

function ask({ host, port, name }: Door, path: string, more: http.RequestOptions = {}): http.ClientRequest {
  const headers = { ...(more.headers as http.OutgoingHttpHeaders), host: name };
  return http.get({ host, port, path, agent: false, ...more, headers });
}

/** Which instance answers. */
async function who(door: Door): Promise<string> {
  const [answer] = (await once(ask(door, '/'), 'response')) as [http.IncomingMessage];
  assert.equal(answer.statusCode, 200);
  answer.resume();
  await once(answer, 'end');
  return String(answer.headers['x-instance']);
}

/** A request that has been begun to be answered by this instance; those of others are given up. */
async function heldBy(instance: Instance, door: Door): Promise<http.IncomingMessage> {
  for (;;) {
    const request = ask(door, '/hold');
    // oxlint-disable-next-line no-await-in-loop -- until its turn comes
    const [answer] = (await once(request, 'response')) as [http.IncomingMessage];
    if (answer.headers['x-instance'] === instance.address) return answer;
    request.on('error', () => undefined).destroy();
  }
}

async function webSocketTo(instance: Instance, door: Door): Promise<Socket> {
  const headers = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
  };
  for (;;) {
    // oxlint-disable-next-line no-await-in-loop -- until its turn comes
    const [answer, socket] = (await once(ask(door, '/', { headers }), 'upgrade')) as [http.IncomingMessage, Socket];
    if (answer.headers['x-instance'] === instance.address) return socket;
    socket.destroy();
  }
}

async function echo(socket: Socket, text: string): Promise<void> {
  socket.write(text);
  const [bytes] = (await once(socket, 'data')) as [Buffer];
  assert.equal(bytes.toString(), text);
}

/** Requests that no one else may get before it is taken for gone. */
const ALL_OTHERS = 20;

async function untilOnly(instance: Instance, door: Door): Promise<void> {
  for (let same = 0; same < ALL_OTHERS;) {
    // oxlint-disable-next-line no-await-in-loop -- one after the other
    same = (await who(door)) === instance.address ? same + 1 : 0;
    // oxlint-disable-next-line no-await-in-loop -- and not to keep the machine busy
    if (same === 0) await pause(20);
  }
}

async function vanish([leaving, staying]: readonly [Instance, Instance], door: Door, leave: () => void): Promise<void> {
  const answer = await heldBy(leaving, door);
  const body: Buffer[] = [];
  answer.on('data', (piece: Buffer) => body.push(piece));
  using socket = new Closing(await webSocketTo(leaving, door));
  await echo(socket.is, 'before');
  leave();
  await untilOnly(staying, door);
  const { requests } = leaving;
  await echo(socket.is, 'after');
  leaving.release();
  await once(answer, 'end');
  assert.equal(Buffer.concat(body).toString(), 'begun, ended');
  await untilOnly(staying, door);
  await echo(socket.is, 'and long after');
  assert.equal(leaving.requests, requests);
}

class Closing implements Disposable {
  readonly is: Socket;

  constructor(socket: Socket) {
    this.is = socket;
  }

  [Symbol.dispose](): void {
    this.is.destroy();
  }
}

const LIMIT = { timeout: 60_000 };

test('from DNS: its address is no more among those of the name', LIMIT, async () => {
  const port = await freePort('127.0.0.2');
  using leaving = await Instance.start('127.0.0.2', port);
  using staying = await Instance.start('127.0.0.3', port);
  using server = await new DnsServer().listen();
  server.set('orders.test', { addresses: ['127.0.0.2', '127.0.0.3'], ttl: 1 }, 'a');
  server.set('orders.test', { addresses: [], ttl: 1 }, 'aaaa');
  const resolver = new Resolver({
    clock: systemClock,
    random: systemRandom(),
    log: silentLog,
    servers: [server.address],
  });
  await using harness = new Harness([], 5_000, { resolver });
  const endpoints = [{ address: 'orders.test', port, weight: 1 }];
  await harness.start({ routes: { r: routeOf(ruleTo()) }, clusters: { c: clusterTo([], { endpoints }) } });
  const door = { host: '127.0.0.1', port: harness.port, name: 'orders.test' };
  await vanish([leaving, staying], door, () => {
    server.set('orders.test', { addresses: ['127.0.0.3'], ttl: 1 }, 'a');
  });
  resolver.close();
});

let gate: number;
let instancePort: number;
let agent: ConsulAgent;
let program: Fourways;
const instances: Instance[] = [];

before(async () => {
  gate = await freePort(DOOR_HOST);
  instancePort = await freePort('127.0.0.4');
  for (const address of ['127.0.0.4', '127.0.0.5', '127.0.0.6', '127.0.0.7']) {
    // oxlint-disable-next-line no-await-in-loop -- there are four
    instances.push(await Instance.start(address, instancePort));
  }
  agent = await ConsulAgent.start();
  agent.set('stock', ...['127.0.0.6', '127.0.0.7'].map((address) => ({ address, port: instancePort })));
  write('127.0.0.4', '127.0.0.5');
  program = await Fourways.start({ config, workers: 2 });
});

after(async () => {
  await program?.stop('SIGKILL');
  await agent?.[Symbol.asyncDispose]();
  for (const instance of instances) instance[Symbol.dispose]();
  rmSync(dir, { recursive: true, force: true });
});

/** @param addresses  in the slice */
function write(...addresses: readonly string[]): void {
  const route = (name: string, backend: string): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name}, namespace: shop }
spec: { parentRefs: [{ name: edge }], hostnames: [${name}.test], rules: [{ backendRefs: [${backend}] }] }
---`;
  const text = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: edge, namespace: shop }
spec: { gatewayClassName: fourways, listeners: [{ name: http, port: ${gate}, protocol: HTTP }] }
---${route('orders', '{ name: orders, port: 80 }')}${route('stock', '{ group: fourways.io, kind: Backend, name: stock }')}
apiVersion: v1
kind: Service
metadata: { name: orders, namespace: shop }
spec: { ports: [{ name: http, port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: orders-1, namespace: shop, labels: { kubernetes.io/service-name: orders } }
addressType: IPv4
ports: [{ name: http, port: ${instancePort} }]
endpoints: [${addresses.map((address) => `{ addresses: [${address}] }`).join(', ')}]
---
apiVersion: fourways.io/v1alpha1
kind: Backend
metadata: { name: stock, namespace: shop }
spec: { consul: { address: "http://127.0.0.1:${agent.port}", service: stock } }
`;
  writeFileSync(`${config}.new`, text);
  renameSync(`${config}.new`, config);
}

test('from an EndpointSlice that is edited', LIMIT, async () => {
  const door = { host: DOOR_HOST, port: gate, name: 'orders.test' };
  await vanish([instances[0]!, instances[1]!], door, () => write('127.0.0.5'));
});

test('from the catalog of Consul', LIMIT, async () => {
  const door = { host: DOOR_HOST, port: gate, name: 'stock.test' };
  await vanish([instances[2]!, instances[3]!], door, () =>
    agent.set('stock', { address: '127.0.0.7', port: instancePort }),
  );
});

test('each endpoint says where it comes from, and since when it is there', LIMIT, async () => {
  const { host } = new URL(program.admin);
  const show = [...programOf('source'), 'show', 'endpoints', '--admin', host];
  const { stdout } = await promisify(execFile)(process.execPath, show);
  assert.match(stdout, /Service\/shop\/orders\/80 +127\.0\.0\.5:\d+ +EndpointSlice shop\/orders-1 +\d+s/);
  assert.match(stdout, /Backend\/shop\/stock +127\.0\.0\.7:\d+ +Consul stock +\d+s/);
});
