import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlanRoute } from '../ir/plan.ts';
import { RouteTables } from './route-table.ts';
import { is, like, LISTENER, match, nameOf, request, route, tablesOf } from './testing/routes.ts';

interface Row {
  readonly rule: string;
  readonly routes: Readonly<Record<string, PlanRoute>>;
  /** Request line (and headers) to the rule that takes it. */
  readonly want: readonly (readonly [line: string, rule: string | undefined, fields?: [string, string][]])[];
}

const ROWS: Row[] = [
  {
    rule: 'a prefix takes whole segments',
    routes: { r: route(['*'], [[match('/a')]]) },
    want: [
      ['GET x.test/a', 'r/0'],
      ['GET x.test/a/', 'r/0'],
      ['GET x.test/a/b', 'r/0'],
      ['GET x.test/ab', undefined],
      ['GET x.test/', undefined],
      ['GET x.test/b/a', undefined],
    ],
  },
  {
    rule: 'a slash at the end of a prefix is ignored',
    routes: { r: route(['*'], [[match('/a/')]]) },
    want: [
      ['GET x.test/a', 'r/0'],
      ['GET x.test/a/b', 'r/0'],
      ['GET x.test/ab', undefined],
    ],
  },
  {
    rule: 'the prefix of the root takes every path',
    routes: { r: route(['*'], [[match('/')]]) },
    want: [
      ['GET x.test/', 'r/0'],
      ['GET x.test/a/b', 'r/0'],
      ['GET x.test//', 'r/0'],
      ['OPTIONS x.test*', undefined],
    ],
  },
  {
    rule: 'an exact path is whole and case-sensitive',
    routes: { r: route(['*'], [[match('=/a')], [match('=/')]]) },
    want: [
      ['GET x.test/a', 'r/0'],
      ['GET x.test/a/', undefined],
      ['GET x.test/A', undefined],
      ['GET x.test/a/b', undefined],
      ['GET x.test/', 'r/1'],
    ],
  },
  {
    rule: 'exact goes before expression, expression before prefix, longer before shorter',
    routes: {
      r: route(
        ['*'],
        [[match('/')], [match('/a/b')], [match('/a')], [match('~/a/b.*')], [match('~/a.*')], [match('=/a/b')]],
      ),
    },
    want: [
      ['GET x.test/a/b', 'r/5'],
      ['GET x.test/a/b/c', 'r/3'],
      ['GET x.test/a/c', 'r/4'],
      ['GET x.test/b', 'r/0'],
    ],
  },
  {
    rule: 'an expression takes the whole path',
    routes: { r: route(['*'], [[match('~/users/[0-9]+')]]) },
    want: [
      ['GET x.test/users/12', 'r/0'],
      ['GET x.test/users/12/', undefined],
      ['GET x.test/x/users/12', undefined],
    ],
  },
  {
    rule: 'paths of routes are compared in normal form',
    routes: { r: route(['*'], [[match('=/%7euser')], [match('/caf%c3%a9')]]) },
    want: [
      ['GET x.test/~user', 'r/0'],
      ['GET x.test/caf%C3%A9/x', 'r/1'],
    ],
  },
  {
    rule: 'empty segments are segments',
    routes: { r: route(['*'], [[match('/a//')], [match('=/a//b')]]) },
    want: [
      ['GET x.test/a/b', undefined],
      ['GET x.test/a/', 'r/0'],
      ['GET x.test/a//c', 'r/0'],
      ['GET x.test/a//b', 'r/1'],
    ],
  },
  {
    rule: 'a prefix gives way to a shorter one when the rest does not match',
    routes: {
      r: route(['*'], [[match('/a/b', { method: 'POST' })], [match('/a', { headers: is('x', '1') })], [match('/')]]),
    },
    want: [
      ['POST x.test/a/b', 'r/0'],
      ['GET x.test/a/b', 'r/1', [['X', '1']]],
      ['GET x.test/a/b', 'r/2'],
    ],
  },
  {
    rule: 'method, then number of headers, then number of query parameters',
    routes: {
      r: route(
        ['*'],
        [
          [match('/')],
          [match('/', { query: is('q', '1') })],
          [match('/', { headers: is('x', '1') })],
          [match('/', { headers: [...is('x', '1'), ...is('y', '1')] })],
          [match('/', { method: 'GET' })],
        ],
      ),
    },
    want: [
      [
        'GET x.test/?q=1',
        'r/4',
        [
          ['x', '1'],
          ['y', '1'],
        ],
      ],
      [
        'PUT x.test/?q=1',
        'r/3',
        [
          ['x', '1'],
          ['y', '1'],
        ],
      ],
      ['PUT x.test/?q=1', 'r/2', [['x', '1']]],
      ['PUT x.test/?q=1', 'r/1'],
      ['PUT x.test/', 'r/0'],
    ],
  },
  {
    rule: 'the older route wins, then the first name, then the first rule',
    routes: {
      'a/young': route(['*'], [[match('/a')]], 2),
      'b/old': route(['*'], [[match('/a')], [match('/a')], [match('/b')]], 1),
      'a/same': route(['*'], [[match('/b')]], 1),
    },
    want: [
      ['GET x.test/a', 'b/old/0'],
      ['GET x.test/b', 'a/same/0'],
    ],
  },
  {
    rule: 'lines of one header are joined with a comma',
    routes: {
      r: route(['*'], [[match('/', { headers: is('x', 'a,b') })], [match('/', { headers: like('x', 'c.*') })]]),
    },
    want: [
      [
        'GET x.test/',
        'r/0',
        [
          ['X', 'a'],
          ['x', 'b'],
        ],
      ],
      [
        'GET x.test/',
        'r/1',
        [
          ['x', 'c'],
          ['x', 'd'],
        ],
      ],
      [
        'GET x.test/',
        undefined,
        [
          ['x', 'a'],
          ['x', 'c'],
        ],
      ],
      ['GET x.test/', undefined, [['x', 'a, b']]],
    ],
  },
  {
    rule: 'header values beyond ASCII are compared as bytes',
    routes: { r: route(['*'], [[match('/', { headers: is('x', 'caf\xe9') })]]) },
    want: [['GET x.test/', 'r/0', [['x', 'caf\xc3\xa9']]]],
  },
  {
    rule: 'the first value of a query parameter counts',
    routes: {
      r: route(['*'], [[match('/', { query: is('q', 'a b') })], [match('/', { query: like('q', '[0-9]+') })]]),
    },
    want: [
      ['GET x.test/?q=a+b', 'r/0'],
      ['GET x.test/?q=12&q=x', 'r/1'],
      ['GET x.test/?q=x&q=12', undefined],
      ['GET x.test/', undefined],
    ],
  },
  {
    rule: 'the most specific host wins, and gives way when none of its rules match',
    routes: {
      any: route(['*'], [[match('/')]]),
      wide: route(['*.test'], [[match('/w')], [match('/b')]]),
      near: route(['*.a.test'], [[match('/n')]]),
      exact: route(['x.a.test'], [[match('/e')]]),
    },
    want: [
      ['GET x.a.test/e', 'exact/0'],
      ['GET x.a.test/n', 'near/0'],
      ['GET x.a.test/w', 'wide/0'],
      ['GET x.a.test/z', 'any/0'],
      ['GET y.a.test/e', 'any/0'],
      ['GET a.test/n', 'any/0'],
      ['GET a.test/b', 'wide/1'],
      ['GET test/b', 'any/0'],
      ['GET deep.down.in.a.test/n', 'near/0'],
    ],
  },
  {
    rule: 'a host of many labels is no more than its labels',
    routes: { r: route(['*.a.test', '*.b.test'], [[match('/')]]) },
    want: [
      [`GET ${'l.'.repeat(100)}a.test/`, 'r/0'],
      [`GET ${'l.'.repeat(100)}c.test/`, undefined],
      ['GET .a.test/', undefined],
    ],
  },
  {
    rule: 'many rules on one path are told apart by a header',
    routes: {
      r: route(
        ['*'],
        [
          ...Array.from({ length: 40 }, (_, i) => [match('/', { headers: is('tenant', `t${i}`) })]),
          [match('/', { headers: like('tenant', 't[0-9]+x') })],
          [match('/', { headers: [...is('tenant', 't7'), ...is('beta', '1')] })],
          [match('/')],
        ],
      ),
    },
    want: [
      ['GET x.test/', 'r/7', [['tenant', 't7']]],
      [
        'GET x.test/',
        'r/41',
        [
          ['tenant', 't7'],
          ['beta', '1'],
        ],
      ],
      ['GET x.test/', 'r/40', [['tenant', 't7x']]],
      ['GET x.test/', 'r/42', [['tenant', 'none']]],
      ['GET x.test/', 'r/42'],
    ],
  },
  {
    rule: 'many expressions on one host are told apart by their first segment',
    routes: {
      r: route(
        ['*'],
        [
          ...Array.from({ length: 40 }, (_, i) => [match(`~/s${i}/[0-9]+`)]),
          [match('~/s[0-9]{1,}/1')],
          [match('~/s7/12?3*')],
        ],
      ),
    },
    want: [
      ['GET x.test/s7/5', 'r/7'],
      ['GET x.test/s7/1', 'r/40'],
      ['GET x.test/s7/12', 'r/7'],
      ['GET x.test/s70/1', 'r/40'],
      ['GET x.test/s7', undefined],
    ],
  },
];

