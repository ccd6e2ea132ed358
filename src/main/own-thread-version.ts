/**
 * A version of a filter of a user in a thread of its own. Whatever the filter
 * does there, here it is an outcome: a hook that takes too long, an endless loop,
 * `process.exit`, an error that nobody caught, a heap that is full.
 */
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import type { Clock } from '../base/clock.ts';
import type { InstanceSpec, ProgramEnv, ProgramSpec } from '../filter/own-program.ts';
import { messageOf, type Outcome, type OwnCall, type OwnEnd, type OwnShape, placeOf } from '../filter/own-run.ts';
import { askUpstream } from './own-env.ts';
import type { FileStamp } from './own-import.ts';
import {
  exactBytes,
  type FromOwnThread,
  type LoadedFilter,
  type OwnThreadData,
  type ToOwnThread,
} from './own-protocol.ts';
import { failed, timedOut, type Version } from './own-version.ts';

export interface ThreadOptions {
  readonly spec: ProgramSpec;
  readonly version: number;
  readonly clock: Clock;
  /** A line that the filter printed. */
  readonly onLine: (line: string) => void;
  /** The thread has ended, or was ended because it hung. Not called before it was loaded. */
  readonly onDied: (why: string) => void;
}

/** From the start of the thread until the module is loaded. */
export const LOAD_MS_MAX = 5_000;

/** After a call took too long: a thread that says nothing for so long hangs, and is ended. */
const SILENCE_MS_MAX = 250;

/** What the filter may take to close. */
const CLOSE_MS_MAX = 1_000;

/** Calls that one thread may have open; beyond, it is overrun and requests are answered 500 at once. */
const CALLS_MAX = 1_000;

/** Characters of a printed line that are kept. */
const LINE_CHARS_MAX = 1_000;

/** The stack of a thread, and what it may fill before objects are old: V8 counts neither as heap of old objects. */
const STACK_MEGABYTES = 4;
const YOUNG_MEGABYTES = 16;

const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
const ENTRY = new URL(`./own-thread${EXTENSION}`, import.meta.url);

interface Pending {
  readonly resolve: (outcome: Outcome) => void;
  readonly stop: () => void;
}

interface Making {
  readonly env: ProgramEnv;
  readonly resolve: (shape: OwnShape | string) => void;
}

export class ThreadVersion implements Version {
  readonly loaded: Promise<LoadedFilter | string>;
  readonly stamps = new Map<string, FileStamp>();
  readonly #options: ThreadOptions;
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  readonly #instances = new Map<number, Making>();
  readonly #settle: (loaded: LoadedFilter | string) => void;
  #state: 'loading' | 'running' | 'closing' | 'over' = 'loading';
  #lastId = 0;
  #heard = 0;
  #stopWatch: (() => void) | undefined;

