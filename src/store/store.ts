/**
 * The store as the rest of the process has it: opened in the background, tried again
 * while it is away, and never in anybody's way. Who asks while it is away gets
 * {@link StoreAway} at once.
 *
 *     closed -> away -> open -> away -> open ...
 */
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Database, Queries, Row, Value } from './database.ts';
import { type FolderLock, lockFolder } from './folder-lock.ts';
import { migrate } from './migrations.ts';
import type { Seal } from './seal.ts';

export type StorePlace =
  | { readonly kind: 'postgres'; readonly url: string }
  /** `dir` undefined: in memory, for a process that is to leave nothing behind. */
  | { readonly kind: 'embedded'; readonly dir: string | undefined };

export interface StoreOptions {
  readonly place: StorePlace;
  readonly seal: Seal;
  readonly clock: Clock;
  readonly log: Log;
  /** Told each change between open and away. */
  onChange(status: StoreStatus): void;
}

export interface StoreStatus {
  readonly state: 'open' | 'away';
  /** Why it is away; empty when it is open. */
  readonly reason: string;
  /** `PostgreSQL at …`, `PGlite in …`. */
  readonly name: string;
}

/** The store cannot be asked now. It says so in the log once; callers try again when it is back. */
export class StoreAway extends Error {
  override readonly name = 'StoreAway';
}

/** How often a store that is away is tried. */
const RETRY_MS = 1_000;

/** How often one that is open and not asked is looked at, so that its loss is known before it is needed. */
const LOOK_MS = 5_000;

/** Sealed in by the first process: another key than that one must not begin to write. */
const KEY_CHECK = 'state-key-check';

export class Store implements Queries {
  readonly seal: Seal;
  readonly #options: StoreOptions;
  #database: Database | undefined;
  #lock: FolderLock | undefined;
  #status: StoreStatus;
  #looking: Promise<void> | undefined;
  #closed = false;
  readonly #stopLooking: () => void;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.seal = options.seal;
    this.#status = { state: 'away', reason: 'it is being opened', name: placeName(options.place) };
    let sinceLookMs = 0;
    this.#stopLooking = options.clock.every(RETRY_MS, () => {
      sinceLookMs += RETRY_MS;
      if (this.#status.state === 'open' && sinceLookMs < LOOK_MS) return;
      sinceLookMs = 0;
      this.#look();
    });
    this.#look();
  }

  get status(): StoreStatus {
    return this.#status;
  }

  get place(): StorePlace {
    return this.#options.place;
  }

  async query(sql: string, values?: readonly Value[]): Promise<readonly Row[]> {
    const database = this.#openDatabase();
    try {
      return await database.query(sql, values);
    } catch (error) {
      throw await this.#failed(error);
    }
  }

  async transaction<T>(work: (inside: Queries) => Promise<T>): Promise<T> {
    const database = this.#openDatabase();
    try {
      return await database.transaction(work);
    } catch (error) {
      throw await this.#failed(error);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#stopLooking();
    // One that is opening takes the folder, which has to be let go.
    await this.#looking;
    await this.#database?.close().catch(() => undefined);
    await this.#lock?.release();
    this.#database = undefined;
    this.#lock = undefined;
  }

  #openDatabase(): Database {
    if (this.#database === undefined || this.#status.state !== 'open') throw new StoreAway(this.#status.reason);
    return this.#database;
  }

  /** Whether it was the statement or the store: asked by a statement that cannot be wrong. */
  async #failed(error: unknown): Promise<unknown> {
    try {
      await this.#database?.query('select 1');
      return error;
    } catch (second) {
      this.#setAway(reasonOf(second));
      return new StoreAway(reasonOf(error));
    }
  }

  #look(): void {
    if (this.#closed) return;
    this.#looking ??= this.#open()
      .catch((error: unknown) => this.#setAway(reasonOf(error)))
      .finally(() => (this.#looking = undefined));
  }

  async #open(): Promise<void> {
    const { place, clock } = this.#options;
    if (this.#database === undefined) {
      const database = await this.#load();
      if (database === undefined) return this.#setAway('another Fourways uses its folder');
      this.#database = database;
      if (this.#closed) return;
    }
    if (this.#status.state === 'open') {
      // The embedded one lives in this process: asking it would only keep its thread alive.
      if (place.kind === 'postgres') await this.#database.query('select 1');
      return;
    }
    const startMs = clock.nowMs();
    await migrate(this.#database);
    await this.#checkKey(this.#database);
    if (this.#closed) return;
    this.#set({ state: 'open', reason: '', name: this.#database.name });
    const tookMs = Math.round(clock.nowMs() - startMs);
    this.#options.log.info('The store is open', { store: this.#database.name, tookMs });
  }

  /** Loads the driver that is used, and only that one. */
  async #load(): Promise<Database | undefined> {
    const { place, clock } = this.#options;
    if (place.kind === 'postgres') {
      const { openPostgres } = await import('./postgres.ts');
      return openPostgres(place.url, (why) => this.#setAway(why));
    }
    if (place.dir !== undefined) {
      // What was to come after it may have failed before.
      this.#lock ??= await lockFolder(place.dir);
      if (this.#lock === undefined) return undefined;
    }
    const { openPglite } = await import('./pglite.ts');
    return openPglite({ dir: place.dir === undefined ? undefined : `${place.dir}/pglite`, clock });
  }

  async #checkKey(database: Database): Promise<void> {
    const { seal } = this;
    const fresh = seal.close(KEY_CHECK, KEY_CHECK);
    await database.query('insert into fourways_setting (name, value) values ($1, $2) on conflict (name) do nothing', [
      KEY_CHECK,
      fresh,
    ]);
    const rows = await database.query('select value from fourways_setting where name = $1', [KEY_CHECK]);
    if (seal.open(KEY_CHECK, String(rows[0]?.['value'])) === KEY_CHECK) return;
    throw new Error(
      'its secrets were sealed with another state key: set FOURWAYS_STATE_KEY or FOURWAYS_STATE_KEY_FILE',
    );
  }

  #setAway(reason: string): void {
    const { log } = this.#options;
    const { state, reason: before, name } = this.#status;
    if (this.#closed || (state === 'away' && before === reason)) return;
    this.#set({ state: 'away', reason, name });
    log.error(`The store is away: ${reason}; what was known before goes on being served`, { store: name });
  }

  #set(status: StoreStatus): void {
    this.#status = status;
    this.#options.onChange(status);
  }
}

function placeName(place: StorePlace): string {
  if (place.kind === 'postgres') return 'PostgreSQL';
  return place.dir === undefined ? 'PGlite in memory' : `PGlite in ${place.dir}`;
}

/** Node gives several failed addresses as one error without words. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map((one) => reasonOf(one)).join(', ');
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  return error.message === '' ? (code ?? 'unknown') : error.message;
}
