/** The zones of one worker: one for each policy, whatever the number of its rules. What they hold outlives plans. */
import type { FilterOrder } from '../../base/filter-order.ts';
import type { Marks } from '../../filter/marks.ts';
import type { Env } from '../../filter/env.ts';
import type { CacheConfig } from './config.ts';
import { uriAsKept } from './key.ts';
import type { Purge } from './purges.ts';
import { RedisTier } from './redis-tier.ts';
import { Zone, type ZoneFigures } from './zone.ts';

/** What a filter holds until it is closed. */
export interface HeldZone {
  readonly zone: Zone;
  readonly redis: RedisTier | undefined;
  release(): void;
}

interface Kept {
  readonly zone: Zone;
  redis: RedisTier | undefined;
  holders: number;
}

export interface ZoneReport extends ZoneFigures {
  /** `Policy shop/cache`. */
  readonly owner: string;
}

export class Zones {
  readonly #byOwner = new Map<string, Kept>();
  readonly #marks: Marks;

  constructor(marks: Marks) {
    this.#marks = marks;
  }

  hold(config: CacheConfig, env: Env): HeldZone {
    const { owner } = env;
    let kept = this.#byOwner.get(owner);
    if (kept === undefined)
      this.#byOwner.set(owner, (kept = { zone: new Zone(this.#marks), redis: undefined, holders: 0 }));
    const { zone } = kept;
    const { memoryBytesMax: bytesMax, variantsMax } = config;
    zone.configure({ bytesMax, variantsMax }, (count) => env.count('evicted', count));
    const redis = RedisTier.of(config, env);
    kept.redis = redis;
    kept.holders++;
    return { zone, redis, release: () => this.#release(owner) };
  }

  #release(owner: string): void {
    const kept = this.#byOwner.get(owner);
    if (kept !== undefined && --kept.holders === 0) this.#byOwner.delete(owner);
  }

  report(): readonly ZoneReport[] {
    return [...this.#byOwner].map(([owner, { zone }]) => ({ owner, ...zone.figures }));
  }

  /** @returns how many answers were forgotten */
  purge(purge: Purge, owner: string | undefined): number {
    let count = 0;
    for (const [name, { zone, redis }] of this.#byOwner) {
      if (owner !== undefined && name !== owner) continue;
      count += zone.purge(purge);
      redis?.purge(purge);
    }
    return count;
  }
}

/**
 * `{ kind: 'stats' }`, or `{ kind: 'purge', by, value?, policy? }`.
 *
 * @throws {RangeError} on anything else
 */
export function obey(order: FilterOrder, zones: Zones | undefined): object {
  switch (order.kind) {
    case 'stats':
      return { zones: zones?.report() ?? [] };
    case 'purge': {
      const purge = purgeOf(order['by'], order['value']);
      const policy = order['policy'];
      if (policy !== undefined && typeof policy !== 'string') throw new RangeError('Policy should be NAMESPACE/NAME');
      return { purged: zones?.purge(purge, policy === undefined ? undefined : `Policy ${policy}`) ?? 0 };
    }
    default:
      throw new RangeError(`A cache cannot "${order.kind}"`);
  }
}

const VALUE_CHARS_MAX = 8_192;

function purgeOf(by: unknown, value: unknown): Purge {
  if (by === 'all') return { kind: 'all', value: '' };
  if (typeof value !== 'string' || value === '' || value.length > VALUE_CHARS_MAX) {
    throw new RangeError('What to purge should be a text');
  }
  if (by === 'tag') return { kind: 'tag', value };
  if (by !== 'url' && by !== 'prefix') throw new RangeError('By should be "url", "prefix", "tag" or "all"');
  const uri = uriAsKept(value);
  if (uri === undefined)
    throw new RangeError(`"${value}" is no URL: it should be one such as "https://shop.test/cart"`);
  return { kind: by === 'url' ? 'uri' : 'prefix', value: uri };
}
