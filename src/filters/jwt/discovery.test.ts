import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { makeEnv } from '../../filter/testing/exchange.ts';
import { fetchDiscovered, metadataAddresses } from './discovery.ts';
import type { Fetched } from './remote-keys.ts';
import { asking, claimsOf, makeFilter, makeKey, outcome, sign } from './testing/tokens.ts';

const ISSUER = 'https://id.test/realm';
const OPENID = 'https://id.test/realm/.well-known/openid-configuration';
const OAUTH = 'https://id.test/.well-known/oauth-authorization-server/realm';
const KEYS = 'https://keys.test/set';

const ADDRESSES: [issuer: string, openid: string, oauth: string][] = [
  [ISSUER, OPENID, OAUTH],
  [`${ISSUER}/`, OPENID, OAUTH],
  [
    'https://id.test',
    'https://id.test/.well-known/openid-configuration',
    'https://id.test/.well-known/oauth-authorization-server',
  ],
  [
    'https://id.test:8443/',
    'https://id.test:8443/.well-known/openid-configuration',
    'https://id.test:8443/.well-known/oauth-authorization-server',
  ],
];

for (const [issuer, ...want] of ADDRESSES) {
  test(`jwt discovery: documents of ${issuer}`, () => assert.deepEqual(metadataAddresses(issuer), want));
}

const SET = '{"keys":[]}';
const document = (more: object = {}): string => JSON.stringify({ issuer: ISSUER, jwks_uri: KEYS, ...more });

const ROWS: [rule: string, answers: Readonly<Record<string, string>>, want: string | RegExp][] = [
  ['by OpenID Connect', { [OPENID]: document(), [KEYS]: SET }, SET],
  ['by RFC 8414', { [OAUTH]: document(), [KEYS]: SET }, SET],
  ['one document is not good, the other is', { [OPENID]: '<p>', [OAUTH]: document(), [KEYS]: SET }, SET],
  ['no document', {}, /openid-configuration: it answered 404; .*oauth-authorization-server\/realm: it answered 404/],
  ['no keys', { [OPENID]: document() }, /^it answered 404$/],
  ['of another issuer', { [OPENID]: document({ issuer: 'https://id.test' }), [KEYS]: SET }, /of another issuer/],
  ['of the issuer with a slash', { [OPENID]: document({ issuer: `${ISSUER}/` }), [KEYS]: SET }, /of another issuer/],
  ['of no issuer', { [OPENID]: document({ issuer: undefined }), [KEYS]: SET }, /of another issuer/],
  ['two issuers', { [OPENID]: `{"issuer":"x",${document().slice(1)}`, [KEYS]: SET }, /no JSON object/],
  ['null', { [OPENID]: 'null' }, /no JSON object/],
  ['keys at no address', { [OPENID]: document({ jwks_uri: 7 }) }, /names no address/],
  ['keys by http', { [OPENID]: document({ jwks_uri: 'http://keys.test/' }) }, /names no address/],
  ['keys in a file', { [OPENID]: document({ jwks_uri: 'file:///etc/passwd' }) }, /names no address/],
  ['keys in the loopback', { [OPENID]: document({ jwks_uri: 'HTTP://127.0.0.1:9/' }) }, /of this machine/],
  ['a document that is too long', { [OPENID]: document({ filler: 'x'.repeat(2_000) }) }, /longer than 2000 bytes/],
];

/** What was fetched, or why nothing was. */
function textOf(found: Fetched | string): string {
  return typeof found === 'string' ? found : found.text;
}

for (const [rule, answers, want] of ROWS) {
  test(`jwt discovery: ${rule}`, async () => {
    const env = makeEnv({
      fetch: (url) => Promise.resolve(new Response(answers[url] ?? '', { status: url in answers ? 200 : 404 })),
    });
    const found = await fetchDiscovered(env, { issuer: ISSUER, timeoutMs: 1_000, bytesMax: 2_000 });
    if (typeof want === 'string') assert.equal(textOf(found), want);
    else assert.match(textOf(found), want);
  });
}

test('jwt discovery: all of it takes no longer than one fetch may', async () => {
  const asked: string[] = [];
  const env = makeEnv({
    fetch: (url, init) => {
      asked.push(url);
      return new Promise((_resolve, reject) =>
        init!.signal!.addEventListener('abort', () => reject(new Error('late'))),
      );
    },
  });
  const found = fetchDiscovered(env, { issuer: ISSUER, timeoutMs: 1_000, bytesMax: 2_000 });
  env.advance(1_000);
  while (asked.length < 2) await new Promise((resolve) => setImmediate(resolve));
  env.advance(1);
  assert.match(textOf(await found), /no answer in 1000 ms; .*no answer in 1 ms/);
});

const KEY = await makeKey('ES256', 'one');

/** An issuer with real sockets. */
async function serve(answers: (origin: string) => Readonly<Record<string, object>>): Promise<[Server, string]> {
  const server = createServer((request, response) => {
    const answer = answers(origin)[request.url!];
    response.writeHead(answer === undefined ? 404 : 200).end(JSON.stringify(answer));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return [server, origin];
}

test('jwt discovery: a filter that knows nothing but its issuer takes its tokens', async () => {
  const [server, issuer] = await serve((origin) => ({
    '/.well-known/openid-configuration': { issuer: origin, jwks_uri: `${origin}/keys` },
    '/keys': { keys: [KEY.jwk] },
  }));
  try {
    const { filter } = makeFilter({ issuers: [{ issuer, audiences: ['api'] }] }, { fetch });
    assert.equal(await outcome(filter, asking(await sign(KEY, claimsOf({ iss: issuer })))), 'alice');
    filter.close!();
  } finally {
    server.close();
  }
});
