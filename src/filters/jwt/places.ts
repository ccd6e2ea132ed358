/** Where the token of a request is. One place, one token: what two readers could choose differently is refused. */
import type { RequestHead } from '../../http/message.ts';
import { cookieValues, deleteCookie } from '../../http/cookies.ts';
import { queryValues, withoutParameter } from '../../http/query.ts';
import type { Place } from './config.ts';

/** How a token came: `DPoP` says that a proof comes with it (RFC 9449 section 7.1). */
export interface Presented {
  readonly token: string;
  readonly scheme: 'bearer' | 'dpop';
}

export interface TokenPlaces {
  read(request: RequestHead): Presented | 'ambiguous' | undefined;
  /** Takes tokens out, wherever one could be. */
  remove(request: RequestHead): void;
}

interface OnePlace {
  read(request: RequestHead): Presented | 'ambiguous' | undefined;
  remove(request: RequestHead): void;
}

export function tokenPlaces(places: readonly Place[]): TokenPlaces {
  const all = places.map(placeOf);
  const only = all[0]!;
  return {
    read: all.length === 1 ? (request) => only.read(request) : (request) => readAll(all, request),
    remove: (request) => {
      for (const place of all) place.remove(request);
    },
  };
}

function readAll(places: readonly OnePlace[], request: RequestHead): Presented | 'ambiguous' | undefined {
  let found: Presented | undefined;
  for (const place of places) {
    const here = place.read(request);
    if (here === undefined) continue;
    if (here === 'ambiguous' || found !== undefined) return 'ambiguous';
    found = here;
  }
  return found;
}

function placeOf({ header, scheme, query, cookie }: Place): OnePlace {
  if (query !== undefined) return inQuery(query);
  if (cookie !== undefined) return inCookie(cookie);
  const name = header!.toLowerCase();
  return scheme === undefined ? inHeader(name) : inSchemeHeader(name, scheme);
}

function inHeader(name: string): OnePlace {
  return {
    read({ headers }) {
      const token = headers.combined(name);
      if (token === undefined || token === '') return undefined;
      // No token has a comma: this is more than one line, or a list.
      return token.includes(',') ? 'ambiguous' : { token, scheme: 'bearer' };
    },
    remove: ({ headers }) => headers.delete(name),
  };
}

/** `Authorization: Bearer …`, and beside it `DPoP …`, which is its other spelling (RFC 9449 section 7.1). */
function inSchemeHeader(name: string, scheme: string): OnePlace {
  const ours = scheme.toLowerCase();
  const others = name === 'authorization' && ours === 'bearer' ? 'dpop' : undefined;

  const tokenIn = (value: string): Presented | undefined => {
    const space = value.indexOf(' ');
    const word = (space < 0 ? value : value.slice(0, space)).toLowerCase();
    if (word !== ours && word !== others) return undefined;
    return { token: space < 0 ? '' : value.slice(space + 1).trim(), scheme: word === 'dpop' ? 'dpop' : 'bearer' };
  };

  return {
    read({ headers }) {
      const value = headers.combined(name);
      if (value === undefined) return undefined;
      const found = tokenIn(value);
      if (!value.includes(',')) return found;
      // Several lines, or parameters of another scheme (RFC 9110 section 11.4), which is none of our business.
      const lines = headers.getAll(name);
      if (found !== undefined || lines.some((line) => tokenIn(line) !== undefined)) return 'ambiguous';
      return undefined;
    },
    remove({ headers }) {
      if (headers.getAll(name).some((line) => tokenIn(line) !== undefined)) headers.delete(name);
    },
  };
}

function inQuery(name: string): OnePlace {
  return {
    read: ({ query }) => (query === '' ? undefined : onlyOf(queryValues(query, name))),
    remove: (request) => {
      request.query = withoutParameter(request.query, name);
    },
  };
}

function inCookie(name: string): OnePlace {
  return {
    read: ({ headers }) => onlyOf(cookieValues(headers, name)),
    remove: ({ headers }) => deleteCookie(headers, name),
  };
}

function onlyOf(values: readonly string[]): Presented | 'ambiguous' | undefined {
  const [token] = values;
  if (token === undefined || token === '') return undefined;
  return values.length > 1 ? 'ambiguous' : { token, scheme: 'bearer' };
}
