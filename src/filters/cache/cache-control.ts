/**
 * Directives of caching: Cache-Control (RFC 9111 section 5.2) and the fields
 * that are meant for one class of caches (RFC 9213), which are structured.
 */

export interface Directives {
  readonly noStore: boolean;
  readonly noCache: boolean;
  readonly isPrivate: boolean;
  readonly isPublic: boolean;
  readonly mustRevalidate: boolean;
  readonly proxyRevalidate: boolean;
  readonly mustUnderstand: boolean;
  readonly onlyIfCached: boolean;
  /** Seconds. 0 where the value cannot be read: stale is safe (RFC 9111 section 4.2.1). */
  readonly maxAge: number | undefined;
  readonly sMaxAge: number | undefined;
  readonly minFresh: number | undefined;
  /** `Infinity` without a value: any age will do. */
  readonly maxStale: number | undefined;
  /** RFC 5861. */
  readonly staleWhileRevalidate: number | undefined;
  readonly staleIfError: number | undefined;
}

/** RFC 9111 section 1.2.2: what is larger is this. */
export const SECONDS_MAX = 2 ** 31;

/** A line longer than this is nobody's honest wish. What stands behind is not read, and nothing is stored. */
const CHARS_MAX = 4096;

type Values = ReadonlyMap<string, string | undefined>;

export const NO_DIRECTIVES: Directives = directivesOf(new Map());

/** Of all lines of the field, joined. Names have no case; of a name that stands twice, the first counts. */
export function parseCacheControl(value: string | undefined): Directives {
  if (value === undefined) return NO_DIRECTIVES;
  const found = new Map<string, string | undefined>();
  if (value.length > CHARS_MAX) found.set('no-store', undefined);
  for (const part of splitList(value.slice(0, CHARS_MAX))) {
    const equals = part.indexOf('=');
    // Space around `=` belongs to the name, which is then none that we know (RFC 9110 section 5.6.2).
    const name = (equals < 0 ? part : part.slice(0, equals)).toLowerCase();
    if (name === '' || found.has(name)) continue;
    found.set(name, equals < 0 ? undefined : unquoted(part.slice(equals + 1)));
  }
  return directivesOf(found);
}

/**
 * RFC 9213 section 2.1: a dictionary (RFC 8941 section 3.2). One that cannot be
 * read, or says nothing, is as if it were not there.
 */
export function parseTargeted(value: string): Directives | undefined {
  if (value.length > CHARS_MAX) return undefined;
  const found = new Map<string, string | undefined>();
  for (const part of splitList(value)) {
    const member = MEMBER.exec(part);
    if (member === null) return undefined;
    const [, name, item] = member;
    // Of a key that stands twice, the last counts. `?0` says that the directive is not there.
    if (item === '?0') found.delete(name!);
    else found.set(name!, item === undefined || item === '?1' ? undefined : unquoted(item));
  }
  return found.size === 0 ? undefined : directivesOf(found);
}

/** Key, value (integer, string, token, boolean), and parameters, which are not looked at. */
const MEMBER =
  /^([a-z*][a-z0-9_.*-]*)(?:=(-?\d{1,15}|"(?:[ !#-[\]-~]|\\["\\])*"|[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*|\?[01]))?(?:; *[a-z*][a-z0-9_.*-]*(?:=[^;,"]*)?)*$/;

function directivesOf(values: Values): Directives {
  return {
    noStore: values.has('no-store'),
    // RFC 9111 section 5.2.2.4 and 5.2.2.7: where fields are named, a cache may take it for the whole answer.
    noCache: values.has('no-cache'),
    isPrivate: values.has('private'),
    isPublic: values.has('public'),
    mustRevalidate: values.has('must-revalidate'),
    proxyRevalidate: values.has('proxy-revalidate'),
    mustUnderstand: values.has('must-understand'),
    onlyIfCached: values.has('only-if-cached'),
    maxAge: seconds(values, 'max-age'),
    sMaxAge: seconds(values, 's-maxage'),
    minFresh: seconds(values, 'min-fresh'),
    maxStale:
      values.has('max-stale') && values.get('max-stale') === undefined ? Infinity : seconds(values, 'max-stale'),
    staleWhileRevalidate: seconds(values, 'stale-while-revalidate'),
    staleIfError: seconds(values, 'stale-if-error'),
  };
}

function seconds(values: Values, name: string): number | undefined {
  if (!values.has(name)) return undefined;
  return deltaSeconds(values.get(name)) ?? 0;
}

/** RFC 9111 section 1.2.2. */
export function deltaSeconds(text: string | undefined): number | undefined {
  return text !== undefined && /^\d+$/.test(text) ? Math.min(Number(text), SECONDS_MAX) : undefined;
}

/** Members of a list; commas inside of quotes part nothing. */
export function splitList(text: string): string[] {
  if (!text.includes('"')) return text.split(',').map(trimmed);
  const parts: string[] = [];
  let start = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const c = text[at];
    if (quoted && c === '\\') at++;
    else if (c === '"') quoted = !quoted;
    else if (c === ',' && !quoted) {
      parts.push(trimmed(text.slice(start, at)));
      start = at + 1;
    }
  }
  parts.push(trimmed(text.slice(start)));
  return parts;
}

function trimmed(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, '');
}

function unquoted(text: string): string {
  return text.length >= 2 && text.startsWith('"') && text.endsWith('"')
    ? text.slice(1, -1).replace(/\\(.)/g, '$1')
    : text;
}
