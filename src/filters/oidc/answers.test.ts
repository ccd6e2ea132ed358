/** A provider that is wrong, malicious, slow or says too much: a real server that signs what it is told to. */
import assert from 'node:assert/strict';
import { createSign, generateKeyPairSync } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, test } from 'node:test';
import { Fault } from '../../base/fault.ts';
import { makeEnv } from '../../filter/testing/exchange.ts';
import { check } from '../../schema/schema.ts';
import { OidcConfig } from './config.ts';
import { Provider } from './provider.ts';

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 });

interface Behaviour {
  readonly claims?: object;
  readonly header?: object;
  readonly signedBy?: 'stranger' | 'nobody';
  readonly token?: (answer: http.ServerResponse) => void;
  readonly metadata?: object;
}

let behaviour: Behaviour = {};
let issuer = '';
const server = http.createServer((request, answer) => {
  const json = (value: object): void =>
    void answer.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
  if (request.url === '/.well-known/openid-configuration') {
    json({
      issuer,
      authorization_endpoint: `${issuer}/auth`,
      token_endpoint: `${issuer}/token`,
      jwks_uri: `${issuer}/jwks`,
      id_token_signing_alg_values_supported: ['RS256'],
      ...behaviour.metadata,
    });
  } else if (request.url === '/jwks') {
    json({ keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'RS256', use: 'sig' }] });
  } else if (behaviour.token !== undefined) behaviour.token(answer);
  else json({ access_token: 'a', token_type: 'Bearer', expires_in: 60, id_token: idToken() });
});

function idToken(): string {
  const nowS = Math.floor(Date.now() / 1000);
  const header = { alg: 'RS256', kid: 'k', ...behaviour.header };
  const claims = { iss: issuer, aud: 'shop', sub: 'ann', nonce: 'n', iat: nowS, exp: nowS + 60, ...behaviour.claims };
  const signed = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  if (behaviour.signedBy === 'nobody') return `${signed}.`;
  const key = behaviour.signedBy === 'stranger' ? stranger.privateKey : privateKey;
  return `${signed}.${createSign('sha256').update(signed).sign(key, 'base64url')}`;
}

before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server.closeAllConnections();
  server.close();
});

async function exchange(query = 'code=c&state=s', more: object = {}): Promise<string> {
  const { value } = check(OidcConfig, {
    providers: [{ name: 'id', issuer, clientId: 'shop' }],
    keys: [{ name: 'k', key: 'k' }],
    timeout: '500ms',
    ...more,
  });
  const config = value as OidcConfig;
  const env = makeEnv({ fetch: (url, init) => fetch(url, init) });
  const provider = new Provider(config.providers[0]!, config, env);
  try {
    const url = new URL(`https://shop.test/oauth2/callback?${query}`);
    const got = await provider.exchange({ url, state: 's', nonce: 'n', verifier: 'v'.repeat(43) });
    return got instanceof Fault ? got.code : String(got.claims!['sub']);
  } finally {
    provider.close();
  }
}

