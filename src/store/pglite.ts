/**
 * PGlite: the embedded database. It runs in a thread that is started when it is
 * needed and ended when it was not for a while.
 */
import { Worker } from 'node:worker_threads';
import type { Clock } from '../base/clock.ts';
import { type Database, inTransaction, type Row, type Value } from './database.ts';

export interface ThreadQuestion {
  readonly id: number;
  /** Undefined: write everything and close. */
  readonly sql: string | undefined;
  readonly values?: readonly Value[] | undefined;
}

export interface ThreadAnswer {
  readonly id: number;
  readonly rows: readonly Row[];
  readonly error?: string;
}

const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
const THREAD_URL = new URL(`./pglite-thread${EXTENSION}`, import.meta.url);

/** After the last statement: the state is read at the start and written with each certificate, so mostly nothing is asked. */
const IDLE_MS = 30_000;

/** A statement that takes longer hangs: its thread is ended. The first start makes a database, which takes seconds. */
const ANSWER_MS_MAX = 60_000;

export interface PgliteOptions {
  /** Folder of the database, or undefined to keep nothing. */
  readonly dir: string | undefined;
  readonly clock: Clock;
}

/** The caller holds the folder alone: two of these on one folder destroy it. */
export function openPglite({ dir, clock }: PgliteOptions): Database {
  const name = dir === undefined ? 'PGlite in memory' : `PGlite in ${dir}`;
  let thread: PgliteThread | undefined;
  let cancelIdle: (() => void) | undefined;
  let turn: Promise<unknown> = Promise.resolve();

  const current = (): PgliteThread => {
    if (thread === undefined || thread.ended) thread = new PgliteThread(dir ?? 'memory://', clock);
    return thread;
  };
  const close = async (): Promise<void> => {
    cancelIdle?.();
    const old = thread;
    thread = undefined;
    await old?.close();
  };
  /** One after the other: a statement between two of a transaction would become part of it. */
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    cancelIdle?.();
    const done = turn.then(work).finally(() => {
      cancelIdle?.();
      // What is kept in memory only must not be let go.
      if (dir !== undefined) cancelIdle = clock.after(IDLE_MS, () => void inTurn(close));
    });
    turn = done.catch(() => undefined);
    return done;
  };
  return {
    name,
    query: (sql, values) => inTurn(() => current().ask(sql, values)),
    transaction: (work) =>
      inTurn(() => {
        const thread = current();
        return inTransaction({ query: (sql, values) => thread.ask(sql, values) }, work);
      }),
    async close() {
      const done = turn.then(close);
      turn = done.catch(() => undefined);
      await done;
      cancelIdle?.();
    },
  };
}

interface Waiting {
  resolve(rows: readonly Row[]): void;
  reject(error: Error): void;
}

class PgliteThread {
  readonly #thread: Worker;
  readonly #clock: Clock;
  /** As many as the manager of certificates asks at one time: a handful. */
  readonly #waiting = new Map<number, Waiting>();
  #ids = 0;
  ended = false;

  constructor(dir: string, clock: Clock) {
    this.#clock = clock;
    // It needs nothing of the environment, which may hold secrets.
    this.#thread = new Worker(THREAD_URL, { workerData: { dir }, env: {}, name: 'store' });
    this.#thread.unref();
    this.#thread.on('message', (answer: ThreadAnswer) => this.#answered(answer));
    this.#thread.on('error', (error) => this.#lost(error instanceof Error ? error.message : String(error)));
    this.#thread.on('exit', () => this.#lost('its thread ended'));
  }

  ask(sql: string | undefined, values?: readonly Value[]): Promise<readonly Row[]> {
    const id = ++this.#ids;
    const { promise, resolve, reject } = Promise.withResolvers<readonly Row[]>();
    if (this.ended) return Promise.reject(new Error('Cannot ask the store: its thread ended'));
    const cancel = this.#clock.after(ANSWER_MS_MAX, () => {
      this.#lost(`no answer in ${ANSWER_MS_MAX / 1_000} s`);
      void this.#thread.terminate();
    });
    this.#waiting.set(id, {
      resolve: (rows) => (cancel(), resolve(rows)),
      reject: (error) => (cancel(), reject(error)),
    });
    this.#thread.postMessage({ id, sql, values } satisfies ThreadQuestion);
    return promise;
  }

  async close(): Promise<void> {
    if (!this.ended) await this.ask(undefined).catch(() => undefined);
    this.ended = true;
    await this.#thread.terminate();
  }

  #answered({ id, rows, error }: ThreadAnswer): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(rows);
    else waiting?.reject(new Error(error));
  }

  #lost(why: string): void {
    this.ended = true;
    for (const waiting of this.#waiting.values()) waiting.reject(new Error(`The embedded database failed: ${why}`));
    this.#waiting.clear();
  }
}
