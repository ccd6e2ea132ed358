/**
 * Endpoints that are used one after the other: by their priority, then by how near they are. As long as enough of a level
 * are well it takes everything. When less are, the next one takes as much as they lack, so that a zone that fails bit by
 * bit moves bit by bit, and the few that are left in it are not overrun.
 */
import type { PlanEndpoint, PlanLocality } from '../../ir/plan.ts';
import type { Endpoint } from '../upstream/endpoint.ts';
import { pickShare, pickWeighted, type Weighted } from './pick.ts';

const DEFAULT: PlanLocality = { prefer: 'zone', healthyMin: 0.7 };

/** Same zone, same region, anywhere. */
const DISTANCES = 3;

/** How far away an endpoint is: 0 in the same zone, 1 in the same region, 2 elsewhere, or where nobody has said. */
export function distanceOf(
  { zone, forZones }: Pick<PlanEndpoint, 'zone' | 'forZones'>,
  own: string,
  { prefer }: PlanLocality = DEFAULT,
): number {
  const zones = forZones ?? (zone === undefined ? [] : [zone]);
  if (own === '' || prefer === 'none' || zones.length === 0) return DISTANCES - 1;
  if (prefer === 'zone' && zones.includes(own)) return 0;
  const region = regionOf(own);
  if (!zones.some((one) => regionOf(one) === region)) return DISTANCES - 1;
  return prefer === 'region' ? 0 : 1;
}

/** Of a zone without a region, itself. */
function regionOf(zone: string): string {
  const slash = zone.indexOf('/');
  return slash < 0 ? zone : zone.slice(0, slash);
}

/** Where an endpoint stands in the order of use: the smaller first. */
export function rankOf(priority: number, distance: number): number {
  return priority * DISTANCES + distance;
}

interface Level extends Weighted {
  readonly rank: number;
  readonly endpoints: readonly Endpoint[];
  /** Share of the requests, as of the last pick. */
  weight: number;
}

export class Levels {
  readonly #levels: readonly Level[];
  readonly #healthyMin: number;

  /** @param ranked  by {@link rankOf} */
  constructor(ranked: ReadonlyMap<number, readonly Endpoint[]>, locality: PlanLocality = DEFAULT) {
    this.#healthyMin = locality.healthyMin;
    this.#levels = [...ranked]
      .toSorted(([a], [b]) => a - b)
      .map(([rank, endpoints]) => ({ rank, endpoints, weight: 0, credit: 0 }));
  }

  get count(): number {
    return this.#levels.length;
  }

  /** @returns the number of the level of this rank; undefined where there is one level */
  of(rank: number): number | undefined {
    return this.count > 1 ? this.#levels.findIndex((level) => level.rank === rank) : undefined;
  }

  /** @param avoid  an endpoint that just failed; one of another level is taken rather than that */
  pick(avoid: Endpoint | undefined, nowMs: number): Endpoint | undefined {
    const [first] = this.#levels;
    if (first === undefined) return undefined;
    const picked = this.count === 1 ? pickWeighted(first.endpoints, avoid, nowMs) : this.#pickLevelled(avoid, nowMs);
    picked?.notePicked(nowMs);
    return picked;
  }

  #pickLevelled(avoid: Endpoint | undefined, nowMs: number): Endpoint | undefined {
    let left = 1;
    for (const level of this.#levels) {
      const share = left > 0 ? Math.min(left, healthyShare(level.endpoints, nowMs) / this.#healthyMin) : 0;
      // All that comes: what most requests find, and nothing has to be counted for it.
      if (share === 1 && avoid === undefined) return pickWeighted(level.endpoints, avoid, nowMs);
      level.weight = share;
      left -= share;
    }
    const chosen = pickShare(this.#levels)?.endpoints;
    const picked = chosen === undefined ? undefined : pickWeighted(chosen, avoid, nowMs);
    if (picked !== undefined && picked !== avoid && picked.healthy(nowMs)) return picked;
    // None is well, or the only one of its level that is has just failed: whoever is left, the nearer first.
    let other: Endpoint | undefined;
    for (const { endpoints } of this.#levels) {
      const candidate = pickWeighted(endpoints, avoid, nowMs);
      if (candidate === undefined || candidate === avoid) continue;
      if (candidate.healthy(nowMs)) return candidate;
      other ??= candidate;
    }
    return other ?? avoid;
  }
}

/** By weight. 0 where nothing has a weight. */
function healthyShare(endpoints: readonly Endpoint[], nowMs: number): number {
  let healthy = 0;
  let all = 0;
  for (const endpoint of endpoints) {
    all += endpoint.weight;
    if (endpoint.healthy(nowMs)) healthy += endpoint.weight;
  }
  return all === 0 ? 0 : healthy / all;
}
