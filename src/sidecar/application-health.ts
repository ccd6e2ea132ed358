/** Whether the application beside the proxy is well: asked on loopback, at first often, later at leisure. */
import type { Clock } from '../base/clock.ts';

export interface ApplicationHealthOptions {
  /** Asks once. Resolves with what is wrong; undefined when nothing is. Never rejects, and is over within a second or two. */
  probe(): Promise<string | undefined>;
  readonly clock: Clock;
  /** Called at each change, the first answer included. @param wrong  undefined when it is well */
  onChange(wrong: string | undefined): void;
}

/** While it has never been well: it is just starting, and whoever waits for it wants to know. */
const STARTING_MS = 100;
const RUNNING_MS = 1_000;
/** After it was well and has failed once: until it is known, calls come here and have to be tried elsewhere. */
const DOUBTED_MS = 100;

/** Answers in a row before one that was well is believed to be unwell: one lost probe takes nothing out of service. */
const UNWELL_AFTER = 2;

export class ApplicationHealth {
  readonly #options: ApplicationHealthOptions;
  #state: 'unknown' | 'starting' | 'well' | 'unwell' = 'unknown';
  #failures = 0;
  #cancel: () => void = () => undefined;
  #closed = false;

  constructor(options: ApplicationHealthOptions) {
    this.#options = options;
    void this.#ask();
  }

  get isWell(): boolean {
    return this.#state === 'well';
  }

  close(): void {
    this.#closed = true;
    this.#cancel();
  }

  async #ask(): Promise<void> {
    const wrong = await this.#options.probe();
    if (this.#closed) return;
    this.#take(wrong);
    this.#cancel = this.#options.clock.after(this.#pauseMs(), () => void this.#ask());
  }

  #pauseMs(): number {
    if (this.#state === 'starting') return STARTING_MS;
    return this.#state === 'well' && this.#failures > 0 ? DOUBTED_MS : RUNNING_MS;
  }

  #take(wrong: string | undefined): void {
    this.#failures = wrong === undefined ? 0 : this.#failures + 1;
    if (wrong !== undefined && this.#state === 'well' && this.#failures < UNWELL_AFTER) return;
    const before = this.#state;
    if (wrong === undefined) this.#state = 'well';
    else this.#state = before === 'unknown' || before === 'starting' ? 'starting' : 'unwell';
    if (this.#state !== before) this.#options.onChange(wrong);
  }
}
