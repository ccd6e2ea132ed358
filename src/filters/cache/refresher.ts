/** Fetches a fresh answer while a stale one is given (RFC 5861 section 3): once at a time for each answer. */
import { Fault } from '../../base/fault.ts';
import type { UpstreamAnswer } from '../../filter/env.ts';
import type { Exchange } from '../../filter/filter.ts';
import { type Come, isFailure, type Keeper } from './keeper.ts';
import type { Since } from './purges.ts';
import { headersOf, type Stored } from './stored.ts';
import type { CacheKey } from './zone.ts';

/** Requests of our own that may run for one rule in one worker. Beyond, the stale answer is given a while longer. */
const RUNNING_MAX = 256;

/** After a refresh that failed. */
const REST_MS = 1_000;

/** What the client asked for besides, which is not for all. */
const LEFT_OUT = ['if-none-match', 'if-modified-since', 'range', 'if-range', 'cache-control', 'pragma'];

export class Refresher {
  readonly #keeper: Keeper;
  readonly #running = new Set<Stored>();

  constructor(keeper: Keeper) {
    this.#keeper = keeper;
  }

  refresh(x: Exchange, key: CacheKey, stale: Stored): void {
    const { env, settings, zone } = this.#keeper;
    const startedMs = env.nowMs();
    if (this.#running.has(stale) || this.#running.size >= RUNNING_MAX || startedMs < stale.restUntilMs) return;
    this.#running.add(stale);
    const { identity, request } = x;
    const isOwn = settings.perIdentity && identity !== undefined;
    // Taken now: the exchange ends before the answer comes.
    const asked = {
      request: request.headers.copy(),
      path: x.asked.path,
      authorised: !isOwn && (identity !== undefined || request.headers.has('authorization')),
      startedMs,
    };
    const since = zone.since(key);
    const how = {
      set: conditionsOf(stale),
      remove: LEFT_OUT,
      timeoutMs: settings.refreshMs,
      answerBytesMax: settings.objectBytesMax,
    };
    void env.refetch(x, how).then((answer) => {
      this.#running.delete(stale);
      this.#take({ key, since, stale, asked }, answer);
    });
  }

  #take({ key, since, stale, asked }: Refreshed, answer: UpstreamAnswer | Fault): void {
    const { env, zone } = this.#keeper;
    if (answer instanceof Fault || isFailure(answer.status)) {
      stale.restUntilMs = env.nowMs() + REST_MS;
      return;
    }
    const come: Come = { ...asked, status: answer.status, headers: answer.headers };
    keepServer(come, stale);
    if (answer.status === 304) {
      if (this.#keeper.confirm(key, stale, come) !== undefined) env.count('revalidated');
      return;
    }
    env.count('refreshed');
    const keepable = this.#keeper.keepable(come);
    if (!zone.holds(stale)) return;
    if (keepable.kind === 'keepable') this.#keeper.store({ key, since }, keepable, answer.body);
    else this.#keeper.forget(key, stale);
  }
}

interface Refreshed {
  readonly key: CacheKey;
  readonly since: Since;
  readonly stale: Stored;
  readonly asked: Omit<Come, 'status' | 'headers'>;
}

/** Whether clients may know the server of the origin was decided when the answer before came through the listener. */
function keepServer({ headers }: Come, stale: Stored): void {
  headers.delete('server');
  for (const value of headersOf(stale.lines).getAll('server')) headers.add('server', value);
}

/** Asks the origin whether what we have is good still (RFC 9111 section 4.3.1). */
export function conditionsOf({ etag, lastModified }: Stored): (readonly [name: string, value: string])[] {
  return [
    ...(etag === undefined ? [] : [['if-none-match', etag] as const]),
    ...(lastModified === undefined ? [] : [['if-modified-since', lastModified] as const]),
  ];
}
