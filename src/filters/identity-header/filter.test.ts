import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { test } from 'node:test';
import { calculateJwkThumbprint, createLocalJWKSet, type JSONWebKeySet, jwtVerify } from 'jose';
import { Fault } from '../../base/fault.ts';
import type { Filter, Reply } from '../../filter/filter.ts';
import { type Identity, identityOf, mergeIdentities } from '../../filter/identity.ts';
import {
  type ExchangeValues,
  linesOf,
  makeEnv,
  makeExchange,
  TEST_WALL_MS,
  type TestEnv,
} from '../../filter/testing/exchange.ts';
import { check as checkSchema } from '../../schema/schema.ts';
import { check } from './check.ts';
import { IdentityHeaderConfig } from './config.ts';
import { code } from './filter.ts';

const EC = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
  format: 'pem',
  type: 'pkcs8',
}) as string;
const ED = generateKeyPairSync('ed25519').privateKey.export({ format: 'pem', type: 'pkcs8' }) as string;
const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({
  format: 'pem',
  type: 'pkcs8',
}) as string;
const SHORT = generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey.export({
  format: 'pem',
  type: 'pkcs8',
}) as string;
const P384 = generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey.export({
  format: 'pem',
  type: 'pkcs8',
}) as string;

const TOKEN = { key: { name: 'signing', key: 'pem' }, issuer: 'https://edge.test', audience: ['orders'] };
const MATCH = { matchedPath: '/' };

const ALICE = identityOf({
  method: 'jwt',
  subject: 'alice',
  issuer: 'https://id.test',
  consumer: { name: 'acme', groups: ['gold'], labels: {} },
  claims: { email: 'alice@shop.test', secret: 'hidden' },
  scopes: ['read', 'write'],
  workload: 'spiffe://shop.test/a',
});

function make(config: object, pem: string = EC): { filter: Filter; env: TestEnv } {
  const checked = checkSchema(IdentityHeaderConfig, config);
  assert.deepEqual(checked.issues, []);
  assert.deepEqual(check(checked.value!), []);
  const env = makeEnv({ secret: () => pem });
  return { filter: code.make(checked.value!, env), env };
}

async function sent(filter: Filter, identity: Identity | undefined, values: ExchangeValues = {}): Promise<string[]> {
  const x = makeExchange({ ...values, ...(identity !== undefined && { identity }) });
  assert.equal(await filter.onRequest!(x, MATCH), undefined);
  return linesOf(x.request.headers);
}

async function tokenOf(filter: Filter, identity: Identity): Promise<string> {
  const [line] = await sent(filter, identity);
  return line!.slice('x-identity: '.length);
}

for (const [alg, pem] of [
  ['ES256', EC],
  ['EdDSA', ED],
  ['RS256', RSA],
] as const) {
  test(`identityHeader: a token by ${alg}, which upstreams can check with the key set`, async () => {
    const { filter } = make({ token: { ...TOKEN, jwksPath: '/keys', claims: ['email', 'absent'] } }, pem);
    const reply = filter.onRequest!(makeExchange({ url: 'http://shop.test/keys' }), MATCH) as Reply;
    const set = JSON.parse(reply.body as string) as JSONWebKeySet;
    assert.ok(!('d' in set.keys[0]!));
    const { payload, protectedHeader } = await jwtVerify(await tokenOf(filter, ALICE), createLocalJWKSet(set), {
      issuer: 'https://edge.test',
      audience: 'orders',
      currentDate: new Date(TEST_WALL_MS),
    });
    const publicJwk = createPublicKey(pem).export({ format: 'jwk' });
    assert.deepEqual(protectedHeader, { alg, kid: await calculateJwkThumbprint(publicJwk as never), typ: 'JWT' });
    assert.deepEqual(payload, {
      iss: 'https://edge.test',
      aud: ['orders'],
      sub: 'alice',
      sub_iss: 'https://id.test',
      methods: ['jwt'],
      consumer: 'acme',
      groups: ['gold'],
      scope: 'read write',
      workload: 'spiffe://shop.test/a',
      claims: { email: 'alice@shop.test' },
      iat: TEST_WALL_MS / 1000,
      exp: TEST_WALL_MS / 1000 + 60,
    });
  });
}

test('identityHeader: one signature for all requests of an identity, until a quarter of its life is left', async () => {
  const { filter, env } = make({ token: TOKEN });
  const first = await Promise.all([tokenOf(filter, ALICE), tokenOf(filter, ALICE)]);
  assert.equal(first[0], first[1]);
  const again = makeExchange({ identity: ALICE });
  assert.equal(filter.onRequest!(again, MATCH), undefined, 'in the same turn');
  assert.equal(again.request.headers.get('x-identity'), first[0]);
  assert.equal(
    await tokenOf(filter, identityOf({ ...ALICE, method: 'jwt' })),
    first[0],
    'another object, the same facts',
  );
  env.advance(44_999);
  assert.equal(await tokenOf(filter, ALICE), first[0]);
  env.advance(1);
  assert.notEqual(await tokenOf(filter, ALICE), first[0]);
  assert.equal(env.counts.get('signed'), 2);
});

