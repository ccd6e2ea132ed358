/** The wish that a proxy renews its certificate now: both ends of it. */
import type { Wish } from './messages.ts';

export const RENEW = 'renew';

/** Longest time over which proxies are spread, whatever they are asked. */
const WITHIN_MS_MAX = 600_000;

/** @param withinMs  each renews at a moment of this time that it draws: they do not come at once */
export function renewWish(withinMs: number): Wish {
  return { name: RENEW, body: JSON.stringify({ withinMs }) };
}

/** What the body says; at once where it cannot be read. */
export function renewWithinMs(body: string): number {
  try {
    const { withinMs } = JSON.parse(body) as { withinMs?: unknown };
    return typeof withinMs === 'number' && withinMs > 0 ? Math.min(withinMs, WITHIN_MS_MAX) : 0;
  } catch {
    return 0;
  }
}
