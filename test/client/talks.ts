/**
 * Conversations of every protocol that notice whatever is lost, late or altered: each asks an echo again and again over
 * what it has opened. The clients are those of Node.js and `@grpc/grpc-js`.
 */
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import * as grpc from '@grpc/grpc-js';
import { pause } from './fourways.ts';
import { EchoClient } from './grpc.ts';

/** Something open that can be asked, as often as one likes. */
export interface Channel {
  /** @throws {Error} when what comes back is not `text`, or nothing comes */
  ask(text: string): Promise<void>;
  /** Ends it in order, and sees the other side do so. @throws {Error} when that is not so */
  close(): Promise<void>;
  /** After a failure: lets go of everything. */
  destroy(): void;
  /** Whether the other side has said in order that it takes no more questions. */
  readonly told: boolean;
}

/**
 * The question was not taken, and may be asked elsewhere (RFC 9113 section 8.7). We never say so; the HTTP/2 of Node.js
 * does, of a request that was waiting to be written when GOAWAY came.
 */
class NotTaken extends Error {}

export type Open = () => Promise<Channel>;

/** No answer for this long is a loss. Nothing here takes a hundredth of it. */
const ANSWER_MS_MAX = 5_000;
const GAP_MS = 4;
const FAILURES_MAX = 10;

export interface TalkOptions {
  readonly name: string;
  readonly open: Open;
  readonly channels: number;
  /** A channel is closed and opened anew after so many questions; 0 for never. */
  readonly renewEvery: number;
}

export class Talks {
  readonly failures: string[] = [];
  asked = 0;
  readonly name: string;
  readonly #options: TalkOptions;
  readonly #loops: Promise<void>[];
  #stopping = false;
  #ending = false;

  constructor(options: TalkOptions) {
    this.#options = options;
    this.name = options.name;
    this.#loops = Array.from({ length: options.channels }, (_, i) => this.#loop(i));
  }

  /** Waits until `count` more questions are answered. */
  async more(count: number): Promise<void> {
    const wanted = this.asked + count;
    while (this.asked < wanted && this.failures.length === 0) await pause(GAP_MS);
  }

  /** From now on nothing new may be opened any more; what is open has to be served as ever. */
  expectEnd(): void {
    this.#ending = true;
  }

