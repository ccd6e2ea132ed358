/** The processes that share a store: each says how far it is, so that a validation is asked for when all can answer it. */
import { type Clock, sleep } from '../base/clock.ts';
import type { Store } from '../store/store.ts';
import type { Records } from './records.ts';

/** A process says that it lives this often. */
const REPORT_MS = 3_000;

/** How long is waited for the others. One that is slower than that may answer too late; the order is then tried again. */
const REACH_MS_MAX = 15_000;
const REACH_POLL_MS = 200;

export interface ReplicasOptions {
  readonly records: Records;
  readonly store: Store;
  readonly clock: Clock;
  readonly replica: string;
}

export class Replicas {
  /** Of what this process serves. */
  revision = 0;
  readonly #options: ReplicasOptions;
  #reported = { revision: -1, atMs: -Infinity };

  constructor(options: ReplicasOptions) {
    this.#options = options;
  }

  /** This process made the revision, and serves it. */
  moved(revision: number): void {
    // Only a leader changes anything, so there is no revision in between that it does not know.
    this.revision = Math.max(this.revision, revision);
  }

  async report(): Promise<void> {
    if (!this.#isShared) return;
    const { records, clock, replica } = this.#options;
    const { revision } = this;
    const nowMs = clock.nowMs();
    if (this.#reported.revision === revision && nowMs - this.#reported.atMs < REPORT_MS) return;
    await records.report(replica, revision);
    this.#reported = { revision, atMs: nowMs };
  }

  /** Resolves when every living process serves this revision, or was waited for long enough. */
  async reached(revision: number): Promise<void> {
    if (!this.#isShared) return;
    await this.report();
    const { records, clock } = this.#options;
    const endMs = clock.nowMs() + REACH_MS_MAX;
    // oxlint-disable-next-line no-await-in-loop -- that is what polling is
    while ((await records.behind(revision)) > 0 && clock.nowMs() < endMs) await sleep(clock, REACH_POLL_MS);
  }

  async leave(): Promise<void> {
    if (!this.#isShared || this.#options.store.status.state === 'away') return;
    await this.#options.records.leave(this.#options.replica).catch(() => undefined);
  }

  /** The embedded store has one process. */
  get #isShared(): boolean {
    return this.#options.store.place.kind === 'postgres';
  }
}
