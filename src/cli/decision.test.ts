import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Plan, PlanRule } from '../ir/plan.ts';
import { CLUSTER, HTTP_LISTENER, HTTP_PORT, HTTPS_LISTENER, HTTPS_PORT } from '../ir/testing/plans.ts';
import { type Ambiguous, type Decision, decide, type Question } from './decision.ts';

function rule(name: string, match: Partial<PlanRule['matches'][number]>, more: Partial<PlanRule> = {}): PlanRule {
  return {
    name: `HTTPRoute/shop/web/${name}`,
    matches: [{ path: { kind: 'prefix', value: '/' }, headers: [], query: [], ...match }],
    filters: [],
    backends: [{ target: { kind: 'cluster', cluster: 'Service/shop/web/80' }, weight: 1, filters: [] }],
    mirrors: [],
    timeouts: {},
    at: { file: 'routes.yaml', line: 7, column: 3 },
    ...more,
  };
}

const HTTP = 'Gateway/shop/edge/http';
const WILD = 'Gateway/shop/edge/wild';
const TLS = 'Gateway/shop/edge/tls';

const PLAN: Plan = {
  version: 'v1',
  ports: { '*:80': HTTP_PORT, '*:443': HTTPS_PORT },
  listeners: {
    [HTTP]: { ...HTTP_LISTENER, hostname: 'shop.test' },
    [WILD]: { ...HTTP_LISTENER, hostname: '*.shop.test' },
    [TLS]: { ...HTTPS_LISTENER, hostname: '*' },
  },
  routes: {
    'HTTPRoute/shop/web': {
      createdMs: 1,
      attach: [
        { listener: HTTP, hosts: ['shop.test'] },
        { listener: TLS, hosts: ['shop.test'] },
      ],
      rules: [
        rule('all', {}),
        rule('cart', { path: { kind: 'prefix', value: '/cart' } }),
        rule('cart-post', { path: { kind: 'prefix', value: '/cart' }, method: 'POST' }),
        rule('cart-next', {
          path: { kind: 'prefix', value: '/cart' },
          headers: [{ name: 'x-version', kind: 'exact', value: '2' }],
        }),
        rule('search', {
          path: { kind: 'exact', value: '/search' },
          query: [{ name: 'lang', kind: 'exact', value: 'de' }],
        }),
        rule(
          'split',
          { path: { kind: 'exact', value: '/split' } },
          {
            backends: [
              { target: { kind: 'cluster', cluster: 'Service/shop/web/80' }, weight: 3, filters: [] },
              {
                target: { kind: 'invalid', code: 'route.backend-invalid', why: 'no such Service' },
                weight: 1,
                filters: [],
              },
            ],
          },
        ),
      ],
    },
  },
  streams: {},
  clusters: { 'Service/shop/web/80': CLUSTER },
};

function ask(question: Partial<Question>, plan = PLAN): Decision {
  const decision = decide(plan, { ...QUESTION, ...question });
  assert.ok(!('ambiguous' in decision));
  return decision;
}

const QUESTION: Question = {
  method: 'GET',
  scheme: 'http',
  authority: 'shop.test',
  port: 80,
  target: '/',
  headers: [],
  listener: undefined,
};

const RULES: [what: string, question: Partial<Question>, want: string][] = [
  ['the catch-all', { target: '/nothing' }, 'all'],
  ['the longer prefix', { target: '/cart/1' }, 'cart'],
  ['the method', { target: '/cart', method: 'POST' }, 'cart-post'],
  ['the header', { target: '/cart', headers: [['X-Version', '2']] }, 'cart-next'],
  ['the query', { target: '/search?lang=de' }, 'search'],
  ['the normal form of the path', { target: '/x/../c%61rt' }, 'cart'],
  ['host in any case and with a port', { authority: 'SHOP.test:80', target: '/cart' }, 'cart'],
  ['TLS', { scheme: 'https', port: 443, target: '/cart' }, 'cart'],
];

for (const [what, question, want] of RULES) {
  test(`decide: chooses by ${what}`, () => {
    const { rule: chosen, candidates } = ask(question);
    assert.equal(chosen?.rule, `HTTPRoute/shop/web/${want}`);
    assert.equal(candidates.filter(({ outcome }) => outcome === 'chosen').length, 1);
    assert.equal(candidates.length, 6);
  });
}

const FAULTS: [what: string, question: Partial<Question>, code: string, status: number][] = [
  ['no rule', { authority: 'a.shop.test' }, 'route.none', 404],
  ['no listener with this hostname', { authority: 'other.test' }, 'route.none', 404],
  ['no listener with this port', { port: 81 }, 'route.none', 404],
  ['another protocol', { scheme: 'https' }, 'route.none', 404],
  ['a path above the root', { target: '/../etc' }, 'request.path-invalid', 400],
  ['a method that is no token', { method: 'G T' }, 'request.malformed', 400],
  ['a header with a line break', { headers: [['a', 'b\r\nc: d\r\n\r\n']] }, 'request.malformed', 400],
  ['a host that is none', { authority: 'a b' }, 'request.host-invalid', 400],
];

for (const [what, question, code, status] of FAULTS) {
  test(`decide: says the fault of ${what}`, () => {
    const { fault, rule: chosen } = ask(question);
    assert.equal(chosen, undefined);
    assert.deepEqual([fault?.code, fault?.status], [code, status]);
  });
}

test('decide: says why each candidate lost', () => {
  const { candidates } = ask({ target: '/cart' });
  const why = Object.fromEntries(candidates.map(({ rule: name, outcome }) => [name.split('/').at(-1), outcome]));
  assert.deepEqual(why, {
    all: 'less-specific',
    cart: 'chosen',
    'cart-post': 'method',
    'cart-next': 'header',
    search: 'path',
    split: 'path',
  });
});

test('decide: says what became of each listener', () => {
  const outcomes = ask({}).listeners.map(({ listener, outcome }) => [listener, outcome]);
  assert.deepEqual(outcomes, [
    [HTTP, 'chosen'],
    [WILD, 'other-hostname'],
    [TLS, 'other-port'],
  ]);
});

test('decide: shares of backends, and why one is broken', () => {
  const backends = ask({ target: '/split' }).rule?.backends.map(({ cluster, share, invalid }) => [
    cluster,
    share,
    invalid,
  ]);
  assert.deepEqual(backends, [
    ['Service/shop/web/80', 0.75, undefined],
    [undefined, 0.25, 'no such Service'],
  ]);
});

const TWICE: Plan = {
  ...PLAN,
  ports: { ...PLAN.ports, '127.0.0.9:80': { ...HTTP_PORT, address: '127.0.0.9' } },
  listeners: { ...PLAN.listeners, 'Gateway/shop/inner/http': { ...HTTP_LISTENER, port: '127.0.0.9:80' } },
};

test('decide: two addresses with one port need a choice', () => {
  assert.deepEqual(decide(TWICE, QUESTION), { ambiguous: [HTTP, 'Gateway/shop/inner/http'] } satisfies Ambiguous);
});

for (const listener of ['edge', 'shop/edge', 'Gateway/shop/edge', HTTP]) {
  test(`decide: --listener ${listener} chooses`, () => {
    const { listeners } = ask({ listener }, TWICE);
    assert.equal(listeners.find(({ outcome }) => outcome === 'chosen')?.listener, HTTP);
  });
}
