/**
 * Nothing that is open is lost while everything changes, whatever protocol it speaks: TCP, TLS that is passed on, UDP,
 * HTTP/2, gRPC in one and in both directions, WebSockets. Real processes and sockets, checked bytes, steady load.
 */
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import tls from 'node:tls';
import { type Service, startService } from '../examples/services/service.ts';
import { makeCertificate } from '../src/net/testing/certificates.ts';
import { DOOR_HOST, Fourways, freePort } from './client/fourways.ts';
import { EchoServer } from './client/grpc.ts';
import { gateway, type Manifest, service } from './client/manifests.ts';
import {
  bidiChannel,
  http2Channel,
  type Open,
  Talks,
  tcpChannel,
  tlsChannel,
  udpChannel,
  unaryChannel,
  webSocketChannel,
} from './client/talks.ts';

const EDITS = 50;
const RELOADS = 10;
const DRAIN_MS = 3_000;
const UDP_IDLE_MS = 500;
/** An edit that is not served after this long has been lost. */
const APPLY_MS_MAX = 10_000;
const SEALED = 'sealed.test';

const dir = mkdtempSync(join(tmpdir(), 'fourways-zero-loss-streams-'));
const config = join(dir, 'config');
/** Two of each, so that either may be taken out. */
const echoes: { tcp: net.Server[]; tls: net.Server[]; udp: dgram.Socket[]; http: net.Server[]; grpc: EchoServer[] } = {
  tcp: [],
  tls: [],
  udp: [],
  http: [],
  grpc: [],
};
let chat: Service;
let program: Fourways;
let ports: {
  readonly http: number;
  readonly grpc: number;
  readonly tcp: number;
  readonly tls: number;
  readonly udp: number;
};
let extra: { readonly http: number; readonly grpc: number; readonly tcp: number; readonly udp: number };

before(async () => {
  const { certificatePem: cert, privateKeyPem: key } = makeCertificate({ hosts: [SEALED] });
  for (let i = 0; i < 2; i++) {
    echoes.tcp.push(await listening(net.createServer({ allowHalfOpen: true }, (socket) => echo(socket))));
    echoes.tls.push(await listening(tls.createServer({ cert, key }, (socket) => echo(socket))));
    echoes.http.push(await listening(http.createServer((request, answer) => request.pipe(answer))));
    echoes.udp.push(await datagramEcho());
    echoes.grpc.push(await EchoServer.start());
  }
  chat = await startService('chat:0');
  const free = (): Promise<number> => freePort(DOOR_HOST);
  ports = { http: await free(), grpc: await free(), tcp: await free(), tls: await free(), udp: await free() };
  extra = { http: await free(), grpc: await free(), tcp: await free(), udp: await free() };
  write({ mark: 'start' });
  program = await Fourways.start({ config, workers: 2, logLevel: 'warn', drain: `${DRAIN_MS}ms` });
});

after(async () => {
  await program?.stop('SIGKILL');
  for (const server of [...echoes.tcp, ...echoes.tls, ...echoes.http]) server.close();
  for (const socket of echoes.udp) socket.close();
  for (const server of echoes.grpc) server.server.forceShutdown();
  await chat?.close();
  rmSync(dir, { recursive: true, force: true });
});

test(`${EDITS} edits, of others and of the own route, endpoints and listeners come and go: nothing is lost`, async () => {
  const talks = begin();
  for (let edit = 1; edit <= EDITS; edit++) {
    const out = edit % 3;
    write({
      mark: `edit-${edit}`,
      // Every third edit is of a route that is nobody's here alone.
      version: edit - (edit % 3),
      backends: out === 2 ? [0, 1] : [out],
      extra: edit % 4 < 2,
    });
    await untilServed(`edit-${edit}`);
  }
  await Promise.all(talks.map((talk) => talk.more(20)));
  await stop(talks);
});

test(`${RELOADS} times everything is read again: nothing is lost`, async () => {
  const talks = begin();
  for (let reload = 0; reload < RELOADS; reload++) {
    program.child.kill('SIGHUP');
    await Promise.all(talks.map((talk) => talk.more(5)));
  }
  await stop(talks);
});

