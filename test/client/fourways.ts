/** Starts the real program for tests and benches, and ends exactly that process. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, openSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../../examples/free-port.ts';
import type { NetworkHost } from './network.ts';

export { freePort };

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const NODE = process.execPath;
const READY_MS_MAX = 60_000;
/** A loaded machine takes its time over a database that is made. */
const WAIT_MS_MAX = 120_000;
/** Between two looks: soon at first, and not to keep a machine busy that works on it. */
const LOOK_MS = { first: 2, last: 100 };

/** `built` is the package as users install it; `source` what a clone runs. */
export type Entry = 'source' | 'built';

export interface FourwaysOptions {
  /** File or folder of manifests; empty for a command that has none. */
  readonly config: string;
  /** Default `up`, which has all of the options below; the others have fewer. */
  readonly command?: 'up' | 'control' | 'gateway';
  /** Besides those below. */
  readonly args?: readonly string[];
  readonly entry?: Entry;
  readonly workers?: number;
  readonly bind?: string;
  /** Seconds or so, as `--drain` takes them. */
  readonly drain?: string;
  /** How long keys of session tickets are used, as `--ticket-keys` takes it. */
  readonly ticketKeys?: string;
  /** Where it runs, if not beside the test: its admin API is at the address of the host. */
  readonly at?: NetworkHost;
  /** Where proxies of a mesh join, as `--mesh` takes it. */
  readonly mesh?: string;
  /** URL of a Redis, as `--redis` takes it. */
  readonly redis?: string;
  /** Folder for the last good plan; a temporary one otherwise. */
  readonly data?: string;
  /** CPU to pin to. */
  readonly core?: number;
  /** Where standard output goes; read with `output()` otherwise. */
  readonly outputFile?: string;
  readonly logLevel?: 'debug' | 'info' | 'warn' | 'error';
  /** Besides what this process has. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface StatusItem {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly status?: unknown;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class Fourways {
  readonly child: ChildProcess;
  readonly admin: string;
  readonly ended: Promise<Ended>;
  readonly #scratch: string;
  #out = '';
  #err = '';
  #over = false;

  private constructor(child: ChildProcess, admin: string, scratch: string) {
    this.child = child;
    this.admin = admin;
    this.#scratch = scratch;
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.#out = tail(this.#out + text)));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.#err = tail(this.#err + text)));
    this.ended = new Promise((resolve) =>
      child.once('close', (code, signal) => {
        this.#over = true;
        resolve({ code, signal });
      }),
    );
  }

  /** Spawns the program; does not wait until it is ready. */
  static async spawn(options: FourwaysOptions): Promise<Fourways> {
    const scratch = await mkdtemp(join(tmpdir(), 'fourways-test-'));
    const adminPort = await freePort(DOOR_HOST);
    const { command = 'up', at } = options;
    const host = at?.address ?? DOOR_HOST;
    const args = [
      ...programOf(options.entry ?? 'source'),
      command,
      ...(options.config === '' ? [] : [options.config]),
      ...(options.args ?? []),
      ...flag('--bind', command === 'control' ? undefined : (options.bind ?? host)),
      ...flag('--admin', `${host}:${adminPort}`),
      ...flag('--data', options.data ?? join(scratch, 'data')),
      ...flag('--workers', options.workers?.toString()),
      ...flag('--drain', options.drain),
      ...flag('--ticket-keys', options.ticketKeys),
      ...flag('--redis', options.redis),
      ...flag('--mesh', options.mesh),
      ...flag('--log-level', options.logLevel),
    ];
    const out = options.outputFile === undefined ? 'pipe' : openSync(options.outputFile, 'w');
    const pinned = options.core === undefined ? [] : ['taskset', '-c', String(options.core)];
    const [program = NODE, ...rest] = [...(at?.within ?? []), ...pinned, NODE, ...args];
    const child = spawn(program, rest, {
      stdio: ['ignore', out, options.outputFile === undefined ? 'pipe' : out],
      env: { ...process.env, ...options.env },
    });
    return new Fourways(child, `http://${host}:${adminPort}`, scratch);
  }

  /** Spawns and waits until every worker serves the plan. */
  static async start(options: FourwaysOptions): Promise<Fourways> {
    const running = await Fourways.spawn(options);
    try {
      await running.ready();
    } catch (error) {
      await running.stop('SIGKILL');
      throw error;
    }
    return running;
  }

  get pid(): number {
    return this.child.pid!;
  }

  /** The last 256 KB of what it said, for messages of failing tests. */
  output(): string {
    return `${this.#out}\n${this.#err}`;
  }

  async ready(): Promise<void> {
    const endMs = performance.now() + READY_MS_MAX;
    while (performance.now() < endMs) {
      if (this.#over) throw new Error(`Fourways ended before it was ready:\n${this.output()}`);
      const answer = await fetch(`${this.admin}/readyz`).catch(() => undefined);
      await answer?.body?.cancel();
      if (answer?.ok === true) return;
      await pause(10);
    }
    throw new Error(`Fourways was not ready after ${READY_MS_MAX} ms:\n${this.output()}`);
  }

  /** Waits until `holds` says so, for as long as the program lives. @throws {Error} with its output, when it takes too long */
  async until(holds: () => boolean | Promise<boolean>, what: string, waitMsMax = WAIT_MS_MAX): Promise<void> {
    const endMs = performance.now() + waitMsMax;
    for (let lookMs = LOOK_MS.first; !(await holds()); lookMs = Math.min(lookMs * 2, LOOK_MS.last)) {
      if (this.#over) throw new Error(`Fourways ended before: ${what}\n${this.output()}`);
      if (performance.now() > endMs) throw new Error(`Waited ${waitMsMax} ms in vain: ${what}\n${this.output()}`);
      await pause(lookMs);
    }
  }

  async adminText(path: string): Promise<string> {
    const answer = await fetch(this.admin + path);
    if (!answer.ok) throw new Error(`Cannot read ${path}: status ${answer.status}`);
    return answer.text();
  }

  async status(): Promise<readonly StatusItem[]> {
    return (JSON.parse(await this.adminText('/status')) as { items: StatusItem[] }).items;
  }

  /** Resident memory of the process in bytes. */
  rssBytes(): number {
    return rssOf(this.pid);
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<Ended> {
    if (!this.#over) this.child.kill(signal);
    const ended = await this.ended;
    await rm(this.#scratch, { recursive: true, force: true });
    return ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('SIGKILL');
  }
}

/** Whether there is something to start: source files of the program, or the built package. */
export function hasEntry(entry: Entry): boolean {
  return existsSync(programOf(entry)[0]!);
}

export function programOf(entry: Entry): string[] {
  return [join(ROOT, entry === 'built' ? 'dist/main/fourways.js' : 'src/main/fourways.ts')];
}

export function rssOf(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes ?? 0) * 1024;
}

/**
 * A loopback address of this test process alone. The program under test listens
 * there, so that no port it is to bind can be taken meanwhile by an origin or by
 * the near end of a connection, which have 127.0.0.1.
 */
export const DOOR_HOST = `127.${64 + (process.pid & 63)}.${(process.pid >> 6) & 255}.1`;

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function flag(name: string, value: string | undefined): string[] {
  return value === undefined ? [] : [name, value];
}

function tail(text: string): string {
  return text.length > 262_144 ? text.slice(-131_072) : text;
}
