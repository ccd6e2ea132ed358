/** What proxies say of their certificates, gathered: a thousand that come at once are one statement. */
import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import type { Acknowledgement } from '../identity/authority-store.ts';
import type { Authority } from '../identity/authority.ts';

const GATHER_MS = 200;

export class Acknowledgements {
  readonly #authority: Pick<Authority, 'acknowledge' | 'release'>;
  readonly #clock: Clock;
  readonly #log: Log;
  /** By proxy: only the newest counts. */
  readonly #said = new Map<string, Acknowledgement>();
  #isDue = false;

  constructor(
    authority: Pick<Authority, 'acknowledge' | 'release'>,
    { clock, log }: { readonly clock: Clock; readonly log: Log },
  ) {
    this.#authority = authority;
    this.#clock = clock;
    this.#log = log;
  }

  add(said: Acknowledgement): void {
    this.#said.set(said.proxy, said);
    if (this.#isDue) return;
    this.#isDue = true;
    this.#clock.after(GATHER_MS, () => void this.#send());
  }

  release(proxy: string, identity: string): void {
    this.#said.delete(proxy);
    this.#authority.release(proxy, identity).catch((error: unknown) => this.#sayLost(error));
  }

  async #send(): Promise<void> {
    this.#isDue = false;
    const said = [...this.#said.values()];
    this.#said.clear();
    try {
      await this.#authority.acknowledge(said);
    } catch (error) {
      this.#sayLost(error);
      // Said again, unless something newer was said meanwhile: a rotation waits for it.
      for (const one of said) if (!this.#said.has(one.proxy)) this.add(one);
    }
  }

  #sayLost(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.#log.warn('What a proxy said of its certificate could not be kept', { reason });
  }
}
