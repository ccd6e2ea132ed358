import type { FilterCode } from '../../filter/filter.ts';
import { Marks } from '../../filter/marks.ts';
import { Cache } from './cache.ts';
import type { CacheConfig } from './config.ts';
import { obey, Zones } from './zones.ts';

/**
 * A shared cache of HTTP.
 *
 * @see RFC 9111, RFC 5861, RFC 9211, RFC 9213
 */
export const code: FilterCode<typeof CacheConfig> = {
  make: (config, env) => new Cache(config, env, env.shared(() => new Zones(new Marks(env))).hold(config, env)),
  order: (order, shared) => obey(order, shared as Zones | undefined),
};
