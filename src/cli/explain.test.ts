import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ApiKeyConfig } from '../filters/api-key/config.ts';
import { AuthorizeConfig } from '../filters/authorize/config.ts';
import type { Plan, PlanFilter } from '../ir/plan.ts';
import { CLUSTER, HTTP_LISTENER, HTTP_PORT, routeTo } from '../ir/testing/plans.ts';
import type { Decision } from './decision.ts';
import { runCommand } from './main.ts';
import { check } from '../schema/schema.ts';
import { fakeIo } from './testing/fake-io.ts';

const LISTENER = 'Gateway/shop/edge/http';
const PLAN: Plan = {
  version: 'abc',
  ports: { '*:80': HTTP_PORT },
  listeners: { [LISTENER]: HTTP_LISTENER },
  routes: { 'HTTPRoute/shop/web': routeTo(LISTENER, 'shop.test') },
  streams: {},
  clusters: { 'Service/shop/web/80': CLUSTER },
};
const ANSWERS = { 'http://127.0.0.1:9900/plan': { status: 200, body: JSON.stringify(PLAN) } };

test('explain: prints the tree from listener to endpoint', async () => {
  const io = fakeIo({ answers: ANSWERS });
  assert.equal(await runCommand(['explain', 'GET', 'http://shop.test/a/./b?x=1'], io), 0);
  const text = io.outLines.join('\n');
  for (const line of [
    /^GET http:\/\/shop\.test\/a\/\.\/b\?x=1$/m,
    /^listener {2}Gateway\/shop\/edge\/http \(hostname \*, port 80\)$/m,
    /^path {6}\/a\/b {2}\(written \/a\/\.\/b\)$/m,
    /^ {2}\+ HTTPRoute\/shop\/web\/0 \[shop\.test \/\*\] takes the request/m,
    /^backend {3}Service\/shop\/web\/80 gets 100% \(weight 1\)$/m,
    /^ {2}endpoint 127\.0\.0\.1:8080 gets 100%$/m,
  ]) {
    assert.match(text, line);
  }
});

test('explain: says what a policy on the route says of tunnels', async () => {
  const route = routeTo(LISTENER, 'shop.test');
  const routes = {
    'HTTPRoute/shop/web': { ...route, rules: [{ ...route.rules[0]!, tunnel: { idleMs: 90_000, maxMs: 0 } }] },
  };
  const answer = { status: 200, body: JSON.stringify({ ...PLAN, routes }) };
  const io = fakeIo({ answers: { 'http://127.0.0.1:9900/plan': answer } });
  assert.equal(await runCommand(['explain', 'GET', 'http://shop.test/'], io), 0);
  const text = io.outLines.join('\n');
  assert.match(text, /^ {2}tunnel {2}ends after 90000 ms of silence\n {2}tunnel {2}may last for ever$/m);
});

test('explain: says what filters do, in the words of each, and how the policy has them act', async () => {
  const route = routeTo(LISTENER, 'shop.test');
  const filters: PlanFilter[] = [
    { filter: 'apiKey', config: check(ApiKeyConfig, {}).value, owner: 'Policy shop/who', alternative: 'shop/who' },
    {
      filter: 'authorize',
      config: check(AuthorizeConfig, { rules: [{ name: 'read', methods: ['GET'] }] }).value,
      owner: 'Policy shop/what',
      audit: true,
    },
    { filter: 'unheard-of', config: { a: 1 }, owner: 'Policy shop/new' },
  ];
  const routes = { 'HTTPRoute/shop/web': { ...route, rules: [{ ...route.rules[0]!, filters }] } };
  const answer = { status: 200, body: JSON.stringify({ ...PLAN, routes }) };
  const io = fakeIo({ answers: { 'http://127.0.0.1:9900/plan': answer } });
  assert.equal(await runCommand(['explain', 'GET', 'http://shop.test/'], io), 0);
  const lines = io.outLines.join('\n').split('\n');
  const from = lines.findIndex((line) => line.startsWith('  filter'));
  assert.deepEqual(
    lines.slice(from, from + 6).map((line) => line.replace(/ \([^)]*\)$/, '')),
    [
      '  filter  apiKey of Policy shop/who, one of several',
      '            key from header x-api-key',
      '  filter  authorize of Policy shop/what, audit only',
      '            allow "read": methods GET',
      '            deny what no rule matches',
      '  filter  unheard-of {"a":1} of Policy shop/new',
    ],
  );
});

