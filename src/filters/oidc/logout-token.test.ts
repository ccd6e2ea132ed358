import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { test } from 'node:test';
import { createLocalJWKSet, exportJWK, SignJWT } from 'jose';
import { type Ended, readLogoutToken } from './logout-token.ts';

const NOW_S = 1_800_000_000;
const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 });
const OTHER = generateKeyPairSync('rsa', { modulusLength: 2048 });
const CURVE = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const KEYS = createLocalJWKSet({
  keys: [
    { ...(await exportJWK(RSA.publicKey)), kid: 'rsa' },
    { ...(await exportJWK(CURVE.publicKey)), kid: 'curve' },
  ],
});

const EVENTS = { 'http://schemas.openid.net/event/backchannel-logout': {} };
const CLAIMS = {
  iss: 'https://id.test',
  aud: 'shop',
  iat: NOW_S,
  exp: NOW_S + 120,
  jti: 'one',
  sub: 'ann',
  sid: 'a-session',
  events: EVENTS,
};

interface Differs {
  readonly claims?: object;
  readonly header?: object;
  readonly key?: KeyObject | Uint8Array;
}

function tokenOf({ claims, header, key = RSA.privateKey }: Differs): Promise<string> {
  const said = JSON.parse(JSON.stringify({ ...CLAIMS, ...claims })) as Record<string, unknown>;
  const head = JSON.parse(JSON.stringify({ alg: 'RS256', kid: 'rsa', typ: 'logout+jwt', ...header })) as {
    alg: string;
  };
  return new SignJWT(said).setProtectedHeader(head).sign(key);
}

function read(token: string, algorithms?: readonly string[]): Promise<Ended | string> {
  const nowMs = NOW_S * 1000;
  const expected = { issuer: 'https://id.test', clientId: 'shop', keys: KEYS, algorithms, toleranceS: 30, nowMs };
  return readLogoutToken(token, expected);
}

const BOTH = { sessionId: 'a-session', subject: 'ann', jti: 'one' };

/** OpenID Connect Back-Channel Logout 1.0 section 2.6, in its order. */
const ROWS: [rule: string, differs: Differs, want: Ended | RegExp][] = [
  ['a session and its user', {}, BOTH],
  ['a user', { claims: { sid: undefined } }, { ...BOTH, sessionId: undefined }],
  ['a session', { claims: { sub: undefined } }, { ...BOTH, subject: undefined }],
  ['one audience of several', { claims: { aud: ['a', 'shop'] } }, BOTH],
  ['without a type, as providers from before', { header: { typ: undefined } }, BOTH],
  ['with the type of any token', { header: { typ: 'JWT' } }, BOTH],
  ['with its type written out', { header: { typ: 'application/logout+jwt' } }, BOTH],
  ['the type of another token', { header: { typ: 'at+jwt' } }, /typ/],
  ['signed by another key', { key: OTHER.privateKey }, /signature/],
  ['signed by a key that is not there', { header: { kid: 'x' }, key: OTHER.privateKey }, /no applicable key/],
  ['an algorithm that the provider does not use', { header: { alg: 'PS256' } }, /"alg"/],
  ['another issuer', { claims: { iss: 'https://evil.test' } }, /"iss"/],
  ['no issuer', { claims: { iss: undefined } }, /"iss"/],
  ['another client', { claims: { aud: 'blog' } }, /"aud"/],
  ['no client', { claims: { aud: undefined } }, /"aud"/],
  ['expired, within what clocks may differ', { claims: { exp: NOW_S - 29 } }, BOTH],
  ['expired', { claims: { exp: NOW_S - 31 } }, /"exp"/],
  ['without an end', { claims: { exp: undefined } }, /"exp"/],
  ['made long ago', { claims: { iat: NOW_S - 700 } }, /"iat"/],
  ['made in the future', { claims: { iat: NOW_S + 60 } }, /"iat"/],
  ['without the time when it was made', { claims: { iat: undefined } }, /"iat"/],
  ['not yet good', { claims: { nbf: NOW_S + 60 } }, /"nbf"/],
  ['neither a user nor a session', { claims: { sub: undefined, sid: undefined } }, /neither/],
  ['a user that is no text', { claims: { sub: 7 } }, /short/],
  ['a user that is empty', { claims: { sub: '', sid: undefined } }, /short/],
  ['a session that is an object', { claims: { sid: {} } }, /short/],
  ['a session that is long', { claims: { sid: 's'.repeat(1_025) } }, /short/],
  ['no events', { claims: { events: undefined } }, /no logout/],
  ['events that are a list', { claims: { events: Object.keys(EVENTS) } }, /no logout/],
  [
    'another event',
    { claims: { events: { 'https://schemas.openid.net/secevent/risc/event-type/x': {} } } },
    /no logout/,
  ],
  ['an event that is no object', { claims: { events: { [Object.keys(EVENTS)[0]!]: true } } }, /no logout/],
  ['an event that is null', { claims: { events: { [Object.keys(EVENTS)[0]!]: null } } }, /no logout/],
  ['a nonce, as ID tokens have', { claims: { nonce: 'n' } }, /nonce/],
  ['a nonce that is null', { claims: { nonce: null } }, /nonce/],
  ['without a name of its own', { claims: { jti: undefined } }, /"jti"/],
  ['a name of its own that is empty', { claims: { jti: '' } }, /jti/],
];

for (const [rule, differs, want] of ROWS) {
  test(`oidc logout token: ${rule}`, async () => {
    const found = await read(await tokenOf(differs));
    if (want instanceof RegExp) assert.match(String(typeof found === 'string' ? found : 'taken'), want);
    else assert.deepEqual(found, want);
  });
}

const EC = { header: { alg: 'ES256', kid: 'curve' }, key: CURVE.privateKey };
const ALGORITHMS: [
  rule: string,
  algorithms: readonly string[] | undefined,
  differs: Differs,
  want: RegExp | undefined,
][] = [
  ['RS256 where nothing is said', undefined, {}, undefined],
  ['another one where nothing is said', undefined, EC, /"alg"/],
  ['one that the provider names', ['RS256', 'ES256'], EC, undefined],
  ['one that it does not', ['ES256'], {}, /"alg"/],
  ['a shared secret, though it names it', ['HS256'], { header: { alg: 'HS256' }, key: Buffer.alloc(32) }, /"alg"/],
];

for (const [rule, algorithms, differs, want] of ALGORITHMS) {
  test(`oidc logout token: ${rule}`, async () => {
    const found = await read(await tokenOf(differs), algorithms);
    if (want === undefined) assert.deepEqual(found, BOTH);
    else assert.match(typeof found === 'string' ? found : 'taken', want);
  });
}

const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const TEXTS: [rule: string, text: string][] = [
  ['nothing', ''],
  ['no token', 'a.b.c'],
  ['no signature', `${part({ alg: 'none', typ: 'logout+jwt' })}.${part(CLAIMS)}.`],
  ['an encrypted one', 'a.b.c.d.e'],
];

for (const [rule, text] of TEXTS) {
  test(`oidc logout token: ${rule}`, async () => assert.equal(typeof (await read(text, ['none', 'RS256'])), 'string'));
}

test('oidc logout token: keys that are away are no fault of the token', async () => {
  const keys = (): Promise<never> => Promise.reject(new TypeError('away'));
  const nowMs = NOW_S * 1000;
  const expected = { issuer: 'https://id.test', clientId: 'shop', keys, algorithms: undefined, toleranceS: 30, nowMs };
  await assert.rejects(readLogoutToken(await tokenOf({}), expected), /away/);
});
