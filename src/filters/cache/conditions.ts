/** Conditions of clients, answered from the store (RFC 9110 section 13, RFC 9111 section 4.3.2). */
import type { Headers } from '../../http/headers.ts';
import { splitList } from './cache-control.ts';
import { parseHttpDate } from './http-date.ts';

/** What a client asks for besides the whole answer. */
export interface Wishes {
  readonly ifNoneMatch: string | undefined;
  readonly ifModifiedSince: string | undefined;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
}

export const NO_WISHES: Wishes = {
  ifNoneMatch: undefined,
  ifModifiedSince: undefined,
  range: undefined,
  ifRange: undefined,
};

export function wishesOf(headers: Headers): Wishes {
  const ifNoneMatch = headers.combined('if-none-match');
  const ifModifiedSince = headers.get('if-modified-since');
  const range = headers.combined('range');
  if (ifNoneMatch === undefined && ifModifiedSince === undefined && range === undefined) return NO_WISHES;
  return { ifNoneMatch, ifModifiedSince, range, ifRange: headers.get('if-range') };
}

/** What of an answer conditions look at. */
export interface Validators {
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
  /** Value of Date. */
  readonly date: string | undefined;
}

/** Whether the client has it already: 304. `nowMs` since the epoch. */
export function isKnown({ ifNoneMatch, ifModifiedSince }: Wishes, have: Validators, nowMs: number): boolean {
  // RFC 9110 section 13.1.3: If-Modified-Since has no say beside If-None-Match.
  if (ifNoneMatch !== undefined) return matches(ifNoneMatch, have.etag);
  if (ifModifiedSince === undefined) return false;
  const sinceMs = parseHttpDate(ifModifiedSince, nowMs);
  const changedMs = parseHttpDate(have.lastModified ?? have.date, nowMs);
  return sinceMs !== undefined && changedMs !== undefined && changedMs <= sinceMs;
}

/** The weak comparison (RFC 9110 section 8.8.3.2). */
function matches(list: string, etag: string | undefined): boolean {
  if (list.trim() === '*') return true;
  if (etag === undefined) return false;
  const opaque = opaqueOf(etag);
  return splitList(list).some((tag) => opaqueOf(tag) === opaque);
}

export function opaqueOf(etag: string): string {
  return etag.startsWith('W/') ? etag.slice(2) : etag;
}

export function isStrong(etag: string | undefined): etag is string {
  return etag !== undefined && etag.startsWith('"');
}

/** RFC 9110 section 13.1.5: the strong comparison. A date says it only where it is the very same. */
export function mayServeRange({ ifRange }: Wishes, { etag, lastModified }: Validators): boolean {
  if (ifRange === undefined) return true;
  if (ifRange.startsWith('"')) return isStrong(etag) && etag === ifRange;
  return !ifRange.startsWith('W/') && lastModified !== undefined && lastModified === ifRange;
}
