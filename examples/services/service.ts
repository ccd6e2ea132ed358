/**
 * The upstream of every example: small HTTP services with `node:http` only, that say who they are and what they saw.
 *
 *     npm run services -- web:8081 orders:8082 secure:8083:examples/backend-tls/certificates/web calls:8084:h2c clock:8085:udp
 *
 * NAME:PORT, with HTTP/2 alone when a third part says `h2c`, as a service of gRPC (grpc.ts) when it says `grpc`, as one that
 * says who may pass (authorizer.ts) when it says `authorizer`, as one that issues tokens (issuer.ts) when it says `issuer`,
 * with datagrams instead when it says `udp`, with TLS when it names `PART.crt` and `PART.key`, as an OpenID provider for a
 * site (oidc.ts) when it says `oidc=ORIGIN`, as a Redis (redis.ts) when it says `redis`. What a path does:
 *
 *     /slow/500      answers after 500 ms             /flaky       fails every other time with 503
 *     /status/503    answers with this status         /broken      closes the connection without an answer
 *     /bytes/1000    answers with so many bytes       /count/PATH  how often PATH was asked for, with how many bytes
 *     /events/3/200  three server-sent events, 200 ms apart
 *     /fresh/60    may be kept for 60 s, by the name of the first part of the path
 *
 * wherever it stands in the path. A WebSocket gets back what it sends, after the name of the service.
 */
import { createHash } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createHttp2Server, type Http2Server } from 'node:http2';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { TLSSocket } from 'node:tls';
import { createAuthorizer } from './authorizer.ts';
import { createGrpcServer } from './grpc.ts';
import { createIssuer } from './issuer.ts';
import { startRedis } from './redis.ts';

const HOST = '127.0.0.1';
const PATHS_MAX = 1_000;

export interface Service {
  readonly name: string;
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Listens on loopback.
 *
 * @param text  `NAME:PORT`, `NAME:PORT:h2c`, `NAME:PORT:udp` or `NAME:PORT:CERTIFICATE`; port 0 takes a free one
 * @throws {Error} when the text is not that, or the port is taken
 */
export async function startService(text: string): Promise<Service> {
  const [, name, port, kind] = /^([a-z0-9-]+):(\d+)(?::(.+))?$/.exec(text) ?? [];
  if (name === undefined)
    throw new Error(
      `Cannot start "${text}": it is not NAME:PORT, or NAME:PORT with :h2c, :grpc, :authorizer, :issuer, :oidc=ORIGIN, :redis, :udp or :CERTIFICATE behind it`,
    );
  if (kind === 'udp') return startDatagrams(name, Number(port));
  if (kind === 'redis') return { name, port: Number(port), close: await startRedis(Number(port)) };
  const origin = /^oidc=(.+)$/.exec(kind ?? '')?.[1];
  if (origin !== undefined) {
    // Loaded where one is wanted: it is larger than all others together.
    const { startProvider } = await import('./oidc.ts');
    return { name, ...(await startProvider(Number(port), origin)) };
  }
  const answer = answersOf(name);
  const server =
    kind === 'grpc'
      ? createGrpcServer(name)
      : makeServer(kind, (request, response) => {
          // Who goes away within a request waits for no answer, and the others still want theirs.
          answer(request, response).catch(() => response.destroy());
        });
  server.on('upgrade', (request: IncomingMessage, socket: Duplex) => acceptWebSocket(name, request, socket));
  const open = new Set<Duplex>();
  server.on('connection', (socket: Duplex) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
  });
  await listen(server, Number(port)).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`Cannot start the service "${name}" at ${HOST}:${port}: ${error.code ?? error.message}`);
  });
  return {
    name,
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        // WebSockets are no longer the server's, so it would wait for them.
        for (const socket of open) socket.destroy();
      }),
  };
}

/** Answers each datagram with its own name and the text. */
async function startDatagrams(name: string, port: number): Promise<Service> {
  const socket = createSocket('udp4');
  socket.on('message', (bytes, from) => socket.send(`${name}: ${String(bytes)}`, from.port, from.address));
  socket.bind(port, HOST);
  await once(socket, 'listening');
  return {
    name,
    port: socket.address().port,
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}

function makeServer(kind: string | undefined, answer: RequestListener): Server | Http2Server {
  if (kind === undefined) return createServer(answer);
  if (kind === 'authorizer') return createAuthorizer();
  if (kind === 'issuer') return createIssuer();
  // Requests and answers of both versions look alike, as far as they are used here.
  if (kind === 'h2c') return createHttp2Server({}, answer as never);
  const [cert, key] = [readFileSync(`${kind}.crt`), readFileSync(`${kind}.key`)];
  // The certificate of a client is only shown, so it need not be of any issuer.
  return createTlsServer({ cert, key, requestCert: true, rejectUnauthorized: false }, answer);
}

function listen(server: Server | Http2Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, HOST, resolve);
  });
}

interface Seen {
  times: number;
  bytes: number;
}

