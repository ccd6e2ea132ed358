/** A version of a filter of a user among the requests (guard `none`). It was loaded in a thread before, which may hang. */
import type { Clock } from '../base/clock.ts';
import type { InstanceSpec, ProgramEnv, ProgramSpec } from '../filter/own-program.ts';
import { type Outcome, type OwnCall, type OwnEnd, OwnInstance, type OwnShape } from '../filter/own-run.ts';
import type { DefinedFilter } from '../filter/own.ts';
import { askUpstream, ownEnv } from './own-env.ts';
import { type FileStamp, importFilter } from './own-import.ts';
import type { LoadedFilter } from './own-protocol.ts';
import { ThreadVersion } from './own-thread-version.ts';
import { failed, timedOut, type Version } from './own-version.ts';

export interface LocalOptions {
  readonly spec: ProgramSpec;
  readonly version: number;
  readonly clock: Clock;
}

export class LocalVersion implements Version {
  readonly loaded: Promise<LoadedFilter | string>;
  readonly stamps = new Map<string, FileStamp>();
  readonly #options: LocalOptions;
  readonly #instances = new Map<number, OwnInstance>();
  #filter: DefinedFilter | undefined;

  constructor(options: LocalOptions) {
    this.#options = options;
    this.loaded = this.#load();
  }

  async #load(): Promise<LoadedFilter | string> {
    const tried = new ThreadVersion({ ...this.#options, onLine: () => undefined, onDied: () => undefined });
    const found = await tried.loaded;
    tried.close();
    for (const [path, stamp] of tried.stamps) this.stamps.set(path, stamp);
    if (typeof found === 'string') return found;
    const { spec, version } = this.#options;
    const { module, filter } = spec;
    const imported = await importFilter({
      module,
      filter,
      version,
      onFile: (stamp) => this.stamps.set(stamp.path, stamp),
    });
    if (typeof imported === 'string') return imported;
    this.#filter = imported;
    return { name: imported.name, timeoutMs: imported.timeoutMs };
  }

  make(instance: number, spec: InstanceSpec, env: ProgramEnv): Promise<OwnShape | string> {
    const made = OwnInstance.make(
      this.#filter!,
      spec.options,
      ownEnv(spec, {
        count: (event, count) => env.count(event, count),
        warn: (message, fields) => env.warn(message, fields),
        ask: (upstream, question) => askUpstream(env.upstream(upstream), question),
      }),
    );
    if (typeof made !== 'string') this.#instances.set(instance, made);
    return Promise.resolve(typeof made === 'string' ? made : made.shape);
  }

  unmake(instance: number): void {
    this.#instances.get(instance)?.close();
    this.#instances.delete(instance);
  }

  call(instance: number, call: OwnCall, timeoutMs: number): Outcome | Promise<Outcome> {
    const made = this.#instances.get(instance);
    if (made === undefined) return failed('unavailable', 'it was not made');
    const outcome = made.call(call);
    if (!(outcome instanceof Promise)) return outcome;
    return new Promise((resolve) => {
      const stop = this.#options.clock.after(timeoutMs, () => resolve(timedOut(call, timeoutMs)));
      void outcome.then((late) => {
        stop();
        resolve(late);
      });
    });
  }

  end(instance: number, { exchange, copy }: OwnEnd): void {
    this.#instances.get(instance)?.end(exchange, copy);
  }

  close(): void {
    for (const instance of this.#instances.values()) instance.close();
    this.#instances.clear();
  }
}
