/** The endpoints of a running Fourways: where each comes from, and since when it is there. */
import type { FleetStats } from '../control/fleet.ts';
import { ageOf } from './age.ts';
import { formatTable } from './table.ts';

export function endpointsText({ endpoints }: FleetStats, nowMs: number): string {
  const rows = Object.entries(endpoints)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([cluster, list]) =>
      list.map(({ address, port, source, sinceMs, zone, health, stale, connections }) => [
        cluster,
        `${address.includes(':') ? `[${address}]` : address}:${port}`,
        source ?? '-',
        ageOf(Math.max(0, nowMs - sinceMs)),
        zone ?? '-',
        stale === undefined ? (health ?? '-') : `${health ?? '-'}, of an earlier answer: ${stale}`,
        String(connections),
      ]),
    );
  if (rows.length === 0) return 'No cluster has an endpoint';
  return formatTable(['CLUSTER', 'ENDPOINT', 'SOURCE', 'AGE', 'ZONE', 'HEALTH', 'CONNECTIONS'], rows);
}
