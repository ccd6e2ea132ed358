/** Health checks of a real cluster against real upstreams. */
import assert from 'node:assert/strict';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import { test } from 'node:test';
import { systemClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import { systemRandom } from '../../base/random.ts';
import { TimerWheel } from '../../base/timers.ts';
import { HEALTH_SERVICE, healthResponse, NOT_SERVING, readHealthRequest, SERVING } from '../../http/grpc/health.ts';
import type { PlanHealthCheck, UpstreamProtocol } from '../../ir/plan.ts';
import { Resolver } from '../../net/dns.ts';
import { LiveUpstreams } from '../upstream/live-upstreams.ts';
import { SocketConnector } from '../upstream/connector.ts';
import type { Endpoint } from '../upstream/endpoint.ts';
import { clusterTo } from '../testing/node-harness.ts';
import { Cluster } from './cluster.ts';

const PACE = { intervalMs: 20, timeoutMs: 200, unhealthyAfter: 2, healthyAfter: 2 };

/** A cluster under observation, and what its checks say. */
class Ward implements Disposable {
  readonly cluster: Cluster;
  readonly said: string[] = [];
  unhealthy = 0;
  panic = 0;
  readonly #resolver = new Resolver({ clock: systemClock, random: systemRandom(), log: silentLog });
  #wanted: { text: string; resolve: () => void } | undefined;

  constructor(ports: readonly number[], health: PlanHealthCheck, protocol: UpstreamProtocol = 'http1') {
    const nothing = (): void => undefined;
    const say = (message: string): void => {
      this.said.push(message);
      if (this.#wanted !== undefined && message.includes(this.#wanted.text)) this.#wanted.resolve();
    };
    const wheel = new TimerWheel(systemClock);
    this.cluster = new Cluster('c', clusterTo(ports, { health, protocol }), {
      wheel,
      live: new LiveUpstreams(wheel),
      random: systemRandom(),
      log: { ...silentLog, warn: say, info: say },
      resolver: this.#resolver,
      zone: '',
      wallMs: () => 0,
      connectorFor: () => new SocketConnector({ wheel: wheel, connectMs: 500, secure: undefined, reads: 'codec' }),
      countersFor: () => ({
        opened: nothing,
        reused: nothing,
        failed: nothing,
        open: nothing,
        idle: nothing,
        waiting: nothing,
        retried: nothing,
        withheld: nothing,
        replayed: nothing,
        mirrored: nothing,
        attempt: nothing,
        unhealthy: (change) => (this.unhealthy += change),
        panic: (change) => (this.panic += change),
      }),
    });
  }

  /** Resolves when the checks say something with this text in it, from now on. */
  says(text: string): Promise<void> {
    return new Promise((resolve) => (this.#wanted = { text, resolve }));
  }

  /** Ports that ten picks give. */
  picked(): Set<number> {
    return new Set(Array.from({ length: 10 }, () => (this.cluster.pick(undefined) as Endpoint).port));
  }

  [Symbol.dispose](): void {
    this.cluster.close();
    this.#resolver.close();
  }
}

async function listen(server: net.Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as net.AddressInfo).port;
}

test('health over HTTP: an endpoint that fails gets no traffic, until it is well again; all of them get it when all fail', async () => {
  const sick = new Set<http.Server>();
  const paths = new Set<string>();
  const servers = [0, 1].map((): http.Server => {
    const server: http.Server = http.createServer((asked, answer) => {
      paths.add(asked.url!);
      answer.writeHead(sick.has(server) ? 500 : 204).end();
    });
    return server;
  });
  const ports = [await listen(servers[0]!), await listen(servers[1]!)];
  using ward = new Ward(ports, { kind: 'http', path: '/up?x=1', statuses: [204], ...PACE });

  let said = ward.says('is unhealthy');
  sick.add(servers[0]!);
  await said;
  assert.deepEqual(ward.picked(), new Set([ports[1]]));
  assert.equal(ward.unhealthy, 1);
  assert.deepEqual(
    ward.cluster.stats().map(({ health }) => health),
    ['unhealthy', 'healthy'],
  );

  said = ward.says('Every endpoint');
  sick.add(servers[1]!);
  await said;
  assert.deepEqual(ward.picked(), new Set(ports));
  assert.equal(ward.panic, 1);

  said = ward.says('Some endpoint');
  sick.delete(servers[0]!);
  await said;
  assert.deepEqual(ward.picked(), new Set([ports[0]]));
  assert.equal(ward.panic, 0);
  assert.deepEqual(paths, new Set(['/up?x=1']));
  ward.cluster.close();
  assert.equal(ward.unhealthy, 0, 'nobody is unhealthy in a cluster that is gone');
  for (const server of servers) server.close();
});

test('health over gRPC: the answer of grpc.health.v1 counts, asked for one service', async () => {
  let status: 1 | 2 = SERVING;
  const asked = new Set<string>();
  const server = http2.createServer();
  server.on('stream', (stream: http2.ServerHttp2Stream, headers) => {
    const pieces: Buffer[] = [];
    stream.on('data', (bytes: Buffer) => pieces.push(bytes));
    stream.on('end', () => {
      asked.add(`${String(headers[':path'])} ${String(headers['te'])} ${readHealthRequest(Buffer.concat(pieces))}`);
      stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
      stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end(healthResponse(status));
    });
  });
  const port = await listen(server);
  using ward = new Ward([port], { kind: 'grpc', service: 'shop.Cart', ...PACE }, 'h2');
  status = NOT_SERVING;
  await ward.says('is unhealthy');
  assert.deepEqual(asked, new Set([`/${HEALTH_SERVICE}/Check trailers shop.Cart`]));
  status = SERVING;
  await ward.says('healthy again');
  assert.equal(ward.unhealthy, 0);
  ward.cluster.close();
  server.close();
});

test('health over gRPC: an answer that never comes, and one that is no answer, are failures', async () => {
  const why: string[] = [];
  const silent = net.createServer(() => undefined);
  const web = http2.createServer((_, answer) => answer.end('hello'));
  for (const server of [silent, web]) {
    const port = await listen(server);
    using ward = new Ward([port], { kind: 'grpc', service: '', ...PACE }, 'h2');
    await ward.says('is unhealthy');
    why.push(ward.said[0]!);
    ward.cluster.close();
    server.close();
  }
  assert.equal(why.length, 2);
});

test('health over TCP: a port that is closed is unhealthy', async () => {
  const server = net.createServer((socket) => socket.on('error', () => undefined));
  const port = await listen(server);
  using ward = new Ward([port], { kind: 'tcp', ...PACE });
  const said = ward.says('is unhealthy');
  server.close();
  await said;
  assert.equal(ward.panic, 1);
});

test('health over TCP: every check makes a connection, also where one stands that takes more', async () => {
  const server = http2.createServer((_, answer) => answer.end('hello'));
  let connections = 0;
  let wake = (): void => undefined;
  server.on('connection', () => {
    connections++;
    wake();
  });
  const port = await listen(server);
  using ward = new Ward([port], { kind: 'tcp', ...PACE }, 'h2');
  while (connections < 4) await new Promise<void>((resolve) => (wake = resolve));
  assert.deepEqual(ward.said, []);
  const [stats] = ward.cluster.stats();
  assert.equal(stats?.health, 'healthy');
  ward.cluster.close();
  server.close();
});
