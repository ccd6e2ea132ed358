import assert from 'node:assert/strict';
import { createHmac, sign as nodeSign } from 'node:crypto';
import { test } from 'node:test';
import type { Fault } from '../../base/fault.ts';
import { linesOf, type TestExchange } from '../../filter/testing/exchange.ts';
import type { Identity } from '../../filter/identity.ts';
import {
  asking,
  claimsOf,
  ISSUER,
  issuerOf,
  makeFilter,
  makeKey,
  NOW_S,
  outcome,
  rawToken,
  sign,
  type TestKey,
} from './testing/tokens.ts';

const MATCH = { matchedPath: '/' };
const [RS, ES, ES384, ED, MALLORY] = await Promise.all([
  makeKey('RS256'),
  makeKey('ES256'),
  makeKey('ES384'),
  makeKey('EdDSA'),
  makeKey('ES256', 'ES256'),
]);
const KEYS = [RS, ES, ES384, ED];

// ---- algorithms

for (const [alg, key] of [
  ['RS256', RS],
  ['RS512', RS],
  ['PS256', RS],
  ['ES256', ES],
  ['ES384', ES384],
  ['EdDSA', ED],
  ['Ed25519', ED],
] as const) {
  test(`jwt: a token by ${alg} is taken`, async () => {
    const { filter } = makeFilter({ issuers: [issuerOf(KEYS)] });
    const token = await sign(key, claimsOf(), { alg });
    assert.equal(await outcome(filter, asking(token)), 'alice');
  });
}

// ---- claims: `[rule, what differs in the claims, what differs in the issuer, want]`

type Members = Readonly<Record<string, unknown>>;
const CLAIMS: [rule: string, claims: Members, issuer: Members, want: string][] = [
  ['a good token is taken', {}, {}, 'alice'],
  ['one of several audiences is enough', { aud: ['other', 'api'] }, {}, 'alice'],
  ['another audience is refused', { aud: 'other' }, {}, 'jwt.audience'],
  ['an audience that only begins alike is refused', { aud: 'api2' }, {}, 'jwt.audience'],
  ['no audience is refused', { aud: undefined }, {}, 'jwt.audience'],
  ['an audience that is no text is refused', { aud: { api: true } }, {}, 'jwt.audience'],
  ['a star takes any audience', { aud: 'other' }, { audiences: ['*'] }, 'alice'],
  ['a star takes no audience, too', { aud: undefined }, { audiences: ['*'] }, 'alice'],
  ['another issuer is refused', { iss: 'https://evil.test' }, {}, 'jwt.issuer'],
  ['an issuer with another end is refused', { iss: `${ISSUER}/` }, {}, 'jwt.issuer'],
  ['no issuer is refused', { iss: undefined }, {}, 'jwt.issuer'],
  ['an issuer that is a list is refused', { iss: [ISSUER] }, {}, 'jwt.issuer'],
  ['an expired token is refused', { exp: NOW_S - 31 }, {}, 'jwt.expired'],
  ['clocks may differ', { exp: NOW_S - 29 }, {}, 'alice'],
  ['clocks may not differ where the operator says so', { exp: NOW_S }, { clockSkew: '0s' }, 'jwt.expired'],
  ['a token without end is refused', { exp: undefined }, {}, 'jwt.claims'],
  ['a token without end is taken where that is allowed', { exp: undefined }, { expiry: 'optional' }, 'alice'],
  ['an end that is text is refused', { exp: '9999999999' }, {}, 'jwt.claims'],
  ['an end that is null is refused', { exp: null }, {}, 'jwt.claims'],
  ['a token of later is refused', { nbf: NOW_S + 31 }, {}, 'jwt.not-yet'],
  ['a token of nearly now is taken', { nbf: NOW_S + 29 }, {}, 'alice'],
  ['a token that was made in the future is refused', { iat: NOW_S + 31 }, {}, 'jwt.not-yet'],
  ['an old token is refused where age counts', { iat: NOW_S - 400 }, { maxAge: '5m' }, 'jwt.expired'],
  ['a young token is taken where age counts', { iat: NOW_S - 300 }, { maxAge: '5m' }, 'alice'],
  ['a token of no age is refused where age counts', { iat: undefined }, { maxAge: '5m' }, 'jwt.claims'],
  ['a subject that is no text is refused', { sub: 7 }, {}, 'jwt.claims'],
  ['a token without subject has none', { sub: undefined }, {}, ''],
  ['a claim that is asked for must be there', {}, { requiredClaims: ['tenant'] }, 'jwt.claims'],
  ['a claim that is asked for is there', { tenant: '' }, { requiredClaims: ['tenant'] }, 'alice'],
  ['null is not there', { tenant: null }, { requiredClaims: ['tenant'] }, 'jwt.claims'],
  ['what every object has is no claim', {}, { requiredClaims: ['constructor'] }, 'jwt.claims'],
  ['nor is it inside of one', { a: {} }, { requiredClaims: ['a.toString'] }, 'jwt.claims'],
  ['nor is the length of a list', { a: [] }, { requiredClaims: ['a.length'] }, 'jwt.claims'],
  ['a claim inside', { a: { b: 1 } }, { requiredClaims: ['a.b'] }, 'alice'],
  ['a claim with dots in its name', { 'https://x.test/a': 1 }, { requiredClaims: ['https://x.test/a'] }, 'alice'],
  ['a value', { tenant: 'a' }, { claims: [{ claim: 'tenant', values: ['a', 'b'] }] }, 'alice'],
  ['another value', { tenant: 'c' }, { claims: [{ claim: 'tenant', values: ['a', 'b'] }] }, 'jwt.claims'],
  ['a value in a list', { groups: ['x', 'admin'] }, { claims: [{ claim: 'groups', values: ['admin'] }] }, 'alice'],
  ['a value of another type', { level: '1' }, { claims: [{ claim: 'level', values: [1] }] }, 'jwt.claims'],
  ['a boolean value', { email_verified: true }, { claims: [{ claim: 'email_verified', values: [true] }] }, 'alice'],
];

