/** What an echo load counts, and how it says so. */

export class Stopwatch {
  readonly #startUs = performance.now() * 1_000;
  readonly #lengthUs: number;
  readonly #waitsUs: number[] = [];
  #count = 0;
  #errors = 0;

  constructor(seconds: number) {
    this.#lengthUs = seconds * 1e6;
  }

  nowUs(): number {
    return performance.now() * 1_000;
  }

  get over(): boolean {
    return this.nowUs() - this.#startUs >= this.#lengthUs;
  }

  get lengthMs(): number {
    return this.#lengthUs / 1_000;
  }

  /** One message has come back. Every eighth wait is kept: enough for percentiles. */
  done(sentUs: number): void {
    if (this.#count++ % 8 === 0) this.#waitsUs.push(this.nowUs() - sentUs);
  }

  failed(): void {
    this.#errors++;
  }

  figures(): object {
    const sorted = this.#waitsUs.toSorted((a, b) => a - b);
    const at = (share: number): number => Math.round(sorted[Math.floor(sorted.length * share)] ?? 0);
    const microseconds = Math.round(this.nowUs() - this.#startUs);
    return { requests: this.#count, microseconds, p50_us: at(0.5), p99_us: at(0.99), errors: this.#errors };
  }
}

/** Prints the figures when the time is up, and ends the process. */
export function report(watch: Stopwatch): void {
  setTimeout(() => {
    console.log(JSON.stringify(watch.figures()));
    process.exit(0);
  }, watch.lengthMs);
}
