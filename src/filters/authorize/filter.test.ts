import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../../base/fault.ts';
import type { Filter, Verdict } from '../../filter/filter.ts';
import { type Consumer, type Identity, identityOf } from '../../filter/identity.ts';
import { type ExchangeValues, makeEnv, makeExchange } from '../../filter/testing/exchange.ts';
import { check } from '../../schema/schema.ts';
import { check as checkMore } from './check.ts';
import { authorize, AuthorizeConfig } from './config.ts';
import { code } from './filter.ts';

function configOf(stated: object): AuthorizeConfig {
  const { value, issues } = check(AuthorizeConfig, stated);
  assert.deepEqual(issues, []);
  return value!;
}

function make(stated: object): Filter {
  const config = configOf(stated);
  assert.deepEqual(checkMore(config), []);
  return code.make(config, makeEnv());
}

const consumer: Consumer = { name: 'app', groups: ['gold', 'beta'], labels: {} };
const ann = identityOf({
  method: 'jwt',
  subject: 'ann',
  scopes: ['read', 'write'],
  claims: { role: 'admin', teams: ['a', 'b'], level: 3, verified: true },
  consumer,
});
const bob = identityOf({ method: 'jwt', subject: 'bob' });
const web = identityOf({ method: 'mtls', subject: 'web', workload: 'spiffe://td/ns/shop/sa/web' });

/** `passes`, or the word of the access log. */
function decide(filter: Filter, values: ExchangeValues): string {
  const x = makeExchange(values);
  const verdict = filter.onRequest!(x, { matchedPath: undefined }) as Verdict;
  if (verdict === undefined) return 'passes';
  assert.ok(verdict instanceof Fault);
  assert.equal(verdict.code, 'authorize.denied');
  assert.equal(verdict.kind.status, 403);
  return x.notes.get('authorize')!;
}

/** `METHOD URL`, or a URL for GET. */
type Asked = readonly [request: string, who: Identity | undefined, want: string];