for (const [rule, claims, issuer, want] of CLAIMS) {
  test(`jwt claims: ${rule}`, async () => {
    const { filter } = makeFilter({ issuers: [issuerOf(KEYS, issuer)] });
    const token = await sign(ES, claimsOf(claims));
    assert.equal(await outcome(filter, asking(token)), want);
    // Remembered or not, the answer is the same.
    assert.equal(await outcome(filter, asking(token)), want);
  });
}

// ---- headers of tokens: `[rule, what differs in the header, want]`

const HEADERS: [rule: string, header: Members, want: string][] = [
  ['no typ is one of a JWT', { typ: undefined }, 'alice'],
  ['typ has no case', { typ: 'jwt' }, 'alice'],
  ['typ may be a whole media type', { typ: 'application/AT+JWT' }, 'alice'],
  ['an ID token for something else is refused by its typ', { typ: 'dpop+jwt' }, 'jwt.invalid'],
  ['a typ that is no text is refused', { typ: 7 }, 'jwt.invalid'],
  ['no kid: keys of the algorithm are tried', { kid: undefined }, 'alice'],
  ['an unknown kid is refused', { kid: 'other' }, 'jwt.invalid'],
  ['a kid that names what every object has is unknown', { kid: '__proto__' }, 'jwt.invalid'],
  ['a kid that is a path is only a name', { kid: '../../../../dev/null' }, 'jwt.invalid'],
  ['a kid of another key is refused', { kid: 'RS256' }, 'jwt.invalid'],
  ['a kid that is no text is refused', { kid: 7 }, 'jwt.invalid'],
  ['jku, x5u and jwk say nothing', { jku: 'https://evil.test/', x5u: 'https://evil.test/' }, 'alice'],
];