for (const { rule, routes, want } of ROWS) {
  test(`routes: ${rule}`, () => {
    const table = tablesOf(routes).listener(LISTENER)!;
    for (const [line, name, fields] of want) {
      assert.equal(table.find(request(line, fields))?.rule, name, line);
    }
  });
}

test('routes: a hit says what of the path matched', () => {
  const table = tablesOf({ r: route(['*'], [[match('/a/')], [match('=/b')], [match('~/c.*')]]) }).listener(LISTENER)!;
  assert.equal(table.find(request('GET x.test/a/z'))?.matchedPath, '/a/');
  assert.equal(table.find(request('GET x.test/b'))?.matchedPath, '/b');
  assert.equal(table.find(request('GET x.test/cd'))!.matchedPath, undefined);
});

test('routes: an expression that does not compile is a bug that leaves the tables as they are', () => {
  const before = tablesOf({ r: route(['*'], [[match('/')]]) });
  const broken = { set: { s: route(['*'], [[match('~/(')]]) }, remove: ['r'] };
  assert.throws(() => before.with(broken, nameOf), /Cannot compile/);
  assert.equal(before.listener(LISTENER)!.find(request('GET x.test/'))?.rule, 'r/0');
});

test('routes: explain says of every candidate what became of it, in order', () => {
  const tables = tablesOf({
    shop: route(
      ['shop.test'],
      [
        [match('=/cart', { method: 'POST' })],
        [match('~/c.*', { headers: is('beta', '1') })],
        [match('/cart', { query: is('v', '2') }), match('/basket')],
        [match('/')],
      ],
    ),
    wide: route(['*.test'], [[match('/cart')]]),
    other: route(['other.test'], [[match('/')]]),
  });
  const table = tables.listener(LISTENER)!;
  const asked = request('GET shop.test/cart/1');
  const rows = table.explain(asked).map(({ candidate, host, outcome }) => {
    const { kind } = outcome;
    const what = kind === 'less-specific' ? outcome.than.rule : 'name' in outcome ? outcome.name : '';
    return [host, candidate.rule, kind, what].join(' ').trim();
  });
  assert.deepEqual(rows, [
    'shop.test shop/0 path',
    'shop.test shop/1 header beta',
    'shop.test shop/2 path',
    'shop.test shop/2 query v',
    'shop.test shop/3 chosen',
    '*.test wide/0 less-specific shop/3',
    'other.test other/0 host',
  ]);
  assert.equal(table.find(asked)?.rule, 'shop/3');
});

