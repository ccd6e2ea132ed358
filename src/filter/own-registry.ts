/** Which objects `defineFilter` has made: whoever imports a module of a user takes what is defined meanwhile. */
import type { DefinedFilter } from './own.ts';

/** Known to every copy of this package: a filter may have been defined by another one. */
export const BRAND: unique symbol = Symbol.for('fourways.filter') as never;

export function isDefinedFilter(value: unknown): value is DefinedFilter {
  return typeof value === 'object' && value !== null && BRAND in value;
}

let taker: ((filter: DefinedFilter) => void) | undefined;

/** Says to whoever imports at the moment what was defined. */
export function taken(filter: DefinedFilter): void {
  taker?.(filter);
}

/** What was defined until `run` was done. One at a time: an import cannot say who asked for it. */
export async function whatIsDefined<T>(
  run: () => Promise<T>,
): Promise<{ readonly result: T; readonly defined: readonly DefinedFilter[] }> {
  if (taker !== undefined) throw new Error('Cannot import two modules of filters at a time');
  const defined: DefinedFilter[] = [];
  taker = (filter) => {
    if (defined.length < DEFINED_MAX) defined.push(filter);
  };
  try {
    return { result: await run(), defined };
  } finally {
    taker = undefined;
  }
}

/** Filters of one module. */
const DEFINED_MAX = 256;
