import type { Log, LogFields } from '../base/log.ts';
import type { TimerWheel } from '../base/timers.ts';

/** Shortest time between two lines of a kind: whoever floods us must not write our log. What was left out is in the metrics. */
const LINE_MS = 100;

/** Warnings about what clients do, now and then. */
export class SeldomWarn {
  readonly #wheel: TimerWheel;
  readonly #log: Pick<Log, 'warn'>;
  /** By kind. */
  readonly #saidMs = new Map<string, number>();

  constructor({ wheel, log }: { readonly wheel: TimerWheel; readonly log: Pick<Log, 'warn'> }) {
    this.#wheel = wheel;
    this.#log = log;
  }

  /** @param kind  one of a few: a flood of one does not hide the others */
  warn(what: string, fields: LogFields, kind = ''): void {
    const { nowMs } = this.#wheel;
    if (nowMs - (this.#saidMs.get(kind) ?? -Infinity) < LINE_MS) return;
    this.#saidMs.set(kind, nowMs);
    this.#log.warn(what, fields);
  }
}
