/** The programs of `npm start`: `fourways up` with a mesh, and `fourways run` for each service. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { HOST, type Ports, type ServicePorts } from './ports.ts';

const PROGRAM = fileURLToPath(new URL('../../src/main/fourways.ts', import.meta.url));
const SERVICE = fileURLToPath(new URL('service.ts', import.meta.url));

/** The very first start makes a database, which takes seconds. */
const READY_MS_MAX = 120_000;
const TOKEN_MS = 60_000;

const QUIET = ['--log-level', 'warn'] as const;

interface Program {
  readonly child: ChildProcess;
  /** With its exit code; 1 when a signal has ended it. */
  readonly ended: Promise<number>;
}

export class Programs {
  /** Resolves with the exit code of the gateway, when all have ended. */
  readonly ended: Promise<number>;
  readonly #ports: Ports;
  readonly #scratch: string;
  readonly #admin: string;
  readonly #settle: (code: number) => void;
  #gateway: Program | undefined;
  #services: Program[] = [];
  #stopping: NodeJS.Signals | undefined;

  constructor(ports: Ports, scratch: string) {
    this.#ports = ports;
    this.#scratch = scratch;
    this.#admin = `http://${HOST}:${ports.admin}`;
    const { promise, resolve } = Promise.withResolvers<number>();
    this.ended = promise;
    this.#settle = resolve;
  }

  get stopping(): boolean {
    return this.#stopping !== undefined;
  }

  /** File with the access log of a program: one JSON object for each request. */
  logOf(name: string): string {
    return join(this.#scratch, `${name}.log`);
  }

  /** Resolves when it serves, or is to stop. */
  async startGateway(manifests: string): Promise<void> {
    const { admin, mesh } = this.#ports;
    const data = join(this.#scratch, 'state');
    const where = ['--admin', `${HOST}:${admin}`, '--mesh', `${HOST}:${mesh}`, '--data', data];
    const gateway = this.#launch('gateway', ['up', manifests, ...QUIET, ...where]);
    this.#gateway = gateway;
    void gateway.ended.then(async (code) => {
      this.stop('SIGTERM');
      await Promise.all(this.#services.map(({ ended }) => ended));
      this.#settle(code);
    });
    await this.#until(async () => (await fetch(`${this.#admin}/readyz`)).ok);
  }

  /** Resolves when the gateway reaches each of them, or all are to stop. */
  async startServices(): Promise<void> {
    for (const service of this.#ports.services) {
      if (this.stopping) return;
      const program = this.#launch(service.name, await this.#argumentsFor(service));
      this.#services.push(program);
      // Without one of them the lines to try do not show what they say.
      void program.ended.then(() => this.stop('SIGTERM'));
    }
    const gateway = `http://${HOST}:${this.#ports.gateway}`;
    const said = async (path: string, headers: Record<string, string> = {}): Promise<string> =>
      (await fetch(`${gateway}${path}`, { headers })).text();
    await this.#until(async () => {
      const next = await said('/', { 'x-preview': 'yes' });
      return next.includes('web-next') && (await said('/shop')).includes('"service":"orders"');
    });
  }

  /** Services first: what runs may still be answered. A second time, everything ends at once. */
  stop(signal: NodeJS.Signals): void {
    const isSecond = this.#stopping !== undefined && signal === 'SIGINT';
    if (this.#stopping !== undefined && !isSecond) return;
    this.#stopping = signal;
    for (const { child } of this.#services) child.kill(signal);
    if (isSecond) this.#gateway?.child.kill(signal);
    else void Promise.all(this.#services.map(({ ended }) => ended)).then(() => this.#gateway?.child.kill(signal));
  }

  /** After a failure nothing may be left. */
  async end(): Promise<void> {
    const all = [...this.#services, ...(this.#gateway === undefined ? [] : [this.#gateway])];
    for (const { child } of all) child.kill('SIGTERM');
    await Promise.all(all.map(({ ended }) => ended));
  }

  async #argumentsFor({ name, app, mtls, proxy }: ServicePorts): Promise<string[]> {
    const token = join(this.#scratch, `${name}.token`);
    writeFileSync(token, await this.#tokenFor(name), { mode: 0o600 });
    const { mesh } = this.#ports;
    const who = ['--service', name, '--app', String(app), '--control', `${HOST}:${mesh}`, '--token-file', token];
    const where = ['--port', String(mtls), '--proxy', `${HOST}:${proxy}`, '--data', join(this.#scratch, name)];
    return ['run', ...QUIET, ...who, ...where, '--', process.execPath, SERVICE, name, String(app)];
  }

  /** As `fourways token` does it. */
  async #tokenFor(account: string): Promise<string> {
    const body = JSON.stringify({ namespace: 'default', account, uses: 1, lastsMs: TOKEN_MS });
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${this.#admin}/tokens`, { method: 'POST', headers, body });
    if (!answer.ok) throw new Error(`No token for "${account}": ${await answer.text()}`);
    return ((await answer.json()) as { readonly token: string }).token;
  }

  async #until(isSo: () => Promise<boolean>): Promise<void> {
    const endMs = performance.now() + READY_MS_MAX;
    while (performance.now() < endMs && !this.stopping) {
      if (await isSo().catch(() => false)) return;
      await pause(20);
    }
    this.stop('SIGTERM');
  }

  /**
   * In a process group of its own: otherwise a terminal and service managers would signal it as well as we do. Warnings are
   * for whoever sits before the terminal; its access log is not, where each request passes through several programs.
   */
  #launch(name: string, args: readonly string[]): Program {
    const log = openSync(this.logOf(name), 'a');
    const child = spawn(process.execPath, [PROGRAM, ...args], { stdio: ['ignore', log, 'inherit'], detached: true });
    closeSync(log);
    return { child, ended: new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1))) };
  }
}
