/** A Redis of its own for a test: Debian's program, a temporary folder, a free port, nothing on disk. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const HOST = '127.0.0.1';
const READY_MS_MAX = 30_000;

export interface RedisServerOptions {
  readonly password?: string;
  /** Files of a certificate: then it speaks TLS. */
  readonly tls?: { readonly certificate: string; readonly key: string };
}

export class RedisServer implements AsyncDisposable {
  readonly url: string;
  readonly port: number;
  readonly #options: RedisServerOptions;
  readonly #dir = mkdtempSync(join(tmpdir(), 'fourways-redis-'));
  #child: ChildProcess | undefined;

  private constructor(port: number, options: RedisServerOptions) {
    this.port = port;
    this.#options = options;
    const password = options.password === undefined ? '' : `:${options.password}@`;
    this.url = `${options.tls === undefined ? 'redis' : 'rediss'}://${password}${HOST}:${port}`;
  }

  static async start(options: RedisServerOptions = {}): Promise<RedisServer> {
    const server = new RedisServer(await freePort(), options);
    await server.resume();
    return server;
  }

  /** Starts it again on the same port, empty. */
  async resume(): Promise<void> {
    const { password, tls } = this.#options;
    const ports =
      tls === undefined
        ? ['--port', String(this.port)]
        : [
            '--port',
            '0',
            '--tls-port',
            String(this.port),
            '--tls-cert-file',
            tls.certificate,
            '--tls-key-file',
            tls.key,
          ];
    const secrets = password === undefined ? [] : ['--requirepass', password];
    const clients = tls === undefined ? [] : ['--tls-auth-clients', 'no'];
    const args = [
      '--bind',
      HOST,
      '--save',
      '',
      '--appendonly',
      'no',
      '--dir',
      this.#dir,
      ...ports,
      ...clients,
      ...secrets,
    ];
    const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'ignore'] });
    this.#child = child;
    const ready = Promise.withResolvers<void>();
    let said = '';
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-65_536);
      if (said.includes('Ready to accept connections')) ready.resolve();
    });
    await Promise.race([
      ready.promise,
      once(AbortSignal.timeout(READY_MS_MAX), 'abort').then(() => Promise.reject(new Error(`Redis is late:\n${said}`))),
      once(child, 'exit').then(() => Promise.reject(new Error(`Redis ended:\n${said}`))),
      once(child, 'error').then(() => Promise.reject(new Error('Cannot find Redis: run "node tools/need.ts"'))),
    ]);
  }

  /** As a crash does: every connection is cut, everything is forgotten. */
  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  /** It holds its connections and does not answer. */
  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await once(server.close(), 'close');
  return port;
}
