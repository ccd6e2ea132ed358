/** The configuration as requests need it. */
import { durationOr } from '../../base/duration.ts';
import { compileExpression } from '../../expr/expression.ts';
import type { Exchange } from '../../filter/filter.ts';
import type { CacheConfig } from './config.ts';
import type { FreshnessRules } from './freshness.ts';
import type { LineRules } from './store-lines.ts';

export interface Settings {
  readonly rules: FreshnessRules;
  readonly lines: LineRules;
  /** Fields of answers that clients do not get, also of those that are not kept. */
  readonly hidden: readonly string[];
  /** Fields of requests that are not in the key and change answers of some origins. */
  readonly unkeyed: readonly string[];
  /** True: the cache has no part in it. */
  readonly bypass: ((x: Exchange) => boolean | undefined) | undefined;
  readonly objectBytesMax: number;
  readonly perIdentity: boolean;
  readonly requestDirectives: CacheConfig['requestDirectives'];
  readonly matchingType: boolean;
  readonly waitMs: number;
  readonly passMs: number;
  readonly refreshMs: number;
  readonly cacheStatus: CacheConfig['cacheStatus'];
}

/**
 * Frameworks and servers take host, path, scheme or method from these. The gateway writes X-Forwarded-* itself, and takes
 * out what clients say in them; what trusted hops say in them is in the key (`asked.told`). Filters may add them again.
 */
const UNKEYED: readonly string[] = [
  'x-original-url',
  'x-rewrite-url',
  'x-original-host',
  'x-host',
  'x-http-host-override',
  'x-forwarded-server',
  'x-forwarded-host',
  'x-forwarded-scheme',
  'x-forwarded-prefix',
  'x-forwarded-path',
  'forwarded',
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
];

export function settingsOf(config: CacheConfig): Settings {
  const targets = lower(config.targets);
  const tags = lower(config.tags.headers);
  const keyed = new Set(lower(config.key.headers));
  const hidden = [
    ...targets.filter((name) => name === 'fourways-cache-control'),
    ...(config.tags.toClients === 'remove' ? tags : []),
  ];
  return {
    rules: {
      targets,
      lifetimeMsMax: durationOr(config.lifetimeMax, 0),
      heuristicPercent: config.heuristic.percent,
      heuristicMsMax: durationOr(config.heuristic.lifetimeMax, 0),
      defaultMs: new Map(
        config.defaults.flatMap(({ statuses, lifetime }) =>
          statuses.map((status) => [status, durationOr(lifetime, 0)] as const),
        ),
      ),
      staleWhileRevalidateMs: durationOr(config.staleWhileRevalidate, 0),
      staleIfErrorMs: durationOr(config.staleIfError, 0),
      setCookie: config.setCookie,
    },
    lines: { hidden: new Set(hidden), tags, setCookie: config.setCookie },
    hidden,
    unkeyed: config.unkeyedHeaders === 'forward' ? [] : UNKEYED.filter((name) => !keyed.has(name)),
    bypass: config.bypass === undefined ? undefined : compileExpression(config.bypass, 'bool'),
    objectBytesMax: config.objectBytesMax,
    perIdentity: config.perIdentity,
    requestDirectives: config.requestDirectives,
    matchingType: config.matchingType,
    waitMs: durationOr(config.collapse.wait, 0),
    passMs: durationOr(config.collapse.passFor, 0),
    refreshMs: durationOr(config.refreshTimeout, 0),
    cacheStatus: config.cacheStatus,
  };
}

function lower(names: readonly string[]): readonly string[] {
  return names.map((name) => name.toLowerCase());
}
