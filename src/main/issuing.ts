/**
 * Certificates that are ordered, put together: store, leader, ACME. None of it is
 * loaded before a listener asks for a certificate.
 */
import type { CertificateProgress, Issued } from '../compile/acme.ts';
import type { Compiled } from '../compile/compile.ts';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { systemRandom } from '../base/random.ts';
import type { Issuance } from '../acme/issuance.ts';
import type { Outcome } from '../control/pipeline.ts';
import type { WorkerMetrics } from '../observe/metrics.ts';
import type { Leadership } from '../store/leadership.ts';
import type { Store, StoreStatus } from '../store/store.ts';
import type { State } from './state.ts';

export interface IssuingOptions {
  /** Undefined: nothing is kept, so nothing is ordered. */
  readonly state: State | undefined;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: WorkerMetrics;
  /** Name of this process among those that share a store. */
  readonly replica: string;
  /** Compiles and applies once more. */
  readonly again: () => Promise<Outcome | undefined>;
  /** Says anew how it stands. */
  readonly restate: () => void;
}

interface Parts {
  readonly store: Store;
  readonly leadership: Leadership;
  readonly issuance: Issuance;
}

export class Issuing {
  readonly #options: IssuingOptions;
  #parts: Parts | undefined;
  /** Why nothing can be ordered at all. */
  #broken: string | undefined;
  #closed = false;

  constructor(options: IssuingOptions) {
    this.#options = options;
    if (options.state === undefined)
      this.#broken = 'this process keeps no state: it was started without a folder for it';
  }

  /** Compiles with what has been issued. Twice, where the first time shows that something is wanted that is here. */
  async compile(compileWith: (issued: Issued | undefined) => Compiled): Promise<Compiled> {
    const compiled = compileWith(this.#issued());
    if (this.#parts === undefined) {
      if (compiled.wishes.length === 0 || this.#broken !== undefined || this.#closed) return compiled;
      await this.#start();
    }
    const isOther = this.#parts?.issuance.want(compiled.wishes) === true;
    return isOther ? compileWith(this.#issued()) : compiled;
  }

  progressOf(secret: string): CertificateProgress | undefined {
    if (this.#broken !== undefined) return { nextMs: undefined, error: this.#broken };
    return this.#parts?.issuance.progressOf(secret);
  }

  get store(): StoreStatus | undefined {
    return this.#parts?.store.status;
  }

  get leads(): boolean {
    return this.#parts?.leadership.leads ?? false;
  }

  async close(): Promise<void> {
    this.#closed = true;
    // Nothing new is begun, and what is written is finished.
    await this.#parts?.issuance.close();
  }

  #issued(): Issued | undefined {
    return this.#parts?.issuance.issued();
  }

  async #start(): Promise<void> {
    const { state } = this.#options;
    if (state === undefined) return;
    try {
      this.#parts = await startParts(this.#options, state);
    } catch (error) {
      this.#broken = error instanceof Error ? error.message : String(error);
      this.#options.log.error(`Cannot order certificates: ${this.#broken}`);
    }
  }
}

async function startParts(options: IssuingOptions, state: State): Promise<Parts> {
  const { clock, log, metrics, again, restate } = options;
  const [{ Issuance: IssuanceClass }, { Keepsake }] = await Promise.all([
    import('../acme/issuance.ts'),
    import('../acme/keepsake.ts'),
  ]);
  let issuance: Issuance | undefined;
  let leads = false;
  const { store, leadership, dir } = await state.open({
    onStore() {
      issuance?.beat();
      restate();
    },
    onLead(now) {
      leads = now;
      issuance?.lead(now);
    },
  });
  issuance = new IssuanceClass({
    store,
    keepsake: dir === undefined ? undefined : new Keepsake(dir, store.seal),
    clock,
    random: systemRandom(),
    log,
    metrics,
    replica: options.replica,
    userAgent: `fourways/${options.version}`,
    async onChange() {
      const outcome = await again();
      if (outcome?.kind === 'refused') throw new Error(`The configuration is not served: ${outcome.reason}`);
    },
    onProgress: restate,
  });
  if (leads) issuance.lead(true);
  return { store, leadership, issuance };
}
