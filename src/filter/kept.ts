/** What a filter keeps of an exchange from one hook to the next. */
import type { Exchange } from './filter.ts';

/**
 * Like a WeakMap by exchange, for one filter, and quicker: few filters of a
 * chain keep anything, and the garbage collector has nothing to look after.
 */
export class Kept<T> {
  get(x: Pick<Exchange, 'kept'>): T | undefined {
    const { kept } = x;
    if (kept === undefined) return undefined;
    for (let i = 0; i < kept.length; i += 2) if (kept[i] === this) return kept[i + 1] as T;
    return undefined;
  }

  set(x: Pick<Exchange, 'kept'>, value: T): void {
    const kept = (x.kept ??= []);
    let i = 0;
    while (i < kept.length && kept[i] !== this) i += 2;
    kept[i] = this;
    kept[i + 1] = value;
  }

  delete(x: Pick<Exchange, 'kept'>): void {
    const at = x.kept?.indexOf(this) ?? -1;
    if (at >= 0) x.kept!.splice(at, 2);
  }
}
