/**
 * Answers that all proxies share, in Redis. It is asked once for what memory
 * lacks, and never waited for longer than the operator says: while it is away,
 * memory alone counts.
 *
 *     fourways:cache:OWNER:a:HASH     an answer, by key; one with Vary also by key and what chose it
 *     fourways:cache:OWNER:u:HASH     when a URI was purged
 *     fourways:cache:OWNER:purges     when tags, prefixes or everything were purged
 */
import { createHash } from 'node:crypto';
import { durationOr } from '../../base/duration.ts';
import type { Env, Redis } from '../../filter/env.ts';
import type { Headers } from '../../http/headers.ts';
import type { CacheConfig } from './config.ts';
import type { Storable } from './freshness.ts';
import type { Purge } from './purges.ts';
import { Stored } from './stored.ts';
import { varyValues } from './vary.ts';
import type { CacheKey } from './zone.ts';

/** Nothing stays longer, so that what was purged need not be remembered for longer. */
const KEPT_MS_MAX = 24 * 3_600_000;

/** Purges of tags and prefixes that are remembered one by one. Beyond, everything counts as purged: safe, and rare. */
const PURGES_MAX = 1_000;

interface Record {
  readonly status: number;
  readonly lines: readonly string[];
  readonly hidden: readonly string[];
  readonly vary: readonly string[];
  readonly varyValues: readonly string[];
  readonly tags: readonly string[];
  readonly freshness: Storable;
  /** Since the epoch: when it had the age 0, and when it came to be kept. */
  readonly bornMs: number;
  readonly keptMs: number;
}

export class RedisTier {
  readonly #redis: Redis;
  readonly #env: Env;
  readonly #prefix: string;
  readonly #waitMs: number;
  readonly #bytesMax: number;

  private constructor(redis: Redis, env: Env, config: NonNullable<CacheConfig['redis']>) {
    this.#redis = redis;
    this.#env = env;
    this.#prefix = `fourways:cache:${env.owner}`;
    this.#waitMs = durationOr(config.wait, 0);
    this.#bytesMax = config.objectBytesMax;
  }

  /** Undefined where it is not asked for, or where there is no Redis. */
  static of({ redis: config }: CacheConfig, env: Env): RedisTier | undefined {
    if (config === undefined) return undefined;
    if (env.redis !== undefined) return new RedisTier(env.redis, env, config);
    env.warn('The policy keeps answers in Redis, but no Redis is named: memory alone is used');
    return undefined;
  }

  get isUp(): boolean {
    return this.#redis.isUp;
  }

  /** Never rejects, and never takes longer than it may. */
  load(key: CacheKey, request: Headers): Promise<Stored | undefined> {
    const found = this.#load(key, request).catch(() => this.#failed());
    return new Promise((resolve) => {
      const stop = this.#env.after(this.#waitMs, () => resolve(this.#failed()));
      void found.then((stored) => {
        stop();
        resolve(stored);
      });
    });
  }

