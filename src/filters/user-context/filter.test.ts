/** What a gateway signs and a sidecar believes, and everything else, which it refuses. */
import assert from 'node:assert/strict';
import { sign } from 'node:crypto';
import { test } from 'node:test';
import { Fault } from '../../base/fault.ts';
import type { Env } from '../../filter/env.ts';
import { type Authentication, type Filter, NOBODY } from '../../filter/filter.ts';
import { type Identity, identityOf } from '../../filter/identity.ts';
import { linesOf, makeEnv, makeExchange, TEST_WALL_MS, type TestEnv } from '../../filter/testing/exchange.ts';
import { USER_CONTEXT_FIELD } from '../../filter/user-context.ts';
import type { PlanSecret } from '../../ir/plan.ts';
import type { ClientCertificate } from '../../net/client-certificate.ts';
import { type Certified, makeCertificate } from '../../net/testing/certificates.ts';
import { ownIdentityOf } from '../../proxy/own-identity.ts';
import { code as believing } from './filter.ts';
import { code as signing } from './signing.ts';

const GATEWAY = 'spiffe://cluster.local/ns/fourways/sa/gateway';
const DAY_MS = 86_400_000;
const AROUND = { notBeforeMs: TEST_WALL_MS - DAY_MS, notAfterMs: TEST_WALL_MS + DAY_MS };
const root = makeCertificate({ kind: 'ca', ...AROUND });
const issuer = makeCertificate({ kind: 'ca', issuer: root, ...AROUND });
const gateway = workload(GATEWAY);

function workload(uri: string, more: Partial<Parameters<typeof makeCertificate>[0]> = {}): Certified {
  return makeCertificate({ kind: 'workload', uris: [uri], issuer, ...AROUND, ...more });
}

const ALICE = identityOf({
  method: 'jwt',
  subject: 'alice',
  issuer: 'https://id.test',
  consumer: { name: 'acme', groups: ['gold'], labels: { hidden: 'yes' } },
  claims: { role: 'admin', email: 'alice@shop.test', exp: 1, jti: 'x' },
  scopes: ['read', 'write'],
  workload: 'spiffe://elsewhere.test/client',
});

function secretOf({ certificatePem, privateKeyPem }: Certified): PlanSecret {
  return { certificatePem, privateKeyPem };
}

function signer(
  by: Certified = gateway,
  more: object = {},
): { readonly filter: Filter; readonly env: TestEnv; readonly swap: (next: Certified) => void } {
  let secret = secretOf(by);
  const env = makeEnv({ ownIdentity: () => ownIdentityOf(secret) });
  const filter = signing.make({ audience: ['cluster.local'], lifetimeMs: 60_000, ...more }, env);
  return { filter, env, swap: (next) => (secret = secretOf(next)) };
}

function signedBy(
  filter: Filter,
  identity: Identity,
  headers: Record<string, string> = {},
): string | Fault | undefined {
  const x = makeExchange({ identity, headers });
  const verdict = filter.onRequest!(x, { matchedPath: '/' });
  return verdict instanceof Fault ? verdict : x.request.headers.get(USER_CONTEXT_FIELD);
}

function textBy(by?: Certified, more?: object): string {
  const text = signedBy(signer(by, more).filter, ALICE);
  assert.ok(typeof text === 'string');
  return text;
}

const CALLER = { uri: ['spiffe://cluster.local/ns/shop/sa/web'] } as unknown as ClientCertificate;

interface Sidecar {
  readonly filter: Filter;
  readonly env: TestEnv;
}

function sidecar(more: object = {}, env: Partial<Env> = {}): Sidecar {
  const lent = makeEnv(env);
  const config = { audience: 'cluster.local', signers: [GATEWAY], trust: { 'cluster.local': [root.leafPem] }, ...more };
  return { filter: believing.make(config, lent), env: lent };
}

function ask({ filter }: Sidecar, text: string | undefined): Authentication {
  const headers: Record<string, string> = text === undefined ? {} : { [USER_CONTEXT_FIELD]: text };
  return filter.authenticate!(makeExchange({ headers, client: { clientCertificate: CALLER } })) as Authentication;
}

test('a sidecar knows of the user what the gateway has verified, and the workload is not that of the user', () => {
  const at = sidecar();
  const found = ask(at, textBy()) as Identity;
  assert.deepEqual(
    { ...found },
    {
      methods: ['userContext', 'jwt'],
      subject: 'alice',
      issuer: 'https://id.test',
      consumer: { name: 'acme', groups: ['gold'], labels: {} },
      claims: { role: 'admin', email: 'alice@shop.test' },
      scopes: ['read', 'write'],
      workload: undefined,
    },
  );
  assert.equal(ask(at, undefined), NOBODY);
  assert.equal(ask(at, ''), NOBODY);
});

