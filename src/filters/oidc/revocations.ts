/**
 * Which sessions providers have ended (OpenID Connect Back-Channel Logout). Browsers have these sessions, so it is
 * remembered here which of them are not to be taken: by each worker, who tells the others; and where there is a Redis
 * all proxies of it. A worker that begins asks the others.
 *
 * Beside the ledger this is the second effect of the filter that is not lent by its env: a channel between threads.
 */
import { createHash } from 'node:crypto';
import { BroadcastChannel } from 'node:worker_threads';
import type { Env } from '../../filter/env.ts';
import type { Ended } from './logout-token.ts';
import type { Session } from './session.ts';

/** Each is some 150 bytes. Beyond it the oldest makes room, and sessions from before it was ended are over, whosever they are. */
const REVOKED_MAX = 100_000;

/** How often Redis is asked what other proxies were told. */
const LOOK_MS = 2_000;

/** Clocks of proxies differ, and their words are on their way for a while: so much of the past is read again. */
const OVERLAP_MS = 60_000;

/** Logouts that are told when Redis is there again. The latest of them. */
const UNTOLD_MAX = 10_000;

const REDIS_NAME = 'fourways:oidc:revoked';

/** A hash of what was ended, and when. */
type Revoked = readonly [key: string, atMs: number];

interface Told {
  readonly kind: 'revoked' | 'asked';
  readonly revoked: readonly Revoked[];
}

interface Keys {
  /** The session by its name at the provider, where it has one; else all of the user that have none. */
  readonly one: string;
  readonly all: string;
}

export class Revocations {
  readonly #env: Env;
  readonly #max: number;
  readonly #at = new Map<string, number>();
  readonly #keys = new WeakMap<Session, Keys>();
  readonly #channel: BroadcastChannel;
  #keepMs = 0;
  /** Sessions from before are over: what was known of them had to make room. */
  #floorMs = -Infinity;
  /** Up to when Redis was read. */
  #readMs = -Infinity;
  /** What Redis does not know yet. */
  #untold: Revoked[] = [];
  #stopLooking: (() => void) | undefined;
  #isClosed = false;

  constructor(env: Env, revokedMax = REVOKED_MAX) {
    this.#env = env;
    this.#max = revokedMax;
    this.#channel = new BroadcastChannel('fourways.oidc.revoked');
    this.#channel.onmessage = (event) => this.#hear((event as unknown as { readonly data: Told }).data);
    this.#channel.unref();
    this.#channel.postMessage({ kind: 'asked', revoked: [] } satisfies Told);
    if (env.redis !== undefined) this.#lookLater(0);
  }

  close(): void {
    this.#isClosed = true;
    this.#stopLooking?.();
    this.#channel.close();
  }

  get size(): number {
    return this.#at.size;
  }

  /** A policy has sessions that last so long: what ended is remembered as long as the longest of them. */
  keepFor(sessionMs: number): void {
    this.#keepMs = Math.max(this.#keepMs, sessionMs);
  }

