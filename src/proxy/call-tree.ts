/**
 * One deadline, and no retry of a retry, over all the calls that one request causes. Two fields go along with each call between
 * proxies of the mesh: how long whoever called still waits, and that the call is a second attempt. The edge sets them and
 * believes nobody; each hop takes off the time that it has used.
 *
 * An application that makes calls of its own passes the fields on like those of a trace. One that passes on `traceparent` only
 * need not: its sidecar knows which request of that trace it is busy with.
 */
import { Fault } from '../base/fault.ts';
import type { Headers } from '../http/headers.ts';
import type { RequestHead } from '../http/message.ts';
import type { PlanRule } from '../ir/plan.ts';

/** Milliseconds that are left, a whole number. */
export const DEADLINE_FIELD = 'x-fourways-deadline-ms';

/** `2` for a second attempt and every call that it causes. */
export const ATTEMPT_FIELD = 'x-fourways-attempt';

/** Requests of the application that are under way, by trace. Beyond: their calls are not linked. */
const TRACES_MAX = 10_000;

/** `begin`: nothing that comes is believed. `join`: what comes is, or else what is known of the trace. `enter`: and is remembered. */
export type TreePlace = 'begin' | 'join' | 'enter';

interface Trace {
  /** By the clock of the timer wheel; Infinity for none. */
  deadlineMs: number;
  isSecond: boolean;
  running: number;
}

/** What a worker knows of requests that its application is busy with. */
export class Traces {
  readonly #traces = new Map<string, Trace>();

  find(traceId: string): Trace | undefined {
    // Beside a client that is called by nobody there are none, and a text that was just made has to be hashed to look.
    return this.#traces.size === 0 ? undefined : this.#traces.get(traceId);
  }

  begin(traceId: string, { deadlineMs, isSecond }: Omit<Trace, 'running'>): boolean {
    const known = this.#traces.get(traceId);
    if (known === undefined) {
      if (this.#traces.size >= TRACES_MAX) return false;
      this.#traces.set(traceId, { deadlineMs, isSecond, running: 1 });
      return true;
    }
    // Several of one trace: which of them causes a call cannot be told, so it gets the time of the one that has most.
    known.deadlineMs = Math.max(known.deadlineMs, deadlineMs);
    known.isSecond = known.isSecond && isSecond;
    known.running++;
    return true;
  }

  end(traceId: string): void {
    const known = this.#traces.get(traceId);
    if (known !== undefined && --known.running === 0) this.#traces.delete(traceId);
  }
}

/** What a worker lends: `Runtime` fits as it is. */
export interface Clockwork {
  readonly traces: Traces;
  readonly wheel: { readonly nowMs: number };
}

export interface TreeEntry {
  readonly place: TreePlace;
  readonly headers: Headers;
  readonly traceId: string;
  readonly nowMs: number;
}

/** The place of one request in its tree. */
export class CallTree {
  /** Some call above this one was tried again: this one is not. */
  readonly isSecond: boolean;
  readonly #traces: Traces;
  readonly #wheel: Clockwork['wheel'];
  readonly #traceId: string;
  readonly #enters: boolean;
  readonly #cameMs: number;
  #deadlineMs: number;
  #remembered = false;

  /** Takes both fields out: what the upstream gets is in {@link CallTree.lines}. */
  constructor({ traces, wheel }: Clockwork, { place, headers, traceId, nowMs }: TreeEntry) {
    const left = headers.get(DEADLINE_FIELD);
    const attempt = headers.get(ATTEMPT_FIELD);
    if (left !== undefined) headers.delete(DEADLINE_FIELD);
    if (attempt !== undefined) headers.delete(ATTEMPT_FIELD);
    const trace = place === 'join' ? traces.find(traceId) : undefined;
    const believed = place !== 'begin';
    this.#traces = traces;
    this.#wheel = wheel;
    this.#traceId = traceId;
    this.#enters = place === 'enter';
    this.#cameMs = nowMs;
    this.isSecond = (believed && attempt === '2') || trace?.isSecond === true;
    this.#deadlineMs = Math.min(nowMs + (believed ? millisecondsOf(left) : Infinity), trace?.deadlineMs ?? Infinity);
  }

  /** The time that the request may take: the least of what is left and `ownMs`; undefined for no bound. */
  boundBy(ownMs: number | undefined): number | undefined {
    this.#deadlineMs = Math.min(this.#deadlineMs, this.#cameMs + (ownMs ?? Infinity));
    if (this.#enters) {
      this.#remembered = this.#traces.begin(this.#traceId, { deadlineMs: this.#deadlineMs, isSecond: this.isSecond });
    }
    return this.#deadlineMs === Infinity ? undefined : this.#deadlineMs - this.#cameMs;
  }

  /** Whoever called does not wait any more. */
  get isOver(): boolean {
    return this.#deadlineMs <= this.#cameMs;
  }

  /** For the next attempt of a rule; the clock was read in this turn. @param retries  attempts that its retry policy has asked for */
  lines({ timeouts }: Pick<PlanRule, 'timeouts'>, retries: number): string {
    const leftMs = Math.min(this.#deadlineMs - this.#wheel.nowMs, timeouts.backendRequestMs ?? Infinity);
    const deadline = leftMs === Infinity ? '' : `${DEADLINE_FIELD}: ${Math.max(0, Math.floor(leftMs))}\r\n`;
    return retries > 0 || this.isSecond ? `${deadline}${ATTEMPT_FIELD}: 2\r\n` : deadline;
  }

  end(): void {
    if (this.#remembered) this.#traces.end(this.#traceId);
    this.#remembered = false;
  }
}

interface Asking {
  readonly request: RequestHead;
  readonly times: { readonly headMs: number; readonly traceId: string };
}

/** The place that a request has on its listener; undefined where there are no trees. */
export function treeOf(
  place: TreePlace | undefined,
  { request, times }: Asking,
  runtime: Clockwork,
): CallTree | undefined {
  if (place === undefined) return undefined;
  return new CallTree(runtime, { place, headers: request.headers, traceId: times.traceId, nowMs: times.headMs });
}

export function overdue(): Fault {
  return new Fault('exchange.timeout', 'Whoever called does not wait any more');
}

/** Infinity for what is not a number of milliseconds: a field that is not valid says nothing. */
function millisecondsOf(value: string | undefined): number {
  return value !== undefined && /^\d{1,9}$/.test(value) ? Number(value) : Infinity;
}
