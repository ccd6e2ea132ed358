/** `fourways sidecar` and `fourways run` as programs. */
import { type ChildProcess, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { NetworkHost } from './network.ts';
import { DOOR_HOST, type Ended, type Entry, type Fourways, freePort, pause, programOf } from './fourways.ts';

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
  /** `HOST:PORT` of its forward proxy; default is a free port of the test. */
  readonly proxy?: string;
  /** Folder that it keeps its things in; default is one of its own. */
  readonly data?: string;
  /** What else it is told. */
  readonly more?: readonly string[];
  /** Where it runs, if not beside the test. */
  readonly at?: NetworkHost;
  readonly entry?: Entry;
  /** What starts it, as first words of its command line. */
  readonly within?: readonly string[];
}

export class Sidecar implements AsyncDisposable {
  readonly child: ChildProcess;
  /** `http://HOST:PORT` of its forward proxy. */
  readonly proxy: string;
  readonly ended: Promise<Ended>;
  readonly #words: readonly string[];
  #out = '';
  #err = '';
  #over = false;

  private constructor(words: readonly string[], proxy: string) {
    const [program, ...args] = words;
    const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#words = words;
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
    proxy,
    data,
    more = [],
    at,
    entry = 'source',
    within = [],
  }: SidecarOptions): Promise<Sidecar> {
    const port = await freePort(at === undefined ? address : DOOR_HOST);
    const forward = proxy ?? `${DOOR_HOST}:${await freePort(DOOR_HOST)}`;
    const tokenFile = join(dir, `token-${port}`);
    if (token !== undefined) writeFileSync(tokenFile, token, { mode: 0o600 });
    const words = [
      ...within,
      ...(at?.within ?? []),
      process.execPath,
      ...programOf(entry),
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
      forward,
      '--data',
      data ?? join(dir, `sidecar-${port}`),
      '--drain',
      drain,
      ...(token === undefined ? [] : ['--token-file', tokenFile]),
      ...app.flatMap((one) => ['--app', one]),
      ...locals.flatMap((one) => ['--local', one]),
      ...more,
      ...(command === undefined ? [] : ['--', ...command]),
    ];
    return new Sidecar(words, `http://${forward}`);
  }

  /** A new process in the place of this one, which goes on until it has nothing left to do. */
  async successor(): Promise<Sidecar> {
    const next = new Sidecar([...this.#words, '--takeover'], this.proxy);
    await next.said(/"message":"Ready"/);
    return next;
  }

  /** Once more in its place, after it has ended: with the certificate and the plan that it has kept. */
  async again(): Promise<Sidecar> {
    const next = new Sidecar(this.#words, this.proxy);
    await next.said(/"message":"Ready"/);
    return next;
  }

  /** Spawns, and waits until it serves. */
  static async start(options: SidecarOptions): Promise<Sidecar> {
    const sidecar = await Sidecar.spawn(options);
    await sidecar.said(/"message":"Ready"/);
    return sidecar;
  }

  /** The same on another one's port, where it has no right to be. */
  successorAt(proxy: string): Sidecar {
    const { host } = new URL(this.proxy);
    const words = this.#words.map((word) => (word === host ? new URL(proxy).host : word));
    return new Sidecar([...words, '--takeover'], proxy);
  }

  /** At which it takes mTLS of others. */
  get port(): number {
    return Number(this.#words[this.#words.indexOf('--port') + 1]);
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

  /** What the application said on standard output. */
  async heard(words: RegExp): Promise<RegExpExecArray> {
    const endMs = performance.now() + READY_MS_MAX;
    for (;;) {
      const found = words.exec(this.#out);
      if (found !== null) return found;
      if (this.#over) throw new Error(`It ended before its application said ${words}:\n${this.#out}\n${this.#err}`);
      if (performance.now() > endMs) throw new Error(`The application did not say ${words}:\n${this.#out}`);
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
