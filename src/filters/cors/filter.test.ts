import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Filter, Reply } from '../../filter/filter.ts';
import { linesOf, makeEnv, makeExchange, makeResponse } from '../../filter/testing/exchange.ts';
import { check } from '../../schema/schema.ts';
import { CorsConfig } from './config.ts';
import { code } from './filter.ts';
import { originTest } from './origin.ts';

function make(config: object): Filter {
  const checked = check(CorsConfig, config);
  assert.deepEqual(checked.issues, []);
  return code.make(checked.value!, makeEnv());
}

const MATCH = { matchedPath: '/' };

/** Lines of the answer to a preflight. */
function preflight(config: object, headers: Record<string, string>): string[] {
  const asked = { 'access-control-request-method': 'PUT', ...headers };
  const reply = make(config).onRequest!(makeExchange({ method: 'OPTIONS', headers: asked }), MATCH) as Reply;
  assert.equal(reply.status, 204);
  assert.equal(reply.body, '');
  return reply.headers.map(([name, value]) => `${name.replace('access-control-', '')}: ${value}`);
}

/** Lines of an answer that came from upstream with `before`. */
function answered(config: object, headers: Record<string, string>, before: Record<string, string> = {}): string[] {
  const filter = make(config);
  const x = makeExchange({ headers });
  assert.equal(filter.onRequest!(x, MATCH), undefined);
  const response = makeResponse(200, before);
  filter.onResponse!(x, response);
  return linesOf(response.headers).map((line) => line.replace('access-control-', ''));
}

const SHOP = 'https://shop.test';
const FULL = {
  allowOrigins: [SHOP, 'https://*.bar.test'],
  allowMethods: ['GET', 'PUT'],
  allowHeaders: ['x-1', 'x-2'],
  exposeHeaders: ['x-3', 'x-4'],
  allowCredentials: true,
  maxAge: 3600,
};