  async #load(key: CacheKey, request: Headers): Promise<Stored | undefined> {
    const uriPurge = `${this.#prefix}:u:${hashOf(key.uri)}`;
    const [texts, purges] = await Promise.all([
      this.#redis.command('MGET', this.#answerKey(key, []), uriPurge),
      this.#redis.command('HGETALL', `${this.#prefix}:purges`),
    ]);
    const [newest, purged] = texts as [string | null, string | null];
    let record = decoded(newest);
    if (record !== undefined && !answers(record.head, request)) {
      const values = varyValues(request, record.head.vary);
      record = decoded((await this.#redis.command('GET', this.#answerKey(key, values))) as string | null);
      if (record !== undefined && !answers(record.head, request)) record = undefined;
    }
    if (record === undefined) return undefined;
    const { head } = record;
    if (purged !== null && Number(purged) >= head.keptMs) return undefined;
    if (isPurged(purges as readonly string[], key.uri, head)) return undefined;
    return this.#stored(head, record.body);
  }

  #stored(head: Record, body: Buffer): Stored {
    const ageMs = Math.max(0, this.#env.wallMs() - head.bornMs);
    return new Stored({ ...head, body }, { ...head.freshness, ageMs }, this.#env.nowMs());
  }

  /** Nobody waits for it. */
  save(key: CacheKey, stored: Stored): void {
    if (!this.#redis.isUp || stored.body.length > this.#bytesMax) return;
    const { status, lines, hidden, vary, freshness, tags, body } = stored;
    const nowMs = this.#env.nowMs();
    const wallMs = this.#env.wallMs();
    const ageMs = stored.ageMs(nowMs);
    const leftMs = freshness.lifetimeMs + Math.max(freshness.staleIfErrorMs, freshness.staleWhileRevalidateMs) - ageMs;
    if (leftMs < 1_000) return;
    const head: Record = {
      status,
      lines,
      hidden,
      vary,
      varyValues: stored.varyValues,
      tags,
      freshness,
      bornMs: wallMs - ageMs,
      keptMs: wallMs,
    };
    const value = encoded(head, body);
    const keptMs = Math.ceil(Math.min(leftMs, KEPT_MS_MAX));
    this.#send('SET', this.#answerKey(key, []), value, 'PX', keptMs);
    if (vary.length > 0) this.#send('SET', this.#answerKey(key, stored.varyValues), value, 'PX', keptMs);
  }

  purge({ kind, value }: Purge): void {
    const wallMs = this.#env.wallMs();
    if (kind === 'uri') return this.#send('SET', `${this.#prefix}:u:${hashOf(value)}`, wallMs, 'PX', KEPT_MS_MAX);
    const purges = `${this.#prefix}:purges`;
    this.#redis
      .command('HLEN', purges)
      .then((length) => {
        const isFull = kind === 'all' || Number(length) >= PURGES_MAX;
        if (isFull) this.#send('DEL', purges);
        this.#send('HSET', purges, isFull ? 'all ' : `${kind} ${value}`, wallMs);
        this.#send('PEXPIRE', purges, KEPT_MS_MAX);
      })
      .catch(() => this.#failed());
  }

  #send(...words: readonly (string | number)[]): void {
    this.#redis.command(...words).catch(() => this.#failed());
  }

  #failed(): undefined {
    this.#env.count('redis_failed');
    return undefined;
  }

  #answerKey({ uri, extra }: CacheKey, values: readonly string[]): string {
    return `${this.#prefix}:a:${hashOf([uri, extra, ...values].join('\n\n'))}`;
  }
}

function hashOf(value: string): string {
  return createHash('sha256').update(value).digest('base64url');
}

/** Text of both, because the connection takes all answers for text: the head as JSON, a line break, the body. */
function encoded(head: Record, body: Buffer): string {
  return `${JSON.stringify(head)}\n${body.toString('base64')}`;
}

function decoded(value: string | null): { readonly head: Record; readonly body: Buffer } | undefined {
  if (value === null) return undefined;
  const end = value.indexOf('\n');
  return { head: JSON.parse(value.slice(0, end)) as Record, body: Buffer.from(value.slice(end + 1), 'base64') };
}

function answers({ vary, varyValues: wanted }: Record, request: Headers): boolean {
  return varyValues(request, vary).every((value, i) => value === wanted[i]);
}

/** @param purges  a hash as Redis lists it: name, value, name, value */
function isPurged(purges: readonly string[], uri: string, { keptMs, tags }: Record): boolean {
  for (let i = 0; i < purges.length; i += 2) {
    const name = purges[i]!;
    if (Number(purges[i + 1]) < keptMs) continue;
    const kind = name.slice(0, name.indexOf(' '));
    const what = name.slice(kind.length + 1);
    if (kind === 'all' || (kind === 'prefix' && uri.startsWith(what)) || (kind === 'tag' && tags.includes(what))) {
      return true;
    }
  }
  return false;
}