test('routes: a route on two hosts that take the same request is chosen once', () => {
  const table = tablesOf({ r: route(['a.test', '*.test', '*'], [[match('/')]]) }).listener(LISTENER)!;
  const kinds = table.explain(request('GET a.test/')).map(({ host, outcome }) => `${host} ${outcome.kind}`);
  assert.deepEqual(kinds, ['a.test chosen', '*.test less-specific', '* less-specific']);
});

test('routes: a change retires the rules of changed and removed routes only', () => {
  const first = RouteTables.empty<object>().with(
    { set: { a: route(['*'], [[match('/a')], [match('/b')]]), b: route(['*'], [[match('/c')]]) }, remove: [] },
    () => ({}),
  );
  const [a0, a1, b0] = [...first.tables.rules()];
  const second = first.tables.with({ set: { a: route(['*'], [[match('/a')]]) }, remove: ['gone'] }, () => ({}));
  assert.deepEqual(second.retired, [a0, a1]);
  const third = second.tables.with({ set: {}, remove: ['a', 'b'] }, () => ({}));
  assert.ok(third.retired.includes(b0!));
  assert.equal(third.tables.listener(LISTENER), undefined);
  assert.equal([...third.tables.rules()].length, 0);
  assert.equal(second.tables.listener(LISTENER)!.find(request('GET x.test/c'))?.rule, b0);
});

test('routes: hosts that a change does not touch are shared', () => {
  const first = tablesOf({ a: route(['a.test'], [[match('/')]]), b: route(['b.test'], [[match('/')]]) });
  const second = first.with({ set: { a: route(['a.test', 'c.test'], [[match('/x')]]) }, remove: [] }, nameOf).tables;
  const [before, after] = [first.listener(LISTENER)!.hosts, second.listener(LISTENER)!.hosts];
  assert.equal(after.get('b.test'), before.get('b.test'));
  assert.notEqual(after.get('a.test'), before.get('a.test'));
  assert.equal(after.size, 3);
});
