import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { ModuleRun } from '../source/module.ts';
import type { ConfigMessage } from './config-worker.ts';

export interface ModuleLimits {
  /** From the start of the process to its result. */
  readonly runMs: number;
  readonly heapMegabytesMax: number;
}

/** A configuration that asks another machine first may take its time; one that hangs must not hang us. */
const MODULE_LIMITS: ModuleLimits = { runMs: 5_000, heapMegabytesMax: 256 };

/** What is kept of the output of one run. */
const OUTPUT_LINES_MAX = 100;
const OUTPUT_BYTES_MAX = 64 * 1024;

const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
const PROGRAM = fileURLToPath(new URL(`./config-worker${EXTENSION}`, import.meta.url));

/**
 * Runs a configuration module in a process of its own and ends the process,
 * whatever the module does: a throw, a syntax error, an endless loop,
 * `process.exit` and an exhausted heap are results. Not a worker thread: one
 * that fills its heap can take the whole process with it, or spin in the
 * garbage collector where `terminate` does not reach it.
 *
 * @param path  absolute path of the module
 */
export async function runConfigModule(path: string, limits: ModuleLimits = MODULE_LIMITS): Promise<ModuleRun> {
  const child = fork(PROGRAM, [path], {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    execArgv: [
      `--max-old-space-size=${limits.heapMegabytesMax}`,
      // A project without "type" in its package.json is not our business.
      '--disable-warning=MODULE_TYPELESS_PACKAGE_JSON',
      '--disable-warning=ExperimentalWarning',
    ],
  });
  const files = new Set([path]);
  const output = new Output();
  child.stdout!.on('data', (bytes: Buffer) => output.add(bytes));
  child.stderr!.on('data', (bytes: Buffer) => output.add(bytes));
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const result = await resultOf(child, { files, output, limits });
  child.kill('SIGKILL');
  await closed;
  return { files: [...files], output: output.lines(), result };
}

interface Run {
  readonly files: Set<string>;
  readonly output: Output;
  readonly limits: ModuleLimits;
}

function resultOf(child: ChildProcess, { files, output, limits }: Run): Promise<ModuleRun['result']> {
  const { promise, resolve } = Promise.withResolvers<ModuleRun['result']>();
  const fail = (code: string, reason: string): void => resolve({ kind: 'failed', code, reason });

  const timer = setTimeout(
    () => fail('module.timeout', `it was still running after ${limits.runMs / 1000} s`),
    limits.runMs,
  );
  child.on('message', (message) => {
    const said = message as ConfigMessage;
    if (said.kind === 'file') files.add(said.path);
    else resolve(said);
  });
  child.on('error', (error) => fail('module.failed', error.message));
  child.on('close', (code, signal) => {
    const full = signal === 'SIGABRT' && output.text.includes('out of memory');
    if (full) return fail('module.failed', `it needs more than ${limits.heapMegabytesMax} MB of memory`);
    const how = signal === null ? `with exit code ${code}` : `by ${signal}`;
    fail('module.failed', `it ended ${how} before it had exported anything`);
  });
  void promise.then(() => clearTimeout(timer));
  return promise;
}

/** What the module printed, cut to a bound. */
class Output {
  #text = '';

  get text(): string {
    return this.#text;
  }

  add(bytes: Buffer): void {
    if (this.#text.length < OUTPUT_BYTES_MAX) this.#text += bytes.toString('utf8');
  }

  lines(): readonly string[] {
    return this.#text
      .slice(0, OUTPUT_BYTES_MAX)
      .split('\n')
      .filter((line) => line !== '')
      .slice(0, OUTPUT_LINES_MAX);
  }
}
