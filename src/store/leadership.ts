/**
 * One leader among all processes that share a store. On PostgreSQL it is who holds an
 * advisory lock of a session, so the server lets go of it when the process or its
 * connection ends. The embedded store has one process, which leads.
 */
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Session } from './postgres.ts';
import type { Store } from './store.ts';

/** Of `pg_try_advisory_lock`. */
const LEADER_LOCK = 0x4657_0002;

/** How often a follower tries, and a leader looks whether it still is. A leader that is cut off believes it this long. */
const BEAT_MS = 1_000;

export interface LeadershipOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly log: Log;
  onChange(leads: boolean): void;
}

export class Leadership {
  readonly #options: LeadershipOptions;
  readonly #stop: () => void;
  #session: Session | undefined;
  #leads = false;
  #busy: Promise<void> | undefined;
  #closed = false;

  constructor(options: LeadershipOptions) {
    this.#options = options;
    this.#stop = options.clock.every(BEAT_MS, () => this.beat());
    this.beat();
  }

  get leads(): boolean {
    return this.#leads;
  }

  /** Looks now instead of at the next beat. */
  beat(): void {
    if (this.#closed) return;
    this.#busy ??= this.#beat().finally(() => (this.#busy = undefined));
  }

  /** Lets another one lead. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#stop();
    await this.#busy;
    await this.#endSession();
    this.#set(false);
  }

  async #beat(): Promise<void> {
    const { store } = this.#options;
    const { place, status } = store;
    if (status.state === 'away') {
      await this.#endSession();
      return this.#set(false);
    }
    if (place.kind === 'embedded') return this.#set(true);
    try {
      this.#session ??= await this.#newSession(place.url);
      const session = this.#session;
      // Asked again, it would count up; held is held.
      if (this.#leads) await session.query('select 1');
      else {
        const rows = await session.query('select pg_try_advisory_lock($1) as held', [LEADER_LOCK]);
        if (this.#session === session) this.#set(rows[0]?.['held'] === true);
      }
    } catch {
      // Why the database is away is said by the store.
      await this.#endSession();
      this.#set(false);
    }
  }

  async #newSession(url: string): Promise<Session> {
    const { openSession } = await import('./postgres.ts');
    const session = await openSession(url, () => {
      if (this.#session !== session) return;
      this.#session = undefined;
      this.#set(false);
    });
    return session;
  }

  async #endSession(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.close().catch(() => undefined);
  }

  #set(leads: boolean): void {
    if (this.#leads === leads) return;
    this.#leads = leads;
    this.#options.onChange(leads);
  }
}
