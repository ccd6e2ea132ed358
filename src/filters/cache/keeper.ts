/** What becomes of answers of the origin: kept while they pass, confirmed, or replaced by a stale one when they fail. */
import type { Env } from '../../filter/env.ts';
import type { BodyWish, Exchange } from '../../filter/filter.ts';
import type { Headers } from '../../http/headers.ts';
import type { ResponseHead } from '../../http/message.ts';
import { isKnown, isStrong, NO_WISHES } from './conditions.ts';
import { fitsPath } from './content-match.ts';
import { FillStage, SwapStage } from './fill-stage.ts';
import { judge, type Storable, type WhyNot } from './freshness.ts';
import type { Since } from './purges.ts';
import type { RedisTier } from './redis-tier.ts';
import { hideContent, serve, type ServeFacts, writeHead } from './serve.ts';
import type { Settings } from './settings.ts';
import { freshened, keptLines, tagsOf } from './store-lines.ts';
import { Stored, type StoredParts } from './stored.ts';
import { varyNames, varyValues } from './vary.ts';
import type { Fetching } from './visit.ts';
import type { CacheKey, Zone } from './zone.ts';

/** After a failure the upstream is left alone for so long where a stale answer may be given: it has enough to do. */
const REST_MS = 1_000;

const NO_BODY = Buffer.alloc(0);

/** RFC 5861 section 4. */
export function isFailure(status: number): boolean {
  return status === 500 || status === 502 || status === 503 || status === 504;
}

/** The head of an answer, with what is known of its request. */
export interface Come {
  readonly status: number;
  readonly headers: Headers;
  /** Fields of the request, for Vary. */
  readonly request: Headers;
  readonly path: string;
  readonly authorised: boolean;
  readonly startedMs: number;
}

/** An answer that may be kept, but for its body. */
export interface Keepable {
  readonly kind: 'keepable';
  readonly parts: Omit<StoredParts, 'body'>;
  readonly freshness: Storable;
  readonly headMs: number;
}

export interface NotKeepable {
  readonly kind: 'not-keepable';
  readonly why: WhyNot | 'too-large';
}

interface KeeperParts {
  readonly env: Env;
  readonly settings: Settings;
  readonly zone: Zone;
  readonly redis: RedisTier | undefined;
}

export class Keeper {
  readonly env: Env;
  readonly settings: Settings;
  readonly zone: Zone;
  readonly #redis: RedisTier | undefined;

  constructor({ env, settings, zone, redis }: KeeperParts) {
    this.env = env;
    this.settings = settings;
    this.zone = zone;
    this.#redis = redis;
  }

  // --- for clients -------------------------------------------------------------------------------------------------

  /** An answer that the cache has no part in, but for what clients should not see of it. */
  plain({ headers }: ResponseHead, why: string): undefined {
    this.#clean(headers);
    this.#say(headers, `fwd=${why}`);
    return undefined;
  }

  take(x: Exchange, visit: Fetching, head: ResponseHead): BodyWish | undefined {
    const { stale } = visit;
    if (stale !== undefined) {
      if (head.status === 304 && visit.asksIfChanged) return this.#confirmed(x, { visit, stale, head });
      const mayStale = isFailure(head.status) && this.env.nowMs() < stale.errorUntilMs;
      if (mayStale) return this.#failedOver({ visit, stale, head });
    }
    const come = comeOf(x, visit, head);
    const keepable = head.bodyLength > this.settings.objectBytesMax ? TOO_LARGE : this.keepable(come);
    return keepable.kind === 'keepable' ? this.#keep(visit, head, keepable) : this.#refuse(visit, head, keepable);
  }

