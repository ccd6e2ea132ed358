import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check as checkSchema } from '../../schema/schema.ts';
import { check } from './check.ts';
import { JwtConfig } from './config.ts';
import { makeKey } from './testing/tokens.ts';

const KEY = await makeKey('ES256');
const SECRET_KEYS = [{ secret: { name: 'a', key: 'b' } }];
const JWKS = { uri: 'https://id.test/jwks.json' };

function issuesOf(issuer: object, more: object = {}): string[] {
  const config = { issuers: [{ issuer: 'https://id.test', audiences: ['api'], ...issuer }], ...more };
  const checked = checkSchema(JwtConfig, config);
  const issues = checked.value === undefined ? checked.issues : check(checked.value);
  return issues.map(({ pointer, message }) => `${pointer} ${message}`);
}

const ROWS: [rule: string, issuer: object, more: object, want: RegExp | undefined][] = [
  ['keys at an address', { jwks: JWKS }, {}, undefined],
  ['shared secrets', { secretKeys: SECRET_KEYS, algorithms: ['HS512'] }, {}, undefined],
  ['no keys: the issuer names them', {}, {}, undefined],
  ['no keys, and an issuer in the loopback', { issuer: 'http://127.0.0.1:8081/realm' }, {}, undefined],
  ['no keys, and an issuer that is no address', { issuer: 'shop' }, {}, /^\/issuers\/0\/issuer Expected an address/],
  ['no keys, and an issuer by http', { issuer: 'http://id.test' }, {}, /^\/issuers\/0\/issuer Expected an address/],
  ['no keys, and an issuer with a query', { issuer: 'https://id.test/?a' }, {}, /^\/issuers\/0\/issuer Expected/],
  ['no source, and an issuer that is no address', { issuer: 'a', jwks: {} }, {}, /^\/issuers\/0\/issuer Expected/],
  ['both kinds of keys', { jwks: JWKS, secretKeys: SECRET_KEYS }, {}, /^\/issuers\/0 Set one of/],
  [
    'HS256 with public keys',
    { jwks: JWKS, algorithms: ['RS256', 'HS256'] },
    {},
    /algorithms\/1 Cannot check HS256 with public keys/,
  ],
  [
    'RS256 with shared secrets',
    { secretKeys: SECRET_KEYS, algorithms: ['RS256'] },
    {},
    /algorithms\/0 Cannot check RS256 with secretKeys/,
  ],
  ['none', { jwks: JWKS, algorithms: ['none'] }, {}, /algorithms\/0/],
  ['no audience', { jwks: JWKS, audiences: [] }, {}, /audiences/],
  ['a star among audiences', { jwks: JWKS, audiences: ['a', '*'] }, {}, /"\*" takes any audience/],
  ['http', { jwks: { uri: 'http://id.test/' } }, {}, /uri Expected "https:"/],
  ['http in the loopback', { jwks: { uri: 'http://127.0.0.1:8081/' } }, {}, undefined],
  ['http to a host that looks like the loopback', { jwks: { uri: 'http://127.0.0.1.evil.test/' } }, {}, /uri Expected/],
  ['credentials in the address', { jwks: { uri: 'https://a:b@id.test/' } }, {}, /uri Expected/],
  ['two sources', { jwks: { ...JWKS, file: 'a' } }, {}, /jwks Set one of uri/],
  ['no source: the issuer names them', { jwks: { refresh: '1h' } }, {}, undefined],
  ['keys here', { jwks: { inline: { keys: [KEY.jwk] } } }, {}, undefined],
  ['a private key here', { jwks: { inline: { keys: [{ ...KEY.jwk, d: 'x' }] } } }, {}, /keys\/0 Expected a public key/],
  [
    'a key for another algorithm here',
    { jwks: { inline: { keys: [KEY.jwk] } }, algorithms: ['RS256'] },
    {},
    /keys\/0 Cannot use this key/,
  ],
  ['a clock that is far off', { jwks: JWKS, clockSkew: '1h' }, {}, /clockSkew Expected a duration of 0 ms/],
  ['a place of two kinds', { jwks: JWKS }, { from: [{ query: 'a', cookie: 'b' }] }, /from\/0 Set one of/],
  ['a word before a cookie', { jwks: JWKS }, { from: [{ cookie: 'b', scheme: 'x' }] }, /from\/0\/scheme Only a header/],
  ['a claim as Host', { jwks: JWKS }, { claimHeaders: [{ claim: 'a', header: 'Host' }] }, /claimHeaders\/0\/header/],
  ['a claim as Content-Length', { jwks: JWKS }, { claimHeaders: [{ claim: 'a', header: 'Content-Length' }] }, /header/],
  ['a realm with a quote', { jwks: JWKS }, { realm: 'a"b' }, /realm/],
  ['nonces', { jwks: JWKS }, { dpop: { nonce: { secret: { name: 'a', key: 'b' } } } }, undefined],
  [
    'nonces for seconds',
    { jwks: JWKS },
    { dpop: { nonce: { secret: { name: 'a', key: 'b' }, lifetime: '5s' } } },
    /dpop\/nonce\/lifetime/,
  ],
  [
    'nonces without proofs',
    { jwks: JWKS },
    { dpop: { mode: 'refuse', nonce: { secret: { name: 'a', key: 'b' } } } },
    /dpop\/nonce No proofs/,
  ],
  ['a window of hours', { jwks: JWKS }, { dpop: { window: '2h' } }, /dpop\/window/],
];

for (const [rule, issuer, more, want] of ROWS) {
  test(`jwt configuration: ${rule}`, () => {
    const issues = issuesOf(issuer, more);
    if (want === undefined) assert.deepEqual(issues, []);
    else assert.match(issues.join('\n'), want);
  });
}
