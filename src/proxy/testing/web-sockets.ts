/**
 * WebSocket clients and servers of Node's own HTTP stacks, for either wire, that speak in single frames: tests say what
 * is sent to the byte, and see what arrived to the byte.
 */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import http2 from 'node:http2';
import net from 'node:net';
import type { Duplex } from 'node:stream';
import { type Frame, FrameReader, frameOf, OPCODES } from '../../http/ws/testing/frames.ts';

export type WireName = 'h1' | 'h2';

type Got = Frame & { readonly masked: boolean };

/** How the other side left: politely, or with a reset. */
export type Leaving = 'ended' | 'reset';

/** One end of a WebSocket. */
export class WsPeer {
  readonly stream: Duplex;
  /** Header lines of the request (at a server) or the answer (at a client). */
  readonly headers: http.IncomingHttpHeaders;
  readonly left: Promise<Leaving>;
  bytesReceived = 0;
  readonly #masked: boolean;
  readonly #reader = new FrameReader();
  readonly #frames: Got[] = [];
  #wake: (() => void) | undefined;
  #hasLeft: Leaving | undefined;
  #reading = false;

  constructor(stream: Duplex, headers: http.IncomingHttpHeaders, role: 'client' | 'server') {
    this.stream = stream;
    this.headers = headers;
    this.#masked = role === 'client';
    const { promise, resolve } = Promise.withResolvers<Leaving>();
    this.left = promise;
    const leave = (how: Leaving): void => {
      this.#hasLeft ??= how;
      this.#wake?.();
      resolve(how);
    };
    stream.on('end', () => leave('ended'));
    stream.on('error', () => leave('reset'));
    stream.on('aborted', () => leave('reset'));
    stream.on('close', () => leave(stream.readableEnded ? 'ended' : 'reset'));
  }

