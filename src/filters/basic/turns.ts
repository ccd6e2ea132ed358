/**
 * Turns for checks of passwords. They run on the thread pool, which resolves
 * names and reads files for the whole process: only so many run at a time over
 * all workers, some wait, and one address gets no more than its share of both.
 */
import { type Cells, HOLD_FULL, HOLD_REFUSED, openCells } from '../../filter/cells.ts';
import type { Env } from '../../filter/env.ts';

/** Checks of one worker that wait. Beyond: refused at once. At two a time, the last of them waits for some seconds. */
const WAITING_MAX = 64;

/** Checks of one address that wait or run in one worker. Beyond: refused at once, so that there is room for others. */
const PER_ADDRESS_MAX = 8;

/** Whoever waited longer has given up, or will. */
const WAIT_MS_MAX = 5_000;

/** How soon a worker tries again while others have all turns. */
const RETRY_MS = 5;

export type Refused = 'busy' | 'throttled';

export interface Job<T> {
  readonly address: string;
  /** How many checks may run at a time in this process. */
  readonly atOnceMax: number;
  run(): Promise<T>;
}

interface Waiting {
  readonly job: Job<unknown>;
  readonly env: Env;
  readonly sinceMs: number;
  readonly start: (hold: number | Refused) => void;
}

export class Turns {
  readonly #cells: Cells;
  readonly #key: { readonly lo: number; readonly hi: number };
  readonly #waiting: Waiting[] = [];
  /** Checks that wait or run, by address: never more than WAITING_MAX and those that run. */
  readonly #addresses = new Map<string, number>();
  #retrying = false;

  constructor(env: Env) {
    this.#cells = openCells(env.cells, { worker: env.worker.number, randomBytes: (count) => env.randomBytes(count) });
    const { hash } = this.#cells;
    hash.read(this.#cells.space('basic'), 'turns');
    this.#key = { lo: hash.lo, hi: hash.hi };
  }

  async take<T>(env: Env, job: Job<T>): Promise<T | Refused> {
    const mine = this.#addresses.get(job.address) ?? 0;
    if (mine >= PER_ADDRESS_MAX) return 'throttled';
    if (this.#waiting.length >= WAITING_MAX) return 'busy';
    this.#addresses.set(job.address, mine + 1);
    try {
      const hold = await new Promise<number | Refused>((start) => {
        this.#waiting.push({ job, env, sinceMs: env.nowMs(), start });
        this.#next();
      });
      return typeof hold === 'number' ? await this.#run(job, hold) : hold;
    } finally {
      this.#leave(job.address);
    }
  }

  async #run<T>(job: Job<T>, hold: number): Promise<T> {
    try {
      return await job.run();
    } finally {
      this.#cells.release(hold);
      this.#next();
    }
  }

  #next(): void {
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const { job, env, sinceMs, start } = first;
      const nowMs = env.nowMs();
      if (nowMs - sinceMs > WAIT_MS_MAX) {
        this.#waiting.shift();
        start('busy');
        continue;
      }
      const hold = this.#cells.hold(this.#key, job.atOnceMax, nowMs);
      if (hold === HOLD_REFUSED || hold === HOLD_FULL) return this.#retry(env);
      this.#waiting.shift();
      start(hold);
    }
  }

  /** Nobody says when a check of another worker is over. */
  #retry(env: Env): void {
    if (this.#retrying) return;
    this.#retrying = true;
    env.after(RETRY_MS, () => {
      this.#retrying = false;
      this.#next();
    });
  }

  #leave(address: string): void {
    const left = this.#addresses.get(address)! - 1;
    if (left === 0) this.#addresses.delete(address);
    else this.#addresses.set(address, left);
  }
}

const TURNS = new WeakMap<SharedArrayBuffer, Turns>();

/** Those of this worker: all rules stand in one line. */
export function turnsOf(env: Env): Turns {
  let turns = TURNS.get(env.cells);
  if (turns === undefined) TURNS.set(env.cells, (turns = new Turns(env)));
  return turns;
}
