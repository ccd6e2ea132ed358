import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Fault } from '../../base/fault.ts';
import type { Exchange, Filter } from '../../filter/filter.ts';
import {
  type ExchangeValues,
  linesOf,
  makeEnv,
  makeExchange,
  makeResponse,
  type TestEnv,
} from '../../filter/testing/exchange.ts';
import { clusterTo, Harness, request, routeOf, ruleTo, Upstream } from '../../proxy/testing/node-harness.ts';
import { check } from '../../schema/schema.ts';
import { rateLimit, RateLimitConfig } from './config.ts';
import { code } from './filter.ts';

const MATCH = { matchedPath: '/' };

function checked(config: object): RateLimitConfig {
  const result = check(RateLimitConfig, config);
  assert.deepEqual(result.issues, []);
  return result.value!;
}

function make(config: object, env: TestEnv = makeEnv()): Filter {
  const value = checked(config);
  assert.deepEqual(rateLimit.check(value), []);
  return code.make(value, env);
}

function verdict(filter: Filter, x: Exchange): Fault | undefined {
  return filter.onRequest!(x, MATCH) as Fault | undefined;
}

function ask(filter: Filter, values: ExchangeValues = {}): 'yes' | 'no' {
  return verdict(filter, makeExchange(values)) === undefined ? 'yes' : 'no';
}

type Ask = readonly [afterMs: number, values: ExchangeValues, want: 'yes' | 'no'];
const from = (clientIp: string): ExchangeValues => ({ clientIp });
const tenant = (name: string): ExchangeValues => ({ headers: { 'x-tenant': name } });
const costing = (cost: string): ExchangeValues => ({ headers: { 'x-cost': cost } });
const COST = { units: 10, per: '10s', cost: 'int(request.headers["x-cost"])' };

const ROWS: [rule: string, config: object, asks: readonly Ask[]][] = [
  [
    'a burst at once, then at the rate',
    { limits: [{ requests: 2, per: '2s' }] },
    [
      [0, {}, 'yes'],
      [0, {}, 'yes'],
      [0, {}, 'no'],
      [999, {}, 'no'],
      [1, {}, 'yes'],
      [0, {}, 'no'],
    ],
  ],
  [
    'a burst of its own',
    { limits: [{ requests: 60, per: '1m', burst: 1 }] },
    [
      [0, {}, 'yes'],
      [0, {}, 'no'],
      [1_000, {}, 'yes'],
    ],
  ],
  [
    'each client by itself',
    { limits: [{ requests: 1, per: '1m' }] },
    [
      [0, from('192.0.2.1'), 'yes'],
      [0, from('192.0.2.2'), 'yes'],
      [0, from('192.0.2.1'), 'no'],
    ],
  ],
  [
    'a network of IPv6 is one client',
    { limits: [{ requests: 1, per: '1m' }] },
    [
      [0, from('2001:db8::1'), 'yes'],
      [0, from('2001:db8::ffff:2'), 'no'],
      [0, from('2001:db8:0:1::1'), 'yes'],
    ],
  ],
  [
    'each address of IPv6, if asked for',
    { limits: [{ requests: 1, per: '1m' }], ipv6Prefix: 128 },
    [
      [0, from('2001:db8::1'), 'yes'],
      [0, from('2001:db8::2'), 'yes'],
      [0, from('2001:DB8::2'), 'no'],
    ],
  ],
  [
    'a key of an expression; those without one together',
    { limits: [{ requests: 1, per: '1m', key: 'request.headers["x-tenant"]' }] },
    [
      [0, tenant('a'), 'yes'],
      [0, tenant('b'), 'yes'],
      [0, tenant('a'), 'no'],
      [0, {}, 'yes'],
      [0, from('192.0.2.9'), 'no'],
    ],
  ],
  [
    'only when asked; what cannot be told is limited',
    { limits: [{ requests: 1, per: '1m', when: 'request.headers["x-tenant"] != "free"' }] },
    [
      [0, tenant('free'), 'yes'],
      [0, tenant('free'), 'yes'],
      [0, {}, 'yes'],
      [0, {}, 'no'],
      [0, tenant('a'), 'no'],
    ],
  ],
  [
    'every limit must admit, and none is charged otherwise',
    {
      limits: [
        { requests: 10, per: '10s' },
        { requests: 1, per: '10s', when: 'request.method == "POST"' },
      ],
    },
    [
      [0, { method: 'POST' }, 'yes'],
      ...Array.from({ length: 50 }, (): Ask => [0, { method: 'POST' }, 'no']),
      ...Array.from({ length: 9 }, (): Ask => [0, {}, 'yes']),
      [0, {}, 'no'],
    ],
  ],
  [
    'a cost of each request',
    { limits: [COST] },
    [
      [0, costing('7'), 'yes'],
      [0, costing('4'), 'no'],
      [0, costing('3'), 'yes'],
      [0, costing('0'), 'yes'],
      [0, costing('1'), 'no'],
      [1_000, costing('1'), 'yes'],
    ],
  ],
  [
    'a cost that makes no sense is one',
    { limits: [COST] },
    [
      [0, costing('10'), 'yes'],
      [0, costing('-1000'), 'no'],
      [0, costing('many'), 'no'],
      [0, {}, 'no'],
      [3_000, costing('-1000'), 'yes'],
      [0, costing('many'), 'yes'],
      [0, {}, 'yes'],
      [0, {}, 'no'],
    ],
  ],
  [
    'a cost that can never be had',
    { limits: [COST] },
    [
      [0, costing('11'), 'no'],
      [0, costing('10'), 'yes'],
    ],
  ],
];

