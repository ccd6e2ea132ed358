/** What time alone changes: certificates that begin, end, and are about to. */
import type { Clock } from '../base/clock.ts';
import type { WorkerMetrics } from '../observe/metrics.ts';
import type { Compiled } from '../compile/compile.ts';
import { withoutKind } from '../resource/resource.ts';

/** No timer runs longer: clocks of machines are set, and timers of Node have 31 bits of milliseconds. */
const LOOK_MS_MAX = 12 * 3_600_000;

/** After the moment itself, so that it has come whatever was rounded. */
const AFTER_MS = 1_000;

export interface ExpiryOptions {
  readonly clock: Clock;
  readonly metrics: WorkerMetrics;
  /** Judges everything once more. */
  readonly again: () => void;
}

/** Watches the certificates that are served. */
export class Expiry {
  readonly #options: ExpiryOptions;
  #cancel: (() => void) | undefined;
  #secrets: ReadonlySet<string> = new Set();

  constructor(options: ExpiryOptions) {
    this.#options = options;
  }

  /** What is served from now on. */
  watch(compiled: Compiled): void {
    this.#cancel?.();
    const { clock, again } = this.#options;
    this.#measure(compiled);
    const { nextChangeMs } = compiled;
    if (nextChangeMs === undefined) return;
    const delayMs = Math.max(0, nextChangeMs - clock.wallMs()) + AFTER_MS;
    // Longer than that, it is looked again; the same verdict changes nothing.
    this.#cancel = clock.after(Math.min(delayMs, LOOK_MS_MAX), () =>
      delayMs > LOOK_MS_MAX ? this.watch(compiled) : again(),
    );
  }

  close(): void {
    this.#cancel?.();
  }

  #measure(compiled: Compiled): void {
    const { metrics } = this.#options;
    const served = compiled.certificates();
    const secrets = new Set<string>();
    for (const { secret, notAfterMs } of served) {
      if (notAfterMs === undefined) continue;
      const name = withoutKind(secret);
      secrets.add(name);
      metrics.gauge('fourways_certificate_expiry_timestamp_seconds', [name]).set(notAfterMs / 1_000);
    }
    const gone = [...this.#secrets].filter((name) => !secrets.has(name));
    if (gone.length > 0) metrics.retire(gone);
    this.#secrets = secrets;
  }
}
