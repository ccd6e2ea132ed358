/**
 * The application that a sidecar was started with (`fourways run … -- CMD`): started when the proxy serves, told what the
 * sidecar is told, and the exit of one is the exit of both.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { constants } from 'node:os';

export interface ApplicationOptions {
  /** The program and its arguments. */
  readonly command: readonly [program: string, ...rest: string[]];
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** How shells say that a command was not found, could not be run, or was ended by a signal. */
const NOT_FOUND = 127;
const NOT_RUN = 126;
const BY_SIGNAL = 128;

export interface Exit {
  /** As a shell would say it: 128 and the number of the signal for one that was ended by it. */
  readonly code: number;
  /** In words. */
  readonly reason: string;
}

export class Application {
  /** Resolves when it has ended, or could not be started. Never rejects. */
  readonly exit: Promise<Exit>;
  readonly #child: ChildProcess;

  /** Starts it, on the terminal of this process. */
  constructor({ command: [program, ...rest], env }: ApplicationOptions) {
    this.#child = spawn(program, rest, { env: { ...env }, stdio: 'inherit' });
    const { promise, resolve } = Promise.withResolvers<Exit>();
    this.exit = promise;
    this.#child.once('error', (error: NodeJS.ErrnoException) => {
      if (this.#child.pid !== undefined) return;
      const code = error.code === 'ENOENT' ? NOT_FOUND : NOT_RUN;
      resolve({ code, reason: `"${program}" cannot be started: ${error.message}` });
    });
    this.#child.once('exit', (code, signal) => {
      if (signal !== null)
        return resolve({ code: BY_SIGNAL + constants.signals[signal], reason: `ended by ${signal}` });
      resolve({ code: code ?? 0, reason: `ended with exit code ${code}` });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** @returns false when it has ended already */
  signal(signal: NodeJS.Signals): boolean {
    return this.#child.kill(signal);
  }
}
