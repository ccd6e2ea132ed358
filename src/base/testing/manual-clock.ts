import type { Clock } from '../clock.ts';

interface Alarm {
  atMs: number;
  readonly periodMs: number | undefined;
  readonly action: () => void;
}

/** A clock that tests move by hand. Starts at 0 ms; the wall clock runs with it from `epochMs`. */
export class ManualClock implements Clock {
  readonly #alarms = new Set<Alarm>();
  readonly #epochMs: number;
  #nowMs = 0;

  constructor(epochMs = Date.UTC(2026, 0, 1)) {
    this.#epochMs = epochMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#epochMs + Math.floor(this.#nowMs);
  }

  after(delayMs: number, action: () => void): () => void {
    return this.#add({ atMs: this.#nowMs + delayMs, periodMs: undefined, action });
  }

  every(periodMs: number, action: () => void): () => void {
    return this.#add({ atMs: this.#nowMs + periodMs, periodMs, action });
  }

  /** Number of alarms that are set. */
  get pending(): number {
    return this.#alarms.size;
  }

  /** Moves time on, running what falls due in order and at its own time. */
  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs;
    for (let alarm = this.#first(endMs); alarm !== undefined; alarm = this.#first(endMs)) {
      this.#nowMs = Math.max(this.#nowMs, alarm.atMs);
      this.#run(alarm);
    }
    this.#nowMs = endMs;
  }

  /** Moves time on in one step, as a blocked event loop does; what fell due runs once, late. */
  jump(byMs: number): void {
    this.#nowMs += byMs;
    for (const alarm of [...this.#alarms].toSorted((a, b) => a.atMs - b.atMs)) {
      if (alarm.atMs <= this.#nowMs && this.#alarms.has(alarm)) this.#run(alarm);
    }
  }

  #add(alarm: Alarm): () => void {
    this.#alarms.add(alarm);
    return () => void this.#alarms.delete(alarm);
  }

  #run(alarm: Alarm): void {
    if (alarm.periodMs === undefined) this.#alarms.delete(alarm);
    else alarm.atMs = this.#nowMs + alarm.periodMs;
    alarm.action();
  }

  #first(untilMs: number): Alarm | undefined {
    let first: Alarm | undefined;
    for (const alarm of this.#alarms) {
      if (alarm.atMs <= untilMs && (first === undefined || alarm.atMs < first.atMs)) first = alarm;
    }
    return first;
  }
}