  constructor(options: ThreadOptions) {
    this.#options = options;
    const { spec, version, clock } = options;
    const { promise, resolve } = Promise.withResolvers<LoadedFilter | string>();
    this.loaded = promise;
    const data: OwnThreadData = { module: spec.module, filter: spec.filter, version };
    this.#worker = new Worker(fileURLToPath(ENTRY), {
      workerData: data,
      stdout: true,
      stderr: true,
      execArgv: ['--disable-warning=MODULE_TYPELESS_PACKAGE_JSON', '--disable-warning=ExperimentalWarning'],
      resourceLimits: {
        maxOldGenerationSizeMb: spec.heapMegabytesMax,
        maxYoungGenerationSizeMb: YOUNG_MEGABYTES,
        stackSizeMb: STACK_MEGABYTES,
      },
    });
    const late = clock.after(LOAD_MS_MAX, () => this.#die(`it was still being loaded after ${LOAD_MS_MAX / 1_000} s`));
    this.#settle = (loaded) => {
      late();
      resolve(loaded);
    };
    this.#worker.on('message', (message: FromOwnThread) => this.#take(message));
    this.#worker.on('messageerror', () => this.#die('it sent what cannot be read'));
    this.#worker.on('error', (error) => this.#die(this.#reasonOf(error)));
    this.#worker.on('exit', (code) => this.#die(`its thread ended with exit code ${code}`));
    for (const stream of [this.#worker.stdout, this.#worker.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => this.#print(text));
    }
    // Requests keep the process alive, not their filters.
    this.#worker.unref();
  }

  make(instance: number, spec: InstanceSpec, env: ProgramEnv): Promise<OwnShape | string> {
    return new Promise((resolve) => {
      if (this.#state === 'over') return resolve('its thread has ended');
      this.#instances.set(instance, { env, resolve });
      this.#post({ kind: 'make', instance, spec });
    });
  }

  unmake(instance: number): void {
    this.#instances.delete(instance);
    this.#post({ kind: 'unmake', instance });
  }

  call(instance: number, call: OwnCall, timeoutMs: number): Outcome | Promise<Outcome> {
    if (this.#state === 'over') return failed('unavailable', 'its thread has ended');
    if (this.#pending.size >= CALLS_MAX) return failed('unavailable', `it has ${CALLS_MAX} calls open`);
    return new Promise((resolve) => {
      const id = ++this.#lastId;
      const stop = this.#options.clock.after(timeoutMs, () => {
        this.#pending.delete(id);
        this.#isAlive();
        resolve(timedOut(call, timeoutMs));
      });
      this.#pending.set(id, { resolve, stop });
      this.#post({ kind: 'call', id, instance, call: plainCall(call) });
    });
  }

  end(instance: number, end: OwnEnd): void {
    this.#post({ kind: 'end', instance, end });
  }

  close(): void {
    if (this.#state === 'running') {
      this.#post({ kind: 'close' });
      this.#options.clock.after(CLOSE_MS_MAX, () => this.#die(undefined));
      this.#state = 'closing';
    } else if (this.#state === 'loading') this.#die(undefined);
  }

  #post(message: ToOwnThread): void {
    if (this.#state !== 'over') this.#worker.postMessage(message);
  }

  #take(message: FromOwnThread): void {
    this.#heard++;
    switch (message.kind) {
      case 'file':
        return void this.stamps.set(message.stamp.path, message.stamp);
      case 'loaded':
        this.#state = this.#state === 'loading' ? 'running' : this.#state;
        return this.#settle(message);
      case 'broken':
        return this.#die(message.why);
      case 'made':
        return this.#instances.get(message.instance)?.resolve(message.shape);
      case 'unmade':
        return this.#instances.get(message.instance)?.resolve(message.why);
      case 'outcome': {
        const pending = this.#pending.get(message.id);
        this.#pending.delete(message.id);
        pending?.stop();
        return pending?.resolve(message.outcome);
      }
      case 'count':
        return this.#instances.get(message.instance)?.env.count(message.event, message.count);
      case 'warn':
        return this.#instances.get(message.instance)?.env.warn(message.message, message.fields);
      case 'ask':
        return this.#ask(message);
      case 'pong':
        return undefined;
    }
  }

  #ask({ id, instance, upstream, question }: Extract<FromOwnThread, { kind: 'ask' }>): void {
    const env = this.#instances.get(instance)?.env;
    if (env === undefined) return this.#post({ kind: 'answer', id, answer: 'the filter is not used any more' });
    askUpstream(env.upstream(upstream), question).then(
      (answer) => this.#post({ kind: 'answer', id, answer: { ...answer, body: exactBytes(answer.body) as Buffer } }),
      (error: unknown) =>
        this.#post({ kind: 'answer', id, answer: error instanceof Error ? error.message : 'it failed' }),
    );
  }

  /** Whatever it waits for or has queued: a thread that lives answers, or says something else meanwhile. */
  #isAlive(): void {
    if (this.#stopWatch !== undefined || this.#state !== 'running') return;
    const heard = this.#heard;
    this.#post({ kind: 'ping' });
    this.#stopWatch = this.#options.clock.after(SILENCE_MS_MAX, () => {
      this.#stopWatch = undefined;
      if (this.#heard === heard) this.#die('it hung, and its thread was ended');
    });
  }

  /** @param why  undefined when it was asked for */
  #die(why: string | undefined): void {
    if (this.#state === 'over') return;
    const before = this.#state;
    this.#state = 'over';
    this.#stopWatch?.();
    void this.#worker.terminate();
    const outcome = failed('failed', why ?? 'it is not used any more');
    for (const pending of this.#pending.values()) {
      pending.stop();
      pending.resolve(outcome);
    }
    this.#pending.clear();
    for (const making of this.#instances.values()) making.resolve(why ?? 'it is not used any more');
    this.#instances.clear();
    this.#settle(why ?? 'it is not used any more');
    if (why !== undefined && before === 'running') this.#options.onDied(why);
  }

  /** What an error says is only told while it is loaded: later it may hold what a client sent, or a secret. */
  #reasonOf(error: unknown): string {
    if ((error as { code?: unknown }).code === 'ERR_WORKER_OUT_OF_MEMORY') {
      return `it needs more than ${this.#options.spec.heapMegabytesMax} MB of memory`;
    }
    return `it had an error that nobody caught: ${this.#state === 'loading' ? messageOf(error) : placeOf(error)}`;
  }

  #print(text: string): void {
    for (const line of text.split('\n')) if (line !== '') this.#options.onLine(line.slice(0, LINE_CHARS_MAX));
  }
}

function plainCall(call: OwnCall): OwnCall {
  return call.body === undefined ? call : { ...call, body: exactBytes(call.body) };
}
