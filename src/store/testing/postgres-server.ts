/** A PostgreSQL of its own for a test: Debian's programs, a temporary folder, a free port, no password. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';

const HOST = '127.0.0.1';
const READY_MS_MAX = 30_000;

export class PostgresServer implements AsyncDisposable {
  readonly url: string;
  readonly #bin: string;
  readonly #dir: string;
  readonly #port: number;
  #child: ChildProcess | undefined;

  private constructor(bin: string, dir: string, port: number) {
    this.#bin = bin;
    this.#dir = dir;
    this.#port = port;
    this.url = `postgres://fourways@${HOST}:${port}/postgres`;
  }

  static async start(): Promise<PostgresServer> {
    const bin = globSync('/usr/lib/postgresql/*/bin').toSorted().at(-1);
    if (bin === undefined) throw new Error('Cannot find PostgreSQL: run "node tools/need.ts"');
    const dir = mkdtempSync(join(tmpdir(), 'fourways-postgres-'));
    const as = userOf();
    if (as.uid !== undefined) chownSync(dir, as.uid, as.gid!);
    const args = ['-D', join(dir, 'data'), '-U', 'fourways', '-A', 'trust', '--no-sync', '--no-locale', '-E', 'UTF8'];
    execFileSync(join(bin, 'initdb'), args, { cwd: dir, stdio: 'ignore', ...as });
    const server = new PostgresServer(bin, dir, await freePort());
    await server.resume();
    return server;
  }

  /** Starts it again on the same port with the same data. */
  async resume(): Promise<void> {
    const options = ['-c', 'fsync=off', '-c', `unix_socket_directories=${this.#dir}`, '-c', 'max_connections=40'];
    const args = ['-D', join(this.#dir, 'data'), '-h', HOST, '-p', String(this.#port), ...options];
    const child = spawn(join(this.#bin, 'postgres'), args, {
      cwd: this.#dir,
      stdio: ['ignore', 'ignore', 'pipe'],
      ...userOf(),
    });
    this.#child = child;
    let said = '';
    let ready: (() => void) | undefined;
    const up = new Promise<void>((resolve) => (ready = resolve));
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-65_536);
      if (said.includes('ready to accept connections')) ready?.();
    });
    const late = AbortSignal.timeout(READY_MS_MAX);
    await Promise.race([
      up,
      once(late, 'abort').then(() => Promise.reject(new Error(`PostgreSQL is not ready:\n${said}`))),
      once(child, 'exit').then(() => Promise.reject(new Error(`PostgreSQL ended:\n${said}`))),
    ]);
  }

  /** As a crash does: every session is cut. @param signal  SIGQUIT is its immediate shutdown; after SIGKILL its children end a little later */
  async kill(signal: 'SIGQUIT' | 'SIGKILL' = 'SIGQUIT'): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    child.kill(signal);
    await once(child, 'exit');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** PostgreSQL refuses to run as root: then it runs as the user that its package made. */
function userOf(): { readonly uid?: number; readonly gid?: number } {
  if (userInfo().uid !== 0) return {};
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith('postgres:'));
  const [, , uid, gid] = (line ?? '').split(':');
  return { uid: Number(uid), gid: Number(gid) };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await once(server.close(), 'close');
  return port;
}
