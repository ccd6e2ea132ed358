/** A name of DNS that is asked for again and again, in the background. When it cannot be resolved, what was found last stays. */
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Random } from '../base/random.ts';

export interface NameState<T> {
  /** Of the last good answer. */
  readonly found: readonly T[];
  /** Monotonic time of the last good answer; undefined before the first. */
  readonly resolvedMs: number | undefined;
  /** Why the last try failed; undefined when it did not. What was found is of `resolvedMs`. */
  readonly failure: string | undefined;
}

export interface Answer<T> {
  readonly found: readonly T[];
  readonly ttlMs: number;
}

export interface WatchOptions<T> {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly onLookUp?: (result: 'ok' | 'failed') => void;
  /** How much of an answer is used. */
  readonly usedMax: number;
  readonly resolve: () => Promise<Answer<T>>;
}

type OnFound<T> = (found: readonly T[]) => void;

/** A TTL of zero would mean a query for every request of a second; a very long one would outlive a failover. */
const TTL_MS_MIN = 1_000;
const TTL_MS_MAX = 300_000;

/** After a failure, and when there is no such name: doubling. */
const RETRY_FIRST_MS = 500;
const RETRY_MS_MAX = 30_000;

/** Of c-ares or the platform. */
export function codeOf(error: unknown): string {
  return error instanceof Error ? ((error as NodeJS.ErrnoException).code ?? error.message) : String(error);
}

/** One name and those who wait for it: a single query at a time, however many they are. */
export class WatchedName<T> {
  state: NameState<T> = { found: [], resolvedMs: undefined, failure: undefined };
  readonly #name: string;
  readonly #options: WatchOptions<T>;
  readonly #watchers = new Set<OnFound<T>>();
  #failures = 0;
  #stopped = false;
  #cancel: (() => void) | undefined;

  constructor(name: string, options: WatchOptions<T>) {
    this.#name = name;
    this.#options = options;
  }

  add(watcher: OnFound<T>): void {
    this.#watchers.add(watcher);
    if (this.state.resolvedMs === undefined) return;
    queueMicrotask(() => this.#watchers.has(watcher) && watcher(this.state.found));
  }

  /** @returns how many still watch */
  remove(watcher: OnFound<T>): number {
    this.#watchers.delete(watcher);
    return this.#watchers.size;
  }

  start(): void {
    if (this.#stopped) return;
    this.#options.resolve().then(
      (answer) => this.#resolved(answer),
      (error: unknown) => this.#failed(codeOf(error)),
    );
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
  }

  #resolved({ found, ttlMs }: Answer<T>): void {
    if (this.#stopped) return;
    const { log, clock, onLookUp, usedMax } = this.#options;
    onLookUp?.('ok');
    const before = this.state;
    if (this.#failures > 0) log.info('A name resolves again', { name: this.#name });
    this.#failures = 0;
    const used = found.slice(0, usedMax);
    this.state = { found: used, resolvedMs: clock.nowMs(), failure: undefined };
    const same = before.resolvedMs !== undefined && JSON.stringify(before.found) === JSON.stringify(used);
    if (!same) for (const watcher of this.#watchers) watcher(used);
    this.#again(Math.min(TTL_MS_MAX, Math.max(TTL_MS_MIN, ttlMs)));
  }

  #failed(why: string): void {
    if (this.#stopped) return;
    const { log, onLookUp } = this.#options;
    onLookUp?.('failed');
    if (this.#failures === 0) {
      const kept = this.state.found.length;
      log.warn('Cannot resolve a name', { name: this.#name, error: why, addressesKept: kept });
    }
    this.state = { ...this.state, failure: why };
    this.#again(Math.min(RETRY_MS_MAX, RETRY_FIRST_MS * 2 ** Math.min(10, this.#failures)));
    this.#failures++;
  }

  /** Up to a tenth early or late, so that names that were first asked together do not stay together. */
  #again(delayMs: number): void {
    const jittered = delayMs * (0.9 + this.#options.random.unit() / 5);
    this.#cancel = this.#options.clock.after(jittered, () => this.start());
  }
}
