/**
 * Lists that are kept for as long as a configuration lives. Most of them are
 * empty and there are tens for each route, so the empty ones are one object.
 */
export const NONE: readonly never[] = [];

/** A list that nothing will be added to: {@link NONE} when it is empty, else a copy without room to grow. */
export function settled<T>(list: readonly T[]): readonly T[] {
  return list.length === 0 ? NONE : list.slice();
}
