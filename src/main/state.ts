/**
 * Durable state of this process: where it is, what seals it, and who of several processes acts on it. Opened for the first
 * of its users that asks; a process that keeps no state loads none of it.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { WorkerMetrics } from '../observe/metrics.ts';
import type { Leadership } from '../store/leadership.ts';
import type { Store } from '../store/store.ts';

/** Where durable state is, as the operator says it. */
export interface StateSettings {
  /** Of PostgreSQL; undefined: embedded. */
  readonly databaseUrl: string | undefined;
  /** The key that secrets are sealed with, and a file that holds it; undefined: one is made beside the state. */
  readonly key: string | undefined;
  readonly keyFile: string | undefined;
}

export interface StateOptions {
  readonly settings: StateSettings;
  /** Folder of the process; undefined leaves nothing behind. */
  readonly dataDir: string | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: WorkerMetrics;
}

/** What the users of a state hear of it. */
export interface StateUser {
  /** The store is open, or away. */
  onStore?(): void;
  onLead?(leads: boolean): void;
}

export interface OpenState {
  readonly store: Store;
  readonly leadership: Leadership;
  /** Folder of embedded state; undefined when nothing is left behind. */
  readonly dir: string | undefined;
}

export class State {
  readonly #options: StateOptions;
  readonly #users = new Set<StateUser>();
  #opening: Promise<OpenState> | undefined;

  constructor(options: StateOptions) {
    this.#options = options;
  }

  /** @throws {Error} with words for the operator when the key that seals it cannot be had */
  async open(user: StateUser): Promise<OpenState> {
    this.#users.add(user);
    this.#opening ??= this.#open();
    const open = await this.#opening;
    if (open.leadership.leads) user.onLead?.(true);
    return open;
  }

  /** After its users: nothing is written any more. */
  async close(): Promise<void> {
    const open = await this.#opening?.catch(() => undefined);
    await open?.leadership.close();
    await open?.store.close();
  }

  async #open(): Promise<OpenState> {
    const { settings, dataDir, clock, log, metrics } = this.#options;
    const [{ Store: StoreClass }, { Leadership: LeadershipClass }] = await Promise.all([
      import('../store/store.ts'),
      import('../store/leadership.ts'),
    ]);
    const dir = dataDir === undefined ? undefined : join(dataDir, 'state');
    const seal = await makeSeal(settings, dir);
    const { databaseUrl } = settings;
    const isOpen = metrics.gauge('fourways_store_open', []);
    const store = new StoreClass({
      place: databaseUrl === undefined ? { kind: 'embedded', dir } : { kind: 'postgres', url: databaseUrl },
      seal,
      clock,
      log,
      onChange: ({ state }) => {
        isOpen.set(state === 'open' ? 1 : 0);
        leadership.beat();
        for (const user of this.#users) user.onStore?.();
      },
    });
    const leadership: Leadership = new LeadershipClass({
      store,
      clock,
      log,
      onChange: (leads) => {
        for (const user of this.#users) user.onLead?.(leads);
      },
    });
    return { store, leadership, dir };
  }
}

async function makeSeal({ key, keyFile }: StateSettings, dir: string | undefined): Promise<Store['seal']> {
  const [{ Seal, STATE_KEY_BYTES }, { readStateKey }] = await Promise.all([
    import('../store/seal.ts'),
    import('../store/state-key.ts'),
  ]);
  if (dir !== undefined || key !== undefined || keyFile !== undefined) {
    return new Seal(readStateKey({ value: key, file: keyFile, dir: dir ?? '.' }));
  }
  // What is only in memory needs a key that is, too.
  return new Seal(randomBytes(STATE_KEY_BYTES));
}
