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
  /**
   * Standard output and error: its own to use, or, where both programs would share whether writing blocks, through pipes
   * to these. A reader that stalls must stall the application alone, and not the proxy that shares the socket.
   */
  readonly output: 'inherit' | { readonly out: NodeJS.WritableStream; readonly err: NodeJS.WritableStream };
  /** Who it runs as, if not as this process; that needs root. It has no other groups. */
  readonly account?: { readonly uid: number; readonly gid: number };
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
  /** Resolves when all that it has written is handed on; later than its end, and never while a program it has left behind writes. */
  readonly written: Promise<void>;
  readonly #child: ChildProcess;

  /** Starts it, with the standard input of this process. */
  constructor({ command: [program, ...rest], env, output, account }: ApplicationOptions) {
    const stdio = output === 'inherit' ? 'inherit' : 'pipe';
    this.#child = spawn(program, rest, {
      env: { ...env },
      stdio: ['inherit', stdio, stdio],
      ...(account !== undefined && { uid: account.uid, gid: account.gid }),
    });
    if (output !== 'inherit') {
      this.#child.stdout?.pipe(output.out, { end: false });
      this.#child.stderr?.pipe(output.err, { end: false });
    }
    this.written = new Promise((resolve) => this.#child.once('close', () => resolve()));
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