const AN_HOUR_AGO_S = Math.floor(Date.now() / 1000) - 3_600;
const nowS = Math.floor(Date.now() / 1000);
const ROWS: [rule: string, behaviour: Behaviour, want: string][] = [
  ['nothing is wrong', {}, 'ann'],
  ['the nonce of another login', { claims: { nonce: 'other' } }, 'oidc.login-failed'],
  ['no nonce', { claims: { nonce: undefined } }, 'oidc.login-failed'],
  ['for another client', { claims: { aud: 'other' } }, 'oidc.login-failed'],
  [
    'for several, and authorised for another',
    { claims: { aud: ['shop', 'other'], azp: 'other' } },
    'oidc.login-failed',
  ],
  ['of another issuer', { claims: { iss: 'https://evil.test' } }, 'oidc.login-failed'],
  ['over', { claims: { iat: AN_HOUR_AGO_S, exp: AN_HOUR_AGO_S + 60 } }, 'oidc.login-failed'],
  ['over by less than clocks may differ', { claims: { exp: nowS - 10 } }, 'ann'],
  ['not yet', { claims: { nbf: nowS + 3_600 } }, 'oidc.login-failed'],
  ['made a little in the future, as clocks are', { claims: { iat: nowS + 10, nbf: nowS + 10 } }, 'ann'],
  ['without a subject', { claims: { sub: undefined } }, 'oidc.login-failed'],
  ['signed by a stranger', { signedBy: 'stranger' }, 'oidc.login-failed'],
  ['not signed', { header: { alg: 'none' }, signedBy: 'nobody' }, 'oidc.login-failed'],
  ['signed with another algorithm than it says', { header: { alg: 'HS256' } }, 'oidc.login-failed'],
  ['of a key that is not there', { header: { kid: 'other' } }, 'oidc.login-failed'],
  [
    'no ID token',
    { token: (answer) => send(answer, { access_token: 'a', token_type: 'Bearer' }) },
    'oidc.login-failed',
  ],
  ['no JSON', { token: (answer) => answer.end('<html>') }, 'oidc.login-failed'],
  ['the code does not hold', { token: (answer) => send(answer, { error: 'invalid_grant' }, 400) }, 'oidc.login-failed'],
  ['trouble', { token: (answer) => send(answer, { error: 'server_error' }, 503) }, 'oidc.provider-away'],
  ['trouble without words', { token: (answer) => answer.writeHead(500).end('boom') }, 'oidc.provider-away'],
  [
    'no end',
    {
      token: (answer) =>
        void answer.writeHead(200, { 'content-type': 'application/json' }).end('x'.repeat(2 * 1024 * 1024)),
    },
    'oidc.provider-away',
  ],
  ['silence', { token: () => undefined }, 'oidc.provider-away'],
  [
    'a redirect',
    { token: (answer) => answer.writeHead(307, { location: 'http://127.0.0.1:1/' }).end() },
    'oidc.login-failed',
  ],
  ['the configuration of another issuer', { metadata: { issuer: 'https://evil.test' } }, 'oidc.provider-away'],
];

function send(answer: http.ServerResponse, value: object, status = 200): void {
  answer.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
}

for (const [rule, given, want] of ROWS) {
  test(`oidc answers: ${rule}`, async () => {
    behaviour = given;
    assert.equal(await exchange(), want);
  });
}

const CALLBACKS: [rule: string, query: string, metadata: object, want: string][] = [
  ['of another issuer (RFC 9207)', 'code=c&state=s&iss=https%3A%2F%2Fevil.test', {}, 'oidc.login-failed'],
  [
    'without the issuer that was promised',
    'code=c&state=s',
    { authorization_response_iss_parameter_supported: true },
    'oidc.login-failed',
  ],
  ['of another state', 'code=c&state=other', {}, 'oidc.login-failed'],
  ['without a code', 'state=s', {}, 'oidc.login-failed'],
  ['with two codes', 'code=c&code=d&state=s', {}, 'oidc.login-failed'],
  ['a refusal', 'error=access_denied&state=s', {}, 'oidc.denied'],
  ['a token in the address', 'code=c&state=s&id_token=x', {}, 'oidc.login-failed'],
];
for (const [rule, query, metadata, want] of CALLBACKS) {
  test(`oidc answers: in the address ${rule}`, async () => {
    behaviour = { metadata };
    assert.equal(await exchange(query), want);
  });
}

test('oidc answers: what is told operators repeats nothing of tokens and secrets', async () => {
  behaviour = { token: (answer) => send(answer, { error: 'invalid_client\r\nsecret', error_description: 'eyJ' }, 401) };
  const { value } = check(OidcConfig, {
    providers: [{ name: 'id', issuer, clientId: 'shop' }],
    keys: [{ name: 'k', key: 'k' }],
  });
  const config = value as OidcConfig;
  const provider = new Provider(config.providers[0]!, config, makeEnv({ fetch: (url, init) => fetch(url, init) }));
  const url = new URL('https://shop.test/oauth2/callback?code=c&state=s');
  const got = await provider.exchange({ url, state: 's', nonce: 'n', verifier: 'v'.repeat(43) });
  provider.close();
  assert.ok(got instanceof Fault);
  assert.doesNotMatch(got.detail, /secret|eyJ|[\r\n]/);
});
