/** Which rule of a GRPCRoute takes a call: from what the operator writes to what a proxy finds. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lowerGrpcMatches } from '../compile/grpc.ts';
import type { RouteTables } from './route-table.ts';
import { LISTENER, request, route, tablesOf } from './testing/routes.ts';

type Matches = Parameters<typeof lowerGrpcMatches>[0]['matches'];
type Method = NonNullable<Matches[number]['method']>;

const exact = (service?: string, method?: string): Matches => [of({ type: 'Exact' }, service, method)];
const regex = (service?: string, method?: string): Matches => [of({ type: 'RegularExpression' }, service, method)];

function of(type: Pick<Method, 'type'>, service?: string, method?: string): Matches[number] {
  const named = { ...(service !== undefined && { service }), ...(method !== undefined && { method }) };
  return { method: { ...type, ...named }, headers: [] };
}

function headed(matches: Matches, ...names: string[]): Matches {
  return matches.map((match) => ({ ...match, headers: names.map((name) => ({ type: 'Exact', name, value: '1' })) }));
}

function tables(rules: readonly Matches[], createdMs = 0): RouteTables<string> {
  return tablesOf({
    r: route(
      ['*'],
      rules.map((matches) => lowerGrpcMatches({ matches })),
      createdMs,
    ),
  });
}

const fields = (names: readonly string[]): [string, string][] => names.map((name) => [name, '1']);

interface Row {
  readonly rule: string;
  readonly rules: readonly Matches[];
  /** Path and headers to the place of the rule. */
  readonly want: readonly (readonly [path: string, index: number | undefined, headers?: readonly string[]])[];
}

const ROWS: readonly Row[] = [
  {
    rule: 'a method of a service, whole and case-sensitive',
    rules: [exact('a.S', 'M')],
    want: [
      ['/a.S/M', 0],
      ['/a.S/m', undefined],
      ['/a.S/MM', undefined],
      ['/a.S', undefined],
      ['/a.SS/M', undefined],
      ['/a_S/M', undefined],
    ],
  },
  {
    rule: 'every method of a service',
    rules: [exact('a.S')],
    want: [
      ['/a.S/M', 0],
      ['/a.S2/M', undefined],
    ],
  },
  {
    rule: 'a method of every service',
    rules: [exact(undefined, 'M')],
    want: [
      ['/a.S/M', 0],
      ['/b.T/M', 0],
      ['/a.S/N', undefined],
      ['/a/b/M', undefined],
      ['/M', undefined],
    ],
  },
  {
    rule: 'most characters of the service, then of the method, then headers; none at all comes last',
    rules: [
      [],
      exact(undefined, 'LongMethodName'),
      exact('a.S'),
      exact('a.S', 'M'),
      headed(exact('a.S', 'M'), 'x'),
      headed([{ headers: [] }], 'x'),
    ],
    want: [
      ['/a.S/M', 3],
      ['/a.S/M', 4, ['x']],
      ['/a.S/LongMethodName', 2],
      ['/b.T/LongMethodName', 1],
      ['/b.T/LongMethodName', 1, ['x']],
      ['/b.T/N', 5, ['x']],
      ['/b.T/N', 0],
    ],
  },
  {
    rule: 'expressions match service and method whole',
    rules: [regex('a\\.(S|T)', 'Get.*'), regex('a\\..*'), regex(undefined, 'List|Find')],
    want: [
      ['/a.S/GetX', 0],
      ['/a.S/Put', 1],
      ['/aXS/GetX', undefined],
      ['/b.U/List', 2],
      ['/b.U/ListX', undefined],
      ['/b.U/XFind', undefined],
      ['/a.U/List', 1],
    ],
  },
  {
    rule: 'an exact service goes before an expression',
    rules: [regex('a\\.Service|somethingElseThatIsLong'), exact('a.Service')],
    want: [['/a.Service/M', 1]],
  },
];

for (const { rule, rules, want } of ROWS) {
  test(`grpc routes: ${rule}`, () => {
    const table = tables(rules).listener(LISTENER)!;
    for (const [path, index, headers = []] of want) {
      const found = table.find(request(`POST x.test${path}`, fields(headers)));
      assert.equal(found?.rule, index === undefined ? undefined : `r/${index}`, `${path} ${headers.join()}`);
    }
  });
}

test('grpc routes: with a hundred times the methods a lookup does not cost ten times as much', () => {
  const timed = (count: number): number => {
    const methods = Array.from({ length: count }, (_, i) => exact(undefined, `Method${i}`));
    const table = tables(methods).listener(LISTENER)!;
    const asked = request(`POST x.test/a.S/Method${count - 1}`);
    let bestMs = Infinity;
    for (let round = 0; round < 20; round++) {
      const startMs = performance.now();
      for (let i = 0; i < 500; i++) assert.ok(table.find(asked) !== undefined);
      bestMs = Math.min(bestMs, performance.now() - startMs);
    }
    return bestMs;
  };
  timed(20);
  const [few, many] = [timed(20), timed(2_000)];
  assert.ok(many < 10 * few, `${few} ms for 20 methods, ${many} ms for 2,000`);
});