for (const [rule, header, want] of HEADERS) {
  test(`jwt header: ${rule}`, async () => {
    const { filter } = makeFilter({ issuers: [issuerOf(KEYS)] });
    assert.equal(await outcome(filter, asking(await sign(ES, claimsOf(), header))), want);
  });
}

// ---- attacks: `[rule, token]`, each refused as not valid

/** Signed by hand over exactly this header and these claims. */
function signedRaw(key: TestKey, header: object | string, claims: object | string): string {
  const input = rawToken(header, claims, 'x').split('.').slice(0, 2).join('.');
  const signature = nodeSign('sha256', Buffer.from(input), { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
  return `${input}.${signature.toString('base64url')}`;
}

function hmac(header: object, secret: string | Buffer): string {
  const input = rawToken(header, claimsOf(), 'x').split('.').slice(0, 2).join('.');
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}

const GOOD = await sign(ES, claimsOf());
const [HEAD, BODY, SIGNATURE] = GOOD.split('.') as [string, string, string];
const PEM = RS.publicKey.export({ format: 'pem', type: 'spki' });
const BASE64URL = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';

const ATTACKS: [rule: string, token: string][] = [
  ['unsigned', `${HEAD}.${BODY}.`],
  ['two parts', `${HEAD}.${BODY}`],
  ['alg none', `${Buffer.from('{"alg":"none"}').toString('base64url')}.${BODY}.`],
  ['alg none with the signature of another', rawToken({ alg: 'none' }, claimsOf(), SIGNATURE)],
  ['alg None', rawToken({ alg: 'None' }, claimsOf(), 'x')],
  ['no alg', rawToken({ typ: 'JWT' }, claimsOf(), 'x')],
  ['alg that is a list', rawToken({ alg: ['ES256'] }, claimsOf(), 'x')],
  ['alg that every object has', rawToken({ alg: 'constructor' }, claimsOf(), 'x')],
  ['the public key as an HMAC secret (PEM)', hmac({ alg: 'HS256', kid: 'RS256' }, PEM)],
  [
    'the public key as an HMAC secret (DER)',
    hmac({ alg: 'HS256' }, RS.publicKey.export({ format: 'der', type: 'spki' })),
  ],
  ['the public key as an HMAC secret (JWK)', hmac({ alg: 'HS256' }, JSON.stringify(RS.jwk))],
  ['an empty HMAC secret', hmac({ alg: 'HS256' }, '')],
  ['a key of its own in jwk', await sign(MALLORY, claimsOf(), { jwk: MALLORY.jwk, kid: undefined })],
  ['a key of its own under the kid of another', await sign(MALLORY, claimsOf())],
  ['a signature by another algorithm', `${HEAD}.${BODY}.${(await sign(RS, claimsOf())).split('.')[2]}`],
  ['a signature of zeros', `${HEAD}.${BODY}.${Buffer.alloc(64).toString('base64url')}`],
  ['a short signature', `${HEAD}.${BODY}.${Buffer.from(SIGNATURE, 'base64url').subarray(1).toString('base64url')}`],
  ['a long signature', `${HEAD}.${BODY}.${Buffer.from(`${SIGNATURE}AAAA`, 'base64url').toString('base64url')}`],
  [
    'a signature in DER',
    `${HEAD}.${BODY}.${nodeSign('sha256', Buffer.from(`${HEAD}.${BODY}`), ES.privateKey).toString('base64url')}`,
  ],
  [
    'another spelling of the same signature',
    `${HEAD}.${BODY}.${SIGNATURE.slice(0, -1)}${BASE64URL[BASE64URL.indexOf(SIGNATURE.at(-1)!) ^ 1]}`,
  ],
  ['padding', `${HEAD}.${BODY}.${SIGNATURE}==`],
  ['the other alphabet', `${HEAD}.${BODY}.+/${SIGNATURE.slice(2)}`],
  ['a line end inside', `${HEAD}.${BODY}.${SIGNATURE.slice(0, 9)}\n${SIGNATURE.slice(9)}`],
  ['four parts', `${GOOD}.${SIGNATURE}`],
  ['five parts', `${GOOD}.${SIGNATURE}.${SIGNATURE}`],
  [
    'other claims under a good signature',
    `${HEAD}.${Buffer.from(JSON.stringify(claimsOf({ sub: 'root' }))).toString('base64url')}.${SIGNATURE}`,
  ],
  ['a member twice in the header', signedRaw(ES, '{"alg":"none","alg":"ES256","kid":"ES256"}', claimsOf())],
  [
    'a member twice in the claims',
    signedRaw(ES, { alg: 'ES256' }, JSON.stringify(claimsOf()).replace('{', '{"sub":"root",')),
  ],
  [
    'a member twice, once escaped',
    signedRaw(ES, { alg: 'ES256' }, JSON.stringify(claimsOf()).replace('{', '{"s\\u0075b":"root",')),
  ],
  [
    'a member twice inside',
    signedRaw(ES, { alg: 'ES256' }, JSON.stringify(claimsOf()).replace('{', '{"a":[{"b":1,"b":2}],')),
  ],
  ['claims that are nested deeply', signedRaw(ES, { alg: 'ES256' }, `{"a":${'['.repeat(200)}${']'.repeat(200)}}`)],
  ['claims that are a list', signedRaw(ES, { alg: 'ES256' }, '[]')],
  ['claims that are a text', signedRaw(ES, { alg: 'ES256' }, '"alice"')],
  ['claims that are null', signedRaw(ES, { alg: 'ES256' }, 'null')],
  ['claims that are a token', signedRaw(ES, { alg: 'ES256', cty: 'JWT' }, GOOD)],
  ['claims with a byte order mark', signedRaw(ES, { alg: 'ES256' }, `\ufeff${JSON.stringify(claimsOf())}`)],
  ['a critical extension', await sign(ES, claimsOf(), { crit: ['b64'], b64: true })],
  ['a critical extension that nobody knows', signedRaw(ES, { alg: 'ES256', crit: ['x'], x: 1 }, claimsOf())],
  ['an empty list of critical extensions', signedRaw(ES, { alg: 'ES256', crit: [] }, claimsOf())],
  ['no token', ''],
  ['dots', '..'],
  ['a long token', `${HEAD}.${'A'.repeat(9000)}.${SIGNATURE}`],
  ['a long kid', await sign(ES, claimsOf(), { kid: 'k'.repeat(5000) })],
];

for (const [rule, token] of ATTACKS) {
  test(`jwt refuses: ${rule}`, async () => {
    const { filter } = makeFilter({ issuers: [issuerOf(KEYS)] });
    assert.equal(await outcome(filter, asking(GOOD)), 'alice');
    assert.equal(await outcome(filter, asking(token)), 'jwt.invalid');
  });
}

test('jwt refuses: claims that are not UTF-8', async () => {
  const { filter } = makeFilter({ issuers: [issuerOf(KEYS)] });
  const body = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xff]), Buffer.from('"}')]).toString('base64url');
  assert.equal(await outcome(filter, asking(`${HEAD}.${body}.${SIGNATURE}`)), 'jwt.invalid');
});