test('listeners that are removed take nothing new, and serve what is open', async () => {
  write({ mark: 'with-extra', extra: true });
  await untilServed('with-extra');
  const kept = begin();
  const removed = [
    new Talks({ name: 'tcp', channels: 3, renewEvery: 0, open: () => tcpChannel(DOOR_HOST, extra.tcp) }),
    new Talks({ name: 'udp', channels: 3, renewEvery: 0, open: () => udpChannel(DOOR_HOST, extra.udp) }),
    new Talks({ name: 'http2', channels: 2, renewEvery: 0, open: () => http2Channel(DOOR_HOST, extra.http, '/') }),
    new Talks({ name: 'bidi', channels: 2, renewEvery: 0, open: () => bidiChannel(`${DOOR_HOST}:${extra.grpc}`) }),
    new Talks({ name: 'ws', channels: 2, renewEvery: 0, open: () => chatChannel(extra.http) }),
  ];
  await Promise.all(removed.map((talk) => talk.more(20)));
  for (const talk of removed) talk.expectEnd();
  write({ mark: 'without-extra' });
  await untilServed('without-extra');
  const [tcp, udp, , bidi] = removed;
  await Promise.all([tcp!, udp!, bidi!].map((talk) => talk.more(30)));
  await assert.rejects(tcpChannel(DOOR_HOST, extra.tcp), /ECONNREFUSED/);
  await stop(removed);
  await stop(kept);
});

test('the end of the process: what is open is served until it ends, what never ends is cut at the deadline', async () => {
  const talks = begin();
  await Promise.all(talks.map((talk) => talk.more(10)));
  const forgotten = net.connect({ host: DOOR_HOST, port: ports.tcp });
  const cut = new Promise<string>((resolve) => {
    forgotten.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
    forgotten.on('end', () => resolve('end'));
  });
  await once(forgotten, 'connect');
  forgotten.write('.');
  await once(forgotten, 'data');
  for (const talk of talks) talk.expectEnd();
  const startMs = performance.now();
  const ended = program.stop('SIGTERM').then((how) => ({ ...how, tookMs: performance.now() - startMs }));
  const open = talks.filter(({ name }) => ['tcp', 'tls', 'udp', 'bidi'].includes(name));
  await Promise.all(open.map((talk) => talk.more(30)));
  await stop(talks);
  assert.equal(await cut, 'ECONNRESET', 'a cut can be told from an end');
  const { tookMs, ...how } = await ended;
  assert.deepEqual(how, { code: 0, signal: null });
  assert.ok(tookMs >= DRAIN_MS - 100 && tookMs < DRAIN_MS + 3_000, `${tookMs} ms`);
});

/** Of each protocol some that last, and some that are opened again and again. */
function begin(): Talks[] {
  const both = (name: string, channels: number, open: Open): Talks[] => [
    new Talks({ name, channels, renewEvery: 0, open }),
    new Talks({ name: `${name}, short`, channels: 1, renewEvery: 5, open }),
  ];
  return [
    ...both('tcp', 3, () => tcpChannel(DOOR_HOST, ports.tcp)),
    ...both('tls', 3, () => tlsChannel(DOOR_HOST, ports.tls, SEALED)),
    ...both('udp', 3, () => udpChannel(DOOR_HOST, ports.udp)),
    ...both('http2', 2, () => http2Channel(DOOR_HOST, ports.http, '/')),
    ...both('unary', 2, () => unaryChannel(`${DOOR_HOST}:${ports.grpc}`)),
    ...both('bidi', 2, () => bidiChannel(`${DOOR_HOST}:${ports.grpc}`)),
    ...both('ws', 2, () => chatChannel(ports.http)),
  ];
}

async function stop(talks: readonly Talks[]): Promise<void> {
  await Promise.all(talks.map((talk) => talk.stop()));
  assert.deepEqual(
    talks.flatMap(({ failures }) => failures),
    [],
  );
}

