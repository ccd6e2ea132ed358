/** `match` of a route in the short form. */
import { HOSTNAME_PATTERN } from '../../resource/fields.ts';
import { error, nameFrom, type ShortFinding } from './draft.ts';
import { isFinding } from './expansion.ts';
import type { Match, MatchObject, Route } from './schema.ts';

/** One match of the Gateway API, and the hosts that it is for. */
export interface ReadMatch {
  /** Empty: every host. */
  readonly hosts: readonly string[];
  /** One for each method; without methods, one. */
  readonly matches: readonly object[];
  readonly path: { readonly type: string; readonly value: string };
  /** Where the match stands in the short form, and its path. */
  readonly pointer: string;
  readonly pathPointer: string;
}

const HOST = new RegExp(HOSTNAME_PATTERN);

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'CONNECT', 'OPTIONS', 'TRACE', 'PATCH'];

export function readMatches(match: Route['match'], pointer: string): (ReadMatch | ShortFinding)[] {
  if (match === undefined) return [readMatch({}, pointer)];
  if (Array.isArray(match)) return match.map((one, i) => readMatch(one, `${pointer}/match/${i}`));
  return [readMatch(match, `${pointer}/match`)];
}

function readMatch(match: Match, pointer: string): ReadMatch | ShortFinding {
  if (typeof match !== 'string') return readObject(match, pointer);
  const parts = readText(match, pointer);
  return isFinding(parts) ? parts : ({ ...readObject(parts, pointer), pathPointer: pointer } as ReadMatch);
}

/** `GET shop.test/users`: method and host may be left out, the path as well. */
function readText(text: string, pointer: string): MatchObject | ShortFinding {
  const found = /^(?:([A-Z]+)(?:\s+|$))?([^\s/]*)(\/\S*)?$/.exec(text.trim());
  const got = JSON.stringify(text);
  if (found === null) {
    return error(pointer, 'field.value', `Expected a match such as "/users" or "GET shop.test/users", got ${got}`);
  }
  const [, method, host = '', path] = found;
  if (method !== undefined && !METHODS.includes(method)) {
    return error(pointer, 'field.value', `Expected a method such as "GET", got "${method}"`);
  }
  if (host !== '' && !HOST.test(host)) {
    const hint = host.includes(':') ? 'the port is that of "listen"' : `a path begins with "/"`;
    return error(pointer, 'field.value', `Expected a lower-case host name before the path, got "${host}": ${hint}`);
  }
  return {
    ...(path !== undefined && { path }),
    ...(host !== '' && { host }),
    ...(method !== undefined && { method: method as 'GET' }),
  };
}

function readObject(match: MatchObject, pointer: string): ReadMatch | ShortFinding {
  const { path, exact, regex, host = [], method, headers, query } = match;
  const given = Object.entries({ path, exact, regex }).filter(([, value]) => value !== undefined);
  if (given.length > 1) {
    const names = given.map(([name]) => `"${name}"`).join(' and ');
    return error(`${pointer}/${given[1]![0]}`, 'field.value', `Expected one of ${names}, got ${given.length} of them`);
  }
  const [field, value] = given[0] ?? ['path', '/'];
  const wrong = wrongPath(field, value!);
  if (wrong !== undefined) return error(`${pointer}/${field}`, 'field.value', wrong);

  const read = {
    path: { type: PATH_TYPES[field]!, value: value! },
    ...(headers !== undefined && { headers: namedMatches(headers) }),
    ...(query !== undefined && { queryParams: namedMatches(query) }),
  };
  const methods = method === undefined ? [] : typeof method === 'string' ? [method] : method;
  const matches = methods.length === 0 ? [read] : methods.map((one) => ({ ...read, method: one }));
  const hosts = typeof host === 'string' ? [host] : host;
  return {
    hosts,
    matches,
    path: read.path,
    pointer,
    pathPointer: given.length === 0 ? pointer : `${pointer}/${field}`,
  };
}

const PATH_TYPES: Readonly<Record<string, string>> = {
  path: 'PathPrefix',
  exact: 'Exact',
  regex: 'RegularExpression',
};

/** What people write in other systems, with what to write here. */
function wrongPath(field: string, value: string): string | undefined {
  if (field === 'regex') return undefined;
  const star = /^(.*?)\/?\*+$/.exec(value);
  if (star !== null) {
    return `Expected a path without "*", got "${value}": "${star[1] === '' ? '/' : star[1]}" takes every path below it`;
  }
  const query = value.indexOf('?');
  if (query >= 0) return `Expected a path without "?", got "${value}": put what follows into "query"`;
  return undefined;
}

export function namedMatches(named: Readonly<Record<string, string | { readonly regex: string }>>): object[] {
  return Object.entries(named).map(([name, value]) =>
    typeof value === 'string' ? { name, value } : { type: 'RegularExpression', name, value: value.regex },
  );
}

/** A name for a route that has none: from host and path of its first match, `shop-test-users`. */
export function nameFromMatch(first: Pick<ReadMatch, 'hosts' | 'path'> | undefined): string {
  const host = first?.hosts[0]?.replace('*', 'any') ?? '';
  return nameFrom(`${host} ${first?.path.value ?? ''}`, 'root');
}
