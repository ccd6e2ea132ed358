/** Lets a bounded number of jobs run at one time; the others wait in line. The line itself is bounded by who joins it. */
export class Turnstile {
  readonly #atOnceMax: number;
  readonly #line: (() => void)[] = [];
  #running = 0;

  /** @param atOnceMax  at least 1 */
  constructor(atOnceMax: number) {
    this.#atOnceMax = atOnceMax;
  }

  /** Starts `job` when there is room, in the order of the calls; gives what it gives. */
  async run<T>(job: () => Promise<T>): Promise<T> {
    if (this.#running < this.#atOnceMax) this.#running++;
    else await new Promise<void>((resolve) => this.#line.push(resolve));
    try {
      return await job();
    } finally {
      // The place is handed over, so that nobody who comes now can take it first.
      const next = this.#line.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