const ROWS: readonly [rule: string, config: object, ...asked: Asked[]][] = [
  [
    'rules that allow are a list of who may',
    { rules: [{ name: 'read', methods: ['GET', 'HEAD'] }] },
    ['GET http://a.test/', undefined, 'passes'],
    ['HEAD http://a.test/', undefined, 'passes'],
    ['POST http://a.test/', undefined, 'no rule'],
    ['get http://a.test/', undefined, 'no rule'],
  ],
  [
    'rules that deny are a list of what may not be',
    { rules: [{ name: 'no writing', effect: 'deny', methods: ['POST', 'DELETE'] }] },
    ['GET http://a.test/', undefined, 'passes'],
    ['POST http://a.test/', undefined, 'deny no writing'],
    ['delete http://a.test/', undefined, 'deny no writing'],
  ],
  [
    'deny wins wherever it stands',
    { rules: [{ subjects: ['ann'] }, { name: 'd', effect: 'deny', paths: ['/secret'] }, { paths: ['/**'] }] },
    ['http://a.test/open', undefined, 'passes'],
    ['http://a.test/secret', ann, 'deny d'],
  ],
  [
    'a default can be stated',
    { default: 'deny', rules: [{ effect: 'deny', methods: ['POST'] }] },
    ['http://a.test/', undefined, 'no rule'],
    ['POST http://a.test/', undefined, 'deny rule 1'],
  ],
  ['without rules, the default is all', { default: 'deny' }, ['http://a.test/', ann, 'no rule']],
  [
    'everything that a rule says must be so',
    { rules: [{ methods: ['GET'], paths: ['/a'], hosts: ['a.test'], subjects: ['ann'], scopes: ['read'] }] },
    ['http://a.test/a', ann, 'passes'],
    ['PUT http://a.test/a', ann, 'no rule'],
    ['http://a.test/b', ann, 'no rule'],
    ['http://b.test/a', ann, 'no rule'],
    ['http://a.test/a', bob, 'no rule'],
  ],
  [
    'hosts, and names below them',
    { rules: [{ hosts: ['a.test', '*.b.test'] }] },
    ['http://A.test:8080/', undefined, 'passes'],
    ['http://x.y.b.test/', undefined, 'passes'],
    ['http://b.test/', undefined, 'no rule'],
    ['http://evilb.test/', undefined, 'no rule'],
    ['http://a.test.evil.test/', undefined, 'no rule'],
  ],
  [
    'a path without a star is that path',
    { rules: [{ paths: ['/a', '/b/'] }] },
    ['http://a.test/a', undefined, 'passes'],
    ['http://a.test/a?x=/b', undefined, 'passes'],
    ['http://a.test/a/', undefined, 'no rule'],
    ['http://a.test/b', undefined, 'no rule'],
    ['http://a.test/A', undefined, 'no rule'],
    ['http://a.test/a;b', undefined, 'no rule'],
  ],
  [
    'a path with two stars at its end is it and all below',
    { rules: [{ paths: ['/a/**'] }] },
    ['http://a.test/a', undefined, 'passes'],
    ['http://a.test/a/', undefined, 'passes'],
    ['http://a.test/a/b/c', undefined, 'passes'],
    ['http://a.test/ab', undefined, 'no rule'],
    ['http://a.test//a/b', undefined, 'no rule'],
  ],
  [
    'a star is a part of a segment',
    { rules: [{ paths: ['/users/*/keys', '/f/*.json', '/x/**/z'] }] },
    ['http://a.test/users/7/keys', undefined, 'passes'],
    ['http://a.test/users/7/8/keys', undefined, 'no rule'],
    ['http://a.test/f/a.json', undefined, 'passes'],
    ['http://a.test/f/a%2Fb.json', undefined, 'passes'],
    ['http://a.test/f/ajson', undefined, 'no rule'],
    ['http://a.test/x/z', undefined, 'passes'],
    ['http://a.test/x/y/y/z', undefined, 'passes'],
    ['http://a.test/x/yz', undefined, 'no rule'],
  ],
  [
    'consumers and groups',
    { rules: [{ consumers: ['app', 'other'], groups: ['silver', 'gold'] }] },
    ['http://a.test/', ann, 'passes'],
    ['http://a.test/', bob, 'no rule'],
    ['http://a.test/', undefined, 'no rule'],
  ],
  [
    'any consumer, any subject',
    {
      rules: [
        { consumers: ['*'], methods: ['GET'] },
        { subjects: ['*'], methods: ['PUT'] },
      ],
    },
    ['GET http://a.test/', ann, 'passes'],
    ['GET http://a.test/', bob, 'no rule'],
    ['PUT http://a.test/', bob, 'passes'],
    ['PUT http://a.test/', undefined, 'no rule'],
  ],
  [
    'workloads',
    { rules: [{ workloads: ['spiffe://td/ns/shop/*'] }] },
    ['http://a.test/', web, 'passes'],
    [
      'http://a.test/',
      identityOf({ method: 'mtls', subject: 'x', workload: 'spiffe://td/ns/shop2/sa/web' }),
      'no rule',
    ],
    ['http://a.test/', ann, 'no rule'],
  ],
  [
    'all scopes are needed',
    {
      rules: [
        { scopes: ['read', 'write'], methods: ['GET'] },
        { scopes: ['read', 'admin'], methods: ['PUT'] },
      ],
    },
    ['GET http://a.test/', ann, 'passes'],
    ['PUT http://a.test/', ann, 'no rule'],
  ],
  [
    'a claim is one of some values, or holds one',
    { rules: [{ claims: { role: ['ops', 'admin'], teams: ['b', 'c'], level: [3], verified: [true] } }] },
    ['http://a.test/', ann, 'passes'],
    ['http://a.test/', bob, 'no rule'],
  ],
  [
    'a claim of another type is another claim',
    { rules: [{ claims: { level: ['3'] } }, { claims: { verified: ['true'] } }, { claims: { toString: ['x'] } }] },
    ['http://a.test/', ann, 'no rule'],
  ],
  [
    'an expression',
    { rules: [{ methods: ['GET'], when: 'identity.claims.level >= 3 && request.headers["x-a"] == "1"' }] },
    ['http://a.test/', ann, 'passes'],
    ['POST http://a.test/', ann, 'no rule'],
    ['http://a.test/', bob, 'no rule'],
    ['http://a.test/', undefined, 'no rule'],
  ],
  [
    'an expression without a value denies where it is to deny',
    { rules: [{ name: 'd', effect: 'deny', paths: ['/a'], when: 'identity.claims.role != "admin"' }] },
    ['http://a.test/a', ann, 'passes'],
    ['http://a.test/a', bob, 'undecided d'],
    ['http://a.test/a', undefined, 'undecided d'],
    ['http://a.test/b', undefined, 'passes'],
  ],
];

for (const [rule, config, ...asked] of ROWS) {
  test(`authorize: ${rule}`, () => {
    const filter = make(config);
    for (const [request, identity, want] of asked) {
      const [url, method = 'GET'] = request.split(' ').toReversed() as [string, string?];
      const values = { url, method, headers: { 'x-a': '1' }, ...(identity !== undefined && { identity }) };
      assert.equal(decide(filter, values), want, request);
    }
  });
}

test('authorize: the answer names the rule only where it may', () => {
  const rules = [{ name: 'closed', effect: 'deny', methods: ['GET'] }];
  const members = (config: object): unknown =>
    (make(config).onRequest!(makeExchange(), { matchedPath: undefined }) as Fault).extras?.members;
  assert.equal(members({ rules }), undefined);
  assert.deepEqual(members({ rules, reveal: true }), { rule: 'closed' });
});

