/**
 * The cache of one rule: what it does with a request and its answer, in the
 * order in which it happens.
 *
 *     request -> may the cache have a part? -> key -> stored answer, fresh -> reply
 *             -> stale: reply and refresh, or ask the origin whether it changed
 *             -> nothing: wait for who asks for the same, or ask the origin
 *     answer  -> confirmed, failed, or new: kept while it passes, if it may be
 */
import { Fault } from '../../base/fault.ts';
import type { Env } from '../../filter/env.ts';
import type { BodyWish, Exchange, Filter, Reply, Verdict } from '../../filter/filter.ts';
import { Kept } from '../../filter/kept.ts';
import type { ResponseHead } from '../../http/message.ts';
import { type Directives, NO_DIRECTIVES, parseCacheControl } from './cache-control.ts';
import { NO_WISHES, type Wishes, wishesOf } from './conditions.ts';
import { CACHE_FAULTS, type CacheConfig } from './config.ts';
import { Flight, type Outcome } from './flight.ts';
import { Keys } from './key.ts';
import { Keeper } from './keeper.ts';
import type { RedisTier } from './redis-tier.ts';
import { conditionsOf, Refresher } from './refresher.ts';
import { replyOf, serve, serveWhole } from './serve.ts';
import { type Settings, settingsOf } from './settings.ts';
import type { Stored } from './stored.ts';
import { varyValues } from './vary.ts';
import type { Changing, Fetching, Passed, Visit } from './visit.ts';
import type { CacheKey, Zone } from './zone.ts';
import type { HeldZone } from './zones.ts';

export class Cache implements Filter {
  readonly #env: Env;
  readonly #settings: Settings;
  readonly #keys: Keys;
  readonly #zone: Zone;
  readonly #keeper: Keeper;
  readonly #refresher: Refresher;
  readonly #visits = new Kept<Visit>();
  readonly #redis: RedisTier | undefined;
  readonly #release: () => void;

  constructor(config: CacheConfig, env: Env, held: HeldZone) {
    this.#env = env;
    this.#settings = settingsOf(config);
    this.#keys = new Keys(config, env.rule);
    this.#zone = held.zone;
    this.#redis = held.redis;
    this.#release = () => held.release();
    this.#keeper = new Keeper({ env, settings: this.#settings, zone: held.zone, redis: held.redis });
    this.#refresher = new Refresher(this.#keeper);
  }

  close(): void {
    this.#release();
  }

  // --- the request -------------------------------------------------------------------------------------------------

  onRequest(x: Exchange): Verdict | Promise<Verdict> {
    const { method, headers } = x.request;
    if (method !== 'GET' && method !== 'HEAD') return this.#otherMethod(x, method);
    if (!this.#mayTakePart(x)) return this.#pass(x, 'bypass');
    const key = this.#keys.of(x);
    if (key === undefined) return this.#pass(x, 'bypass');
    const stored = this.#zone.find(key, headers);
    const wishes = wishesOf(headers);
    const ask = this.#settings.requestDirectives === 'ignore' ? NO_DIRECTIVES : requestDirectives(x);
    if (stored !== undefined) {
      const use = this.#useOf(stored, ask);
      if (use !== 'ask') return this.#hit(x, { key, stored, wishes, use });
    }
    if (ask.onlyIfCached) return new Fault(CACHE_FAULTS['cache.only-if-cached'], 'Nothing is stored that would do');
    if (ask.noStore) return this.#pass(x, 'request');
    // What comes to HEAD, or is a part, is not the answer that others could be given.
    if (method === 'HEAD') return this.#pass(x, stored === undefined ? 'uri-miss' : 'request', stored);
    if (wishes.range !== undefined && stored === undefined) return this.#pass(x, 'partial');
    return this.#fetch(x, this.#fetching(x, { key, stored, wishes, ask }), ask);
  }

  #otherMethod(x: Exchange, method: string): undefined {
    // RFC 9110 section 9.2.1: these change nothing.
    if (method === 'OPTIONS' || method === 'TRACE') return this.#pass(x, 'method');
    this.#visits.set(x, { kind: 'changing', uri: this.#keys.uri(x) });
    return undefined;
  }

