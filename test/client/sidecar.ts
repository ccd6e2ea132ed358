/** `fourways sidecar` and `fourways run` as programs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NetworkHost } from './network.ts';
import { DOOR_HOST, type Ended, type Fourways, freePort, pause, programOf } from './fourways.ts';

const READY_MS_MAX = 60_000;

export interface SidecarOptions {
  /** `orders.shop` */
  readonly service: string;
  /** Folder for its certificate and its plan, and for its token. */
  readonly dir: string;
  /** `HOST:PORT` of the control plane. */
  readonly control: string;
  readonly token?: string;
  /** Of this host, as others reach it; default is the address of the test. */
  readonly address?: string;
  /** Ports of the application. */
  readonly app?: readonly string[];
  /** The application; absent: `fourways sidecar`. */
  readonly command?: readonly string[];
  readonly drain?: string;
  /** `NAME:PORT=PORT` each, as `--local` takes them. */
  readonly locals?: readonly string[];
  /** What else it is told. */
  readonly more?: readonly string[];
  /** Where it runs, if not beside the test. */
  readonly at?: NetworkHost;
}

export class Sidecar implements AsyncDisposable {
  readonly child: ChildProcess;
  /** `http://HOST:PORT` of its forward proxy. */
  readonly proxy: string;
  readonly ended: Promise<Ended>;
  #out = '';
  #err = '';
  #over = false;

  private constructor(child: ChildProcess, proxy: string) {
    this.child = child;
    this.proxy = proxy;
    child.stdout!.setEncoding('utf8').on('data', (text: string) => (this.#out += text));
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (this.#err += text));
    this.ended = new Promise((resolve) =>
      child.once('close', (code, signal) => {
        this.#over = true;
        resolve({ code, signal });
      }),
    );
  }

  static async spawn({
    service,
    dir,
    control,
    token,
    address = DOOR_HOST,
    app = [],
    command,
    drain = '5s',
    locals = [],
    more = [],
    at,
  }: SidecarOptions): Promise<Sidecar> {
    const port = await freePort(at === undefined ? address : DOOR_HOST);
    const proxyPort = await freePort(DOOR_HOST);
    const tokenFile = join(dir, `token-${port}`);
    if (token !== undefined) writeFileSync(tokenFile, token, { mode: 0o600 });
    const args = [
      ...programOf('source'),
      ...(command === undefined ? ['sidecar'] : ['run']),
      '--service',
      service,
      '--control',
      control,
      '--address',
      at?.address ?? address,
      '--port',
      String(port),
      '--proxy',
      `${DOOR_HOST}:${proxyPort}`,
      '--data',
      join(dir, `sidecar-${port}`),
      '--drain',
      drain,
      ...(token === undefined ? [] : ['--token-file', tokenFile]),
      ...app.flatMap((one) => ['--app', one]),
      ...locals.flatMap((one) => ['--local', one]),
      ...more,
      ...(command === undefined ? [] : ['--', ...command]),
    ];
    const [program = '', ...rest] = [...(at?.within ?? []), process.execPath, ...args];
    const child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
    return new Sidecar(child, `http://${DOOR_HOST}:${proxyPort}`);
  }

  /** Spawns, and waits until it serves. */
  static async start(options: SidecarOptions): Promise<Sidecar> {
    const sidecar = await Sidecar.spawn(options);
    await sidecar.said(/"message":"Ready"/);
    return sidecar;
  }

  get out(): string {
    return this.#out;
  }

  get err(): string {
    return this.#err;
  }

  async said(words: RegExp): Promise<void> {
    const endMs = performance.now() + READY_MS_MAX;
    while (!words.test(this.#err)) {
      if (this.#over) throw new Error(`The sidecar ended before it said ${words}:\n${this.#err}`);
      if (performance.now() > endMs) throw new Error(`The sidecar did not say ${words}:\n${this.#err}`);
      await pause(20);
    }
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
    if (!this.#over) this.child.kill(signal);
    return this.ended;
  }

  /** Politely: an application would outlive a sidecar that is killed, and hold its output. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/** A token for this service, once. */
export async function tokenFor({ admin }: Fourways, service: string): Promise<string> {
  const [account, namespace] = service.split('.');
  const body = JSON.stringify({ namespace, account, uses: 1, lastsMs: 60_000 });
  const headers = { 'content-type': 'application/json' };
  const answer = await fetch(`${admin}/tokens`, { method: 'POST', headers, body });
  if (!answer.ok) throw new Error(`No token: ${await answer.text()}`);
  return ((await answer.json()) as { token: string }).token;
}