function grpcRoute(version: number): Manifest {
  const responseHeaderModifier = { set: [{ name: 'x-version', value: String(version) }] };
  const filters = [{ type: 'ResponseHeaderModifier', responseHeaderModifier }];
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'GRPCRoute',
    metadata: { name: 'grpc', namespace: 'default' },
    spec: {
      parentRefs: [{ name: 'calls' }, { name: 'extra' }],
      rules: [{ filters, backendRefs: [{ name: 'grpc', port: 80 }] }],
    },
  };
}

function chatChannel(port: number): ReturnType<Open> {
  return webSocketChannel(`ws://${DOOR_HOST}:${port}/chat`, 'chat');
}

interface Written {
  /** Tells one version of the file from the next. */
  readonly mark: string;
  /** Of the routes that carry the load. */
  readonly version?: number;
  /** Which of the two endpoints of each service are there. */
  readonly backends?: readonly number[];
  readonly extra?: boolean;
}

function write({ mark, version = 0, backends = [0, 1], extra: hasExtra = false }: Written): void {
  const urls = (scheme: string, all: readonly (net.Server | dgram.Socket | EchoServer)[]): object => ({
    urls: backends.map((i) => `${scheme}://127.0.0.1:${portOf(all[i]!)}`),
  });
  const listen = [
    ports.http,
    { port: ports.tcp, protocol: 'tcp' },
    { port: ports.tls, protocol: 'tls', hostname: SEALED },
    { port: ports.udp, protocol: 'udp' },
    ...(hasExtra ? [extra.http, { port: extra.tcp, protocol: 'tcp' }, { port: extra.udp, protocol: 'udp' }] : []),
  ];
  const headers = { response: { set: { 'x-version': String(version) } } };
  const weight = version + 1;
  const form = {
    listen,
    services: {
      tcp: urls('tcp', echoes.tcp),
      tls: urls('tcp', echoes.tls),
      udp: urls('udp', echoes.udp),
      http: urls('http', echoes.http),
      chat: `http://127.0.0.1:${chat.port}`,
    },
    routes: [
      { name: 'mark', match: '/mark', respond: mark },
      { name: 'http', match: '/', to: 'http', headers },
      { name: 'chat', match: '/chat', to: 'chat', headers },
      { name: 'tcp', tcp: hasExtra ? [ports.tcp, extra.tcp] : ports.tcp, to: [{ to: 'tcp', weight }] },
      { name: 'tls', tls: SEALED, to: [{ to: 'tls', weight }] },
      { name: 'udp', udp: hasExtra ? [ports.udp, extra.udp] : ports.udp, to: [{ to: 'udp', weight }] },
    ],
    // A host is for HTTPRoutes or for GRPCRoutes, so these have ports of their own.
    resources: [
      gateway({ name: 'calls', port: ports.grpc }),
      ...(hasExtra ? [gateway({ name: 'extra', port: extra.grpc })] : []),
      grpcRoute(version),
      ...service(
        'grpc',
        backends.map((i) => echoes.grpc[i]!),
      ),
    ],
    settings: { accessLog: { enabled: false }, udp: { idleTimeout: `${UDP_IDLE_MS}ms` } },
  };
  mkdirSync(config, { recursive: true });
  // Beside, then renamed over, as an editor should; JSON is YAML.
  writeFileSync(join(config, '.new'), JSON.stringify(form));
  renameSync(join(config, '.new'), join(config, 'fourways.yaml'));
}

/** What `/plan` names is applied on every worker. */
async function untilServed(mark: string): Promise<void> {
  await program.until(async () => (await program.adminText('/plan')).includes(mark), mark, APPLY_MS_MAX);
}

function echo(socket: net.Socket): void {
  socket.on('error', () => undefined);
  socket.pipe(socket);
}

async function listening(server: net.Server): Promise<net.Server> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

async function datagramEcho(): Promise<dgram.Socket> {
  const socket = dgram.createSocket('udp4');
  socket.on('message', (bytes, from) => socket.send(bytes, from.port, from.address));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

function portOf(one: net.Server | dgram.Socket | EchoServer): number {
  return one instanceof EchoServer ? one.port : (one.address() as net.AddressInfo).port;
}
