import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { test } from 'node:test';
import type { Fault } from '../../base/fault.ts';
import type { Env } from '../../filter/env.ts';
import type { Exchange, Filter } from '../../filter/filter.ts';
import { makeEnv, makeExchange } from '../../filter/testing/exchange.ts';
import { clusterTo, Harness, request, routeOf, ruleTo, Upstream } from '../../proxy/testing/node-harness.ts';
import { check } from '../../schema/schema.ts';
import { concurrency, ConcurrencyConfig } from './config.ts';
import { code } from './filter.ts';

const MATCH = { matchedPath: '/' };

function make(config: object, env: Env = makeEnv()): Filter {
  const checked = check(ConcurrencyConfig, config);
  assert.deepEqual(checked.issues, []);
  assert.deepEqual(concurrency.check(checked.value!), []);
  return code.make(checked.value!, env);
}

function ask(filter: Filter, x: Exchange): string {
  const said = filter.onRequest!(x, MATCH);
  return said === undefined ? 'in' : (said as Fault).code;
}

test('concurrency: as many as allowed, and one more for each that ends, once', () => {
  const env = makeEnv();
  const filter = make({ max: 2 }, env);
  const [a, b, c, d] = [makeExchange(), makeExchange(), makeExchange(), makeExchange()];
  assert.deepEqual(
    [a, b, c].map((x) => ask(filter, x!)),
    ['in', 'in', 'concurrency.exceeded'],
  );
  filter.onEnd!(c!);
  assert.equal(ask(filter, d!), 'concurrency.exceeded');
  filter.onEnd!(a!);
  filter.onEnd!(a!);
  assert.equal(ask(filter, makeExchange()), 'in');
  assert.equal(ask(filter, makeExchange()), 'concurrency.exceeded');
  assert.equal(env.counts.get('refused'), 3);
});

const KEYS: [rule: string, config: object, xs: [host: string, tenant: string | undefined][], want: string[]][] = [
  [
    'each key by itself',
    { max: 1, key: 'request.headers["x-tenant"]' },
    [
      ['a.test', '1'],
      ['a.test', '2'],
      ['a.test', '1'],
    ],
    ['in', 'in', 'concurrency.exceeded'],
  ],
  [
    'those without a value together',
    { max: 1, key: 'request.headers["x-tenant"]' },
    [
      ['a.test', undefined],
      ['a.test', '1'],
      ['b.test', undefined],
    ],
    ['in', 'in', 'concurrency.exceeded'],
  ],
  [
    'all together without a key',
    { max: 2 },
    [
      ['a.test', '1'],
      ['b.test', '2'],
      ['c.test', '3'],
    ],
    ['in', 'in', 'concurrency.exceeded'],
  ],
];

for (const [rule, config, xs, want] of KEYS) {
  test(`concurrency: ${rule}`, () => {
    const filter = make(config);
    const got = xs.map(([host, tenant]) =>
      ask(
        filter,
        makeExchange({ url: `http://${host}/`, headers: tenant === undefined ? {} : { 'x-tenant': tenant } }),
      ),
    );
    assert.deepEqual(got, want);
  });
}

const PLACES: [together: string, want: string][] = [
  ['rule', 'in'],
  ['policy', 'concurrency.exceeded'],
];
for (const [together, want] of PLACES) {
  test(`concurrency: requests of two rules count by ${together}`, () => {
    const env = makeEnv();
    const [one, two] = ['1', '2'].map((rule) => make({ max: 1, together }, { ...env, rule }));
    assert.equal(ask(one!, makeExchange()), 'in');
    assert.equal(ask(two!, makeExchange()), want);
    assert.equal(ask(two!, makeExchange()), 'concurrency.exceeded');
    const other = make({ max: 1, together }, { ...env, owner: 'Policy test/other' });
    assert.equal(ask(other, makeExchange()), 'in');
  });
}

test('concurrency: a new configuration goes on with what is at work', () => {
  const env = makeEnv();
  const before = make({ max: 1 }, env);
  const x = makeExchange();
  assert.equal(ask(before, x), 'in');
  const after = make({ max: 2 }, env);
  assert.equal(ask(after, makeExchange()), 'in');
  assert.equal(ask(after, makeExchange()), 'concurrency.exceeded');
  before.onEnd!(x);
  assert.equal(ask(after, makeExchange()), 'in');
});

for (const [retryAfter, want] of [
  ['1s', '1'],
  ['1500ms', '2'],
  ['0s', undefined],
] as const) {
  test(`concurrency: Retry-After of ${retryAfter}`, () => {
    const filter = make({ max: 1, retryAfter });
    ask(filter, makeExchange());
    const said = filter.onRequest!(makeExchange(), MATCH) as Fault;
    assert.equal(said.kind.status, 503);
    assert.equal(said.extras?.headers?.find(([name]) => name === 'retry-after')?.[1], want);
  });
}

test('concurrency: an expression that does not fit is a mistake with its place', () => {
  const [issue] = concurrency.check({ max: 1, key: 'request.nothing', together: 'rule', retryAfter: '1s' } as never);
  assert.equal(issue?.pointer, '/key');
});

test('concurrency: whatever ends a request, it is not at work any more', async () => {
  const held = Promise.withResolvers<http.ServerResponse>();
  await using upstream = await Upstream.start((incoming, answer) => {
    if (incoming.url === '/hold') held.resolve(answer);
    else if (incoming.url === '/cut') answer.socket!.destroy();
    else answer.end('done');
  });
  await using harness = new Harness([concurrency]);
  const filters = [
    { filter: 'concurrency', owner: 'Policy d/ends', config: { max: 1, together: 'rule', retryAfter: '1s' } },
  ];
  await harness.start({ routes: { r: routeOf(ruleTo({ filters })) }, clusters: { c: clusterTo([upstream.port]) } });
  const { port } = harness;

  // A client that goes away while its request is at work.
  const gone = http.get({ host: '127.0.0.1', port, path: '/hold', agent: false });
  gone.on('error', () => undefined);
  const answer = await held.promise;
  const refused = await request(port, { path: '/' });
  assert.equal(refused.status, 503);
  assert.equal(refused.headers['retry-after'], '1');
  const closed = once(answer, 'close');
  gone.destroy();
  await closed;

  for (const [path, status] of [
    ['/', 200],
    ['/cut', 502],
    ['/', 200],
    ['/', 200],
  ] as const) {
    assert.equal((await request(port, { path })).status, status, path);
  }
});
