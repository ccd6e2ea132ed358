/**
 * Counts over all proxies, in Redis, without waiting for it.
 *
 * Each worker has a purse for each key that it met lately. In it are permits: Redis has counted them already, and grants
 * only what there is. Without permits a request is let through on credit, if there is room as far as this worker knows,
 * and Redis is told within a millisecond; so a busy key soon has permits ahead of its requests, and a quiet one needs none.
 *
 * How much all proxies may exceed a limit: credit and permits of a worker are c each at most, and W workers share a
 * Redis. A worker that was told how much is used counts on from there, so it grants itself at most what it does not yet
 * know others to have taken. Take, of all workers' last tellings but one, the latest: since then each worker has added
 * at most c on credit. So what is used is never more than burst + (W - 1) c; and at most W c permits are older than the
 * time that is looked at. Together less than 2 W c, which is why c is maxOvershoot / (2 W).
 */
import { createHash } from 'node:crypto';
import type { Cells } from '../../filter/cells.ts';
import type { Env, Redis } from '../../filter/env.ts';
import type { RateLimitConfig } from './config.ts';
import { type Counter, demandOf, LocalCounter, type Ruling } from './counter.ts';
import { LEASE_SCRIPT } from './lease-script.ts';
import type { Limit, LimitDemand } from './limit.ts';

/** Purses of one worker and filter. Beyond: the oldest is forgotten with its permits. */
const PURSES_MAX = 65_536;

/** Keys in one call of the script, which holds Redis up for some microseconds each. */
const BATCH_KEYS_MAX = 100;

const FLUSH_MS = 1;

/** Permits that are not used for so long are given back. */
const IDLE_MS = 1_000;

/** After a call that failed Redis counts as away for so long, though its connection may be there. */
const FAILED_MS = 1_000;

/** A worker that has just started is not yet connected: nothing is said of that for so long. */
const START_MS = 2_000;

const SLACK = 1e-9;

interface Purse {
  readonly limit: Limit;
  readonly redisKey: string;
  /** What Redis said was used, and when it said so. */
  known: number;
  knownMs: number;
  /** Used on credit since: not told yet, and told without an answer yet. */
  credit: number;
  told: number;
  permits: number;
  /** Permits that Redis is to be told are given back. */
  returned: number;
  /** Used since Redis was told last: what may be needed until it is told again. */
  recent: number;
  usedMs: number;
  isDirty: boolean;
  isAsking: boolean;
}

export interface LeaseParts {
  readonly env: Env;
  readonly redis: Redis;
  readonly cells: Cells;
  readonly limits: readonly Limit[];
  readonly settings: NonNullable<RateLimitConfig['global']>;
}

export class Leases implements Counter {
  readonly #parts: LeaseParts;
  readonly #local: LocalCounter;
  /** The share of this proxy of each limit, for while Redis is away. */
  readonly #shares: ReadonlyMap<Limit, LimitDemand>;
  readonly #purses: ReadonlyMap<Limit, Map<string, Purse>>;
  readonly #creditMax: number;
  readonly #startMs: number;
  // Of the request that runs.
  readonly #asked: Purse[] = [];
  readonly #asShares: LimitDemand[] = [];
  #dirty: Purse[] = [];
  #failedUntilMs = -Infinity;
  #away: 'unknown' | 'yes' | 'no' = 'unknown';
  #cancelFlush: (() => void) | undefined;
  #cancelSweep: () => void;
  #closed = false;

  constructor(parts: LeaseParts) {
    const { env, limits, settings } = parts;
    this.#parts = parts;
    this.#local = new LocalCounter(parts.cells, env);
    this.#shares = new Map(limits.map((limit) => [limit, demandOf(limit, 1 / settings.proxies)]));
    this.#purses = new Map(limits.map((limit) => [limit, new Map<string, Purse>()]));
    this.#creditMax = Math.max(1, Math.floor(settings.maxOvershoot / (2 * settings.proxies * env.worker.of)));
    this.#startMs = env.nowMs();
    this.#cancelSweep = env.after(IDLE_MS, () => this.#sweep());
  }

