import { Fault } from '../../base/fault.ts';
import { openCells } from '../../filter/cells.ts';
import type { Env } from '../../filter/env.ts';
import type { Exchange, Filter, FilterCode } from '../../filter/filter.ts';
import { Kept } from '../../filter/kept.ts';
import type { HashState, KeyedHash } from '../../filter/keyed-hash.ts';
import type { ResponseHead } from '../../http/message.ts';
import { RATE_LIMIT_FAULTS, type RateLimitConfig } from './config.ts';
import { type Counter, demandOf, LocalCounter } from './counter.ts';
import { type LeaseParts, Leases } from './leases.ts';
import { type LimitDemand, makeLimit } from './limit.ts';

/**
 * Limits rates by GCRA, in the form of cells.ts.
 *
 * @see draft-ietf-httpapi-ratelimit-headers for the fields, RFC 6585 section 4 for 429
 */
export const code: FilterCode<typeof RateLimitConfig> = {
  make(config, env) {
    const cells = openCells(env.cells, { worker: env.worker.number, randomBytes: (count) => env.randomBytes(count) });
    const space = `rateLimit ${env.owner}${config.together === 'rule' ? ` ${env.rule}` : ''}`;
    const limits = config.limits.map((limit) => makeLimit(limit, { space, ipv6Prefix: config.ipv6Prefix }));
    const demands = limits.map((limit) => demandOf(limit));
    return new RateLimiter({
      env,
      demands,
      hash: cells.hash,
      spaces: limits.map((limit) => cells.space(limit.space)),
      counter: counterOf(config, { env, cells, limits }),
      headers: config.headers,
    });
  },
};

/** @throws {Error} when it is to count in a Redis that was not named: the plan is refused */
function counterOf(config: RateLimitConfig, parts: Omit<LeaseParts, 'redis' | 'settings'>): Counter {
  const { env, cells } = parts;
  if (config.scope === 'local') return new LocalCounter(cells, env);
  if (env.redis === undefined) {
    throw new Error(`rateLimit of ${env.owner} has scope "global" and no Redis: start with --redis URL or REDIS_URL`);
  }
  // The check has seen that they are there.
  return new Leases({ ...parts, redis: env.redis, settings: config.global! });
}

interface Parts {
  readonly env: Env;
  readonly demands: readonly LimitDemand[];
  readonly hash: KeyedHash;
  readonly spaces: readonly HashState[];
  readonly counter: Counter;
  readonly headers: RateLimitConfig['headers'];
}

class RateLimiter implements Filter {
  readonly #parts: Parts;
  /** Value of RateLimit-Policy: the same for every answer. */
  readonly #policy: string;
  /** Of the request that runs: the demands of the limits that are for it. */
  readonly #asked: LimitDemand[] = [];
  /** Values of RateLimit, from the way in to the way out. */
  readonly #states = new Kept<string>();

  constructor(parts: Parts) {
    this.#parts = parts;
    this.#policy = parts.demands.map(({ limit }) => limit.policy).join(', ');
  }

  onRequest(x: Exchange): Fault | undefined {
    const count = this.#ask(x);
    if (count === 0) return undefined;
    const { env, counter, headers } = this.#parts;
    const ruling = counter.decide(this.#asked, count, env.nowMs());
    if (ruling === 'undecidable') {
      return new Fault(RATE_LIMIT_FAULTS['rate-limit.undecidable'], `Redis is away: ${env.owner} refuses`);
    }
    if (headers === 'all' || (headers === 'refused' && ruling === 'refused')) this.#states.set(x, this.#state(count));
    return ruling === 'admitted' ? undefined : this.#refuse(x, count);
  }

  onResponse(x: Exchange, { headers }: ResponseHead): void {
    const state = this.#states.get(x);
    if (state === undefined) return;
    headers.add('ratelimit-policy', this.#policy);
    headers.add('ratelimit', state);
  }

  close(): void {
    this.#parts.counter.close();
  }

  /** Fills in what the request asks of each limit that is for it. @returns how many those are */
  #ask(x: Exchange): number {
    const { env, demands, hash, spaces } = this.#parts;
    let count = 0;
    for (let i = 0; i < demands.length; i++) {
      const demand = demands[i]!;
      const { limit } = demand;
      if (!limit.isFor(x)) continue;
      let key = limit.keyOf(x);
      if (key === undefined) {
        env.count('no_key');
        // A text that no expression comes to would have to be escaped in all others: those of the empty text share it.
        key = '';
      }
      hash.read(spaces[i]!, key);
      demand.key = key;
      demand.lo = hash.lo;
      demand.hi = hash.hi;
      demand.cost = limit.costOf(x);
      this.#asked[count++] = demand;
    }
    return count;
  }

  #state(count: number): string {
    let text = '';
    for (let i = 0; i < count; i++) {
      const { limit, burst, used, perUnitMs } = this.#asked[i]!;
      const left = used >= burst ? 0 : Math.floor(burst - used + 1e-9);
      const item = `${limit.stateBegin}${left};t=${Math.ceil((used * perUnitMs) / 1_000)}`;
      text = i === 0 ? item : `${text}, ${item}`;
    }
    return text;
  }

  #refuse(x: Exchange, count: number): Fault {
    const { env } = this.#parts;
    env.count('refused');
    const refusing = this.#asked.slice(0, count).filter(({ waitMs }) => waitMs > 0);
    const names = refusing.map(({ limit }) => limit.name);
    x.note('rateLimit', names.join(' '));
    // The hash has a key of this process: it tells clients apart in the log, and says nothing of who they are.
    const keys = refusing.map(({ limit, lo }) => `"${limit.name}" for key ${(lo >>> 0).toString(16).padStart(8, '0')}`);
    const waitMs = Math.max(...refusing.map((demand) => demand.waitMs));
    // What costs more than there can be at once never fits.
    const never = refusing.some(({ cost, burst }) => cost > burst);
    const seconds = String(Math.max(1, Math.ceil(waitMs / 1_000)));
    return new Fault(RATE_LIMIT_FAULTS['rate-limit.exceeded'], `${env.owner}: ${keys.join(', ')}`, {
      headers: never ? [] : [['retry-after', seconds]],
      members: { 'violated-policies': names },
    });
  }
}
