/** What a scenario of the simulation is given and gives. */
import type { Random } from '../../src/base/random.ts';
import type { FleetSize } from './fleet.ts';

export type Figures = Readonly<Record<string, number | string>>;

export interface Outcome {
  /** The same for the same seed and size. */
  readonly figures: Figures;
  /** Of this run: processor time, memory. */
  readonly measured: Figures;
  /** What did not hold; empty when all did. */
  readonly broken: readonly string[];
}

/** What is made wrong on purpose, to see that it is found. */
export interface Flaws {
  /** Draws for all proxies how long they wait. */
  readonly waits?: Random;
}

/** Every proxy waits as long as every other. */
export const NO_JITTER: Flaws = { waits: { unit: () => 0.5, bits32: () => 2 ** 31 } };

export interface Scenario {
  readonly name: string;
  readonly about: string;
  run(size: FleetSize, flaws?: Flaws): Promise<Outcome>;
}

/** Collects what does not hold. */
export class Claims {
  readonly broken: string[] = [];

  holds(isSo: boolean, otherwise: string): void {
    if (!isSo) this.broken.push(otherwise);
  }
}

/** @param sorted  ascending, not empty */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!;
}

export function rounded(value: number, digits = 1): number {
  return Math.round(value * 10 ** digits) / 10 ** digits;
}