for (const [rule, config, asks] of ROWS) {
  test(`rateLimit: ${rule}`, () => {
    const env = makeEnv();
    env.advance(1_000);
    const filter = make(config, env);
    const got = asks.map(([afterMs, values]) => {
      env.advance(afterMs);
      return ask(filter, values);
    });
    assert.deepEqual(
      got,
      asks.map(([, , want]) => want),
    );
  });
}

// --- what is said --------------------------------------------------------------------------------------------------

const TWO = {
  limits: [
    { name: 'burst', requests: 2, per: '1s' },
    { requests: 100, per: '1h' },
  ],
};

test('rateLimit: answers say what is left', () => {
  const env = makeEnv();
  const filter = make(TWO, env);
  const answered = (): string[] => {
    const x = makeExchange();
    verdict(filter, x);
    const response = makeResponse();
    filter.onResponse!(x, response);
    return linesOf(response.headers);
  };
  const policy = 'ratelimit-policy: "burst";q=2;w=1, "100-per-1h";q=100;w=3600';
  assert.deepEqual(answered(), [policy, 'ratelimit: "burst";r=1;t=1, "100-per-1h";r=99;t=36']);
  assert.deepEqual(answered(), [policy, 'ratelimit: "burst";r=0;t=1, "100-per-1h";r=98;t=72']);
  assert.deepEqual(answered(), [policy, 'ratelimit: "burst";r=0;t=1, "100-per-1h";r=98;t=72']);
  env.advance(10_000);
  assert.deepEqual(answered(), [policy, 'ratelimit: "burst";r=1;t=1, "100-per-1h";r=97;t=98']);
});

const HEADERS: [headers: string, admitted: number, refused: number][] = [
  ['all', 2, 2],
  ['refused', 0, 2],
  ['none', 0, 0],
];
for (const [headers, admitted, refused] of HEADERS) {
  test(`rateLimit: headers "${headers}"`, () => {
    const filter = make({ limits: [{ requests: 1, per: '1h' }], headers });
    for (const want of [admitted, refused]) {
      const x = makeExchange();
      verdict(filter, x);
      const response = makeResponse();
      filter.onResponse!(x, response);
      assert.equal(linesOf(response.headers).length, want);
    }
  });
}

test('rateLimit: a refusal says when to come again and which limit it was, and the log nothing of the client', () => {
  const env = makeEnv();
  const filter = make({ limits: [{ name: 'login', requests: 1, per: '1m', key: 'request.headers["x-key"]' }] }, env);
  const values = { headers: { 'x-key': 'planted-secret' } };
  verdict(filter, makeExchange(values));
  env.advance(500);
  const x = makeExchange(values);
  const fault = verdict(filter, x)!;
  assert.equal(fault.kind.status, 429);
  assert.deepEqual(fault.extras, {
    headers: [['retry-after', '60']],
    members: { 'violated-policies': ['login'] },
  });
  assert.match(fault.detail, /^Policy test\/test: "login" for key [0-9a-f]{8}$/);
  assert.doesNotMatch(JSON.stringify([fault, [...x.notes], env.warnings]), /planted-secret/);
  assert.deepEqual([...x.notes], [['rateLimit', 'login']]);
  assert.deepEqual([...env.counts], [['refused', 1]]);
});

test('rateLimit: what can never be let through is not told to come again', () => {
  const fault = verdict(make({ limits: [COST] }), makeExchange(costing('11')))!;
  assert.deepEqual(fault.extras?.headers, []);
});

