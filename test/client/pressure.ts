/**
 * Things that cost a careless proxy its memory: many connections, long bodies,
 * readers that do not read, heads that do not end. The parts of bounded.test.ts
 * and bench/bounded.ts.
 */
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { pause, rssOf } from './fourways.ts';

export interface BulkOrigin extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
  /** Bytes of bodies that were handed to the kernel, of all answers. */
  readonly sentBytes: number;
  readonly receivedBytes: number;
  /** While true, nothing more is read from any connection: a slow upstream. */
  hold: boolean;
}

const BLOCK = Buffer.alloc(64 * 1024, 'x');

/**
 * `GET /down/N` is answered with N bytes, `POST` with the number of body bytes that arrived. Written against the
 * socket, because the bodies are longer than memory may be.
 */
export async function startBulkOrigin(): Promise<BulkOrigin> {
  const sockets = new Set<Socket>();
  const figures = { sentBytes: 0, receivedBytes: 0, hold: false };
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    serveBulk(socket, figures);
  });
  await new Promise<void>((resolve) => server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, resolve));
  const { address, port } = server.address() as AddressInfo;
  return {
    host: address,
    port,
    get sentBytes() {
      return figures.sentBytes;
    },
    get receivedBytes() {
      return figures.receivedBytes;
    },
    get hold() {
      return figures.hold;
    },
    set hold(hold) {
      figures.hold = hold;
      for (const socket of sockets) if (!hold) socket.resume();
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

interface BulkFigures {
  sentBytes: number;
  receivedBytes: number;
  hold: boolean;
}

/** One request after the other; a body always has a length here. */
function serveBulk(socket: Socket, figures: BulkFigures): void {
  let head = '';
  let bodyLeft = 0;
  let bodyBytes = 0;
  socket.on('data', (bytes: Buffer) => {
    let rest = bytes;
    if (bodyLeft === 0) {
      head += rest.toString('latin1');
      const end = head.indexOf('\r\n\r\n');
      if (end < 0) return;
      rest = rest.subarray(rest.length - (head.length - end - 4));
      bodyLeft = Number(/\ncontent-length: *(\d+)/i.exec(head.slice(0, end + 2))?.[1] ?? 0);
      bodyBytes = bodyLeft;
      if (bodyLeft === 0) {
        sendBulk(socket, Number(/^GET \/down\/(\d+)/.exec(head)?.[1] ?? 0), figures);
        head = '';
        return;
      }
      head = '';
    }
    bodyLeft -= rest.length;
    figures.receivedBytes += rest.length;
    if (figures.hold) socket.pause();
    if (bodyLeft > 0) return;
    const text = String(bodyBytes);
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`);
  });
}

function sendBulk(socket: Socket, bytes: number, figures: BulkFigures): void {
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes}\r\n\r\n`);
  let left = bytes;
  const pump = (): void => {
    while (left > 0 && !socket.destroyed) {
      const block = left >= BLOCK.length ? BLOCK : BLOCK.subarray(0, left);
      left -= block.length;
      figures.sentBytes += block.length;
      if (!socket.write(block)) {
        socket.once('drain', pump);
        return;
      }
    }
  };
  pump();
}

export interface Door {
  readonly host: string;
  readonly port: number;
}

/** Opens connections that say nothing, at most `atOnce` under way at a time. */
export async function openIdle(door: Door, count: number, atOnce = 256): Promise<Socket[]> {
  const sockets: Socket[] = [];
  let started = 0;
  const open = async (): Promise<void> => {
    while (started < count) {
      started++;
      sockets.push(await openSocket(door));
    }
  };
  await Promise.all(Array.from({ length: atOnce }, open));
  return sockets;
}

export async function openSocket(door: Door): Promise<Socket> {
  const socket = connect({ ...door, noDelay: true });
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('error', reject);
  });
  socket.on('error', () => socket.destroy());
  return socket;
}

/** GETs `bytes` and throws them away; the number that arrived. */
export async function download(door: Door, host: string, bytes: number): Promise<number> {
  const socket = await openSocket(door);
  let got = -1;
  const done = new Promise<void>((resolve) => {
    socket.on('data', (piece: Buffer) => {
      if (got < 0) got = piece.length - (piece.indexOf('\r\n\r\n') + 4);
      else got += piece.length;
      if (got >= bytes) resolve();
    });
    socket.once('close', () => resolve());
  });
  socket.write(`GET /down/${bytes} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  await done;
  socket.destroy();
  return got;
}

/** POSTs `bytes`; the number that the upstream says it got. */
export async function upload(door: Door, host: string, bytes: number): Promise<number> {
  const socket = await openSocket(door);
  let answer = '';
  const done = new Promise<void>((resolve) => {
    socket.on('data', (piece: Buffer) => {
      answer += piece.toString('latin1');
      if (/\r\n\r\n\d+$/.test(answer)) resolve();
    });
    socket.once('close', () => resolve());
  });
  socket.write(`POST /up HTTP/1.1\r\nHost: ${host}\r\nContent-Length: ${bytes}\r\n\r\n`);
  for (let left = bytes; left > 0 && !socket.destroyed; left -= BLOCK.length) {
    const more = socket.write(left >= BLOCK.length ? BLOCK : BLOCK.subarray(0, left));
    if (!more) await firstOf(socket, ['drain', 'close']);
  }
  await done;
  socket.destroy();
  return Number(/\r\n\r\n(\d+)$/.exec(answer)?.[1] ?? -1);
}

/** Asks for `bytes` on each of `count` connections and reads nothing. */
export async function openSlowReaders(
  door: Door,
  host: string,
  options: { count: number; bytes: number },
): Promise<Socket[]> {
  const sockets = await openIdle(door, options.count);
  for (const socket of sockets) {
    socket.pause();
    socket.write(`GET /down/${options.bytes} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  }
  return sockets;
}

/** Sends header lines without end until the connection is closed; the answer that came. */
export async function floodHeaders(door: Door, host: string): Promise<string> {
  const socket = await openSocket(door);
  let answer = '';
  socket.on('data', (piece: Buffer) => (answer += piece.toString('latin1')));
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  socket.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n`);
  const line = `X-Flood: ${'f'.repeat(1_000)}\r\n`.repeat(8);
  // 16 MB is far beyond any limit; a proxy that takes that much takes everything.
  for (let sent = 0; sent < 16_777_216 && socket.writable && answer === ''; sent += line.length) {
    if (!socket.write(line)) await firstOf(socket, ['drain', 'close', 'data']);
    await pause(0);
  }
  socket.end();
  await closed;
  return answer;
}

/** Resolves with the first of these events, and leaves no listener behind. */
function firstOf(socket: Socket, names: readonly string[]): Promise<void> {
  return new Promise((resolve) => {
    const happened = (): void => {
      for (const name of names) socket.off(name, happened);
      resolve();
    };
    for (const name of names) socket.on(name, happened);
  });
}

/** Resident memory of a process, looked at all the time. */
export class MemoryWatch {
  readonly #pid: number;
  readonly #timer: NodeJS.Timeout;
  peakBytes: number;

  constructor(pid: number) {
    this.#pid = pid;
    this.peakBytes = rssOf(pid);
    this.#timer = setInterval(() => this.#look(), 20);
  }

  stop(): number {
    clearInterval(this.#timer);
    this.#look();
    return this.peakBytes;
  }

  #look(): void {
    this.peakBytes = Math.max(this.peakBytes, rssOf(this.#pid));
  }
}