test('identityHeader: nobody gets the token of somebody else', async () => {
  const { filter } = make({ token: TOKEN });
  const others: Identity[] = [
    ALICE,
    identityOf({ ...ALICE, method: 'jwt', subject: 'bob' }),
    identityOf({ ...ALICE, method: 'jwt', issuer: 'https://other.test' }),
    identityOf({ ...ALICE, method: 'apiKey' }),
    identityOf({ ...ALICE, method: 'jwt', scopes: ['read'] }),
    identityOf({ ...ALICE, method: 'jwt', consumer: undefined }),
    mergeIdentities(ALICE, identityOf({ method: 'mtls', subject: 'x' })),
  ];
  const tokens = await Promise.all(others.map((identity) => tokenOf(filter, identity)));
  assert.equal(new Set(tokens).size, others.length);
});

const FORGED = { 'X-Identity': 'forged', x_identity: 'forged', 'x-user': 'root', X_User: 'root', a: '1' };

test('identityHeader: what clients send is taken out, in every spelling, also where nobody is known', async () => {
  const { filter } = make({ token: TOKEN, headers: [{ name: 'x-user', value: 'identity.subject' }] });
  assert.deepEqual(await sent(filter, undefined, { headers: FORGED }), ['a: 1']);
  const [a, user, token, ...others] = await sent(filter, ALICE, { headers: FORGED });
  assert.deepEqual([a, user, others], ['a: 1', 'x-user: alice', []]);
  assert.match(token!, /^x-identity: [\w-]+\.[\w-]+\.[\w-]+$/);
});

const PLAIN: [rule: string, subject: string, want: string[]][] = [
  ['text', 'alice', ['x-user: alice']],
  ['other letters as UTF-8', 'Zoë', [`x-user: ${Buffer.from('Zoë').toString('latin1')}`]],
  ['a line end', 'a\r\nx-admin: 1', []],
  ['a NUL', 'a\0', []],
  ['a long text', 'a'.repeat(4097), []],
  ['an empty text', '', []],
];

for (const [rule, subject, want] of PLAIN) {
  test(`identityHeader: a plain header of ${rule}`, async () => {
    const { filter } = make({ headers: [{ name: 'x-user', value: 'identity.subject' }] });
    assert.deepEqual(await sent(filter, identityOf({ method: 'jwt', subject })), want);
  });
}

test('identityHeader: a token that no head can hold fails the request', async () => {
  const { filter } = make({ token: TOKEN });
  const groups = Array.from({ length: 900 }, (_, i) => `group-${i}`);
  const identity = identityOf({ ...ALICE, method: 'jwt', consumer: { name: 'a', groups, labels: {} } });
  const fault = await filter.onRequest!(makeExchange({ identity }), MATCH);
  assert.ok(fault instanceof Fault);
  assert.equal(fault.code, 'identity-header.too-large');
});

test('identityHeader: the key set holds the keys of a rotation, and is only for GET at its path', () => {
  const pems: Record<string, string> = { now: EC, next: ED };
  const { value } = checkSchema(IdentityHeaderConfig, {
    token: { ...TOKEN, key: { name: 'a', key: 'now' }, jwksPath: '/keys', alsoPublished: [{ name: 'a', key: 'next' }] },
  });
  const filter = code.make(value!, makeEnv({ secret: ({ key }) => pems[key]! }));
  const ask = (method: string, url: string): unknown => filter.onRequest!(makeExchange({ method, url }), MATCH);
  const { body } = ask('GET', 'http://shop.test/keys') as Reply;
  const { keys } = JSON.parse(body as string) as JSONWebKeySet;
  assert.deepEqual(
    keys.map(({ alg }) => alg),
    ['ES256', 'EdDSA'],
  );
  assert.equal(ask('POST', 'http://shop.test/keys'), undefined);
  assert.equal(ask('GET', 'http://shop.test/keys/a'), undefined);
});

for (const [rule, pem, want] of [
  ['a short RSA key', SHORT, /none of EC P-256/],
  ['another curve', P384, /none of EC P-256/],
  ['a public key', createPublicKey(EC).export({ format: 'pem', type: 'spki' }) as string, /no private key/],
  ['no key', 'hunter2', /no private key/],
] as const) {
  test(`identityHeader: ${rule} refuses the plan, and is not shown`, () => {
    assert.throws(
      () => make({ token: TOKEN }, pem),
      (error: Error) => want.test(error.message) && !error.message.includes('hunter2'),
    );
  });
}

const BAD: [rule: string, config: object, want: RegExp][] = [
  ['nothing', {}, /Set token, headers, or both/],
  [
    'a reserved header',
    { headers: [{ name: 'Authorization', value: '"a"' }] },
    /\/headers\/0\/name Expected a header of its own/,
  ],
  ['a header twice', { token: TOKEN, headers: [{ name: 'X-Identity', value: '"a"' }] }, /is the header of the token/],
  ['an expression that is none', { headers: [{ name: 'a', value: '1 +' }] }, /\/headers\/0\/value/],
  ['an expression of another type', { headers: [{ name: 'a', value: '1' }] }, /\/headers\/0\/value .*text/],
  ['a long life', { token: { ...TOKEN, lifetime: '2h' } }, /\/token\/lifetime/],
];

for (const [rule, config, want] of BAD) {
  test(`identityHeader configuration: ${rule}`, () => {
    const { value } = checkSchema(IdentityHeaderConfig, config);
    assert.match(
      check(value!)
        .map(({ pointer, message }) => `${pointer} ${message}`)
        .join('\n'),
      want,
    );
  });
}