test('jwt: an algorithm that the operator does not take is refused, though the key could', async () => {
  const { filter } = makeFilter({ issuers: [issuerOf(KEYS, { algorithms: ['ES256'] })] });
  assert.equal(await outcome(filter, asking(await sign(RS, claimsOf()))), 'jwt.invalid');
  assert.equal(await outcome(filter, asking(GOOD)), 'alice');
});

test('jwt: a key whose alg says one algorithm is for no other', async () => {
  const only = { ...RS, jwk: { ...RS.jwk, alg: 'RS512' } };
  const { filter } = makeFilter({ issuers: [issuerOf([only])] });
  assert.equal(await outcome(filter, asking(await sign(RS, claimsOf()))), 'jwt.invalid');
  assert.equal(await outcome(filter, asking(await sign(RS, claimsOf(), { alg: 'RS512' }))), 'alice');
});

test('jwt: the keys of one issuer are not those of another', async () => {
  const other = { issuer: 'https://other.test', audiences: ['api'], jwks: { inline: { keys: [RS.jwk] } } };
  const { filter } = makeFilter({ issuers: [issuerOf([ES]), other] });
  const claims = claimsOf({ iss: 'https://other.test' });
  assert.equal(await outcome(filter, asking(await sign(RS, claims))), 'alice');
  assert.equal(await outcome(filter, asking(await sign(ES, claims))), 'jwt.invalid');
  assert.equal(await outcome(filter, asking(await sign(RS, claimsOf()))), 'jwt.invalid');
});

