/**
 * Keys that are fetched. One set for all rules of a worker that ask the same
 * address in the same way, so that a thousand rules are one client to the issuer,
 * and a new plan begins with the keys of the last one.
 *
 * They are fetched when the first rule is made, then in the background: requests
 * only wait for the very first ones. A fetch that fails changes nothing, until
 * the last good keys are too old.
 */
import type { Env } from '../../filter/env.ts';
import { makeShared } from './shared.ts';
import { type KeySet, readKeySet, replaceKeys, type VerifyKey } from './verify-key.ts';

export interface Fetched {
  readonly text: string;
  /** Empty where the answer had none. */
  readonly cacheControl: string;
  readonly ageS: number;
}

export interface RemoteTimes {
  readonly refreshMs: number;
  readonly refreshMinMs: number;
  readonly refreshMaxMs: number;
  readonly unknownKidWaitMs: number;
  readonly staleMaxMs: number;
  readonly timeoutMs: number;
}

export interface RemoteSource {
  /** For the log. */
  readonly name: string;
  readonly times: RemoteTimes;
  readonly algorithms: readonly string[];
  /** Never rejects: in words why not. */
  fetch(env: Env): Promise<Fetched | string>;
}

/** After a fetch that failed: soon at first, then seldom. */
const RETRY_MS = { first: 1_000, max: 60_000 };

export class RemoteKeys {
  readonly #source: RemoteSource;
  /** Rules that use it. The newest lends what is needed: it knows the newest plan. */
  readonly #users = new Set<{ readonly env: Env }>();
  #keys: readonly VerifyKey[] | undefined;
  #fetchedMs = 0;
  #askedMs = -Infinity;
  #dueMs = 0;
  #failures = 0;
  #running: Promise<void> | undefined;
  #stopTimer: (() => void) | undefined;

  private constructor(source: RemoteSource) {
    this.#source = source;
  }

  /** The set of this source, which begins to be fetched unless it is there. */
  static join(env: Env, source: RemoteSource): KeySet {
    const { keySets: sets } = env.shared(makeShared);
    const id = JSON.stringify([source.name, source.times, source.algorithms]);
    const set = sets.get(id) ?? new RemoteKeys(source);
    sets.set(id, set);
    const user = { env };
    set.#users.add(user);
    if (set.#keys === undefined && set.#running === undefined && set.#failures === 0) void set.#fetch();
    return {
      keys: () => set.#current(),
      waitForKeys: () => set.#running,
      askAgain: () => set.#askAgain(env),
      close: () => {
        set.#users.delete(user);
        set.#stopTimer?.();
        if (set.#users.size === 0) sets.delete(id);
        else if (set.#running === undefined) set.#arm();
      },
    };
  }

  get #env(): Env | undefined {
    return [...this.#users].at(-1)?.env;
  }

  #current(): readonly VerifyKey[] | undefined {
    const env = this.#env;
    if (this.#keys === undefined || env === undefined) return undefined;
    return env.nowMs() - this.#fetchedMs > this.#source.times.staleMaxMs ? undefined : this.#keys;
  }

  #askAgain(env: Env): Promise<void> | undefined {
    if (this.#running !== undefined) return this.#running;
    if (env.nowMs() - this.#askedMs < this.#source.times.unknownKidWaitMs) return undefined;
    env.count('keys_asked');
    return this.#fetch();
  }

  #fetch(): Promise<void> {
    const env = this.#env!;
    this.#stopTimer?.();
    this.#askedMs = env.nowMs();
    // Not in this turn: the plan that brings the service may still be on its way in.
    this.#running = Promise.resolve(env)
      .then((lent) => this.#source.fetch(lent))
      .then((fetched) => {
        this.#running = undefined;
        this.#take(fetched);
      });
    return this.#running;
  }

  #take(fetched: Fetched | string): void {
    const env = this.#env;
    if (env === undefined) return;
    const keys = typeof fetched === 'string' ? fetched : readKeySet(fetched.text, this.#source.algorithms);
    if (typeof keys === 'string') {
      this.#failures++;
      env.count('keys_failed');
      env.warn(`Cannot fetch the keys of an issuer: ${keys}`, { keys: this.#source.name, failures: this.#failures });
      this.#plan(Math.min(RETRY_MS.max, RETRY_MS.first * 2 ** (this.#failures - 1)));
      return;
    }
    this.#failures = 0;
    this.#fetchedMs = env.nowMs();
    this.#keys = replaceKeys(this.#keys ?? [], keys);
    env.count('keys_fetched');
    this.#plan(freshForMs(fetched as Fetched, this.#source.times));
  }

  /** Up to a fifth sooner, so that many proxies do not ask at once. */
  #plan(delayMs: number): void {
    const env = this.#env!;
    this.#dueMs = env.nowMs() + delayMs * (0.8 + (0.2 * env.randomBytes(1)[0]!) / 255);
    this.#arm();
  }

  #arm(): void {
    const env = this.#env!;
    this.#stopTimer?.();
    this.#stopTimer = env.after(Math.max(0, Math.ceil(this.#dueMs - env.nowMs())), () => void this.#fetch());
  }
}

/** RFC 9111 section 5.2.2, within the operator's bounds. */
function freshForMs({ cacheControl, ageS }: Fetched, times: RemoteTimes): number {
  const maxAge = /(?:^|[\s,])max-age="?(\d{1,9})/i.exec(cacheControl)?.[1];
  const none = /(?:^|[\s,])no-(?:store|cache)/i.test(cacheControl);
  const wantedMs = none ? 0 : maxAge === undefined ? times.refreshMs : (Number(maxAge) - ageS) * 1000;
  return Math.min(times.refreshMaxMs, Math.max(times.refreshMinMs, wantedMs));
}
