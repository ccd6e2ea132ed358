/** Routes and requests for tests of routing, in short spellings. */
import { Headers } from '../../http/headers.ts';
import type { RequestHead } from '../../http/message.ts';
import type { PlanMatch, PlanRoute } from '../../ir/plan.ts';
import { RouteTables } from '../route-table.ts';

export const LISTENER = 'Gateway/infra/edge/http';

/** `GET host/path?query`, then header lines. */
export function request(line: string, fields: readonly (readonly [string, string])[] = []): RequestHead {
  const [, method, host, path, query] = /^(\S+) ([^/\s]+)(\/[^?]*|\*)(\?.*)?$/.exec(line)!;
  return {
    method: method!,
    scheme: 'http',
    authority: host!,
    host: host!,
    path: path!,
    query: query ?? '',
    headers: Headers.of(fields),
    bodyLength: 0,
    upgrade: undefined,
    expectContinue: false,
  };
}

/** A match from its path, `=/a` exact, `/a` prefix, `~/a.*` expression, and what else it asks for. */
export function match(path: string, rest: Partial<Omit<PlanMatch, 'path'>> = {}): PlanMatch {
  const kind = path.startsWith('=') ? 'exact' : path.startsWith('~') ? 'regex' : 'prefix';
  return { path: { kind, value: kind === 'prefix' ? path : path.slice(1) }, headers: [], query: [], ...rest };
}

export const is = (name: string, value: string): PlanMatch['headers'] => [{ name, kind: 'exact', value }];
export const like = (name: string, value: string): PlanMatch['headers'] => [{ name, kind: 'regex', value }];

/** A route with one rule per list of matches; rules are named `ROUTE/INDEX`. */
export function route(hosts: readonly string[], rules: readonly PlanMatch[][], createdMs = 0): PlanRoute {
  return {
    createdMs,
    attach: [{ listener: LISTENER, hosts }],
    rules: rules.map((matches, index) => ({
      name: String(index),
      matches,
      filters: [],
      backends: [],
      mirrors: [],
      timeouts: {},
    })),
  };
}

export const nameOf = (_: unknown, routeKey: string, ruleIndex: number): string => `${routeKey}/${ruleIndex}`;

export function tablesOf(routes: Readonly<Record<string, PlanRoute>>): RouteTables<string> {
  return RouteTables.empty<string>().with({ set: routes, remove: [] }, nameOf).tables;
}
