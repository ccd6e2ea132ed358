import type { Log, LogFields } from '../base/log.ts';
import type { TimerWheel } from '../base/timers.ts';

/** Shortest time between two lines: whoever floods us must not write our log. What was left out is in the metrics. */
const LINE_MS = 100;

/** Warnings about what clients do, now and then. */
export class SeldomWarn {
  readonly #wheel: TimerWheel;
  readonly #log: Pick<Log, 'warn'>;
  #saidMs = -Infinity;

  constructor({ wheel, log }: { readonly wheel: TimerWheel; readonly log: Pick<Log, 'warn'> }) {
    this.#wheel = wheel;
    this.#log = log;
  }

  warn(what: string, fields: LogFields): void {
    const { nowMs } = this.#wheel;
    if (nowMs - this.#saidMs < LINE_MS) return;
    this.#saidMs = nowMs;
    this.#log.warn(what, fields);
  }
}
