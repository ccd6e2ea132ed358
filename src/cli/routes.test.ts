import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Plan } from '../ir/plan.ts';
import { CLUSTER, HTTP_LISTENER, HTTP_PORT, routeTo } from '../ir/testing/plans.ts';
import { runCommand } from './main.ts';
import { fakeIo } from './testing/fake-io.ts';

const LISTENER = 'Gateway/shop/edge/http';
const ROUTE = routeTo(LISTENER, 'shop.test');
const PLAN: Plan = {
  version: 'abc',
  ports: { '*:80': HTTP_PORT },
  listeners: { [LISTENER]: HTTP_LISTENER },
  routes: {
    'HTTPRoute/shop/web': {
      ...ROUTE,
      rules: [
        {
          ...ROUTE.rules[0]!,
          at: { file: 'routes.yaml', line: 3, column: 1 },
          matches: [
            { path: { kind: 'prefix', value: '/' }, headers: [], query: [] },
            {
              path: { kind: 'regex', value: '/a+' },
              method: 'GET',
              headers: [{ name: 'x', kind: 'exact', value: '1' }],
              query: [{ name: 'q', kind: 'regex', value: '.*' }],
            },
            { path: { kind: 'exact', value: '/a' }, headers: [], query: [] },
          ],
        },
      ],
    },
  },
  streams: {},
  clusters: { 'Service/shop/web/80': CLUSTER },
};

test('routes: one line for each match, best first', async () => {
  const io = fakeIo({ answers: { 'http://127.0.0.1:9900/plan': { status: 200, body: JSON.stringify(PLAN) } } });
  assert.equal(await runCommand(['routes', '--admin', '127.0.0.1:9900'], io), 0);
  const lines = io.outLines.join('\n').split('\n');
  assert.match(lines[0]!, /^LISTENER +PORT +HOST +MATCH +RULE +FILTERS +BACKENDS +AT$/);
  const matches = lines.slice(1).map((line) => line.split(/ {2,}/));
  assert.deepEqual(matches, [
    [LISTENER, '80', 'shop.test', '/a', ...REST],
    [LISTENER, '80', 'shop.test', 'GET ~/a+ x=1 ?q~.*', ...REST],
    [LISTENER, '80', 'shop.test', '/*', ...REST],
  ]);
});

const REST = ['HTTPRoute/shop/web/0', '-', 'Service/shop/web/80', 'routes.yaml:3'];

test('routes: --json has the same rows', async () => {
  const io = fakeIo({ answers: { 'http://127.0.0.1:9900/plan': { status: 200, body: JSON.stringify(PLAN) } } });
  assert.equal(await runCommand(['routes', '--admin', '127.0.0.1:9900', '--json'], io), 0);
  const { plan, routes } = JSON.parse(io.outLines.join('\n')) as { plan: string; routes: unknown[] };
  assert.equal(plan, 'abc');
  assert.equal(routes.length, 3);
  assert.deepEqual(routes[0], {
    listener: LISTENER,
    port: 80,
    host: 'shop.test',
    match: '/a',
    rule: 'HTTPRoute/shop/web/0',
    filters: [],
    backends: [{ cluster: 'Service/shop/web/80', weight: 1 }],
    at: { file: 'routes.yaml', line: 3, column: 1 },
  });
});

test('routes: of two routes below HTTP for one place and of one age, the one that counts comes first', async () => {
  const tcp = (name: string): Plan['streams'][string] => ({
    name: `${name}/0`,
    createdMs: 1,
    attach: [{ listener: 'Gateway/shop/edge/tcp', hosts: ['*'] }],
    backends: [{ cluster: 'Service/shop/web/80', weight: 1 }],
  });
  const plan: Plan = {
    ...PLAN,
    listeners: { 'Gateway/shop/edge/tcp': { ...HTTP_LISTENER, stream: { kind: 'tcp' } } },
    routes: {},
    streams: { 'TCPRoute/shop/b': tcp('TCPRoute/shop/b'), 'TCPRoute/shop/a': tcp('TCPRoute/shop/a') },
  };
  const io = fakeIo({ answers: { 'http://127.0.0.1:9900/plan': { status: 200, body: JSON.stringify(plan) } } });
  assert.equal(await runCommand(['routes', '--admin', '127.0.0.1:9900'], io), 0);
  const rows = io.outLines.join('\n').split('\n').slice(1);
  assert.deepEqual(
    rows.map((row) => row.split(/ {2,}/)),
    ['a', 'b'].map((name) => [
      'Gateway/shop/edge/tcp',
      '80',
      '*',
      'TCP',
      `TCPRoute/shop/${name}/0`,
      '-',
      'Service/shop/web/80',
      '-',
    ]),
  );
});
