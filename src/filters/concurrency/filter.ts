import { parseDuration } from '../../base/duration.ts';
import { Fault } from '../../base/fault.ts';
import { compileExpression, type Expression } from '../../expr/expression.ts';
import { type Cells, HOLD_FULL, openCells } from '../../filter/cells.ts';
import type { Env } from '../../filter/env.ts';
import type { Exchange, Filter, FilterCode } from '../../filter/filter.ts';
import { Kept } from '../../filter/kept.ts';
import type { HashState } from '../../filter/keyed-hash.ts';
import { CONCURRENCY_FAULTS, type ConcurrencyConfig } from './config.ts';

/** Counts what is at work, over all workers; what a worker that died held comes back (cells.ts). */
export const code: FilterCode<typeof ConcurrencyConfig> = {
  make: (config, env) => new Concurrency(config, env),
};

class Concurrency implements Filter {
  readonly #env: Env;
  readonly #cells: Cells;
  readonly #max: number;
  readonly #keyOf: Expression<'string'>;
  readonly #space: HashState;
  readonly #extras: { readonly headers: readonly (readonly [string, string])[] };
  /** What each request that is at work holds. */
  readonly #holds = new Kept<number>();

  constructor({ max, key, together, retryAfter }: ConcurrencyConfig, env: Env) {
    this.#env = env;
    this.#cells = openCells(env.cells, { worker: env.worker.number, randomBytes: (count) => env.randomBytes(count) });
    this.#max = max;
    this.#keyOf = key === undefined ? () => '' : compileExpression(key, 'string');
    const place = `${env.owner}${together === 'rule' ? ` ${env.rule}` : ''}`;
    this.#space = this.#cells.space(`concurrency ${place} ${key ?? ''}`.replaceAll('\0', ' '));
    // The schema has seen that it is a duration.
    const seconds = Math.ceil(parseDuration(retryAfter)! / 1_000);
    this.#extras = { headers: seconds === 0 ? [] : [['retry-after', String(seconds)]] };
  }

  onRequest(x: Exchange): Fault | undefined {
    const cells = this.#cells;
    const key = this.#keyOf(x);
    if (key === undefined) this.#env.count('no_key');
    cells.hash.read(this.#space, key ?? '');
    const hold = cells.hold(cells.hash, this.#max, this.#env.nowMs());
    if (hold < 0) return this.#refuse(hold);
    this.#holds.set(x, hold);
    return undefined;
  }

  onEnd(x: Exchange): void {
    const hold = this.#holds.get(x);
    if (hold === undefined) return;
    this.#holds.delete(x);
    this.#cells.release(hold);
  }

  #refuse(why: number): Fault {
    this.#env.count('refused');
    if (why === HOLD_FULL) this.#env.count('full');
    const what = why === HOLD_FULL ? 'the table of the process is full' : `${this.#max} are at work`;
    return new Fault(CONCURRENCY_FAULTS['concurrency.exceeded'], `${this.#env.owner}: ${what}`, this.#extras);
  }
}