  /** Begins to read; before it, the flow stands still. */
  read(): this {
    if (this.#reading) return this;
    this.#reading = true;
    this.stream.on('data', (bytes: Buffer) => this.take(bytes));
    return this;
  }

  take(bytes: Buffer): void {
    this.bytesReceived += bytes.length;
    this.#frames.push(...this.#reader.push(bytes));
    this.#wake?.();
  }

  send(opcode: number, payload: string | Buffer, more: Partial<Frame> = {}): void {
    this.raw(this.frame(opcode, payload, more));
  }

  frame(opcode: number, payload: string | Buffer, more: Partial<Frame> = {}): Buffer {
    return frameOf({ opcode, payload: Buffer.from(payload as string), masked: this.#masked, ...more });
  }

  text(text: string): void {
    this.send(OPCODES.text, text);
  }

  close(code: number, reason = ''): void {
    this.send(OPCODES.close, Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]));
  }

  raw(bytes: Buffer): boolean {
    return this.stream.write(bytes);
  }

  end(): void {
    this.stream.end();
  }

  reset(): void {
    if (this.stream instanceof net.Socket) this.stream.resetAndDestroy();
    else this.stream.destroy(new Error('Reset')); // `close` would end the stream properly first
  }

  /** The next frame. @throws {Error} when the other side left before it was whole */
  async next(): Promise<Got> {
    this.read();
    while (this.#frames.length === 0) {
      if (this.#hasLeft !== undefined) throw new Error(`No frame: the other side has ${this.#hasLeft}`);
      // oxlint-disable-next-line no-await-in-loop -- one wait for each arrival
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return this.#frames.shift()!;
  }

  async nextText(): Promise<string> {
    const { opcode, payload } = await this.next();
    return opcode === OPCODES.text ? payload.toString() : `opcode ${opcode}: ${payload.toString('latin1')}`;
  }

  /** The next frame, which has to be a Close. */
  async nextClose(): Promise<{ code: number; reason: string }> {
    const { opcode, payload } = await this.next();
    if (opcode !== OPCODES.close) throw new Error(`Frame has opcode ${opcode}, not that of Close`);
    return { code: payload.readUInt16BE(0), reason: payload.subarray(2).toString() };
  }
}

/** What a server does with a handshake: `undefined` agrees. */
export type Doorman = (
  headers: http.IncomingHttpHeaders,
) =>
  | { readonly status: number; readonly body: string }
  | { readonly headers: Readonly<Record<string, string>> }
  | undefined;

/** A WebSocket server on one wire. */
export class WsUpstream implements AsyncDisposable {
  readonly port: number;
  readonly #server: net.Server;
  readonly #sessions: Set<{ destroy(): void }>;
  readonly #arrived: WsPeer[] = [];
  #wake: (() => void) | undefined;

  private constructor(server: net.Server, sessions: Set<{ destroy(): void }>) {
    this.#server = server;
    this.#sessions = sessions;
    this.port = (server.address() as net.AddressInfo).port;
  }

  static async start(wire: WireName, doorman: Doorman = () => undefined): Promise<WsUpstream> {
    const peers = new Set<{ destroy(): void }>();
    const welcome = (peer: WsPeer): void => upstream.#welcome(peer);
    const server = wire === 'h1' ? serverOfH1(doorman, welcome) : serverOfH2(doorman, welcome, peers);
    server.on('connection', (socket: net.Socket) => {
      peers.add(socket);
      socket.on('close', () => peers.delete(socket));
      socket.on('error', () => undefined);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const upstream = new WsUpstream(server, peers);
    return upstream;
  }

  /** The next WebSocket that was opened here. */
  async accept(): Promise<WsPeer> {
    while (this.#arrived.length === 0) {
      // oxlint-disable-next-line no-await-in-loop -- one wait for each arrival
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    return this.#arrived.shift()!;
  }

  #welcome(peer: WsPeer): void {
    this.#arrived.push(peer);
    this.#wake?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#sessions) session.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function serverOfH1(doorman: Doorman, welcome: (peer: WsPeer) => void): net.Server {
  const server = http.createServer((_, answer) => answer.writeHead(400).end());
  server.on('upgrade', (request: http.IncomingMessage, socket: net.Socket) => {
    const verdict = doorman(request.headers);
    if (verdict !== undefined && 'status' in verdict) {
      const { status, body } = verdict;
      socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: ${Buffer.byteLength(body)}\r\nX-Why: asked\r\n\r\n${body}`);
      return;
    }
    const lines = Object.entries(verdict?.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`);
    const accept = createHash('sha1')
      .update(`${request.headers['sec-websocket-key']}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
      .digest('base64');
    socket.setNoDelay(true);
    socket.allowHalfOpen = true;
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n${lines.join('')}\r\n`,
    );
    welcome(new WsPeer(socket, request.headers, 'server'));
  });
  return server;
}

function serverOfH2(
  doorman: Doorman,
  welcome: (peer: WsPeer) => void,
  peers: Set<{ destroy(): void }>,
): http2.Http2Server {
  const server = http2.createServer({ settings: { enableConnectProtocol: true } });
  server.on('session', (session) => {
    peers.add(session);
    session.on('error', () => undefined);
    session.on('close', () => peers.delete(session));
  });
  server.on('stream', (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => {
    stream.on('error', () => undefined);
    if (headers[':method'] !== 'CONNECT' || headers[':protocol'] !== 'websocket') {
      stream.respond({ ':status': 400 }, { endStream: true });
      return;
    }
    const verdict = doorman(headers as http.IncomingHttpHeaders);
    if (verdict !== undefined && 'status' in verdict) {
      stream.respond({ ':status': verdict.status, 'x-why': 'asked' });
      stream.end(verdict.body);
      return;
    }
    stream.respond({ ':status': 200, ...verdict?.headers });
    welcome(new WsPeer(stream, headers as http.IncomingHttpHeaders, 'server'));
  });
  return server;
}

/** What a client got: a WebSocket, or an answer like any other. */
export type Opened =
  | WsPeer
  | { readonly status: number; readonly headers: http.IncomingHttpHeaders; readonly body: string };

export interface Handshake {
  readonly path?: string;
  readonly protocols?: string;
  readonly extensions?: string;
}

/** A WebSocket, or an error with what was answered instead. */
export async function openSocket(wire: WireName, port: number, handshake: Handshake = {}): Promise<WsPeer> {
  const opened = await open(wire, port, handshake);
  if (opened instanceof WsPeer) return opened;
  throw new Error(`Not switched: ${opened.status} ${opened.body}`);
}

export function open(wire: WireName, port: number, handshake: Handshake = {}): Promise<Opened> {
  return wire === 'h1' ? openH1(port, handshake) : openH2(port, handshake);
}

function fieldsOf({ protocols, extensions }: Handshake): Record<string, string> {
  return {
    'sec-websocket-version': '13',
    ...(protocols !== undefined && { 'sec-websocket-protocol': protocols }),
    ...(extensions !== undefined && { 'sec-websocket-extensions': extensions }),
  };
}

function openH1(port: number, handshake: Handshake): Promise<Opened> {
  const key = randomBytes(16).toString('base64');
  return new Promise((resolve, reject) => {
    const request = http.request({
      host: '127.0.0.1',
      port,
      path: handshake.path ?? '/',
      agent: false,
      headers: { connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-key': key, ...fieldsOf(handshake) },
    });
    request.on('error', reject);
    request.on('response', (answer) => {
      let body = '';
      answer.setEncoding('utf8').on('data', (text: string) => (body += text));
      answer.on('end', () => resolve({ status: answer.statusCode!, headers: answer.headers, body }));
    });
    request.on('upgrade', (answer, socket: net.Socket, head) => {
      const want = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
      if (answer.headers['sec-websocket-accept'] !== want) return reject(new Error('Accept is not that of the key'));
      socket.allowHalfOpen = true;
      socket.setNoDelay(true);
      socket.unref(); // a test may leave it half-open
      const peer = new WsPeer(socket, answer.headers, 'client');
      if (head.length > 0) peer.take(head);
      resolve(peer);
    });
    request.end();
  });
}

async function openH2(port: number, handshake: Handshake): Promise<Opened> {
  const session = http2.connect(`http://127.0.0.1:${port}`);
  session.on('error', () => undefined);
  session.unref();
  await once(session, 'remoteSettings');
  if (session.remoteSettings.enableConnectProtocol !== true) throw new Error('Extended CONNECT is not offered');
  const stream = session.request(
    {
      ':method': 'CONNECT',
      ':protocol': 'websocket',
      ':scheme': 'http',
      ':path': handshake.path ?? '/',
      ':authority': `127.0.0.1:${port}`,
      ...fieldsOf(handshake),
    },
    { endStream: false },
  );
  stream.on('close', () => session.close());
  stream.on('error', () => undefined);
  const [headers] = (await once(stream, 'response')) as [http2.IncomingHttpHeaders & http2.IncomingHttpStatusHeader];
  const status = Number(headers[':status']);
  if (status === 200) return new WsPeer(stream, headers as http.IncomingHttpHeaders, 'client');
  let body = '';
  for await (const text of stream.setEncoding('utf8')) body += text as string;
  stream.end();
  return { status, headers: headers as http.IncomingHttpHeaders, body };
}
