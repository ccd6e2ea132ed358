import type { Random } from './random.ts';

/** Bounds of the waits between attempts. */
export interface BackoffBounds {
  readonly leastMs: number;
  readonly mostMs: number;
}

/**
 * Waits with decorrelated jitter: each is drawn from between the least one and
 * three times the one before. So they grow as attempts fail, and a thousand
 * clients that were cut at one moment come back spread out from the first time
 * on, and more so each time.
 */
export class Backoff {
  readonly #bounds: BackoffBounds;
  readonly #random: Random;
  #lastMs: number;

  constructor(bounds: BackoffBounds, random: Random) {
    this.#bounds = bounds;
    this.#random = random;
    this.#lastMs = bounds.leastMs;
  }

  nextMs(): number {
    const { leastMs, mostMs } = this.#bounds;
    const drawnMs = leastMs + this.#random.unit() * (this.#lastMs * 3 - leastMs);
    this.#lastMs = Math.min(mostMs, drawnMs);
    return this.#lastMs;
  }

  /** After a success that lasted. */
  reset(): void {
    this.#lastMs = this.#bounds.leastMs;
  }
}
