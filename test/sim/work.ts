/** Processor time of a control plane, which no two runs have alike. Time of the simulation stands still meanwhile. */
import type { Clock } from '../../src/base/clock.ts';

export class Work {
  /** All of it, in milliseconds. */
  busyMs = 0;
  /** Longest time for which nothing else could be done. */
  turnMsMax = 0;
  tasks = { compile: { times: 0, ms: 0, msMax: 0 }, publish: { times: 0, ms: 0, msMax: 0 } };
  #depth = 0;

  /** From here on anew. */
  reset(): void {
    Object.assign(this, { busyMs: 0, turnMsMax: 0, tasks: new Work().tasks });
  }

  /** What one turn of the event loop does; a turn within a turn is a part of it. */
  turn<T>(action: () => T): T {
    if (this.#depth > 0) return action();
    this.#depth++;
    const startMs = cpuMs();
    try {
      return action();
    } finally {
      this.#depth--;
      const tookMs = cpuMs() - startMs;
      this.busyMs += tookMs;
      this.turnMsMax = Math.max(this.turnMsMax, tookMs);
    }
  }

  of<T>(task: keyof Work['tasks'], action: () => T): T {
    const startMs = cpuMs();
    const done = action();
    const tookMs = cpuMs() - startMs;
    const sum = this.tasks[task];
    sum.times++;
    sum.ms += tookMs;
    sum.msMax = Math.max(sum.msMax, tookMs);
    return done;
  }
}

/** What its alarms do is work. */
export class MeteredClock implements Clock {
  readonly #clock: Clock;
  readonly #work: Work;

  constructor(clock: Clock, work: Work) {
    this.#clock = clock;
    this.#work = work;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  wallMs(): number {
    return this.#clock.wallMs();
  }

  after(delayMs: number, action: () => void): () => void {
    return this.#clock.after(delayMs, () => this.#work.turn(action));
  }

  every(periodMs: number, action: () => void): () => void {
    return this.#clock.every(periodMs, () => this.#work.turn(action));
  }
}

/** Of this thread: others on the machine do not count. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}