test('authorize: counts what it refuses, by why', () => {
  const env = makeEnv();
  const rules = [
    { effect: 'deny', methods: ['PUT'] },
    { effect: 'deny', methods: ['PATCH'], when: 'identity.subject == "x"' },
    { effect: 'allow', methods: ['GET'] },
  ];
  const filter = code.make(configOf({ rules }), env);
  for (const method of ['GET', 'PUT', 'PATCH', 'POST', 'POST']) {
    filter.onRequest!(makeExchange({ method }), { matchedPath: undefined });
  }
  assert.deepEqual(Object.fromEntries(env.counts), { denied: 1, undecided: 1, not_allowed: 2 });
});

const WRONG: readonly [rule: string, config: object, pointer: string, message: RegExp][] = [
  ['nothing is said', {}, '', /without effect: set rules or default/],
  ['a rule has no condition', { rules: [{ effect: 'deny' }] }, '/rules/0', /without a condition.*"default: deny"/],
  ['a rule has no effect', { default: 'allow', rules: [{ methods: ['GET'] }] }, '/rules/0', /without effect/],
  [
    'a name is there twice',
    {
      rules: [
        { name: 'a', methods: ['GET'] },
        { name: 'a', methods: ['PUT'] },
      ],
    },
    '/rules/1/name',
    /that of rule 1/,
  ],
  [
    'an expression is none',
    { rules: [{ methods: ['GET'] }, { when: 'request.verb == "a"' }] },
    '/rules/1/when',
    /No such key: verb/,
  ],
  ['an expression is no condition', { rules: [{ when: 'request.method' }] }, '/rules/0/when', /of type string/],
  [
    'a path is not in normal form',
    { rules: [{ paths: ['/a/../%61'] }] },
    '/rules/0/paths/0',
    /normal form, "\/a", got/,
  ],
  [
    'a path is refused by listeners',
    { rules: [{ paths: ['/a/..;/b'] }] },
    '/rules/0/paths/0',
    /requests with it are refused/,
  ],
  [
    'two stars are in a segment',
    { rules: [{ paths: ['/ok', '/a**'] }] },
    '/rules/0/paths/1',
    /"\*\*" as a whole segment/,
  ],
];

for (const [rule, config, pointer, message] of WRONG) {
  test(`authorize: refuses a configuration where ${rule}`, () => {
    const [issue, ...more] = checkMore(configOf(config));
    assert.deepEqual(more, []);
    assert.equal(issue?.pointer, pointer);
    assert.match(issue.message, message);
  });
}

const UNSCHEMATIC: readonly [rule: string, stated: object][] = [
  ['a method in small letters', { methods: ['get'] }],
  ['a path without a slash', { paths: ['a'] }],
  ['a workload that ends inside a name', { workloads: ['spiffe://td*'] }],
  ['a workload that ends inside a segment', { workloads: ['spiffe://td/ns/a*'] }],
  ['a workload of another scheme', { workloads: ['https://td/a'] }],
  ['a star in the middle of a name', { subjects: ['a*b'] }],
  ['an empty list', { groups: [] }],
  ['a host with a port', { hosts: ['a.test:80'] }],
];

for (const [rule, stated] of UNSCHEMATIC) {
  test(`authorize: the schema refuses ${rule}`, () => {
    assert.notDeepEqual(check(AuthorizeConfig, { rules: [stated] }).issues, []);
  });
}

test('authorize: explains its rules', () => {
  const rules = [
    {
      name: 'staff',
      methods: ['GET'],
      paths: ['/admin/**'],
      groups: ['staff'],
      when: 'source.address.inCidr("10.0.0.0/8")',
    },
    { effect: 'deny', claims: { role: ['guest'] } },
  ];
  assert.deepEqual(authorize.explain(configOf({ rules })), [
    'allow "staff": methods GET; paths /admin/**; groups staff; when source.address.inCidr("10.0.0.0/8")',
    'deny "rule 2": claim role guest',
    'deny what no rule matches',
  ]);
});

const CERTIFICATE = { subject: '', commonName: '', dns: [], fingerprint: '', der: Buffer.alloc(0) };

const CALLERS: [rule: string, uri: readonly string[], identity: Identity | undefined, want: string][] = [
  ['the workload of the connection', ['spiffe://td/ns/shop/sa/web'], undefined, 'passes'],
  ['besides a user', ['spiffe://td/ns/shop/sa/web'], ann, 'passes'],
  ['another workload', ['spiffe://td/ns/bank/sa/web'], undefined, 'no rule'],
  ['two that could be meant', ['spiffe://td/ns/shop/sa/web', 'spiffe://td/ns/a/sa/a'], undefined, 'no rule'],
  ['none', [], undefined, 'no rule'],
];

for (const [rule, uri, identity, want] of CALLERS) {
  test(`authorize: workloads: ${rule}`, () => {
    const filter = make({ rules: [{ workloads: ['spiffe://td/ns/shop/*'] }] });
    const client = { clientCertificate: { ...CERTIFICATE, uri } };
    assert.equal(decide(filter, { client, ...(identity !== undefined && { identity }) }), want);
  });
}
