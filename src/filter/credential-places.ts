/**
 * Where a request may have a credential: read, counted, and taken out on the way
 * to the upstream. What two programs could read differently is refused.
 */
import { cookieValues, deleteCookie } from '../http/cookies.ts';
import type { RequestHead } from '../http/message.ts';
import { queryValues, withoutParameter } from '../http/query.ts';

/** One of header, query and cookie. */
export interface CredentialPlace {
  readonly header?: string;
  /** Word before the credential in the header, in any case. */
  readonly scheme?: string;
  readonly query?: string;
  readonly cookie?: string;
}

/** More than one credential: which of them counts, two programs might decide differently. */
export const AMBIGUOUS = Symbol('ambiguous');

/** Empty where a scheme stands alone: that is a credential, and a wrong one. */
export type Credential = string | typeof AMBIGUOUS | undefined;

interface Reader {
  read(request: RequestHead): Credential;
  hide(request: RequestHead): void;
}

export class CredentialPlaces {
  /** Whether a credential may stand in the query: then it is to be hidden at the end of requests that were refused, too, since queries may be logged. */
  readonly isInQuery: boolean;
  readonly #readers: readonly Reader[];

  constructor(places: readonly CredentialPlace[]) {
    this.isInQuery = places.some(({ query }) => query !== undefined);
    this.#readers = places.map(readerOf);
  }

  /** All places are looked at, also when the first of them has one. An empty value is none. */
  read(request: RequestHead): Credential {
    let found: Credential;
    for (const reader of this.#readers) {
      const here = reader.read(request);
      if (here === undefined) continue;
      if (found !== undefined) return AMBIGUOUS;
      found = here;
    }
    return found;
  }

  /** Takes credentials out, wherever one could be; what stands beside them stays as it came. */
  hide(request: RequestHead): void {
    for (const reader of this.#readers) reader.hide(request);
  }
}

function readerOf({ header, scheme, query, cookie }: CredentialPlace): Reader {
  if (query !== undefined) return inQuery(query);
  if (cookie !== undefined) return inCookie(cookie);
  const name = header!.toLowerCase();
  return scheme === undefined ? inHeader(name) : behindScheme(name, scheme);
}

function inHeader(name: string): Reader {
  return {
    read({ headers }) {
      const value = headers.combined(name);
      if (value === undefined || value === '') return undefined;
      // No credential holds a comma: these are two lines, or two in one.
      return value.includes(',') ? AMBIGUOUS : value;
    },
    hide: ({ headers }) => headers.delete(name),
  };
}

/** `Authorization: ApiKey …` (RFC 9110 section 11.4): credentials of other schemes are for others. */
function behindScheme(name: string, scheme: string): Reader {
  const word = scheme.toLowerCase();
  return {
    read({ headers }) {
      // Of several lines the first stands first in it, and a comma behind it: no credential holds one.
      const whole = headers.combined(name);
      if (whole === undefined) return undefined;
      if (isBehind(word, whole)) return whole.includes(',') ? AMBIGUOUS : credentialIn(whole, word.length);
      if (!whole.includes(',')) return undefined;
      return headers.getAll(name).some((line) => isBehind(word, line)) ? AMBIGUOUS : undefined;
    },
    hide({ headers }) {
      const whole = headers.combined(name);
      if (whole === undefined) return;
      if (!whole.includes(',')) {
        if (isBehind(word, whole)) headers.delete(name);
        return;
      }
      const lines = headers.getAll(name);
      if (!lines.some((line) => isBehind(word, line))) return;
      headers.delete(name);
      for (const line of lines) if (!isBehind(word, line)) headers.add(name, line);
    },
  };
}

const SPACE = 0x20;

/** Whether a line begins with a scheme, given in lower case (RFC 9110 section 11.1: in any case). */
function isBehind(word: string, line: string): boolean {
  const { length } = word;
  if (line.length > length && line.charCodeAt(length) !== SPACE) return false;
  for (let i = 0; i < length; i++) {
    const c = line.charCodeAt(i);
    if ((c >= 0x41 && c <= 0x5a ? c | 0x20 : c) !== word.charCodeAt(i)) return false;
  }
  return true;
}

/** RFC 9110 section 11.4: at least one space stands between scheme and credentials. */
function credentialIn(line: string, from: number): string {
  let start = from;
  while (line.charCodeAt(start) === SPACE) start++;
  return line.slice(start);
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
    read: ({ headers }) => only(cookieValues(headers, name)),
    hide: ({ headers }) => deleteCookie(headers, name),
  };
}

function only(values: readonly string[]): Credential {
  if (values.length > 1) return AMBIGUOUS;
  return values[0] === '' ? undefined : values[0];
}