test('explain: a request that no rule takes ends with 1', async () => {
  const io = fakeIo({ answers: ANSWERS });
  assert.equal(await runCommand(['explain', 'GET', 'http://other.test/', '--json'], io), 1);
  const decision = JSON.parse(io.outLines.join('\n')) as Decision;
  assert.equal(decision.fault?.code, 'route.none');
  assert.deepEqual(
    decision.candidates.map(({ outcome }) => outcome),
    ['host'],
  );
});

const URLS: [what: string, argv: string[], host: string, port: number, target: string][] = [
  ['a URL without scheme', ['shop.test/a'], 'shop.test', 80, '/a'],
  ['a URL without path', ['http://shop.test'], 'shop.test', 80, '/'],
  ['a URL with a query only', ['http://shop.test?a=1'], 'shop.test', 80, '/?a=1'],
  ['a path with a Host header', ['/a', '-H', 'Host: shop.test'], 'shop.test', 80, '/a'],
  ['a Host header beside an address', ['http://127.0.0.1:80/a', '-H', 'host: shop.test'], 'shop.test', 80, '/a'],
  ['dot segments as written', ['http://shop.test/a/../b'], 'shop.test', 80, '/a/../b'],
];

for (const [what, argv, host, port, target] of URLS) {
  test(`explain: reads ${what}`, async () => {
    const io = fakeIo({ answers: ANSWERS });
    assert.equal(await runCommand(['explain', 'GET', ...argv, '--json'], io), 0);
    const { request } = JSON.parse(io.outLines.join('\n')) as Decision;
    assert.deepEqual([request.host, request.port, request.target], [host, port, target]);
  });
}

const WRONG: [what: string, argv: string[], exit: number, want: RegExp][] = [
  ['no URL', ['GET'], 2, /Name a method and a URL/],
  ['a third word', ['GET', 'http://a/', 'b'], 2, /Unexpected argument "b"/],
  ['another scheme', ['GET', 'ftp://shop.test/'], 2, /The URL is "ftp:\/\/shop.test\/"/],
  ['a path without Host', ['GET', '/a'], 2, /must be like http:\/\/shop.test\/path/],
  ['a header without colon', ['GET', 'http://a/', '-H', 'x'], 2, /Option -H is "x": must be 'NAME: VALUE'/],
  ['both sources', ['GET', 'http://a/', '--config', 'x', '--admin', '127.0.0.1:1'], 2, /Name either a file or folder/],
  [
    'an admin API that is not there',
    ['GET', 'http://a/', '--admin', '[::1]:1'],
    1,
    /Cannot reach http:\/\/\[::1\]:1\/plan: connection refused/,
  ],
];

for (const [what, argv, exit, want] of WRONG) {
  test(`explain: refuses ${what}`, async () => {
    const io = fakeIo({ answers: ANSWERS });
    assert.equal(await runCommand(['explain', ...argv], io), exit);
    assert.match(io.errLines.join('\n'), want);
  });
}

test('explain: something else than the admin API is told apart', async () => {
  const io = fakeIo({ answers: { 'http://127.0.0.1:9900/plan': { status: 200, body: '<html>' } } });
  assert.equal(await runCommand(['explain', 'GET', 'http://a/', '--json'], io), 1);
  assert.match(io.outLines.join('\n'), /^\{"error":"Cannot read .*not as the admin API/);
});