test('a context is verified once', () => {
  const at = sidecar();
  const text = textBy();
  assert.equal(ask(at, text), ask(at, text));
  assert.equal(at.env.counts.get('accepted'), 1);
});

test('only the claims that the mesh names are passed on', () => {
  assert.deepEqual((ask(sidecar(), textBy(gateway, { claims: ['role', 'absent'] })) as Identity).claims, {
    role: 'admin',
  });
  assert.deepEqual((ask(sidecar(), textBy(gateway, { claims: [] })) as Identity).claims, {});
});

test('one signature for all requests of a user, anew by a new certificate and with a quarter of its time left', () => {
  const { filter, env, swap } = signer();
  const first = signedBy(filter, ALICE);
  assert.equal(signedBy(filter, identityOf({ ...ALICE, method: 'jwt' })), first);
  env.advance(44_999);
  assert.equal(signedBy(filter, ALICE), first);
  env.advance(1);
  const second = signedBy(filter, ALICE);
  assert.notEqual(second, first);
  swap(workload(GATEWAY));
  assert.notEqual(signedBy(filter, ALICE), second);
  assert.equal(env.counts.get('signed'), 3);
});

test('a gateway takes out what clients send, in every spelling, also where nobody is known', () => {
  const forged = { 'X-Fourways-User': 'forged', x_fourways_user: 'forged', a: '1' };
  const x = makeExchange({ headers: forged });
  assert.equal(signer().filter.onRequest!(x, { matchedPath: '/' }), undefined);
  assert.deepEqual(linesOf(x.request.headers), ['a: 1']);
  assert.match(signedBy(signer().filter, ALICE, forged) as string, /^[\w-]+\.[\w-]+\.[\w-]+$/);
});

test('a user of whom too much is known fails the request at the gateway', () => {
  const claims = { roles: Array.from({ length: 900 }, (_, i) => `role-${i}`) };
  const fault = signedBy(signer().filter, identityOf({ ...ALICE, method: 'jwt', claims }));
  assert.ok(fault instanceof Fault);
  assert.equal(fault.code, 'user-context.too-large');
});

test('in clear text nobody is believed, and applications get nothing', () => {
  const { filter, env } = sidecar();
  const x = makeExchange({ headers: { [USER_CONTEXT_FIELD]: textBy(), a: '1' } });
  assert.equal(filter.authenticate!(x), NOBODY);
  filter.onRequest!(x, { matchedPath: '/' });
  assert.deepEqual(linesOf(x.request.headers), ['a: 1']);
  assert.equal(env.counts.get('stripped'), 1);
});

test('an application gets the context as it came, and no field that some server reads as it', () => {
  const text = textBy();
  const headers = { [USER_CONTEXT_FIELD]: text, x_fourways_user: 'forged' };
  const x = makeExchange({ headers, client: { clientCertificate: CALLER } });
  sidecar().filter.onRequest!(x, { matchedPath: '/' });
  assert.deepEqual(linesOf(x.request.headers), [`${USER_CONTEXT_FIELD}: ${text}`]);
});

/** A text with other members, signed like the gateway would by whoever has this key. */
function made(by: Certified, { header = {}, payload = {} }: { header?: object; payload?: object }): string {
  const [head = '', body = ''] = textBy(by).split('.');
  const parts = [
    { ...(decoded(head) as object), ...header },
    { ...(decoded(body) as object), ...payload },
  ].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url'));
  const signature = sign('sha256', Buffer.from(parts.join('.')), { key: by.key, dsaEncoding: 'ieee-p1363' });
  return [...parts, signature.toString('base64url')].join('.');
}

function decoded(part: string): unknown {
  return JSON.parse(Buffer.from(part, 'base64url').toString());
}

function tampered(): string {
  const [head, body = '', signature] = textBy().split('.');
  const changed = { ...(decoded(body) as object), sub: 'root' };
  return [head, Buffer.from(JSON.stringify(changed)).toString('base64url'), signature].join('.');
}

const SECONDS = TEST_WALL_MS / 1_000;
const otherRoot = makeCertificate({ kind: 'ca', ...AROUND });
const stranger = workload(GATEWAY, { issuer: otherRoot });
const web = workload('spiffe://cluster.local/ns/shop/sa/web');
// A workload that signs a certificate of the gateway with its own key.
const presumed = makeCertificate({ kind: 'workload', uris: [GATEWAY], issuer: web, ...AROUND });
const ended = workload(GATEWAY, { notBeforeMs: TEST_WALL_MS - DAY_MS, notAfterMs: TEST_WALL_MS + 61_000 });