  /** In this worker, all others, and all proxies that share a Redis. */
  revoke(client: { readonly issuer: string; readonly clientId: string }, { sessionId, subject }: Ended): void {
    const atMs = this.#env.wallMs();
    const revoked: Revoked[] = [];
    if (sessionId !== undefined) {
      revoked.push([keyOf(client, 'sid', sessionId), atMs]);
      // Sessions whose ID token did not name them are only known by their user.
      if (subject !== undefined) revoked.push([keyOf(client, 'nameless', subject), atMs]);
    } else revoked.push([keyOf(client, 'sub', subject!), atMs]);
    this.#take(revoked);
    this.#channel.postMessage({ kind: 'revoked', revoked } satisfies Told);
    if (this.#env.redis === undefined) return;
    this.#untold.push(...revoked);
    void this.#tellProxies();
  }

  isRevoked(session: Session): boolean {
    const startMs = session.startS * 1000;
    if (startMs <= this.#floorMs) return true;
    if (this.#at.size === 0) return false;
    let keys = this.#keys.get(session);
    if (keys === undefined) this.#keys.set(session, (keys = keysOf(session)));
    return startMs <= (this.#at.get(keys.one) ?? -Infinity) || startMs <= (this.#at.get(keys.all) ?? -Infinity);
  }

  #hear({ kind, revoked }: Told): void {
    if (kind === 'revoked') return this.#take(revoked);
    if (this.#at.size > 0) this.#channel.postMessage({ kind: 'revoked', revoked: [...this.#at] } satisfies Told);
  }

  /** Later words stand behind earlier ones, but for those that come late: these only stay longer. */
  #take(revoked: readonly Revoked[]): void {
    for (const [key, atMs] of revoked) {
      if (atMs <= (this.#at.get(key) ?? -Infinity)) continue;
      this.#at.delete(key);
      this.#at.set(key, atMs);
    }
    const overMs = this.#env.wallMs() - this.#keepMs;
    for (const [key, atMs] of this.#at) {
      if (atMs >= overMs && this.#at.size <= this.#max) break;
      this.#at.delete(key);
      if (atMs >= overMs) this.#floorMs = Math.max(this.#floorMs, atMs);
    }
  }

  // --- other proxies -----------------------------------------------------------------------------------------------

  /** Nobody waits for it. One set for all: what is too old, or too much, leaves it. */
  async #tellProxies(): Promise<void> {
    const { redis } = this.#env;
    if (redis === undefined || this.#untold.length === 0) return;
    const told = this.#untold;
    this.#untold = [];
    try {
      await redis.command('ZADD', REDIS_NAME, 'GT', ...told.flatMap(([key, atMs]) => [atMs, key]));
      await redis.command('ZREMRANGEBYSCORE', REDIS_NAME, '-inf', this.#env.wallMs() - this.#keepMs);
      await redis.command('ZREMRANGEBYRANK', REDIS_NAME, 0, -this.#max - 1);
      await redis.command('PEXPIRE', REDIS_NAME, Math.ceil(this.#keepMs));
    } catch {
      this.#untold = [...told, ...this.#untold].slice(-UNTOLD_MAX);
      this.#env.warn(
        'Cannot tell other proxies of a logout yet: until then sessions that a provider ended go on there',
      );
    }
  }

  #lookLater(delayMs: number): void {
    if (this.#isClosed) return;
    this.#stopLooking = this.#env.after(delayMs, () => {
      void this.#look().then(() => this.#lookLater(LOOK_MS));
    });
  }

  /** After a time without Redis everything is read again. Never rejects. */
  async #look(): Promise<void> {
    const nowMs = this.#env.wallMs();
    const isAll = this.#readMs === -Infinity;
    try {
      const from = isAll ? '-inf' : this.#readMs;
      const revoked = revokedIn(
        await this.#env.redis!.command('ZRANGE', REDIS_NAME, from, '+inf', 'BYSCORE', 'WITHSCORES'),
      );
      // It may have held more before.
      if (isAll && revoked.length >= this.#max) this.#floorMs = Math.max(this.#floorMs, revoked[0]![1]);
      this.#take(revoked);
      this.#readMs = nowMs - OVERLAP_MS;
      await this.#tellProxies();
    } catch {
      this.#readMs = -Infinity;
    }
  }
}

/** Pairs one after the other (RESP 2) or in lists of their own (RESP 3). */
function revokedIn(found: unknown): readonly Revoked[] {
  const flat = Array.isArray(found) ? found.flat() : [];
  const revoked: Revoked[] = [];
  for (let i = 0; i + 1 < flat.length; i += 2) revoked.push([String(flat[i]), Number(flat[i + 1])]);
  return revoked;
}

function keysOf(session: Session): Keys {
  const { sid, subject } = session;
  return {
    one: sid === undefined ? keyOf(session, 'nameless', subject) : keyOf(session, 'sid', sid),
    all: keyOf(session, 'sub', subject),
  };
}

/** A hash: what is told and kept names nobody. */
function keyOf(
  { issuer, clientId }: { readonly issuer: string; readonly clientId: string },
  what: 'sid' | 'sub' | 'nameless',
  name: string,
): string {
  return createHash('sha256')
    .update(JSON.stringify([issuer, clientId, what, name]))
    .digest('base64url');
}
