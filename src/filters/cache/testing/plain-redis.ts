/** A Redis server of the test's own, and as much of a client as the cache needs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Redis } from '../../../filter/env.ts';

export class RedisServer implements AsyncDisposable {
  readonly #folder = mkdtempSync(join(tmpdir(), 'fourways-redis-'));
  readonly socket = join(this.#folder, 'redis.sock');
  #process: ChildProcess | undefined;

  static async start(): Promise<RedisServer> {
    const server = new RedisServer();
    await server.run();
    return server;
  }

  /** Also after {@link kill}: what it held is gone. */
  async run(): Promise<void> {
    const args = ['--port', '0', '--unixsocket', this.socket, '--save', '', '--dir', this.#folder];
    const started = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#process = started;
    for await (const text of started.stdout.setEncoding('utf8')) if (String(text).includes('eady to accept')) break;
  }

  /** Answers nothing until it is woken. */
  sleep(): void {
    this.#process!.kill('SIGSTOP');
  }

  wake(): void {
    this.#process!.kill('SIGCONT');
  }

  async kill(): Promise<void> {
    const exit = once(this.#process!, 'exit');
    this.#process!.kill('SIGKILL');
    await exit;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process?.exitCode === null && this.#process.signalCode === null) await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

interface Waiting {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** One connection, answers in order. Bulk strings come as bytes. */
export class RedisClient implements Redis {
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  #rest: Buffer = Buffer.alloc(0);
  isUp = true;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (bytes: Buffer) => this.#read(bytes));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.isUp = false;
      for (const { reject } of this.#waiting.splice(0)) reject(new Error('The connection is closed'));
    });
  }

  static async connect(path: string): Promise<RedisClient> {
    const socket = connect(path);
    await once(socket, 'connect');
    return new RedisClient(socket);
  }

  command(...words: readonly (string | Buffer | number)[]): Promise<unknown> {
    if (!this.isUp) return Promise.reject(new Error('It is away'));
    const parts = words.map((word) => (Buffer.isBuffer(word) ? word : Buffer.from(String(word))));
    const text: Buffer[] = [Buffer.from(`*${parts.length}\r\n`)];
    for (const part of parts) text.push(Buffer.from(`$${part.length}\r\n`), part, Buffer.from('\r\n'));
    this.#socket.write(Buffer.concat(text));
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  run(): Promise<unknown> {
    return Promise.reject(new Error('The cache runs no scripts'));
  }

  close(): void {
    this.#socket.destroy();
  }

  #read(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    for (let found = valueAt(this.#rest, 0); found !== undefined; found = valueAt(this.#rest, 0)) {
      this.#rest = this.#rest.subarray(found.end);
      const { resolve, reject } = this.#waiting.shift()!;
      if (found.value instanceof Error) reject(found.value);
      else resolve(found.value);
    }
  }
}

/** RESP2; undefined while it is not all there. */
function valueAt(bytes: Buffer, at: number): { readonly value: unknown; readonly end: number } | undefined {
  const lineEnd = bytes.indexOf('\r\n', at);
  if (lineEnd < 0) return undefined;
  const line = bytes.toString('latin1', at + 1, lineEnd);
  const end = lineEnd + 2;
  switch (String.fromCharCode(bytes[at]!)) {
    case '$': {
      const length = Number(line);
      if (length < 0) return { value: null, end };
      return bytes.length < end + length + 2
        ? undefined
        : { value: bytes.subarray(end, end + length), end: end + length + 2 };
    }
    case '*': {
      const values: unknown[] = [];
      let next = end;
      for (let i = 0; i < Number(line); i++) {
        const found = valueAt(bytes, next);
        if (found === undefined) return undefined;
        values.push(found.value);
        next = found.end;
      }
      return { value: values, end: next };
    }
    case ':':
      return { value: Number(line), end };
    case '-':
      return { value: new Error(line), end };
    default:
      return { value: line, end };
  }
}
