/** Decides whether a request is sent again. One object per exchange; it counts what was sent again already. */
import type { Fault } from '../base/fault.ts';
import { isIdempotent } from '../http/message.ts';
import type { PlanRetry } from '../ir/plan.ts';
import type { Cluster } from './cluster/cluster.ts';
import type { RequestBody } from './request-body.ts';

/** An upstream that gives back every request is not tried for ever. */
const REPLAYS_MAX = 4;

/** What the decision hangs on, besides the fault. */
export interface Circumstances {
  readonly method: string;
  readonly body: RequestBody;
  readonly cluster: Cluster;
  readonly retry: PlanRetry | undefined;
  /** It was caused by the retry of somebody before, who counts on it that nobody behind tries again. */
  readonly isSecond: boolean;
  readonly nowMs: number;
}

export interface LostAttempt {
  readonly fault: Fault;
  readonly connection: 'fresh' | 'reused';
  /** Of an answer. */
  readonly bytesReceived: number;
}

/** No connection could be made, or none to whom it should be: nothing of the request has reached anybody. */
function isUnsent({ code }: Fault, { replayable }: RequestBody): boolean {
  if (code === 'upstream.connect-refused' || code === 'upstream.connect-timeout') return true;
  // TLS 1.3 ends for us before the upstream has seen our certificate: what it refuses then is on its way.
  return replayable && (code === 'upstream.tls-failed' || code === 'upstream.identity-wrong');
}

/** On a new connection; on any; after a pause; not at all. */
export type Again = 'fresh' | 'any' | 'later' | 'no';

export class SecondAttempts {
  #retries = 0;
  #connectFailures = 0;
  #replays = 0;

  /** Attempts that a retry policy asked for. */
  get retries(): number {
    return this.#retries;
  }

  /** Nothing of an answer was passed on yet: again where that is safe and allowed. What is allowed is counted. */
  after({ fault, connection, bytesReceived }: LostAttempt, x: Circumstances): Again {
    const { counters, budget, plan } = x.cluster;
    const replay =
      connection === 'reused' && bytesReceived === 0 && fault.mayRetry('reused') && fault.code === 'upstream.closed';
    if (replay && x.body.replayable && isIdempotent(x.method) && this.#countReplay(x.isSecond ? undefined : x.retry)) {
      counters.replayed();
      return 'fresh';
    }
    // The upstream says that it has not looked at the request (RFC 9113 section 8.7): whatever it was, it may go again.
    if (fault.code === 'upstream.unprocessed' && x.body.replayable && this.#replays < REPLAYS_MAX) {
      this.#replays++;
      counters.replayed();
      return 'any';
    }
    if (isUnsent(fault, x.body) && this.#connectFailures < plan.settings.connectRetries && budget.take(x.nowMs)) {
      this.#connectFailures++;
      counters.retried();
      return 'any';
    }
    return fault.mayRetry('reused') && this.take(x) ? 'later' : 'no';
  }

  /** Whether the retry policy of the route allows one more attempt; if so it is counted. */
  take({ retry, isSecond, body, cluster, nowMs }: Circumstances): boolean {
    if (retry === undefined || this.#retries >= retry.attempts || !body.replayable) return false;
    if (isSecond || !cluster.budget.take(nowMs)) {
      cluster.counters.withheld();
      return false;
    }
    this.#retries++;
    cluster.counters.retried();
    return true;
  }

  /** How long to wait before the retry that was allowed last. @param unit  random, 0 to 1 */
  waitMs({ backoffMs }: PlanRetry, unit: number): number {
    return backoffMs * 2 ** Math.min(6, this.#retries - 1) * (0.75 + unit / 2);
  }

  /** Where a route says how many retries there may be, a replay is one of them: the upstream must not see more. */
  #countReplay(retry: PlanRetry | undefined): boolean {
    if (retry === undefined) return this.#replays++ < REPLAYS_MAX;
    if (this.#retries >= retry.attempts) return false;
    this.#retries++;
    return true;
  }
}