function answersOf(name: string): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  const seen = new Map<string, Seen>();

  return async (request, response) => {
    const path = new URL(request.url ?? '/', 'http://service').pathname;
    const asked = seen.get(path) ?? { times: 0, bytes: 0 };
    asked.times++;
    if (seen.size < PATHS_MAX) seen.set(path, asked);

    if (/\/broken\b/.test(path)) return void request.socket.destroy();
    let bytes = 0;
    for await (const chunk of request) bytes += (chunk as Buffer).length;
    asked.bytes += bytes;

    const [, word, value] = /\/(slow|flaky|status|bytes|count|events|fresh)(?:\/(.*))?$/.exec(path) ?? [];
    if (word === 'slow') await pause(Number(value));
    if (word === 'events') return sendEvents(response, value ?? '');
    if (word === 'bytes') return void response.end('x'.repeat(Number(value)));
    if (word === 'count') return json(response, 200, { service: name, ...(seen.get(`/${value}`) ?? { times: 0 }) });
    if (word === 'fresh') {
      response.setHeader('cache-control', `max-age=${value}`);
      response.setHeader('cache-tag', path.split('/', 2)[1]!);
    }
    const failed = word === 'flaky' && asked.times % 2 === 1;
    const status = failed ? 503 : word === 'status' ? Number(value) : 200;
    return json(response, status, { service: name, ...whatItSaw(request), bytes: bytes || undefined });
  };
}

/** @param wish  how many, and how far apart: `3/200` */
async function sendEvents(response: ServerResponse, wish: string): Promise<void> {
  const [count = 0, gapMs = 0] = wish.split('/').map(Number);
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
  response.flushHeaders();
  for (let i = 1; i <= count && !response.destroyed; i++) {
    response.write(`id: ${i}\ndata: ${new Date().toISOString()}\n\n`);
    if (i < count) await pause(gapMs);
  }
  response.end();
}

function whatItSaw(request: IncomingMessage): Record<string, unknown> {
  const { method, url, headers, socket } = request;
  // What every client sends says nothing.
  const dull = new Set(['host', 'accept', 'user-agent', 'connection', 'content-length', 'content-type']);
  return {
    method,
    path: url,
    host: headers.host ?? headers[':authority'],
    http: request.httpVersion === '1.1' ? undefined : request.httpVersion,
    tls: socket instanceof TLSSocket ? whatTlsSaid(socket) : undefined,
    headers: Object.fromEntries(
      Object.entries(headers).filter(([header]) => !dull.has(header) && !header.startsWith(':')),
    ),
  };
}

function whatTlsSaid(socket: TLSSocket): Record<string, unknown> {
  // An object without fields when the client has shown none.
  const { subject } = socket.getPeerCertificate() as { readonly subject?: { readonly CN?: string | string[] } };
  const { servername } = socket as { readonly servername?: string | false };
  return { serverName: servername, client: subject?.CN };
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json', server: 'example' });
  response.end(`${JSON.stringify(body)}\n`);
}

// --- WebSockets: RFC 6455, as much as an echo needs ------------------------------------------------------------------

const FRAME_BYTES_MAX = 65_536;
const [TEXT, CLOSE, PING, PONG] = [1, 8, 9, 10];

interface Frame {
  readonly opcode: number;
  readonly payload: Buffer;
  /** Bytes of the whole frame. */
  readonly size: number;
}

function acceptWebSocket(name: string, request: IncomingMessage, socket: Duplex): void {
  const key = `${request.headers['sec-websocket-key'] ?? ''}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
  const accept = createHash('sha1').update(key).digest('base64');
  socket.on('error', () => undefined);
  // Sockets of a server stay half open otherwise, and a client that went away would never be noticed.
  socket.on('end', () => socket.end());
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: ${accept}\r\n\r\n`,
  );
  let rest: Buffer = Buffer.alloc(0);
  socket.on('data', (bytes: Buffer) => {
    rest = Buffer.concat([rest, bytes]);
    for (let frame = readFrame(rest); frame !== undefined; frame = readFrame(rest)) {
      rest = rest.subarray(frame.size);
      const { opcode, payload } = frame;
      if (opcode === TEXT) socket.write(frameOf(TEXT, Buffer.concat([Buffer.from(`${name}: `), payload])));
      else if (opcode === PING) socket.write(frameOf(PONG, payload));
      else if (opcode === CLOSE) socket.end(frameOf(CLOSE, payload));
    }
    if (rest.length > FRAME_BYTES_MAX) socket.destroy();
  });
}

/** The frame at the beginning; undefined while it is not complete. */
function readFrame(bytes: Buffer): Frame | undefined {
  if (bytes.length < 6) return undefined;
  const short = bytes[1]! & 0x7f;
  // 64-bit lengths are far above what an echo takes.
  const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? FRAME_BYTES_MAX : short;
  const mask = short === 126 ? 4 : 2;
  const size = mask + 4 + length;
  if (bytes.length < size) return undefined;
  const payload = Buffer.from(bytes.subarray(mask + 4, size));
  for (let i = 0; i < length; i++) payload[i]! ^= bytes[mask + (i % 4)]!;
  return { opcode: bytes[0]! & 0x0f, payload, size };
}

function frameOf(opcode: number, payload: Buffer): Buffer {
  const long = payload.length > 125;
  const head = Buffer.from([0x80 | opcode, long ? 126 : payload.length, ...(long ? [0, 0] : [])]);
  if (long) head.writeUInt16BE(payload.length, 2);
  return Buffer.concat([head, payload]);
}

// --- as a program ----------------------------------------------------------------------------------------------------

async function main(args: readonly string[]): Promise<void> {
  if (args.length === 0) throw new Error('Nothing to start: name services as NAME:PORT');
  for (const text of args) {
    const { name, port } = await startService(text);
    console.log(`${name} listens at ${HOST}:${port}`);
  }
}

if (import.meta.main) {
  try {
    await main(process.argv.slice(2));
  } catch (error) {
    console.error((error as Error).message);
    // What was started before would keep the process alive.
    process.exit(1);
  }
}