// --- what counts together ------------------------------------------------------------------------------------------

const PLACES: [rule: string, config: object, other: Partial<TestEnv>, want: 'yes' | 'no'][] = [
  ['another rule of the policy', {}, { rule: 'other' }, 'no'],
  ['another rule, each by itself', { together: 'rule' }, { rule: 'other' }, 'yes'],
  ['another policy', {}, { owner: 'Policy test/other' }, 'yes'],
  ['the same configuration again, or a higher one', { limits: [{ name: 'a', requests: 2, per: '2h' }] }, {}, 'yes'],
  ['the same again', {}, {}, 'no'],
];
for (const [rule, more, other, want] of PLACES) {
  test(`rateLimit: ${rule}`, () => {
    const env = makeEnv();
    const config = { limits: [{ name: 'a', requests: 1, per: '1h' }] };
    assert.equal(ask(make({ ...config, ...('limits' in more ? {} : more) }, env)), 'yes');
    assert.equal(ask(make({ ...config, ...more }, { ...env, ...other })), want);
  });
}

// --- mistakes ------------------------------------------------------------------------------------------------------

const limit = (more: object): object => ({ limits: [{ requests: 1, per: '1s', ...more }] });
const MISTAKES: [rule: string, config: object, pointer: string][] = [
  ['neither requests nor units', { limits: [{ per: '1s' }] }, '/limits/0'],
  ['both', limit({ units: 1 }), '/limits/0'],
  ['a cost of requests', limit({ cost: 2 }), '/limits/0/cost'],
  ['a cost that never fits', { limits: [{ units: 5, per: '1s', cost: 6 }] }, '/limits/0/cost'],
  ['no time', limit({ per: '0s' }), '/limits/0/per'],
  ['too long a time', limit({ per: '721h' }), '/limits/0/per'],
  [
    'two of one name',
    {
      limits: [
        { requests: 1, per: '1s' },
        { requests: 1, per: '1s' },
      ],
    },
    '/limits/1/name',
  ],
  ['a key that is no text', limit({ key: 'request.method == "GET"' }), '/limits/0/key'],
  ['a condition that is none', limit({ when: 'request.method' }), '/limits/0/when'],
  ['an expression that cannot be read', limit({ when: 'request.method ==' }), '/limits/0/when'],
  ['a cost that is no number', { limits: [{ units: 5, per: '1s', cost: 'request.method' }] }, '/limits/0/cost'],
  ['global without its settings', { ...limit({}), scope: 'global' }, '/global'],
  ['its settings without global', { ...limit({}), global: { proxies: 1, maxOvershoot: 10 } }, '/global'],
];
for (const [rule, config, pointer] of MISTAKES) {
  test(`rateLimit: ${rule} is a mistake with its place`, () => {
    assert.deepEqual(
      rateLimit.check(checked(config) as never).map((issue) => issue.pointer),
      [pointer],
    );
  });
}

for (const bad of [{ limits: [] }, { limits: [{ name: 'a"b', requests: 1, per: '1s' }] }, limit({ per: 'a day' })]) {
  test(`rateLimit: ${JSON.stringify(bad)} is refused by the schema`, () => {
    assert.notEqual(check(RateLimitConfig, bad).issues.length, 0);
  });
}

// --- with sockets --------------------------------------------------------------------------------------------------

test('rateLimit: a real client is told, and let through again', async () => {
  await using upstream = await Upstream.start((_, answer) => answer.end('done'));
  await using harness = new Harness([rateLimit]);
  const config = checked({ limits: [{ name: 'few', requests: 3, per: '600ms' }] });
  const filters = [{ filter: 'rateLimit', owner: 'Policy d/sockets', config }];
  await harness.start({ routes: { r: routeOf(ruleTo({ filters })) }, clusters: { c: clusterTo([upstream.port]) } });
  const answers = [];
  for (let i = 0; i < 4; i++) answers.push(await request(harness.port));
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 200, 200, 429],
  );
  const refused = answers[3]!;
  assert.equal(refused.headers['retry-after'], '1');
  assert.equal(refused.headers['ratelimit'], '"few";r=0;t=1');
  assert.equal(refused.headers['ratelimit-policy'], '"few";q=3;w=1');
  const problem = JSON.parse(refused.body) as Record<string, unknown>;
  assert.equal(problem['code'], 'rate-limit.exceeded');
  assert.deepEqual(problem['violated-policies'], ['few']);
  await new Promise((resolve) => setTimeout(resolve, 250));
  assert.equal((await request(harness.port)).status, 200);
});
