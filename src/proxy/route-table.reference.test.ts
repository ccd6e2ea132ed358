/** Lookups against a reference: all matches in one list by precedence, and the first that fits. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Random, seededRandom } from '../base/random.ts';
import type { RequestHead } from '../http/message.ts';
import { queryValue } from '../http/query.ts';
import type { PlanMatch, PlanRoute } from '../ir/plan.ts';
import { RouteTables } from './route-table.ts';
import { is, like, LISTENER, match, nameOf, request, route } from './testing/routes.ts';

interface Flat {
  readonly host: string;
  readonly match: PlanMatch;
  readonly route: PlanRoute;
  readonly routeKey: string;
  readonly ruleIndex: number;
}

function naiveFind(routes: Readonly<Record<string, PlanRoute>>, asked: RequestHead): string | undefined {
  const flat = Object.entries(routes).flatMap(([routeKey, one]) =>
    one.attach.flatMap(({ hosts }) =>
      hosts.flatMap((host) =>
        one.rules.flatMap(({ matches }, ruleIndex) =>
          matches.map((each): Flat => ({ host, match: each, route: one, routeKey, ruleIndex })),
        ),
      ),
    ),
  );
  const rank = ({ host, match: { path, method, headers, query }, route: { createdMs }, routeKey, ruleIndex }: Flat) => [
    host === '*' ? 2 : host.startsWith('*') ? 1 : 0,
    -host.length,
    ['exact', 'regex', 'prefix'].indexOf(path.kind),
    -path.value.length,
    method === undefined ? 1 : 0,
    -headers.length,
    -query.length,
    createdMs,
    routeKey,
    ruleIndex,
  ];
  flat.sort((a, b) => {
    const [left, right] = [rank(a), rank(b)];
    const at = left.findIndex((value, i) => value !== right[i]);
    return at < 0 ? 0 : left[at]! < right[at]! ? -1 : 1;
  });
  const hit = flat.find((one) => fits(one, asked));
  return hit && `${hit.routeKey}/${hit.ruleIndex}`;
}

function fits({ host, match: { path, method, headers, query } }: Flat, asked: RequestHead): boolean {
  const hostFits = host === '*' || (host.startsWith('*.') ? asked.host.endsWith(host.slice(1)) : asked.host === host);
  const bare = path.value.endsWith('/') ? path.value.slice(0, -1) : path.value;
  const pathFits = {
    exact: () => asked.path === path.value,
    regex: () => new RegExp(`^(?:${path.value})$`).test(asked.path),
    prefix: () => asked.path === bare || asked.path.startsWith(`${bare}/`),
  }[path.kind]();
  const valueFits = (want: PlanMatch['headers'][number], value: string | undefined): boolean =>
    value !== undefined &&
    (want.kind === 'exact' ? want.value === value : new RegExp(`^(?:${want.value})$`).test(value));
  const lines = (name: string): string | undefined => asked.headers.getAll(name).join(',') || undefined;
  return (
    hostFits &&
    pathFits &&
    (method === undefined || method === asked.method) &&
    headers.every((want) => valueFits(want, lines(want.name))) &&
    query.every((want) => valueFits(want, queryValue(asked.query, want.name)))
  );
}

const PATHS = ['/', '/a', '/b', '/a/', '/a/b', '/a/b/', '/a//', '/b/c', '/a/b/c', '//', '/ab'];
const EXPRESSIONS = ['~/a.*', '~/.*', '~/a/b+', '~/b/[^/]*', '~/(a|b)', '~/a/.*c', '~/b/.*'];
const HOSTS = ['*', '*.t', '*.a.t', 'a.t', 'x.a.t', 'b.t'];

function randomTable(random: Random): Record<string, PlanRoute> {
  const pick = <T>(items: readonly T[]): T => items[random.bits32() % items.length]!;
  const fields = (): PlanMatch['headers'] =>
    ['x', 'y'].flatMap((name) => {
      if (random.unit() < 0.6) return [];
      return random.unit() < 0.7 ? is(name, pick(['1', '2'])) : like(name, pick(['[12]', '1?']));
    });
  const randomMatch = (): PlanMatch => {
    const kind = random.unit();
    const path = kind < 0.55 ? pick(PATHS) : kind < 0.8 ? `=${pick(PATHS)}` : pick(EXPRESSIONS);
    const rest = { headers: fields(), query: fields() };
    return match(path, random.unit() < 0.3 ? { ...rest, method: pick(['GET', 'PUT']) } : rest);
  };
  const routes = Array.from({ length: 1 + (random.bits32() % 6) }, (_, i): [string, PlanRoute] => {
    const hosts = [...new Set([pick(HOSTS), pick(HOSTS)])];
    const rules = Array.from({ length: 1 + (random.bits32() % 4) }, () =>
      Array.from({ length: 1 + (random.bits32() % 4) }, randomMatch),
    );
    return [`r${i}`, route(hosts, rules, random.bits32() % 2)];
  });
  return Object.fromEntries(routes);
}

function randomRequest(random: Random): RequestHead {
  const pick = <T>(items: readonly T[]): T => items[random.bits32() % items.length]!;
  const fields = ['x', 'y'].flatMap((name): [string, string][] =>
    random.unit() < 0.5 ? [] : [[name, pick(['1', '2'])]],
  );
  const query = pick(['', '?x=1', '?y=2&x=2', '?x=1&y=1']);
  const host = pick(['a.t', 'x.a.t', 'y.a.t', 'b.t', 'c.t', 'z']);
  return request(`${pick(['GET', 'PUT', 'POST'])} ${host}${pick([...PATHS, '/a/b/c/c', '/c', '/b/'])}${query}`, fields);
}

test('routes: lookups agree with the reference, also through changes', () => {
  const random = seededRandom(1, 2, 3, 4);
  let hits = 0;
  for (let round = 0; round < 400; round++) {
    const routes: Record<string, PlanRoute> = {};
    let tables = RouteTables.empty<string>();
    for (let change = 0; change < 4; change++) {
      const set = randomTable(random);
      const remove = Object.keys(routes).filter((key) => !(key in set) && random.unit() < 0.5);
      tables = tables.with({ set, remove }, nameOf).tables;
      for (const key of remove) delete routes[key];
      Object.assign(routes, set);
      for (let k = 0; k < 8; k++) {
        const asked = randomRequest(random);
        const want = naiveFind(routes, asked);
        const told = `${asked.method} ${asked.host}${asked.path}${asked.query} on ${JSON.stringify(routes)}`;
        assert.equal(tables.listener(LISTENER)!.find(asked)?.rule, want, told);
        const chosen = tables
          .listener(LISTENER)!
          .explain(asked)
          .filter(({ outcome }) => outcome.kind === 'chosen');
        assert.deepEqual(
          chosen.map(({ candidate }) => candidate.rule),
          want === undefined ? [] : [want],
          told,
        );
        hits += Number(want !== undefined);
      }
    }
  }
  assert.ok(hits > 4_000, `only ${hits} requests found a rule: the test looks at too little`);
});
