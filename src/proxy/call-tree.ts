/**
 * One deadline, and no retry of a retry, over all the calls that one request causes. Two fields go along with each call between
 * proxies of the mesh: how long whoever called still waits, and that the call is a second attempt. The edge sets them and
 * believes nobody; each hop takes off the time that it has used.
 *
 * An application that makes calls of its own passes the fields on like those of a trace. One that passes on `traceparent` only
 * need not: its sidecar knows which request of that trace it is busy with.
 */
import type { Headers } from '../http/headers.ts';

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
    return this.#traces.get(traceId);
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
  readonly #traceId: string;
  readonly #enters: boolean;
  readonly #cameMs: number;
  #deadlineMs: number;
  #remembered = false;

  /** Takes both fields out: what the upstream gets is in {@link CallTree.lines}. */
  constructor(traces: Traces, { place, headers, traceId, nowMs }: TreeEntry) {
    const left = headers.get(DEADLINE_FIELD);
    const attempt = headers.get(ATTEMPT_FIELD);
    if (left !== undefined) headers.delete(DEADLINE_FIELD);
    if (attempt !== undefined) headers.delete(ATTEMPT_FIELD);
    const trace = place === 'join' ? traces.find(traceId) : undefined;
    const believed = place !== 'begin';
    this.#traces = traces;
    this.#traceId = traceId;
    this.#enters = place === 'enter';
    this.#cameMs = nowMs;
    this.isSecond = (believed && attempt === '2') || trace?.isSecond === true;
    this.#deadlineMs = Math.min(nowMs + (believed ? millisecondsOf(left) : Infinity), trace?.deadlineMs ?? Infinity);
  }

  /** The time that the request may take: the least of what is left and `ownMs`; undefined for no bound. Not above 0: it is over. */
  boundBy(ownMs: number | undefined): number | undefined {
    this.#deadlineMs = Math.min(this.#deadlineMs, this.#cameMs + (ownMs ?? Infinity));
    if (this.#enters) {
      this.#remembered = this.#traces.begin(this.#traceId, { deadlineMs: this.#deadlineMs, isSecond: this.isSecond });
    }
    return this.#deadlineMs === Infinity ? undefined : this.#deadlineMs - this.#cameMs;
  }

  /** For an attempt that may last `attemptMs`. */
  lines(nowMs: number, attemptMs: number | undefined, attempt: 'first' | 'second'): string {
    const leftMs = Math.min(this.#deadlineMs - nowMs, attemptMs ?? Infinity);
    const deadline = leftMs === Infinity ? '' : `${DEADLINE_FIELD}: ${Math.max(0, Math.floor(leftMs))}\r\n`;
    return attempt === 'second' || this.isSecond ? `${deadline}${ATTEMPT_FIELD}: 2\r\n` : deadline;
  }

  end(): void {
    if (this.#remembered) this.#traces.end(this.#traceId);
    this.#remembered = false;
  }
}

/** Infinity for what is not a number of milliseconds: a field that is not valid says nothing. */
function millisecondsOf(value: string | undefined): number {
  return value !== undefined && /^\d{1,9}$/.test(value) ? Number(value) : Infinity;
}