  /** Every channel asks what it is asking, and closes. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#loops);
  }

  async #loop(nth: number): Promise<void> {
    for (let round = 0; !this.#stopping; round++) {
      let channel: Channel;
      try {
        channel = await inTime(this.#options.open());
      } catch (error) {
        if (this.#ending) return;
        this.#fail('cannot open', error);
        await pause(GAP_MS);
        continue;
      }
      await this.#talk(channel, `${this.#options.name} ${nth} ${round}`);
    }
  }

  async #talk(channel: Channel, name: string): Promise<void> {
    const { renewEvery } = this.#options;
    let count = 0;
    try {
      while (!this.#stopping && !channel.told && (renewEvery === 0 || count < renewEvery)) {
        await inTime(channel.ask(`${name} ${count++}`));
        this.asked++;
        await pause(GAP_MS);
      }
      await inTime(channel.close());
    } catch (error) {
      // Only who goes away may refuse, and nobody else is there who could be asked.
      if (!(this.#ending && error instanceof NotTaken)) this.#fail(`question ${count}`, error);
      channel.destroy();
    }
  }

  #fail(what: string, error: unknown): void {
    if (this.failures.length < FAILURES_MAX) this.failures.push(`${this.#options.name}, ${what}: ${String(error)}`);
  }
}

async function inTime<T>(promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`nothing for ${ANSWER_MS_MAX} ms`)), ANSWER_MS_MAX);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

const BLOCK_BYTES = 24 * 1024;

/** Bytes that no other question has. */
function blockOf(text: string): Buffer {
  return Buffer.alloc(BLOCK_BYTES, `${text} `);
}

/** A stream of bytes: what is asked comes back byte for byte, and its end is answered with an end. */
async function streamChannel(socket: net.Socket, opened: 'connect' | 'secureConnect'): Promise<Channel> {
  let failed: Error | undefined;
  let wake = (): void => undefined;
  let got: Buffer[] = [];
  socket.on('error', (error: Error) => {
    failed = error;
    wake();
  });
  socket.on('data', (bytes: Buffer) => {
    got.push(bytes);
    wake();
  });
  socket.on('close', () => wake());
  await once(socket, opened);
  const more = async (): Promise<void> => {
    await new Promise<void>((resolve) => (wake = resolve));
    if (failed !== undefined) throw failed;
  };
  return {
    told: false,
    async ask(text) {
      const block = blockOf(text);
      socket.write(block);
      while (got.reduce((sum, { length }) => sum + length, 0) < block.length) {
        if (failed !== undefined || socket.readableEnded) throw failed ?? new Error('The stream has ended');
        await more();
      }
      assert.ok(Buffer.concat(got).equals(block), `other bytes than those of "${text}"`);
      got = [];
    },
    async close() {
      socket.end();
      while (!socket.closed) await more();
      assert.ok(socket.readableEnded, 'closed without an end');
      assert.equal(got.length, 0, 'bytes that nobody sent');
    },
    destroy: () => void socket.destroy(),
  };
}

export function tcpChannel(host: string, port: number): Promise<Channel> {
  return streamChannel(net.connect({ host, port }), 'connect');
}

export function tlsChannel(host: string, port: number, servername: string): Promise<Channel> {
  return streamChannel(tls.connect({ host, port, servername, rejectUnauthorized: false }), 'secureConnect');
}

export async function udpChannel(host: string, port: number): Promise<Channel> {
  const socket = dgram.createSocket('udp4');
  socket.connect(port, host);
  await once(socket, 'connect');
  const ask = async (text: string): Promise<void> => {
    socket.send(text);
    const [bytes] = (await once(socket, 'message')) as [Buffer];
    assert.equal(bytes.toString(), text);
  };
  // There is no handshake: the first answer says that somebody is there.
  const first = ask('first');
  await inTime(first).catch((error: unknown) => {
    socket.close();
    throw error;
  });
  return {
    told: false,
    ask,
    async close() {
      socket.close();
      await Promise.resolve();
    },
    destroy: () => socket.close(),
  };
}

/** One connection of HTTP/2 for all questions. */
export async function http2Channel(host: string, port: number, path: string): Promise<Channel> {
  const session = http2.connect(`http://${host}:${port}`);
  session.on('error', () => undefined);
  let told = false;
  session.on('goaway', () => (told = true));
  await once(session, 'connect');
  return {
    get told() {
      return told || session.closed || session.destroyed;
    },
    async ask(text) {
      const stream = session.request({ ':method': 'POST', ':path': path });
      stream.end(text);
      const [headers] = (await once(stream, 'response').catch((error: Error) => {
        throw error.message.includes('NGHTTP2_REFUSED_STREAM') ? new NotTaken(error.message) : error;
      })) as [http2.IncomingHttpHeaders];
      let body = '';
      for await (const part of stream.setEncoding('utf8')) body += part as string;
      assert.deepEqual([headers[':status'], body], [200, text]);
    },
    async close() {
      if (session.destroyed) return;
      session.close();
      if (!session.destroyed) await once(session, 'close');
    },
    destroy: () => session.destroy(),
  };
}

/** @param target  `host:port` */
export async function unaryChannel(target: string): Promise<Channel> {
  const client = await connected(target);
  const channel = client.client.getChannel();
  return {
    get told() {
      return channel.getConnectivityState(false) !== grpc.connectivityState.READY;
    },
    async ask(text) {
      const { status, body } = await client.unary(text);
      if (status.code === grpc.status.UNAVAILABLE && status.details.includes('NGHTTP2_REFUSED_STREAM')) {
        throw new NotTaken(status.details);
      }
      assert.deepEqual([status.code, status.details, body?.toString()], [grpc.status.OK, 'OK', text]);
    },
    async close() {
      client[Symbol.dispose]();
      await Promise.resolve();
    },
    destroy: () => client[Symbol.dispose](),
  };
}

/** A call in both directions: each message is answered before the next. */
export async function bidiChannel(target: string): Promise<Channel> {
  const client = await connected(target);
  const call = client.both();
  call.on('error', () => undefined);
  const ended = new Promise<grpc.StatusObject>((resolve) => call.on('status', resolve));
  return {
    told: false,
    async ask(text) {
      const answer = once(call, 'data');
      call.write(Buffer.from(text));
      const lost = ended.then(({ code, details }) => Promise.reject(new Error(`Ended with ${code} ${details}`)));
      const [bytes] = (await Promise.race([answer, lost])) as [Buffer];
      assert.equal(bytes.toString(), text);
    },
    async close() {
      call.end();
      const { code, details } = await ended;
      client[Symbol.dispose]();
      assert.deepEqual([code, details], [grpc.status.OK, 'OK']);
    },
    destroy: () => client[Symbol.dispose](),
  };
}

async function connected(target: string): Promise<EchoClient> {
  const client = new EchoClient(target);
  await new Promise<void>((resolve, reject) =>
    client.client.waitForReady(Date.now() + ANSWER_MS_MAX, (error) =>
      error === undefined || error === null ? resolve() : reject(error),
    ),
  ).catch((error: unknown) => {
    client[Symbol.dispose]();
    throw error;
  });
  return client;
}

const GOING_AWAY = 1_001;

/** @param name  of the service that answers, before what it was told */
export async function webSocketChannel(url: string, name: string): Promise<Channel> {
  const socket = new WebSocket(url);
  let closed: CloseEvent | undefined;
  let wake = (): void => undefined;
  let got: unknown;
  socket.addEventListener('message', ({ data }) => {
    got = data;
    wake();
  });
  socket.addEventListener('close', (event) => {
    closed = event;
    wake();
  });
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener('open', () => resolve());
    socket.addEventListener('error', () => reject(new Error('Cannot open')));
  });
  const told = (): boolean => closed?.code === GOING_AWAY && closed.wasClean;
  return {
    get told() {
      return told();
    },
    async ask(text) {
      if (socket.readyState !== WebSocket.OPEN) return; // closed in order a moment ago: `told` says so in a moment
      const arrived = new Promise<void>((resolve) => (wake = resolve));
      socket.send(text);
      await arrived;
      if (!told()) assert.equal(got, `${name}: ${text}`, `closed with ${closed?.code}`);
    },
    async close() {
      if (closed === undefined) {
        const last = new Promise<void>((resolve) => (wake = resolve));
        socket.close(1_000);
        await last;
      }
      assert.ok(closed!.code === 1_000 || told(), `closed with ${closed!.code}`);
    },
    destroy: () => socket.close(),
  };
}
