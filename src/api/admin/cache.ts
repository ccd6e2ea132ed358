/** What all workers keep of answers, as one; and how to make them forget. */
import type { OrderAnswer } from '../../base/filter-order.ts';
import type { AdminView } from './view.ts';

export interface CacheReport {
  /** How many were asked; each keeps answers of its own. */
  readonly workers: number;
  readonly zones: readonly CacheZone[];
}

/** What one policy keeps: sums over all workers. */
export interface CacheZone {
  readonly owner: string;
  readonly entries: number;
  readonly bytes: number;
  readonly bytesMax: number;
  /** Bytes of answers that are on their way. */
  readonly filling: number;
}

export interface PurgeReport {
  readonly workers: number;
  /** Answers that were forgotten, of all workers: the same one may stand in each. */
  readonly purged: number;
}

export async function cacheReport(view: AdminView): Promise<CacheReport> {
  const answers = await view.order('cache', { kind: 'stats' });
  const sums = new Map<string, CacheZone>();
  for (const { zones } of doneOf<{ readonly zones: readonly CacheZone[] }>(answers)) {
    for (const zone of zones) sums.set(zone.owner, sumOf(sums.get(zone.owner), zone));
  }
  return { workers: answers.length, zones: [...sums.values()] };
}

function sumOf(sum: CacheZone | undefined, zone: CacheZone): CacheZone {
  if (sum === undefined) return zone;
  return {
    owner: zone.owner,
    entries: sum.entries + zone.entries,
    bytes: sum.bytes + zone.bytes,
    bytesMax: sum.bytesMax + zone.bytesMax,
    filling: sum.filling + zone.filling,
  };
}

/** @returns a text that says what is wrong with what was asked for */
export async function purgeCache(view: AdminView, wanted: object): Promise<PurgeReport | string> {
  const answers = await view.order('cache', { ...wanted, kind: 'purge' });
  const refused = answers.find((answer) => answer.kind === 'refused');
  if (refused !== undefined) return refused.reason;
  const purged = doneOf<{ readonly purged: number }>(answers).reduce((sum, done) => sum + done.purged, 0);
  return { workers: answers.length, purged };
}

function doneOf<T>(answers: readonly OrderAnswer[]): T[] {
  return answers.flatMap((answer) => (answer.kind === 'done' ? [answer.answer as T] : []));
}
