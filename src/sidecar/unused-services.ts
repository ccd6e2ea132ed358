/**
 * Services that were asked for because somebody called them, and that nobody has called since: they are let go after a
 * while, so that the memory of a proxy is that of what it uses. Who calls one again asks for it again.
 */
import type { Clock } from '../base/clock.ts';
import type { Plan } from '../ir/plan.ts';
import { namedPortsOf } from './local-ports.ts';

/** As long as nobody calls it. What is called every hour, by a timer, is to stay. */
const UNUSED_MS = 65 * 60_000;

/** How often it is looked. */
const LOOK_MS = 5 * 60_000;

export interface UnusedServicesOptions {
  readonly clock: Clock;
  /** The one that is served. */
  readonly plan: () => Plan | undefined;
  /** How often each listener was used, by its key. */
  readonly used: () => Promise<Readonly<Record<string, number>>>;
  readonly letGo: (name: string) => void;
}

export class UnusedServices {
  readonly #options: UnusedServicesOptions;
  readonly #stop: () => void;
  /** By the name that was asked for. */
  readonly #asked = new Map<string, { times: number; usedMs: number }>();

  constructor(options: UnusedServicesOptions) {
    this.#options = options;
    this.#stop = options.clock.every(LOOK_MS, () => void this.#look());
  }

  /** Somebody has just called it. */
  asked(name: string): void {
    this.#asked.set(name, { times: 0, usedMs: this.#options.clock.nowMs() });
  }

  close(): void {
    this.#stop();
  }

  async #look(): Promise<void> {
    if (this.#asked.size === 0) return;
    const { clock, plan, used, letGo } = this.#options;
    const counts = await used();
    const served = plan();
    const ports = served === undefined ? [] : namedPortsOf(served);
    const nowMs = clock.nowMs();
    for (const [name, asked] of this.#asked) {
      const own = ports.filter(({ hosts }) => hosts.includes(name));
      const times = own.reduce((sum, { key }) => sum + (counts[key] ?? 0), 0);
      // A worker that was replaced counts from the beginning.
      if (times !== asked.times) this.#asked.set(name, { times, usedMs: nowMs });
      else if (nowMs - asked.usedMs >= UNUSED_MS) {
        this.#asked.delete(name);
        letGo(name);
      }
    }
  }
}
