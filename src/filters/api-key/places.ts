/** Where a request may have its key: read, counted, and taken out on the way to the upstream. */
import { cookieValues, deleteCookie } from '../../http/cookies.ts';
import type { Headers } from '../../http/headers.ts';
import type { RequestHead } from '../../http/message.ts';
import { queryValues, withoutParameter } from '../../http/query.ts';
import type { Place } from './config.ts';

/** More than one key: which of them counts, two programs might decide differently. */
export const AMBIGUOUS = Symbol('ambiguous');

export type Presented = string | typeof AMBIGUOUS | undefined;

interface Reader {
  read(request: RequestHead): Presented;
  hide(request: RequestHead): void;
}

export class Places {
  readonly #readers: readonly Reader[];

  constructor(places: readonly Place[]) {
    this.#readers = places.map(readerOf);
  }

  /** All places are looked at, also when the first of them has a key. An empty value is no key. */
  read(request: RequestHead): Presented {
    let found: Presented;
    for (const reader of this.#readers) {
      const here = reader.read(request);
      if (here === undefined) continue;
      if (found !== undefined) return AMBIGUOUS;
      found = here;
    }
    return found;
  }

  hide(request: RequestHead): void {
    for (const reader of this.#readers) reader.hide(request);
  }
}

function readerOf(place: Place): Reader {
  if ('query' in place) return inQuery(place.query);
  if ('cookie' in place) return inCookie(place.cookie);
  const name = place.header.toLowerCase();
  return place.scheme === undefined ? inHeader(name) : behindScheme(name, place.scheme);
}

function inHeader(name: string): Reader {
  return {
    read({ headers }) {
      const value = headers.combined(name);
      if (value === undefined || value === '') return undefined;
      // No key holds a comma: these are two lines, or two keys in one.
      return value.includes(',') ? AMBIGUOUS : value;
    },
    hide: ({ headers }) => headers.delete(name),
  };
}

/** `Authorization: ApiKey …` (RFC 9110 section 11.4): credentials of other schemes are for others. */
function behindScheme(name: string, scheme: string): Reader {
  const start = `${scheme.toLowerCase()} `;
  const isOurs = (line: string): boolean => line.slice(0, start.length).toLowerCase() === start;
  return {
    read({ headers }) {
      const first = headers.get(name);
      if (first === undefined) return undefined;
      const whole = headers.combined(name);
      if (whole === first) return isOurs(first) ? keyBehind(first, start.length) : undefined;
      return headers.getAll(name).some(isOurs) ? AMBIGUOUS : undefined;
    },
    hide({ headers }) {
      if (!headers.has(name)) return;
      const lines = headers.getAll(name);
      if (!lines.some(isOurs)) return;
      headers.delete(name);
      for (const line of lines) if (!isOurs(line)) headers.add(name, line);
    },
  };
}

/** RFC 9110 section 11.4: at least one space stands between scheme and credentials. */
function keyBehind(line: string, from: number): Presented {
  let start = from;
  while (line.charCodeAt(start) === 0x20) start++;
  const key = line.slice(start);
  return key.includes(',') ? AMBIGUOUS : key;
}

function inQuery(name: string): Reader {
  return {
    read: ({ query }) => (query === '' ? undefined : only(queryValues(query, name))),
    hide(request) {
      if (request.query !== '') request.query = withoutParameter(request.query, name);
    },
  };
}

function inCookie(name: string): Reader {
  return {
    read: ({ headers }: { readonly headers: Headers }) => only(cookieValues(headers, name)),
    hide: ({ headers }) => deleteCookie(headers, name),
  };
}

function only(values: readonly string[]): Presented {
  if (values.length > 1) return AMBIGUOUS;
  return values[0] === '' ? undefined : values[0];
}