// ---- shared secrets

const SECRET = 'correct horse battery staple, and then some';

function sharedFilter(more: object = {}): ReturnType<typeof makeFilter> {
  const secretKeys = [{ secret: { name: 'jwt', key: 'hs' }, ...more }];
  const config = { issuers: [{ issuer: ISSUER, audiences: ['api'], secretKeys }] };
  return makeFilter(config, { secret: () => SECRET });
}

test('jwt: shared secrets are for HS256, and for nothing else', async () => {
  const { filter } = sharedFilter();
  assert.equal(await outcome(filter, asking(hmac({ alg: 'HS256' }, SECRET))), 'alice');
  assert.equal(await outcome(filter, asking(hmac({ alg: 'HS256' }, `${SECRET}!`))), 'jwt.invalid');
  assert.equal(await outcome(filter, asking(GOOD)), 'jwt.invalid');
});

test('jwt: a short shared secret is refused with the plan, and not shown', () => {
  const secretKeys = [{ secret: { name: 'jwt', key: 'hs' } }];
  const config = { issuers: [{ issuer: ISSUER, audiences: ['api'], secretKeys }] };
  assert.throws(
    () => makeFilter(config, { secret: () => 'hunter2' }),
    (error: Error) => /7 bytes, and needs 32/.test(error.message) && !error.message.includes('hunter2'),
  );
});

// ---- places: `[rule, config, request, want]`