  /** A body, conditions that only the origin can judge (RFC 9111 section 4.3.2), or what may change answers unseen. */
  #mayTakePart(x: Exchange): boolean {
    const { bodyLength, upgrade, headers } = x.request;
    if (bodyLength !== 0 || upgrade !== undefined) return false;
    if (headers.get('if-match') !== undefined || headers.get('if-unmodified-since') !== undefined) return false;
    const { unkeyed, bypass } = this.#settings;
    for (let i = 0; i < unkeyed.length; i++) if (headers.get(unkeyed[i]!) !== undefined) return false;
    // What cannot be told is not taken for a no.
    return bypass === undefined || bypass(x) === false;
  }

  #pass(x: Exchange, why: Passed['why'], stored?: Stored): undefined {
    this.#env.count(why === 'uri-miss' || why === 'partial' ? 'miss' : 'bypass');
    x.note('cache', why);
    this.#visits.set(x, { kind: 'passed', why, stored });
    return undefined;
  }

  /** RFC 9111 sections 4.2 and 5.2.1. */
  #useOf(stored: Stored, ask: Directives): 'fresh' | 'stale' | 'refresh' | 'ask' {
    const nowMs = this.#env.nowMs();
    if (ask === NO_DIRECTIVES) {
      if (nowMs < stored.freshUntilMs) return 'fresh';
    } else {
      if (ask.noCache) return 'ask';
      if (ask.maxAge !== undefined && stored.ageMs(nowMs) > ask.maxAge * 1_000) return 'ask';
      if (nowMs < stored.freshUntilMs - (ask.minFresh ?? 0) * 1_000) return 'fresh';
      if (ask.minFresh !== undefined) return 'ask';
    }
    const { requestsMayStretch, revalidate } = stored.freshness;
    if (revalidate === 'always') return 'ask';
    if (nowMs < stored.revalidateUntilMs) return 'refresh';
    if (nowMs < stored.restUntilMs && nowMs < stored.errorUntilMs) return 'stale';
    const stretchMs = (ask.maxStale ?? 0) * 1_000;
    return requestsMayStretch === 'yes' && nowMs < stored.freshUntilMs + stretchMs ? 'stale' : 'ask';
  }

  /** Synchronous, and the most that most requests ever see of this file. */
  #hit(x: Exchange, found: Hit): Reply {
    const { key, stored, wishes, use } = found;
    const nowMs = this.#env.nowMs();
    stored.hits++;
    this.#env.count('hit');
    if (use !== 'fresh') this.#env.count('stale');
    if (use === 'refresh' && x.request.method === 'GET') this.#refresher.refresh(x, key, stored);
    x.note('cache', use === 'fresh' ? 'hit' : 'stale');
    return this.#reply(stored, wishes, hitStatus(stored, nowMs));
  }

  #reply(stored: Stored, wishes: Wishes, status: string): Reply {
    if (wishes !== NO_WISHES) return replyOf(serve(stored, wishes, this.#keeper.facts(status)));
    const cacheStatus = this.#settings.cacheStatus === 'add' ? status : '';
    return replyOf(serveWhole(stored, { nowMs: this.#env.nowMs(), cacheStatus }));
  }

  #fetching(x: Exchange, { key, stored, wishes, ask }: Found & { readonly ask: Directives }): Fetching {
    const isVary = stored === undefined && this.#zone.varyOf(key).length > 0;
    const why =
      stored === undefined ? (isVary ? 'vary-miss' : 'uri-miss') : ask === NO_DIRECTIVES ? 'stale' : 'request';
    const { identity } = x;
    const isOwn = this.#settings.perIdentity && identity !== undefined;
    return {
      kind: 'fetching',
      key,
      stale: stored,
      why,
      wishes,
      authorised: !isOwn && (identity !== undefined || x.request.headers.has('authorization')),
      since: this.#zone.since(key),
      startedMs: this.#env.nowMs(),
      asksIfChanged: false,
      flight: undefined,
      follower: undefined,
      filling: 0,
      over: false,
    };
  }

  // --- one for many ------------------------------------------------------------------------------------------------

  #fetch(x: Exchange, visit: Fetching, ask: Directives): undefined | Promise<Verdict> {
    this.#visits.set(x, visit);
    const { key } = visit;
    const alone = this.#settings.waitMs === 0 || ask.noCache || this.#zone.isPassed(key, visit.startedMs);
    if (alone) return this.#forward(x, visit);
    const name = this.#flightName(x, key);
    const flight = this.#zone.flights.get(name);
    const follower = flight?.join();
    if (flight !== undefined && follower !== undefined) {
      visit.follower = follower;
      const stop = this.#env.after(this.#settings.waitMs, () => follower.leave('late'));
      return follower.outcome.then((outcome) => {
        stop();
        return this.#afterWait(x, visit, { outcome, flight, name });
      });
    }
    if (flight === undefined) this.#lead(visit, name);
    if (visit.stale === undefined && this.#redis?.isUp === true) return this.#load(x, visit, this.#redis);
    return this.#forward(x, visit);
  }

  #lead(visit: Fetching, name: string): void {
    const { flights } = this.#zone;
    const flight = new Flight(() => {
      if (flights.get(name) === flight) flights.delete(name);
    });
    visit.flight = flight;
    flights.set(name, flight);
  }

  async #load(x: Exchange, visit: Fetching, redis: RedisTier): Promise<Verdict> {
    const { key } = visit;
    const stored = await redis.load(key, x.request.headers);
    if (visit.over) return undefined;
    const nowMs = this.#env.nowMs();
    const isFresh = stored !== undefined && nowMs < stored.freshUntilMs;
    if (!isFresh || this.#zone.isPurged(key, visit.since, stored.tags)) return this.#forward(x, visit);
    this.#env.count('redis_hit');
    const isKept = this.#zone.put(key, stored, visit.since);
    visit.flight?.land(isKept ? 'look' : 'alone');
    visit.flight = undefined;
    this.#env.count('hit');
    x.note('cache', 'redis');
    return this.#later(x, visit, { stored, status: hitStatus(stored, nowMs) });
  }

  /** Where it is known which fields choose the answer, those who differ in them do not wait for each other. */
  #flightName(x: Exchange, key: CacheKey): string {
    const values = varyValues(x.request.headers, this.#zone.varyOf(key));
    return `${key.uri}\n${key.extra}\n${values.join('\n')}`;
  }

  #afterWait(x: Exchange, visit: Fetching, { outcome, flight, name }: Waited): Verdict {
    visit.follower = undefined;
    if (visit.over) {
      // Who was to lead has left just now.
      if (outcome === 'lead') flight.passOn();
      return undefined;
    }
    const nowMs = this.#env.nowMs();
    if (outcome === 'look' || outcome === 'stale') {
      const stored = this.#zone.find(visit.key, x.request.headers);
      const fits = stored !== undefined && nowMs < (outcome === 'look' ? stored.freshUntilMs : stored.errorUntilMs);
      if (fits) return this.#collapsed(x, visit, stored);
    }
    if (outcome === 'lead') visit.flight = flight;
    if (outcome === 'late' && this.#zone.flights.get(name) === flight) this.#lead(visit, name);
    visit.startedMs = nowMs;
    return this.#forward(x, visit);
  }

  #collapsed(x: Exchange, visit: Fetching, stored: Stored): Reply {
    const nowMs = this.#env.nowMs();
    stored.hits++;
    this.#env.count('hit');
    this.#env.count('collapsed');
    x.note('cache', 'collapsed');
    return this.#later(x, visit, {
      stored,
      status: `fourways; fwd=${visit.why}; collapsed; ttl=${ttlOf(stored, nowMs)}`,
    });
  }

  /** Answered from the store after some waiting: its head is all there. */
  #later(x: Exchange, { wishes }: Fetching, { stored, status }: { stored: Stored; status: string }): Reply {
    this.#visits.delete(x);
    return this.#reply(stored, wishes, status);
  }

  /** What goes upstream asks for the whole answer, or whether ours is good still. */
  #forward(x: Exchange, visit: Fetching): undefined {
    const { stale } = visit;
    const { headers } = x.request;
    this.#env.count('miss');
    x.note('cache', visit.why);
    // Nothing of it will be kept, most likely: the client's own conditions may save the body.
    if (stale === undefined && this.#zone.isPassed(visit.key, visit.startedMs)) return undefined;
    if (visit.wishes !== NO_WISHES) {
      headers.delete('if-none-match');
      headers.delete('if-modified-since');
      headers.delete('range');
      headers.delete('if-range');
    }
    if (stale === undefined) return undefined;
    for (const [name, value] of conditionsOf(stale)) {
      headers.set(name, value);
      visit.asksIfChanged = true;
    }
    return undefined;
  }

  // --- the answer --------------------------------------------------------------------------------------------------

  onResponse(x: Exchange, head: ResponseHead): BodyWish | void {
    // What is answered from the store has no visit.
    const visit = this.#visits.get(x);
    switch (visit?.kind) {
      case undefined:
        return undefined;
      case 'passed':
        if (visit.stored !== undefined) this.#compare(visit.stored, head);
        return this.#keeper.plain(head, visit.why);
      case 'changing':
        this.#invalidate(visit, head);
        return this.#keeper.plain(head, 'method');
      case 'fetching':
        return this.#keeper.take(x, visit, head);
    }
  }

  /** RFC 9111 section 4.3.5: the answer to a HEAD may show that what is stored is old. */
  #compare(stored: Stored, { status, headers, bodyLength }: ResponseHead): void {
    const isSame =
      status === stored.status &&
      headers.get('etag') === stored.etag &&
      headers.get('last-modified') === stored.lastModified &&
      (bodyLength <= 0 || bodyLength === stored.body.length);
    if (!isSame && status < 500 && status !== 304) this.#zone.remove(stored);
  }

  /** RFC 9111 section 4.4: after a success, what is stored of the URI and of those that the answer names is doubtful. */
  #invalidate({ uri }: Changing, { status, headers }: ResponseHead): void {
    if (status < 200 || status >= 400) return;
    const uris = new Set([uri]);
    for (const name of ['location', 'content-location']) {
      const text = headers.get(name);
      const named = text === undefined ? undefined : this.#keys.reference(text, uri);
      if (named !== undefined) uris.add(named);
    }
    for (const value of uris) {
      const count = this.#zone.invalidate(value);
      if (count > 0) this.#env.count('invalidated', count);
      this.#redis?.purge({ kind: 'uri', value });
    }
  }

  onEnd(x: Exchange): void {
    const visit = this.#visits.get(x);
    if (visit?.kind !== 'fetching' || visit.over) return;
    visit.over = true;
    visit.follower?.leave('alone');
    this.#keeper.leave(visit);
  }
}

function hitStatus(stored: Stored, nowMs: number): string {
  return `fourways; hit; ttl=${ttlOf(stored, nowMs)}`;
}

/** Seconds; negative for what is stale (RFC 9211 section 2.5). */
function ttlOf({ bornMs, freshness }: Stored, nowMs: number): number {
  return Math.floor((bornMs + freshness.lifetimeMs - nowMs) / 1_000);
}

/** RFC 9111 section 5.2.1; and Pragma where nothing else is said (section 5.4). */
function requestDirectives({ request: { headers } }: Exchange): Directives {
  const value = headers.combined('cache-control');
  if (value !== undefined) return parseCacheControl(value);
  return parseCacheControl(headers.combined('pragma'));
}

interface Hit extends Found {
  readonly stored: Stored;
  /** `refresh`: it is stale, and a fresh one is to be fetched meanwhile. */
  readonly use: 'fresh' | 'stale' | 'refresh';
}

interface Waited {
  readonly outcome: Outcome;
  readonly flight: Flight;
  readonly name: string;
}

interface Found {
  readonly key: CacheKey;
  readonly stored: Stored | undefined;
  readonly wishes: Wishes;
}
