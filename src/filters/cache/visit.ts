/** What the cache knows of one exchange between its hooks. */
import type { Wishes } from './conditions.ts';
import type { Flight, Follower } from './flight.ts';
import type { Since } from './purges.ts';
import type { Stored } from './stored.ts';
import type { CacheKey } from './zone.ts';

export type Visit = Passed | Changing | Fetching;

/** The cache has no part in it. `why` is the value of `fwd` (RFC 9211 section 2.2). */
export interface Passed {
  readonly kind: 'passed';
  readonly why: 'bypass' | 'method' | 'request' | 'uri-miss' | 'partial';
  /** What is stored of what a HEAD asks for. */
  readonly stored?: Stored | undefined;
}

/** Its method is not safe: what it is about may be another thing afterwards. */
export interface Changing {
  readonly kind: 'changing';
  readonly uri: string;
}

/** The origin is asked, for this client and perhaps for others. */
export interface Fetching {
  readonly kind: 'fetching';
  readonly key: CacheKey;
  /** What is there and cannot be used as it is. */
  readonly stale: Stored | undefined;
  readonly why: 'uri-miss' | 'vary-miss' | 'stale' | 'request';
  readonly wishes: Wishes;
  readonly authorised: boolean;
  readonly since: Since;
  startedMs: number;
  /** The conditions in the request that goes upstream are ours. */
  asksIfChanged: boolean;
  /** Led by this exchange: others wait for it. */
  flight: Flight | undefined;
  /** Of the flight of another one. */
  follower: Follower | undefined;
  /** Bytes that are counted in the zone as on their way. */
  filling: number;
  over: boolean;
}