  decide(demands: readonly LimitDemand[], count: number, nowMs: number): Ruling {
    if (!this.#parts.redis.isUp || nowMs < this.#failedUntilMs) return this.#decideAway(demands, count, nowMs);
    if (this.#away !== 'no') this.#back();
    let admits = true;
    for (let i = 0; i < count; i++) {
      const demand = demands[i]!;
      const purse = this.#purseOf(demand, nowMs);
      this.#asked[i] = purse;
      if (!this.#hasRoom(purse, demand, nowMs)) admits = false;
    }
    if (!admits) return 'refused';
    for (let i = 0; i < count; i++) this.#take(this.#asked[i]!, demands[i]!, nowMs);
    return 'admitted';
  }

  /** Gives back what is left, as far as Redis hears of it. */
  close(): void {
    this.#cancelSweep();
    for (const purses of this.#purses.values()) {
      for (const purse of purses.values()) this.#giveBack(purse);
    }
    this.#closed = true;
    this.#cancelFlush?.();
    this.#flush();
  }

  #hasRoom(purse: Purse, demand: LimitDemand, nowMs: number): boolean {
    const { cost, burst, perUnitMs } = demand;
    const onCredit = purse.credit + purse.told;
    const used = Math.max(0, purse.known - (nowMs - purse.knownMs) / perUnitMs) + onCredit;
    demand.used = Math.max(0, used - purse.permits);
    demand.waitMs = 0;
    if (purse.permits >= cost) return true;
    const excess = used + cost - burst;
    // One request is let through on credit whatever it costs: else it would never be.
    const isCovered = onCredit + cost <= this.#creditMax || onCredit === 0;
    if (excess <= SLACK && isCovered) return true;
    demand.waitMs = Math.max(1, excess * perUnitMs);
    return false;
  }

  #take(purse: Purse, demand: LimitDemand, nowMs: number): void {
    const { cost } = demand;
    demand.used += cost;
    purse.usedMs = nowMs;
    purse.recent += cost;
    if (purse.permits >= cost) {
      purse.permits -= cost;
      // Renewed before they are used up.
      if (purse.permits < this.#creditMax / 2) this.#mark(purse);
    } else {
      purse.credit += cost;
      this.#mark(purse);
    }
  }

  #purseOf({ limit, key }: LimitDemand, nowMs: number): Purse {
    const purses = this.#purses.get(limit)!;
    let purse = purses.get(key);
    if (purse !== undefined) return purse;
    const digest = createHash('sha256').update(`${limit.space}\0${key}`).digest('base64url').slice(0, 27);
    const start = { known: 0, knownMs: nowMs, credit: 0, told: 0, permits: 0, returned: 0, recent: 0, usedMs: nowMs };
    purse = { limit, redisKey: `fourways:rate:${digest}`, ...start, isDirty: false, isAsking: false };
    if (purses.size >= PURSES_MAX / this.#purses.size) {
      this.#parts.env.count('forgotten');
      purses.delete(purses.keys().next().value!);
    }
    purses.set(key, purse);
    return purse;
  }

  // --- Redis -------------------------------------------------------------------------------------------------------

  #mark(purse: Purse): void {
    if (purse.isDirty || purse.isAsking || this.#closed) return;
    purse.isDirty = true;
    this.#dirty.push(purse);
    this.#cancelFlush ??= this.#parts.env.after(FLUSH_MS, () => this.#flush());
  }

  #flush(): void {
    this.#cancelFlush = undefined;
    const dirty = this.#dirty;
    this.#dirty = [];
    for (let i = 0; i < dirty.length; i += BATCH_KEYS_MAX) void this.#ask(dirty.slice(i, i + BATCH_KEYS_MAX));
  }