type Request = Parameters<typeof asking>[1];
const APART: Request = { headers: { authorization: [] } };
const EVERYWHERE = [{ header: 'authorization', scheme: 'Bearer' }, { query: 'access_token' }, { cookie: 'session' }];
const PLACES: [rule: string, from: object[] | undefined, request: Request, want: string][] = [
  ['the scheme has no case', undefined, { headers: { authorization: `bEaReR ${GOOD}` } }, 'alice'],
  ['more spaces', undefined, { headers: { authorization: `Bearer   ${GOOD}` } }, 'alice'],
  ['no header', undefined, APART, 'absent'],
  ['another scheme', undefined, { headers: { authorization: 'Basic YTpi' } }, 'absent'],
  ['a scheme that begins alike', undefined, { headers: { authorization: `BearerX ${GOOD}` } }, 'absent'],
  ['the scheme alone', undefined, { headers: { authorization: 'Bearer' } }, 'jwt.invalid'],
  ['a token without scheme', undefined, { headers: { authorization: GOOD } }, 'absent'],
  ['two lines', undefined, { headers: { authorization: [`Bearer ${GOOD}`, `Bearer ${GOOD}`] } }, 'jwt.ambiguous'],
  [
    'two lines, one of another scheme',
    undefined,
    { headers: { authorization: ['Basic YTpi', `Bearer ${GOOD}`] } },
    'jwt.ambiguous',
  ],
  ['the other way round', undefined, { headers: { authorization: [`Bearer ${GOOD}`, 'Basic YTpi'] } }, 'jwt.ambiguous'],
  ['parameters of another scheme', undefined, { headers: { authorization: 'Digest a="b", Bearer=c' } }, 'absent'],
  ['a header without scheme', [{ header: 'X-Token' }], { headers: { 'x-token': GOOD } }, 'alice'],
  [
    'a header without scheme, twice',
    [{ header: 'X-Token' }],
    { headers: { 'x-token': [GOOD, GOOD] } },
    'jwt.ambiguous',
  ],
  ['another header is not looked at', [{ header: 'X-Token' }], {}, 'absent'],
  ['the query', EVERYWHERE, { ...APART, url: `https://shop.test/a?b=c&access_token=${GOOD}` }, 'alice'],
  ['the query, escaped', EVERYWHERE, { ...APART, url: `https://shop.test/a?%61ccess_token=${GOOD}` }, 'alice'],
  [
    'the query, twice',
    EVERYWHERE,
    { ...APART, url: `https://shop.test/a?access_token=${GOOD}&access%5ftoken=x` },
    'jwt.ambiguous',
  ],
  [
    'the query is not looked at unless asked for',
    undefined,
    { ...APART, url: `https://shop.test/a?access_token=${GOOD}` },
    'absent',
  ],
  ['a cookie', EVERYWHERE, { headers: { authorization: [], cookie: `a=b; session=${GOOD}` } }, 'alice'],
  [
    'a cookie, twice',
    EVERYWHERE,
    { headers: { authorization: [], cookie: [`session=${GOOD}`, 'session=x'] } },
    'jwt.ambiguous',
  ],
  ['header and query', EVERYWHERE, { url: `https://shop.test/a?access_token=${GOOD}` }, 'jwt.ambiguous'],
  ['header and cookie', EVERYWHERE, { headers: { cookie: `session=${GOOD}` } }, 'jwt.ambiguous'],
];

for (const [rule, from, request, want] of PLACES) {
  test(`jwt places: ${rule}`, async () => {
    const { filter } = makeFilter({ issuers: [issuerOf(KEYS)], ...(from && { from }) });
    assert.equal(await outcome(filter, asking(GOOD, request)), want);
  });
}

/** What upstreams would get. */
async function forwarded(config: object, x: TestExchange, parts = {}): Promise<string[]> {
  const { filter } = makeFilter({ issuers: [issuerOf(KEYS)], ...config }, parts);
  await filter.authenticate!(x);
  filter.onRequest?.(x, MATCH);
  return [`${x.request.path}${x.request.query}`, ...linesOf(x.request.headers)];
}

test('jwt: a token is taken out, wherever it could be, and nothing else is', async () => {
  const from = EVERYWHERE;
  const x = asking(GOOD, {
    url: `https://shop.test/a?b=c&%61ccess_token=x&d`,
    headers: { cookie: 'a=b; session=x; c=d', dpop: 'x', accept: '*/*' },
  });
  assert.deepEqual(await forwarded({ from, forward: 'remove' }, x), ['/a?b=c&d', 'accept: */*', 'cookie: a=b; c=d']);
  const basic = asking('', { headers: { authorization: 'Basic YTpi' } });
  assert.deepEqual(await forwarded({ from, forward: 'remove' }, basic), ['/a', 'authorization: Basic YTpi']);
  assert.deepEqual(await forwarded({}, asking(GOOD)), ['/a', `authorization: Bearer ${GOOD}`]);
  const audited = await forwarded({ forward: 'remove' }, asking(GOOD), { isAudited: true });
  assert.deepEqual(audited, ['/a', `authorization: Bearer ${GOOD}`], 'an audit leaves it to the upstream');
});

// ---- claims as headers: `[rule, value of the claim, want]`

