/**
 * News between processes that share a PostgreSQL: that something has changed, within milliseconds instead of at the next
 * look. They are a hint and nothing else: who was away has missed some, so every return is news on all channels. The
 * embedded store has one process, which has nobody to hear.
 */
import type { Clock } from '../base/clock.ts';
import type { Session } from './postgres.ts';
import type { Store } from './store.ts';

/** How often a connection that was lost is opened anew. */
const BEAT_MS = 1_000;

/** How often one that says nothing is asked whether it is there. */
const LOOK_MS = 10_000;

export interface NewsOptions {
  readonly store: Store;
  readonly clock: Clock;
  /** By channel, a word in small letters: told what came with it, or nothing when some may have been missed. */
  readonly hear: Readonly<Record<string, (payload: string) => void>>;
}

export class News {
  readonly #options: NewsOptions;
  readonly #stop: () => void;
  #session: Session | undefined;
  #lookedMs = 0;
  #busy: Promise<void> | undefined;
  #closed = false;

  constructor(options: NewsOptions) {
    this.#options = options;
    this.#stop = options.clock.every(BEAT_MS, () => this.#beat());
    this.#beat();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stop();
    await this.#busy;
    await this.#end();
  }

  #beat(): void {
    const { place, status } = this.#options.store;
    if (this.#closed || place.kind === 'embedded' || status.state === 'away') return;
    // Why the database is away is said by the store.
    this.#busy ??= this.#look(place.url)
      .catch(() => this.#end())
      .finally(() => (this.#busy = undefined));
  }

  async #look(url: string): Promise<void> {
    const { clock } = this.#options;
    if (this.#session === undefined) return this.#open(url);
    if (clock.nowMs() - this.#lookedMs < LOOK_MS) return;
    this.#lookedMs = clock.nowMs();
    await this.#session.query('select 1');
  }

  async #open(url: string): Promise<void> {
    const { hear, clock } = this.#options;
    const { openSession } = await import('./postgres.ts');
    const session = await openSession(
      url,
      () => {
        if (this.#session === session) this.#session = undefined;
      },
      (channel, payload) => hear[channel]?.(payload),
    );
    this.#session = session;
    this.#lookedMs = clock.nowMs();
    await session.query(
      Object.keys(hear)
        .map((channel) => `listen ${channel}`)
        .join('; '),
    );
    for (const one of Object.values(hear)) one('');
  }

  async #end(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.close().catch(() => undefined);
  }
}