  async #ask(purses: readonly Purse[]): Promise<void> {
    const { env, redis } = this.#parts;
    const args = purses.flatMap((purse) => this.#argumentsOf(purse));
    try {
      const said = await redis.run(
        LEASE_SCRIPT,
        purses.map(({ redisKey }) => redisKey),
        args,
      );
      this.#heed(purses, said as readonly string[], env.nowMs());
    } catch {
      this.#failedUntilMs = env.nowMs() + FAILED_MS;
      for (const purse of purses) {
        purse.isAsking = false;
        // Redis may have heard it: then it counts twice, which errs on the side of the limit.
        purse.credit += purse.told;
        // What was given back is not said again: heard twice, it would not.
        purse.told = 0;
      }
    }
  }

  #argumentsOf(purse: Purse): readonly number[] {
    const { burst, perUnitMs } = purse.limit;
    purse.isDirty = false;
    purse.isAsking = true;
    purse.told = purse.credit;
    purse.credit = 0;
    // One request alone is no sign of more.
    const want = purse.recent > 1 && !this.#closed ? Math.min(this.#creditMax, 2 * purse.recent) - purse.permits : 0;
    purse.recent = 0;
    const debt = purse.told - purse.returned;
    purse.returned = 0;
    return [burst, perUnitMs, debt, Math.max(0, Math.floor(want))];
  }

  #heed(purses: readonly Purse[], said: readonly string[], nowMs: number): void {
    for (const [i, purse] of purses.entries()) {
      purse.isAsking = false;
      purse.told = 0;
      purse.known = Number(said[2 * i]);
      purse.knownMs = nowMs;
      purse.permits += Number(said[2 * i + 1]);
      if (purse.credit > 0) this.#mark(purse);
    }
  }

  #giveBack(purse: Purse): void {
    if (purse.permits === 0 || purse.isAsking) return;
    purse.returned += purse.permits;
    purse.known = Math.max(0, purse.known - purse.permits);
    purse.permits = 0;
    this.#mark(purse);
  }

  #sweep(): void {
    const { env } = this.#parts;
    const nowMs = env.nowMs();
    for (const purses of this.#purses.values()) {
      for (const [key, purse] of purses) {
        const idleMs = nowMs - purse.usedMs;
        if (idleMs < IDLE_MS || purse.isAsking || purse.isDirty) continue;
        if (purse.permits > 0) this.#giveBack(purse);
        else if (purse.credit > 0) this.#mark(purse);
        else if (purse.known - (nowMs - purse.knownMs) / purse.limit.perUnitMs <= 0) purses.delete(key);
      }
    }
    this.#cancelSweep = env.after(IDLE_MS, () => this.#sweep());
  }

  // --- without Redis -----------------------------------------------------------------------------------------------

  #decideAway(demands: readonly LimitDemand[], count: number, nowMs: number): Ruling {
    const { env, settings } = this.#parts;
    if (this.#away === 'no' || (this.#away === 'unknown' && nowMs - this.#startMs > START_MS)) {
      this.#away = 'yes';
      env.count('redis_lost');
      env.warn(`Redis is away: rateLimit decides as whenAway says, "${settings.whenAway}"`);
    }
    env.count('away');
    if (settings.whenAway === 'closed') return 'undecidable';
    for (let i = 0; i < count; i++) {
      const demand = demands[i]!;
      const share = this.#shares.get(demand.limit)!;
      share.lo = demand.lo;
      share.hi = demand.hi;
      share.cost = demand.cost;
      this.#asShares[i] = share;
      demand.used = demand.waitMs = 0;
    }
    if (settings.whenAway === 'open') return 'admitted';
    const ruling = this.#local.decide(this.#asShares, count, nowMs);
    for (let i = 0; i < count; i++) {
      demands[i]!.waitMs = this.#asShares[i]!.waitMs;
      // As much of the limit as of the share.
      demands[i]!.used = this.#asShares[i]!.used * settings.proxies;
    }
    return ruling;
  }

  #back(): void {
    if (this.#away === 'yes') this.#parts.env.count('redis_back');
    this.#away = 'no';
  }
}