const VALUES: [rule: string, value: unknown, want: string | undefined][] = [
  ['text', 'alice', 'alice'],
  ['a number', 7, '7'],
  ['a boolean', false, 'false'],
  ['a list', ['a', 'b'], 'a,b'],
  ['text of other letters as UTF-8', 'Zoë', Buffer.from('Zoë').toString('latin1')],
  ['nothing', undefined, undefined],
  ['null', null, undefined],
  ['an object', { a: 1 }, undefined],
  ['an empty text', '', undefined],
  ['a line end', 'a\r\nx-admin: true', undefined],
  ['a bare LF', 'a\nb', undefined],
  ['a bare CR', 'a\rb', undefined],
  ['a NUL', 'a\0b', undefined],
  ['a tab', 'a\tb', undefined],
  ['DEL', 'a\x7fb', undefined],
  ['a letter whose low byte is a line end', 'a\u010ab', Buffer.from('a\u010ab').toString('latin1')],
  ['half a letter', 'a\ud800', undefined],
  ['spaces at its ends', ' admin', undefined],
  ['a list with an item that looks like two', ['a,admin'], undefined],
  ['a list with a line end', ['a', 'b\r\nc'], undefined],
  ['a list of objects', [{}], undefined],
  ['a long text', 'a'.repeat(4097), undefined],
];

for (const [rule, value, want] of VALUES) {
  test(`jwt claim headers: ${rule}`, async () => {
    const token = await sign(ES, claimsOf({ value }));
    const config = { claimHeaders: [{ claim: 'value', header: 'X-Value' }], forward: 'remove' };
    const x = asking(token, { headers: { 'x-value': 'forged', x_value: 'forged', 'X-VALUE': 'forged' } });
    assert.deepEqual(await forwarded(config, x), ['/a', ...(want === undefined ? [] : [`x-value: ${want}`])]);
  });
}

test('jwt claim headers: what a client sends is taken out, also where another method was content', () => {
  const { filter } = makeFilter({ issuers: [issuerOf(KEYS)], claimHeaders: [{ claim: 'sub', header: 'x-user' }] });
  const x = asking('', { headers: { authorization: [], 'x-user': 'root' } });
  filter.onRequest!(x, MATCH);
  assert.deepEqual(linesOf(x.request.headers), []);
});

// ---- identity, consumer, scopes

test('jwt: who is asking', async () => {
  const token = await sign(ES, claimsOf({ scope: 'read write', client: { id: 'shop' }, groups: ['a', 7, 'b'] }));
  const consumer = { claim: 'client.id', groups: 'groups' };
  const { filter } = makeFilter({ issuers: [issuerOf(KEYS)], consumer });
  const { claims, ...rest } = (await filter.authenticate!(asking(token))) as Identity;
  assert.equal(claims['sub'], 'alice');
  assert.ok(Object.isFrozen(claims) && Object.isFrozen(claims['client']));
  assert.deepEqual(rest, {
    methods: ['jwt'],
    subject: 'alice',
    issuer: ISSUER,
    consumer: { name: 'shop', groups: ['a', 'b'], labels: {} },
    scopes: ['read', 'write'],
    workload: undefined,
  });
});

const SCOPES: [rule: string, claims: Members, want: string][] = [
  ['all of them', { scope: 'write read' }, 'alice'],
  ['as a list', { scp: ['read', 'write'] }, 'alice'],
  ['one is missing', { scope: 'read' }, 'jwt.scope'],
  ['one only begins alike', { scope: 'read write2' }, 'jwt.scope'],
  ['none', {}, 'jwt.scope'],
];

for (const [rule, claims, want] of SCOPES) {
  test(`jwt scopes: ${rule}`, async () => {
    const { filter } = makeFilter({ issuers: [issuerOf(KEYS)], scopes: ['read', 'write'] });
    assert.equal(await outcome(filter, asking(await sign(ES, claimsOf(claims)))), want);
  });
}

// ---- what a refused client is told