const PREFLIGHTS: [rule: string, config: object, headers: Record<string, string>, want: string[]][] = [
  [
    'an allowed origin is told everything',
    FULL,
    { origin: SHOP },
    [
      `allow-origin: ${SHOP}`,
      'allow-credentials: true',
      'allow-methods: GET, PUT',
      'allow-headers: x-1, x-2',
      'expose-headers: x-3, x-4',
      'max-age: 3600',
      'vary: Origin',
    ],
  ],
  [
    'the origin of a wildcard is named',
    { allowOrigins: ['https://*.bar.test'] },
    { origin: 'https://a.b.bar.test' },
    ['allow-origin: https://a.b.bar.test', 'max-age: 5', 'vary: Origin'],
  ],
  ['another origin is told nothing', FULL, { origin: 'https://foobar.test' }, ['vary: Origin']],
  ['no origin is allowed when none is named', {}, { origin: SHOP }, ['vary: Origin']],
  [
    'stars stand for everything without credentials',
    { allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'], exposeHeaders: ['*'] },
    { origin: SHOP, 'access-control-request-headers': 'x-1' },
    ['allow-origin: *', 'allow-methods: *', 'allow-headers: *', 'expose-headers: *', 'max-age: 5'],
  ],
  [
    'stars are spelled out with credentials',
    { allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*'], exposeHeaders: ['*'], allowCredentials: true },
    { origin: SHOP, 'access-control-request-headers': 'x-1, x-2' },
    [
      `allow-origin: ${SHOP}`,
      'allow-credentials: true',
      'max-age: 5',
      'allow-methods: PUT',
      'allow-headers: x-1, x-2',
      'vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
    ],
  ],
  [
    'what is not a list of names is not repeated',
    { allowOrigins: [SHOP], allowMethods: ['*'], allowHeaders: ['*'], allowCredentials: true },
    { origin: SHOP, 'access-control-request-method': 'a b', 'access-control-request-headers': 'x; y="z"' },
    [
      `allow-origin: ${SHOP}`,
      'allow-credentials: true',
      'max-age: 5',
      'vary: Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
    ],
  ],
  [
    'a star among names is a star',
    { allowOrigins: [SHOP], allowMethods: ['GET', '*'] },
    { origin: SHOP },
    [`allow-origin: ${SHOP}`, 'allow-methods: *', 'max-age: 5', 'vary: Origin'],
  ],
];

for (const [rule, config, headers, want] of PREFLIGHTS) {
  test(`cors preflight: ${rule}`, () => assert.deepEqual(preflight(config, headers), want));
}

type Fields = Record<string, string>;
const ANSWERS: [rule: string, config: object, headers: Fields, before: Fields, want: string[]][] = [
  [
    'an allowed origin may read',
    FULL,
    { origin: SHOP },
    { a: '1' },
    ['a: 1', 'vary: Origin', `allow-origin: ${SHOP}`, 'allow-credentials: true', 'expose-headers: x-3, x-4'],
  ],
  ['another origin may not', FULL, { origin: 'https://foobar.test' }, {}, ['vary: Origin']],
  ['a request without origin is not told', FULL, {}, {}, ['vary: Origin']],
  ['any origin, also for a request without', { allowOrigins: ['*'] }, {}, {}, ['allow-origin: *']],
  [
    'the word of the upstream is taken out',
    { allowOrigins: [SHOP] },
    { origin: 'https://evil.test' },
    {
      'Access-Control-Allow-Origin': 'https://evil.test',
      'Access-Control-Allow-Credentials': 'true',
      'Access-Control-Expose-Headers': '*',
    },
    ['vary: Origin'],
  ],
  [
    'the word of the upstream is replaced',
    { allowOrigins: [SHOP] },
    { origin: SHOP },
    { 'access-control-allow-origin': '*' },
    ['vary: Origin', `allow-origin: ${SHOP}`],
  ],
  [
    'Vary is added to',
    { allowOrigins: [SHOP] },
    { origin: SHOP },
    { vary: 'Accept' },
    ['vary: Accept', 'vary: Origin', `allow-origin: ${SHOP}`],
  ],
  [
    'Vary is not repeated',
    { allowOrigins: [SHOP] },
    { origin: SHOP },
    { vary: 'accept, origin' },
    ['vary: accept, origin', `allow-origin: ${SHOP}`],
  ],
  ['Vary of everything is enough', { allowOrigins: [SHOP] }, {}, { vary: '*' }, ['vary: *']],
  [
    'exposing everything is spelled out with credentials',
    { allowOrigins: ['*'], exposeHeaders: ['*'], allowCredentials: true },
    { origin: SHOP },
    { 'X-1': '1', 'Set-Cookie': 'a=1' },
    [
      'x-1: 1',
      'set-cookie: a=1',
      'vary: Origin',
      `allow-origin: ${SHOP}`,
      'allow-credentials: true',
      'expose-headers: x-1, vary',
    ],
  ],
];

for (const [rule, config, headers, before, want] of ANSWERS) {
  test(`cors answer: ${rule}`, () => assert.deepEqual(answered(config, headers, before), want));
}

test('cors: OPTIONS without a method asked for is an ordinary request', () => {
  assert.equal(make(FULL).onRequest!(makeExchange({ method: 'OPTIONS', headers: { origin: SHOP } }), MATCH), undefined);
});

test('cors: two Origin lines are no origin', () => {
  const x = makeExchange({ headers: { origin: [SHOP, SHOP] } });
  const filter = make(FULL);
  filter.onRequest!(x, MATCH);
  const response = makeResponse();
  filter.onResponse!(x, response);
  assert.deepEqual(linesOf(response.headers), ['vary: Origin']);
});

test('cors: the answer is right though another filter takes the Origin out', () => {
  const x = makeExchange({ headers: { origin: SHOP } });
  const filter = make({ allowOrigins: [SHOP] });
  filter.onRequest!(x, MATCH);
  x.request.headers.delete('origin');
  const response = makeResponse();
  filter.onResponse!(x, response);
  assert.equal(response.headers.get('access-control-allow-origin'), SHOP);
});

test('cors: the answer to a preflight is not changed on its way out', () => {
  const x = makeExchange({ method: 'OPTIONS', headers: { origin: SHOP, 'access-control-request-method': 'GET' } });
  const filter = make(FULL);
  const reply = filter.onRequest!(x, MATCH) as Reply;
  const response = makeResponse(204, Object.fromEntries(reply.headers));
  const before = linesOf(response.headers);
  filter.onResponse!(x, response);
  assert.deepEqual(linesOf(response.headers), before);
});

test('cors: what is refused is counted', () => {
  const env = makeEnv();
  const filter = code.make(check(CorsConfig, FULL).value!, env);
  filter.onRequest!(makeExchange({ headers: { origin: 'https://evil.test' } }), MATCH);
  assert.deepEqual([...env.counts], [['origin_refused', 1]]);
});

const ORIGINS: [pattern: string, yes: string[], no: string[]][] = [
  [
    'https://shop.test',
    ['https://shop.test', 'HTTPS://Shop.test'],
    ['http://shop.test', 'https://shop.test:444', 'https://a.shop.test'],
  ],
  ['https://shop.test:8443', ['https://shop.test:8443'], ['https://shop.test']],
  [
    'https://*.bar.test',
    ['https://a.bar.test', 'https://a.b.bar.test'],
    [
      'https://bar.test',
      'https://.bar.test',
      'https://abar.test',
      'https://a.bar.test:8443',
      'https://a.bar.test.evil.test',
      'https://evil.test/.bar.test',
      'https://evil.test:1.bar.test',
      'https://evil.test@a.bar.test',
      'https://a.bar.test, https://b.bar.test',
      'null',
    ],
  ],
  ['https://*.bar.test:8443', ['https://a.bar.test:8443'], ['https://a.bar.test']],
  ['https://*', ['https://a.test'], ['http://a.test', 'https://', 'https://a.test:8443']],
  ['*', ['https://a.test', 'http://b.test:1', 'null'], []],
];

for (const [pattern, yes, no] of ORIGINS) {
  test(`cors: origins of ${pattern}`, () => {
    assert.deepEqual(check(CorsConfig, { allowOrigins: [pattern] }).issues, []);
    const test = originTest([pattern]);
    for (const origin of yes) assert.equal(test(origin), true, origin);
    for (const origin of no) assert.equal(test(origin), false, origin);
  });
}

for (const origin of ['shop.test', 'https://shop.test/', 'https://a.*.test', 'https://*bar.test', '*.test', '']) {
  test(`cors: "${origin}" is refused as an origin`, () => {
    assert.notEqual(check(CorsConfig, { allowOrigins: [origin] }).issues.length, 0);
  });
}