const REFUSED: [rule: string, text: () => string, words: RegExp, code?: string][] = [
  ['no signed text', () => 'alice', /is no signed text/],
  ['two of them', () => `${textBy()}, ${textBy()}`, /is no signed text|too long/],
  ['a long one', () => 'a'.repeat(9_000), /too long/],
  ['without a signature', () => made(gateway, { header: { alg: 'none' } }), /signed in another way/],
  ['with a shared key', () => made(gateway, { header: { alg: 'HS256' } }), /signed in another way/],
  ['another kind of token', () => made(gateway, { header: { typ: 'JWT' } }), /signed in another way/],
  ['something that must be understood', () => made(gateway, { header: { crit: ['x'] } }), /signed in another way/],
  ['without certificates', () => made(gateway, { header: { x5c: undefined } }), /has no certificates/],
  ['with too many', () => made(gateway, { header: { x5c: Array(5).fill('a') } }), /has no certificates/],
  ['with certificates that are none', () => made(gateway, { header: { x5c: ['a'] } }), /cannot be read/],
  ['a user that was changed', tampered, /does not fit its signature/],
  ['by a workload that may not', () => textBy(web), /sa\/web, which may not say who a user is/],
  ['by an authority that is not trusted', () => textBy(stranger), /no root vouches for/],
  ['by a certificate that a workload made', () => textBy(presumed), /no root vouches for/],
  [
    'by the key of another',
    () => made(web, { header: { x5c: (decoded(textBy().split('.')[0]!) as { x5c: string[] }).x5c } }),
    /does not fit its signature/,
  ],
  ['in the name of another', () => made(gateway, { payload: { iss: 'spiffe://a.test/x' } }), /by another than it says/],
  ['for another mesh', () => textBy(gateway, { audience: ['bank.test'] }), /is for another mesh/],
  ['without a user', () => made(gateway, { payload: { sub: undefined } }), /does not say what it should/],
  ['with a text for a list', () => made(gateway, { payload: { aud: 'cluster.local' } }), /does not say what it should/],
  ['of the future', () => made(gateway, { payload: { iat: SECONDS + 60, exp: SECONDS + 90 } }), /of the future/],
  ['for ever', () => made(gateway, { payload: { exp: SECONDS + 86_400 } }), /lasts longer/],
  [
    'too old',
    () => made(gateway, { payload: { iat: SECONDS - 90, exp: SECONDS - 30 } }),
    /has expired/,
    'user-context.expired',
  ],
];

for (const [rule, text, words, want = 'user-context.invalid'] of REFUSED) {
  test(`a sidecar refuses a user context ${rule}`, () => {
    const at = sidecar();
    const fault = ask(at, text());
    assert.ok(fault instanceof Fault);
    assert.equal(fault.code, want);
    assert.equal(fault.kind.status, 401);
    assert.match(fault.detail, words);
    assert.match(fault.detail, /spiffe:\/\/cluster\.local\/ns\/shop\/sa\/web sent/);
    assert.ok(!fault.detail.includes('alice'), 'nothing of the user is in a log');
    assert.equal(at.env.counts.get('refused'), 1);
    assert.equal(at.env.warnings.length, 1);
  });
}

test('what was believed once is not believed for longer than it lasts, nor than the certificate behind it', () => {
  for (const text of [textBy(), textBy(ended, { lifetimeMs: 600_000 })]) {
    const at = sidecar();
    assert.ok('methods' in (ask(at, text) as object));
    at.env.advance(66_000);
    assert.ok(ask(at, text) instanceof Fault);
  }
});

test('a federated gateway is believed by its own roots, and by no others', () => {
  const there = makeCertificate({ kind: 'ca', ...AROUND });
  const id = 'spiffe://bank.test/ns/fourways/sa/gateway';
  const more = {
    signers: [GATEWAY, id],
    trust: { 'cluster.local': [root.leafPem], 'bank.test': [there.leafPem] },
  };
  const by = workload(id, { issuer: there });
  assert.ok('methods' in (ask(sidecar(more), textBy(by, { audience: ['bank.test', 'cluster.local'] })) as object));
  const ours = workload(id);
  assert.match((ask(sidecar(more), textBy(ours)) as Fault).detail, /no root vouches for/);
});

test('where nobody may say who the user is, nobody is believed', () => {
  assert.match((ask(sidecar({ signers: [] }), textBy()) as Fault).detail, /may not say/);
});