  #confirmed(x: Exchange, { visit, stale, head }: Stale): BodyWish | undefined {
    this.env.count('revalidated');
    const next = this.confirm(visit.key, stale, comeOf(x, visit, head));
    visit.flight?.land(next === undefined ? 'alone' : 'look');
    visit.flight = undefined;
    x.note('cache', 'revalidated');
    const status = `fourways; fwd=${visit.why}; fwd-status=304`;
    const served = serve(next ?? stale, visit.wishes, this.facts(status));
    writeHead(head, served);
    return served.body.length > 0 ? new SwapStage(served.body) : undefined;
  }

  #failedOver({ visit, stale, head }: Stale): BodyWish {
    this.env.count('stale');
    stale.restUntilMs = this.env.nowMs() + REST_MS;
    visit.flight?.land('stale');
    visit.flight = undefined;
    const status = `fourways; fwd=${visit.why}; fwd-status=${head.status}; detail=stale-if-error`;
    const served = serve(stale, visit.wishes, this.facts(status));
    writeHead(head, served);
    // What comes instead is taken in and forgotten.
    return new SwapStage(served.body);
  }

  #refuse(visit: Fetching, head: ResponseHead, { why }: NotKeepable): BodyWish | undefined {
    if (head.status < 500 && head.status !== 304) this.forget(visit.key, visit.stale);
    visit.flight?.land('alone');
    visit.flight = undefined;
    this.#clean(head.headers);
    this.#say(head.headers, `fwd=${visit.why}; detail=${why}`);
    return this.#isKnown(visit, head) ? this.#tellKnown(head) : undefined;
  }

  #keep(visit: Fetching, head: ResponseHead, keepable: Keepable): BodyWish {
    const { zone, env } = this;
    const isKnownToClient = this.#isKnown(visit, head);
    const length = head.bodyLength;
    this.#clean(head.headers);
    this.#say(head.headers, `fwd=${visit.why}; stored`);
    if (isKnownToClient) hideContent(head);
    const land = (outcome: 'look' | 'alone'): void => {
      zone.endFilling(visit.filling);
      visit.filling = 0;
      visit.flight?.land(outcome);
      visit.flight = undefined;
    };
    const plan = {
      bytesMax: this.settings.objectBytesMax,
      length,
      client: isKnownToClient ? 'nothing' : 'gets-it',
    } as const;
    return new FillStage(plan, {
      mayHold: (bytes) => {
        if (!zone.beginFilling(bytes)) return false;
        visit.filling += bytes;
        return true;
      },
      onFilled: (body) => land(this.store(visit, keepable, body) === undefined ? 'alone' : 'look'),
      onGivenUp: (why) => {
        env.count('refused');
        if (why === 'too-large') this.forget(visit.key, undefined);
        else this.leave(visit);
        land('alone');
      },
    });
  }

  /** The exchange is over, whatever was under way: another one may lead. */
  leave(visit: Fetching): void {
    visit.flight?.passOn();
    visit.flight = undefined;
  }

  /** The condition of the client was held back, so it is judged here (RFC 9110 section 13.2.1). */
  #isKnown({ wishes, asksIfChanged, stale }: Fetching, { status, headers }: ResponseHead): boolean {
    if (wishes === NO_WISHES || status !== 200 || (stale !== undefined && !asksIfChanged)) return false;
    const have = {
      etag: headers.get('etag'),
      lastModified: headers.get('last-modified'),
      date: headers.get('date'),
    };
    return isKnown(wishes, have, this.env.wallMs());
  }

  #tellKnown(head: ResponseHead): BodyWish {
    hideContent(head);
    return new SwapStage(NO_BODY);
  }

  #clean(headers: Headers): void {
    for (const name of this.settings.hidden) headers.delete(name);
  }

  #say(headers: Headers, text: string): void {
    if (this.settings.cacheStatus === 'add') headers.add('cache-status', `fourways; ${text}`);
  }

  /** @param status  of Cache-Status, where it is said */
  facts(status: string): ServeFacts {
    const { env } = this;
    return {
      nowMs: env.nowMs(),
      wallMs: () => env.wallMs(),
      boundary: () => env.randomBytes(18).toString('hex'),
      cacheStatus: this.settings.cacheStatus === 'add' ? status : '',
    };
  }

  // --- for the store -----------------------------------------------------------------------------------------------

  /** Also for answers that no client waits for. */
  keepable({ status, headers, request, path, authorised, startedMs }: Come): Keepable | NotKeepable {
    const { env, settings } = this;
    const headMs = env.nowMs();
    const facts = { status, headers, wallMs: env.wallMs(), delayMs: headMs - startedMs, authorised };
    const judged = judge(facts, settings.rules);
    if (judged.kind === 'not-storable') return { kind: 'not-keepable', why: judged.why };
    const vary = varyNames(headers);
    if (vary === undefined) return { kind: 'not-keepable', why: 'vary' };
    if (settings.matchingType && status === 200 && !fitsPath(path, headers.get('content-type'))) {
      return { kind: 'not-keepable', why: 'type' };
    }
    const { lines, hidden } = keptLines(headers, settings.lines);
    const tags = tagsOf(headers, settings.lines.tags);
    const parts = { status, lines, hidden, vary, varyValues: varyValues(request, vary), tags };
    return { kind: 'keepable', parts, freshness: judged, headMs };
  }

  /** @returns undefined when it was not kept after all */
  store(
    asked: { readonly key: CacheKey; readonly since: Since },
    keepable: Keepable,
    body: Buffer,
  ): Stored | undefined {
    const { key, since } = asked;
    const stored = new Stored({ ...keepable.parts, body }, keepable.freshness, keepable.headMs);
    // What was purged while it was on its way may be what the purge was about.
    const isKept = !this.zone.isPurged(key, since, stored.tags) && this.zone.put(key, stored, since);
    this.env.count(isKept ? 'stored' : 'refused');
    if (!isKept) return undefined;
    this.#redis?.save(key, stored);
    return stored;
  }

  /**
   * The origin says that what is stored is good still (RFC 9111 section 4.3.4).
   *
   * @returns undefined when it may not be kept any longer, and is only good for who asked
   */
  confirm(key: CacheKey, stale: Stored, come: Come): Stored | undefined {
    const { zone } = this;
    const etag = come.headers.get('etag');
    const isAnother = isStrong(etag) && isStrong(stale.etag) && etag !== stale.etag;
    const headers = isAnother ? stale.head() : freshened(stale.head(), come.headers);
    const keepable = isAnother ? undefined : this.keepable({ ...come, status: stale.status, headers });
    if (keepable?.kind !== 'keepable') {
      zone.remove(stale);
      return undefined;
    }
    const next = new Stored({ ...keepable.parts, body: stale.body }, keepable.freshness, keepable.headMs);
    // What was purged or replaced meanwhile stays away.
    if (zone.holds(stale)) {
      zone.replace(key, stale, next);
      this.#redis?.save(key, next);
    }
    return next;
  }

  /** The next requests for it do not wait for each other; what was there is not true any more. */
  forget(key: CacheKey, stale: Stored | undefined): void {
    const { passMs } = this.settings;
    if (stale !== undefined) this.zone.remove(stale);
    if (passMs > 0) this.zone.pass(key, this.env.nowMs() + passMs);
  }
}

const TOO_LARGE: NotKeepable = { kind: 'not-keepable', why: 'too-large' };

interface Stale {
  readonly visit: Fetching;
  readonly stale: Stored;
  readonly head: ResponseHead;
}

function comeOf(x: Exchange, { authorised, startedMs }: Fetching, { status, headers }: ResponseHead): Come {
  return { status, headers, request: x.request.headers, path: x.asked.path, authorised, startedMs };
}