const TOLD: [rule: string, config: object, token: string, want: string][] = [
  ['that the token is not valid', {}, `${HEAD}.${BODY}.AAAA`, 'Bearer error="invalid_token"'],
  ['the realm', { realm: 'shop' }, 'x', 'Bearer realm="shop", error="invalid_token"'],
  ['the scopes', { scopes: ['read'] }, GOOD, 'Bearer error="insufficient_scope", scope="read"'],
];

for (const [rule, config, token, want] of TOLD) {
  test(`jwt tells: ${rule}`, async () => {
    const { filter } = makeFilter({ issuers: [issuerOf(KEYS)], ...config });
    const fault = (await filter.authenticate!(asking(token))) as Fault;
    assert.deepEqual(fault.extras?.headers, [['www-authenticate', want]]);
    assert.ok(!fault.detail.includes(BODY) && !fault.detail.includes('alice'));
  });
}

test('jwt: what is asked of whoever comes without a token', () => {
  const challenge = (dpop: object): string | undefined =>
    makeFilter({ issuers: [issuerOf(KEYS)], dpop }).filter.challenge;
  assert.equal(challenge({ mode: 'refuse' }), 'Bearer');
  assert.equal(challenge({ mode: 'require', algorithms: ['ES256'] }), 'DPoP algs="ES256"');
  assert.equal(challenge({ mode: 'accept', algorithms: ['ES256'] }), 'Bearer, DPoP algs="ES256"');
});

// ---- the memory of verified tokens

test('jwt: a signature is verified once, and the second request is answered in the same turn', async () => {
  const { filter, env } = makeFilter({ issuers: [issuerOf(KEYS)] });
  await Promise.all([filter.authenticate!(asking(GOOD)), filter.authenticate!(asking(GOOD))]);
  assert.equal(env.counts.get('verified'), 1);
  const again = filter.authenticate!(asking(GOOD));
  assert.ok(!(again instanceof Promise));
  assert.equal((again as Identity).subject, 'alice');
  assert.deepEqual(
    [...env.counts],
    [
      ['verified', 1],
      ['cached', 1],
    ],
  );
});

test('jwt: a remembered token expires', async () => {
  const { filter, env } = makeFilter({ issuers: [issuerOf(KEYS, { clockSkew: '0s' })] });
  const token = await sign(ES, claimsOf({ exp: NOW_S + 10 }));
  assert.equal(await outcome(filter, asking(token)), 'alice');
  env.advance(9_999);
  assert.equal(await outcome(filter, asking(token)), 'alice');
  env.advance(1);
  assert.equal(await outcome(filter, asking(token)), 'jwt.expired');
});

test('jwt: a token is looked at again after the time of the cache', async () => {
  const { filter, env } = makeFilter({ issuers: [issuerOf(KEYS)], cache: { ttl: '10s' } });
  await filter.authenticate!(asking(GOOD));
  env.advance(10_000);
  assert.ok(filter.authenticate!(asking(GOOD)) instanceof Promise);
});

test('jwt: nothing of a remembered token stands for another one', async () => {
  const { filter } = makeFilter({ issuers: [issuerOf(KEYS)] });
  assert.equal(await outcome(filter, asking(GOOD)), 'alice');
  for (const token of [GOOD.slice(0, -1), `${GOOD}A`, GOOD.slice(1), GOOD.toUpperCase(), `${HEAD}.${BODY}`]) {
    assert.equal(await outcome(filter, asking(token)), 'jwt.invalid');
  }
});

test('jwt: what is refused is not remembered', async () => {
  const { filter, env } = makeFilter({ issuers: [issuerOf(KEYS)] });
  const early = await sign(ES, claimsOf({ nbf: NOW_S + 60 }));
  assert.equal(await outcome(filter, asking(early)), 'jwt.not-yet');
  env.advance(60_000);
  assert.equal(await outcome(filter, asking(early)), 'alice');
});
