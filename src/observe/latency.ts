/**
 * The parts of a request's time. Each is the distance between two marks, and
 * the marks are rounded before they are subtracted, so the parts add up to the
 * whole exactly. docs/guide/observability.md says what each part means.
 */

/**
 * When a request got where, in milliseconds of the monotonic clock; -1 for a
 * point that it never reached. Of the attempts only the last is told apart.
 */
export interface Marks {
  /** First byte of the request. */
  readonly startMs: number;
  /** Its head is complete. */
  readonly headMs: number;
  /** Routing and request filters are done. */
  readonly filteredMs: number;
  /** The last attempt began; later than `filteredMs` only when there were attempts before. */
  readonly attemptMs: number;
  /** The attempt got its turn: an idle connection, or leave to open one. */
  readonly admittedMs: number;
  /** It has a connection that can carry the request; the same as `admittedMs` for one from the pool. */
  readonly connectedMs: number;
  /** The head of the answer is complete: the upstream's, or one of our own. */
  readonly answeredMs: number;
  /** Last byte handed to the client's socket, or the end by failure. Always set. */
  readonly endMs: number;
}

/** Whole microseconds. `durationUs` is the sum of all others. */
export interface LatencyParts {
  readonly clientUs: number;
  readonly filtersUs: number;
  readonly retriesUs: number;
  readonly queueUs: number;
  readonly connectUs: number;
  readonly upstreamUs: number;
  readonly bodyUs: number;
  readonly durationUs: number;
}

interface LatencyField {
  readonly part: keyof LatencyParts;
  readonly name: string;
  /** Written even when it is zero. */
  readonly always: boolean;
}

/** How the parts are named in the access log. */
export const LATENCY_FIELDS: readonly LatencyField[] = [
  { part: 'clientUs', name: 'client_ms', always: true },
  { part: 'filtersUs', name: 'filters_ms', always: true },
  { part: 'retriesUs', name: 'retries_ms', always: false },
  { part: 'queueUs', name: 'queue_ms', always: true },
  { part: 'connectUs', name: 'connect_ms', always: true },
  { part: 'upstreamUs', name: 'upstream_ms', always: true },
  { part: 'bodyUs', name: 'body_ms', always: true },
];

/**
 * A point that was not reached counts as reached together with the next one that
 * was: so the time of the phase in which a request failed belongs to that phase,
 * and phases that were left out (an answer of our own has no upstream) take none.
 */
export function latencyParts(marks: Marks): LatencyParts {
  const { startMs } = marks;
  const durationUs = Math.max(0, Math.round((marks.endMs - startMs) * 1_000));
  const at = (markMs: number, nextUs: number): number =>
    markMs < 0 ? nextUs : Math.max(0, Math.min(nextUs, Math.round((markMs - startMs) * 1_000)));
  // From the end to the start, so that marks out of order cannot give a part below zero.
  const answeredUs = at(marks.answeredMs, durationUs);
  const connectedUs = at(marks.connectedMs, answeredUs);
  const admittedUs = at(marks.admittedMs, connectedUs);
  const attemptUs = at(marks.attemptMs, admittedUs);
  const filteredUs = at(marks.filteredMs, attemptUs);
  const headUs = at(marks.headMs, filteredUs);
  return {
    clientUs: headUs,
    filtersUs: filteredUs - headUs,
    retriesUs: attemptUs - filteredUs,
    queueUs: admittedUs - attemptUs,
    connectUs: connectedUs - admittedUs,
    upstreamUs: answeredUs - connectedUs,
    bodyUs: durationUs - answeredUs,
    durationUs,
  };
}

/** `1234` microseconds as `1.234`. */
export function milliseconds(us: number): string {
  const whole = Math.floor(us / 1_000);
  return `${whole}.${THOUSANDTHS[us - whole * 1_000]}`;
}

/** `000` to `999`: made once, a line of the access log needs nine of them. */
export const THOUSANDTHS: readonly string[] = Array.from({ length: 1_000 }, (_, i) => String(i).padStart(3, '0'));
