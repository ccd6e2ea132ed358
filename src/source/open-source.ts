import { join, resolve } from 'node:path';
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { FolderSource } from './folder.ts';
import { type Keepsake, readLastGood, writeLastGood } from './last-good.ts';
import type { RunModule } from './module.ts';
import type { Source } from './source.ts';

export interface SourceOptions {
  /**
   * A folder of manifests, or one file: manifests, a short form, or a module such
   * as `fourways.config.ts`. A folder may hold all three.
   */
  readonly path: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Runs modules; without it, a module is a problem. */
  readonly runModule?: RunModule;
  /** Keeps what was accepted, for a cold start while the path is broken or away. Without it nothing is kept. */
  readonly data?: {
    /** Made when it is not there. */
    readonly dir: string;
    /** Tells the temporary files of two processes apart: the process id. */
    readonly owner: string;
  };
}

/** Does not touch the path yet: that it is not there is a problem of {@link Source.load}. */
export function openSource({ path, clock, log, runModule, data }: SourceOptions): Source {
  const root = resolve(path);
  const common = { path: join(path), clock, log, ...(runModule && { runModule }) };
  if (data === undefined) return new FolderSource(common);
  const keeper = new Keeper({ clock, log, write: (all) => writeLastGood({ ...data, root }, all) });
  const lastGood = readLastGood(data.dir, root);
  const keep = (collect: () => readonly Keepsake[]): void => keeper.keep(collect);
  return new FolderSource({ ...common, lastGood, keep, flush: () => keeper.flush() });
}

/** After a change: long enough that a series of edits is written once. */
const WRITE_DELAY_MS = 500;

/** Writing may take up to this share of the time: what is large is written less often. */
const WRITE_SHARE = 1 / 50;

interface KeeperOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** @returns in words why it failed */
  write(all: Iterable<Keepsake>): Promise<string | undefined>;
}

/** Writes what is to be kept some time after a change; one writing at a time. */
class Keeper {
  readonly #options: KeeperOptions;
  #collect: (() => readonly Keepsake[]) | undefined;
  #cancel: (() => void) | undefined;
  #writing: Promise<void> | undefined;
  #failure: string | undefined;
  #tookMs = 0;

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  keep(collect: () => readonly Keepsake[]): void {
    this.#collect = collect;
    if (this.#cancel !== undefined || this.#writing !== undefined) return;
    const delayMs = Math.max(WRITE_DELAY_MS, this.#tookMs / WRITE_SHARE);
    this.#cancel = this.#options.clock.after(delayMs, () => this.#begin());
  }

  async flush(): Promise<void> {
    await this.#writing;
    if (this.#cancel !== undefined) this.#begin();
    await this.#writing;
  }

  #begin(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#writing = this.#write().finally(() => {
      this.#writing = undefined;
      if (this.#collect !== undefined) this.keep(this.#collect);
    });
  }

  async #write(): Promise<void> {
    const collect = this.#collect;
    this.#collect = undefined;
    const startMs = this.#options.clock.nowMs();
    const failure = await this.#options.write(collect?.() ?? []);
    this.#tookMs = this.#options.clock.nowMs() - startMs;
    this.#say(failure);
  }

  /** A disk that stays full is said once. */
  #say(failure: string | undefined): void {
    const { log } = this.#options;
    if (failure !== undefined && failure !== this.#failure) {
      log.warn(`${failure}; a start without the configuration would have nothing to serve`);
    } else if (failure === undefined && this.#failure !== undefined) {
      log.info('The last good configuration is kept on disk again');
    }
    this.#failure = failure;
  }
}
