/** Names of services and their addresses, for whoever asks by DNS; a name that nobody knows is asked for once. */
import type { Clock } from '../base/clock.ts';
import { mayBeService } from '../base/service-name.ts';
import type { Asked } from '../sidecar/asked-services.ts';

export interface DirectoryOptions {
  /** Asks the control plane whether there is such a service. */
  readonly ask: (name: string) => Promise<Asked>;
  /** It is none: the control plane need not remember that it was asked. */
  readonly drop: (name: string) => void;
  readonly clock: Clock;
}

/** As a request waits: then the name is taken for one of the Internet. */
const ASK_MS = 1_000;
const TRIES_MAX = 5;

/** What was no service is none for so long. Most of the names that are asked for are none. */
const NONE_MS = 10_000;
const NONE_MAX = 4_096;

/** Of this host, and never a service (RFC 6761 section 6.3). */
const LOCAL = /(^|\.)localhost$/;

export class Directory {
  readonly #options: DirectoryOptions;
  #names: ReadonlyMap<string, string> = new Map();
  /** Until when, by name; oldest first. */
  readonly #none = new Map<string, number>();
  readonly #asked = new Map<string, Promise<string | undefined>>();

  constructor(options: DirectoryOptions) {
    this.#options = options;
  }

  /** From now on these are the names; those before are no more. */
  replace(names: ReadonlyMap<string, string>): void {
    this.#names = names;
    for (const name of names.keys()) this.#none.delete(name);
  }

  /** @returns the address, or undefined for the name of no service */
  find(name: string): Promise<string | undefined> | string | undefined {
    const known = this.#names.get(name);
    if (known !== undefined || !mayBeService(name) || LOCAL.test(name)) return known;
    const noneUntilMs = this.#none.get(name);
    if (noneUntilMs !== undefined && noneUntilMs > this.#options.clock.nowMs()) return undefined;
    let asked = this.#asked.get(name);
    if (asked === undefined) {
      asked = this.#ask(name).finally(() => this.#asked.delete(name));
      this.#asked.set(name, asked);
    }
    return asked;
  }

  async #ask(name: string): Promise<string | undefined> {
    const { ask, drop, clock } = this.#options;
    const late = Promise.withResolvers<Asked>();
    const cancel = clock.after(ASK_MS, () => late.resolve('unknown'));
    let found: string | undefined;
    for (let tries = 0; tries < TRIES_MAX && found === undefined; tries++) {
      // oxlint-disable-next-line no-await-in-loop -- a plan that was under way already says nothing of it
      const asked = await Promise.race([ask(name), late.promise]);
      found = this.#names.get(name);
      if (asked === 'unknown') break;
    }
    cancel();
    if (found !== undefined) return found;
    drop(name);
    this.#none.delete(name);
    this.#none.set(name, clock.nowMs() + NONE_MS);
    if (this.#none.size > NONE_MAX) this.#none.delete(this.#none.keys().next().value!);
    return undefined;
  }
}
