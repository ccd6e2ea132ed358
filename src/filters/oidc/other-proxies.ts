/**
 * What came of a refresh, told to proxies of other processes by Redis, where there is one. Without it, or while it is
 * away, each proxy is on its own: two of them may use one refresh token at a time.
 */
import type { Env } from '../../filter/env.ts';
import type { News } from './ledger.ts';

/** Whoever has begun has so long; then another one may. */
const BEGUN_MS = 10_000;

/** How long what came of it is known, as within a process. */
const NEWS_MS = 60_000;

/** Redis does not say when a value is there. */
const LOOK_MS = 50;

export class OtherProxies {
  readonly #env: Env;
  readonly #timeoutMs: number;

  constructor(env: Env, timeoutMs: number) {
    this.#env = env;
    this.#timeoutMs = timeoutMs;
  }

  /** Undefined when nobody else is at it: it is ours now. */
  async heard(key: string): Promise<News | undefined> {
    const { redis } = this.#env;
    if (redis === undefined || !redis.isUp) return undefined;
    try {
      if ((await redis.command('SET', nameOf(key), '', 'NX', 'PX', BEGUN_MS)) !== null) return undefined;
      const endMs = this.#env.nowMs() + this.#timeoutMs;
      while (this.#env.nowMs() < endMs) {
        const said = await redis.command('GET', nameOf(key));
        // It has let the time pass, so that it is open to everybody.
        if (said === null) return 'failed';
        const text = typeof said === 'string' || Buffer.isBuffer(said) ? said.toString() : '';
        if (text !== '') return { sealed: text };
        await new Promise<void>((resolve) => this.#env.after(LOOK_MS, resolve));
      }
      return 'failed';
    } catch {
      return undefined;
    }
  }

  /** Sealed, as browsers have it. Nobody waits for it. */
  tell(key: string, sealed: string): void {
    const { redis } = this.#env;
    if (redis === undefined || !redis.isUp) return;
    redis.command('SET', nameOf(key), sealed, 'PX', NEWS_MS).catch(() => undefined);
  }
}

/** Of a hash: names in Redis tell nothing of sessions. */
function nameOf(key: string): string {
  return `fourways:oidc:${key}`;
}
