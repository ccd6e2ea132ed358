import { setTimeout as delay } from 'node:timers/promises';
import { systemClock } from '../../base/clock.ts';
import { silentLog } from '../../base/log.ts';
import { describe } from '../../resource/resource.ts';
import { type SourceOptions, openSource } from '../open-source.ts';
import type { Loaded, Source } from '../source.ts';

/** A route as a manifest. */
export function route(name: string, path = `/${name}`): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: ${name} }
spec:
  rules:
    - matches: [{ path: { value: ${path} } }]
`;
}

/** `HTTPRoute default/a` without what it has in common with all others: `a`. */
export function names({ resources }: Loaded): string[] {
  return resources.map((resource) => describe(resource).replace('HTTPRoute default/', ''));
}

/** Path of the first match of a route. */
export function pathOf({ resources }: Loaded, name: string): string | undefined {
  const found = resources.find(({ kind, metadata }) => kind === 'HTTPRoute' && metadata.name === name);
  return found?.kind === 'HTTPRoute' ? found.spec.rules[0]!.matches[0]!.path.value : undefined;
}

/** Long enough for a busy machine; a test that waits this long has failed. */
const WAIT_MAX_MS = 5_000;

/** A source that is read and watched; tests wait for what they expect of it. */
export class Watched implements AsyncDisposable {
  readonly source: Source;
  readonly #stop: () => void;
  readonly #seen: Loaded[] = [];
  #newest: Loaded;
  #wake: () => void = () => undefined;

  static async open(path: string, options: Partial<SourceOptions> = {}): Promise<Watched> {
    const source = openSource({ path, clock: systemClock, log: silentLog, ...options });
    return new Watched(source, await source.load());
  }

  constructor(source: Source, first: Loaded) {
    this.source = source;
    this.#newest = first;
    this.#stop = source.watch((loaded) => {
      this.#newest = loaded;
      this.#seen.push(loaded);
      this.#wake();
    });
  }

  get newest(): Loaded {
    return this.#newest;
  }

  /** Everything that was told since the start. */
  get seen(): readonly Loaded[] {
    return this.#seen;
  }

  /** Resolves with the first state, the present one included, that is as expected. */
  async until(expected: (loaded: Loaded) => boolean): Promise<Loaded> {
    const endMs = systemClock.nowMs() + WAIT_MAX_MS;
    while (!expected(this.#newest)) {
      const leftMs = endMs - systemClock.nowMs();
      if (leftMs <= 0) throw new Error(`Waited in vain; the newest is ${JSON.stringify(summary(this.#newest))}`);
      await this.#next(leftMs);
    }
    return this.#newest;
  }

  /** The next thing that is told, or the end of the wait. The timer keeps the process alive. */
  async #next(waitMs: number): Promise<void> {
    const told = new AbortController();
    this.#wake = () => told.abort();
    await delay(waitMs, undefined, { signal: told.signal }).catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop();
  }
}

function summary(loaded: Loaded): object {
  return { names: names(loaded), problems: loaded.problems.map(({ message }) => message), broken: loaded.broken };
}
