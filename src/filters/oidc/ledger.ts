/**
 * What all workers of the process know of sessions: which are over, which refresh has begun, which login was completed.
 * Marks stand in the shared cells (filter/cells.ts), for as long as they matter.
 *
 * A worker tells the others what came of a refresh, so that a refresh token is used once. This is an effect of a
 * filter that is not lent by its env (principle 7.1): a channel of the platform between threads, sealed texts only.
 */
import { BroadcastChannel } from 'node:worker_threads';
import { type Cells, type Demand, openCells } from '../../filter/cells.ts';
import type { Env } from '../../filter/env.ts';
import type { HashState } from '../../filter/keyed-hash.ts';

/** How long what came of a refresh is known: requests with the old cookie are on their way that long. */
const NEWS_MS = 60_000;

/** Sessions of refreshes in that time, some 10,000 of them. Beyond, the oldest is forgotten, and whoever comes late with its old cookie logs in again. */
const NEWS_CHARS_MAX = 32 * 1024 * 1024;

/** What came of a refresh: the new session as its cookie has it, or that there is none any more. */
export type News = { readonly sealed: string } | 'over' | 'failed';

interface Told {
  readonly key: string;
  readonly news: News;
}

interface Kept {
  readonly news: News;
  readonly untilMs: number;
}

export class Ledger {
  readonly #env: Env;
  readonly #cells: Cells;
  readonly #spaces = new Map<string, HashState>();
  readonly #demand: Demand = { lo: 0, hi: 0, cost: 0, burst: 1, perUnitMs: 0, used: 0, waitMs: 0 } as Demand;
  readonly #news = new Map<string, Kept>();
  #newsChars = 0;
  readonly #waiting = new Map<string, Set<(news: News) => void>>();
  readonly #channel: BroadcastChannel;

  constructor(env: Env) {
    this.#env = env;
    this.#cells = openCells(env.cells, { worker: env.worker.number, randomBytes: (count) => env.randomBytes(count) });
    this.#channel = new BroadcastChannel('fourways.oidc');
    this.#channel.onmessage = (event) => {
      const { key, news } = (event as unknown as { readonly data: Told }).data;
      this.#keep(key, news);
    };
    this.#channel.unref();
  }

  /** @returns whether nobody did so within the time, in any worker */
  first(what: string, key: string, ms: number): boolean {
    return this.#spend(what, key, { cost: 1, ms });
  }

  mark(what: string, key: string, ms: number): void {
    this.#spend(what, key, { cost: 1, ms });
  }

  isMarked(what: string, key: string, ms: number): boolean {
    this.#spend(what, key, { cost: 0, ms });
    return this.#demand.used > 0;
  }

  #spend(what: string, key: string, { cost, ms }: { readonly cost: number; readonly ms: number }): boolean {
    let space = this.#spaces.get(what);
    if (space === undefined) this.#spaces.set(what, (space = this.#cells.space(`oidc ${what}`)));
    const { hash } = this.#cells;
    hash.read(space, key);
    const demand = this.#demand as { -readonly [K in keyof Demand]: Demand[K] };
    demand.lo = hash.lo;
    demand.hi = hash.hi;
    demand.cost = cost;
    demand.perUnitMs = ms;
    return this.#cells.spend([demand], 1, this.#env.nowMs());
  }

  /** For this worker and all others. */
  tell(key: string, news: News): void {
    this.#keep(key, news);
    this.#channel.postMessage({ key, news } satisfies Told);
  }

  known(key: string): News | undefined {
    const kept = this.#news.get(key);
    return kept === undefined || kept.untilMs <= this.#env.nowMs() ? undefined : kept.news;
  }

  /** Waits for what another request, or another worker, is at. `failed` when it takes too long. */
  wait(key: string, ms: number): Promise<News> {
    return new Promise((resolve) => {
      const waiting = this.#waiting.get(key) ?? new Set();
      this.#waiting.set(key, waiting);
      const stop = this.#env.after(ms, () => done('failed'));
      const done = (news: News): void => {
        stop();
        waiting.delete(done);
        if (waiting.size === 0) this.#waiting.delete(key);
        resolve(news);
      };
      waiting.add(done);
    });
  }

  #forget(key: string): void {
    const kept = this.#news.get(key);
    if (kept === undefined) return;
    this.#news.delete(key);
    this.#newsChars -= charsOf(kept.news);
  }

  #keep(key: string, news: News): void {
    this.#forget(key);
    if (news !== 'failed') {
      this.#news.set(key, { news, untilMs: this.#env.nowMs() + NEWS_MS });
      this.#newsChars += charsOf(news);
    }
    // They come in the order in which they end.
    for (const [oldest, { untilMs }] of this.#news) {
      if (untilMs > this.#env.nowMs() && this.#newsChars <= NEWS_CHARS_MAX) break;
      this.#forget(oldest);
    }
    for (const done of this.#waiting.get(key) ?? []) done(news);
  }
}

/** What keeping it costs besides is about as much as a key. */
function charsOf(news: News): number {
  return 64 + (typeof news === 'string' ? 0 : news.sealed.length);
}
