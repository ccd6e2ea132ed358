import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Fault } from '../../base/fault.ts';
import type { Redis } from '../../filter/env.ts';
import { linesOf, makeResponse } from '../../filter/testing/exchange.ts';
import { plainUri } from './dpop.ts';
import { SeenProofs } from './seen-proofs.ts';
import {
  asking,
  claimsOf,
  issuerOf,
  makeFilter,
  makeKey,
  NOW_S,
  outcome,
  prove,
  sign,
  thumbprint,
} from './testing/tokens.ts';

const [ISSUER_KEY, CLIENT, OTHER, RSA] = await Promise.all([
  makeKey('ES256', 'issuer'),
  makeKey('ES256', 'client'),
  makeKey('ES256', 'other'),
  makeKey('RS256', 'rsa'),
]);
const BOUND = await sign(ISSUER_KEY, claimsOf({ cnf: { jkt: await thumbprint(CLIENT) } }));
const FREE = await sign(ISSUER_KEY, claimsOf());

function made(dpop: object = {}, parts: object = {}): ReturnType<typeof makeFilter> {
  return makeFilter({ issuers: [issuerOf([ISSUER_KEY])], dpop }, parts);
}

function asksWith(
  token: string,
  proof: string | readonly string[] | undefined,
  url?: string,
): ReturnType<typeof asking> {
  const headers = { authorization: `DPoP ${token}`, ...(proof !== undefined && { dpop: proof }) };
  return asking(token, { headers, ...(url !== undefined && { url }) });
}

const MODES: [rule: string, mode: string, scheme: 'Bearer' | 'DPoP', token: string, want: string][] = [
  ['a bound token with its proof', 'accept', 'DPoP', BOUND, 'alice'],
  ['a bound token without its proof is refused', 'accept', 'Bearer', BOUND, 'jwt.binding'],
  ['a token that is not bound', 'accept', 'Bearer', FREE, 'alice'],
  ['a token that is not bound, as DPoP', 'accept', 'DPoP', FREE, 'jwt.binding'],
  ['only bound tokens: with its proof', 'require', 'DPoP', BOUND, 'alice'],
  ['only bound tokens: not bound', 'require', 'Bearer', FREE, 'jwt.binding'],
  ['only bound tokens: without its proof', 'require', 'Bearer', BOUND, 'jwt.binding'],
  ['no proofs: with its proof', 'refuse', 'DPoP', BOUND, 'jwt.proof'],
  ['no proofs: a bound token is not taken without it either', 'refuse', 'Bearer', BOUND, 'jwt.binding'],
  ['no proofs: not bound', 'refuse', 'Bearer', FREE, 'alice'],
];

for (const [rule, mode, scheme, token, want] of MODES) {
  test(`dpop: ${rule}`, async () => {
    const { filter } = made({ mode });
    const headers = { authorization: `${scheme} ${token}`, dpop: await prove(CLIENT, token) };
    assert.equal(await outcome(filter, asking(token, { headers })), want);
  });
}

const { kid: _, ...JWK } = CLIENT.jwk;
type Difference = { readonly claims?: object; readonly header?: object };
const PROOFS: [rule: string, differs: Difference, want: string][] = [
  ['another spelling of the same address', { claims: { htu: 'HTTPS://Shop.Test:443/b/../%61?x=1#y' } }, 'alice'],
  ['another method', { claims: { htm: 'POST' } }, 'jwt.proof'],
  ['the method in another case', { claims: { htm: 'get' } }, 'jwt.proof'],
  ['another host', { claims: { htu: 'https://evil.test/a' } }, 'jwt.proof'],
  ['another scheme', { claims: { htu: 'http://shop.test/a' } }, 'jwt.proof'],
  ['another port', { claims: { htu: 'https://shop.test:8443/a' } }, 'jwt.proof'],
  ['another path', { claims: { htu: 'https://shop.test/ab' } }, 'jwt.proof'],
  ['a slash more', { claims: { htu: 'https://shop.test/a/' } }, 'jwt.proof'],
  ['a host before an at sign', { claims: { htu: 'https://shop.test@evil.test/a' } }, 'jwt.proof'],
  ['no address', { claims: { htu: 7 } }, 'jwt.proof'],
  ['a minute old', { claims: { iat: NOW_S - 60 } }, 'alice'],
  ['older', { claims: { iat: NOW_S - 61 } }, 'jwt.proof'],
  ['a little ahead', { claims: { iat: NOW_S + 10 } }, 'alice'],
  ['of later', { claims: { iat: NOW_S + 11 } }, 'jwt.proof'],
  ['of no time', { claims: { iat: undefined } }, 'jwt.proof'],
  ['of a time that is text', { claims: { iat: String(NOW_S) } }, 'jwt.proof'],
  ['for another token', { claims: { ath: 'fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo' } }, 'jwt.proof'],
  ['for no token', { claims: { ath: undefined } }, 'jwt.proof'],
  ['no jti', { claims: { jti: undefined } }, 'jwt.proof'],
  ['an empty jti', { claims: { jti: '' } }, 'jwt.proof'],
  ['a long jti', { claims: { jti: 'j'.repeat(257) } }, 'jwt.proof'],
  ['another typ', { header: { typ: 'JWT' } }, 'jwt.proof'],
  ['no typ', { header: { typ: undefined } }, 'jwt.proof'],
  ['no key', { header: { jwk: undefined } }, 'jwt.proof'],
  ['a private key', { header: { jwk: { ...JWK, d: 'AAAA' } } }, 'jwt.proof'],
  ['the key of somebody else', { header: { jwk: OTHER.jwk } }, 'jwt.proof'],
  ['a key that is none', { header: { jwk: { ...JWK, x: 'AAAA' } } }, 'jwt.proof'],
  ['a long proof', { claims: { filler: 'x'.repeat(5000) } }, 'jwt.proof'],
];

for (const [rule, differs, want] of PROOFS) {
  test(`dpop proof: ${rule}`, async () => {
    const { filter } = made();
    assert.equal(await outcome(filter, asksWith(BOUND, await prove(CLIENT, BOUND, differs))), want);
  });
}

test('dpop proof: none, two, and one by another key', async () => {
  const { filter } = made();
  const proof = await prove(CLIENT, BOUND);
  assert.equal(await outcome(filter, asksWith(BOUND, undefined)), 'jwt.proof');
  assert.equal(
    await outcome(filter, asksWith(BOUND, [proof, await prove(CLIENT, BOUND, { claims: { jti: 'b' } })])),
    'jwt.proof',
  );
  assert.equal(await outcome(filter, asksWith(BOUND, await prove(OTHER, BOUND))), 'jwt.proof');
  assert.equal(await outcome(filter, asksWith(BOUND, `${proof.slice(0, -8)}AAAAAAAA`)), 'jwt.proof');
  // What was not good is not used up.
  assert.equal(await outcome(filter, asksWith(BOUND, proof)), 'alice');
});

test('dpop proof: an RSA key whose numbers make checks slow is not even read', async () => {
  const { filter } = made({ algorithms: ['RS256'] });
  const jwk = { ...RSA.jwk, e: Buffer.alloc(200, 0xff).toString('base64url') };
  assert.equal(await outcome(filter, asksWith(BOUND, await prove(RSA, BOUND, { header: { jwk } }))), 'jwt.proof');
});

test('dpop proof: an algorithm that is not taken', async () => {
  const { filter } = made({ algorithms: ['RS256'] });
  assert.equal(await outcome(filter, asksWith(BOUND, await prove(CLIENT, BOUND))), 'jwt.proof');
});

test('dpop proof: it is used once', async () => {
  const { filter, env } = made();
  const proof = await prove(CLIENT, BOUND);
  assert.equal(await outcome(filter, asksWith(BOUND, proof)), 'alice');
  assert.equal(await outcome(filter, asksWith(BOUND, proof)), 'jwt.proof');
  env.advance(59_000);
  assert.equal(await outcome(filter, asksWith(BOUND, proof)), 'jwt.proof');
  const both = await prove(CLIENT, BOUND, { claims: { jti: 'both', iat: NOW_S + 59 } });
  const outcomes = await Promise.all([1, 2].map(() => outcome(filter, asksWith(BOUND, both))));
  assert.deepEqual(outcomes.toSorted(), ['alice', 'jwt.proof']);
});

test('dpop proof: one that another worker has seen is not new, nor is it after a change of the plan', async () => {
  const proof = await prove(CLIENT, BOUND);
  const first = made();
  assert.equal(await outcome(first.filter, asksWith(BOUND, proof)), 'alice');
  const worker = made({}, { cells: first.env.cells, worker: { number: 2, of: 2 } });
  assert.equal(await outcome(worker.filter, asksWith(BOUND, proof)), 'jwt.proof');
  const changed = made({ proofsMax: 1000 }, { shared: <T extends object>(make: () => T) => first.env.shared(make) });
  assert.equal(await outcome(changed.filter, asksWith(BOUND, proof)), 'jwt.proof');
  assert.equal(await outcome(made().filter, asksWith(BOUND, proof)), 'alice', 'it is good otherwise');
});

test('dpop proof: when no more can be remembered, none is taken', async () => {
  const { filter } = made({ proofsMax: 1000 });
  const proofs = Array.from({ length: 1001 }, (_unused, i) => prove(CLIENT, BOUND, { claims: { jti: String(i) } }));
  const outcomes = await Promise.all(
    (await Promise.all(proofs)).map((proof) => outcome(filter, asksWith(BOUND, proof))),
  );
  assert.equal(outcomes.filter((one) => one === 'alice').length, 1000);
  assert.equal(outcomes.filter((one) => one === 'jwt.proofs-full').length, 1);
});

test('dpop proof: one that another proxy has seen is not new', async () => {
  const kept = new Set<unknown>();
  const commands: (readonly unknown[])[] = [];
  const redis: Redis = {
    isUp: true,
    run: () => Promise.reject(new Error('no scripts')),
    command: (...words) => {
      commands.push(words);
      const isNew = !kept.has(words[1]);
      kept.add(words[1]);
      return Promise.resolve(isNew ? 'OK' : null);
    },
  };
  const proof = await prove(CLIENT, BOUND);
  assert.equal(await outcome(made({}, { redis }).filter, asksWith(BOUND, proof)), 'alice');
  assert.equal(await outcome(made({}, { redis }).filter, asksWith(BOUND, proof)), 'jwt.proof');
  assert.deepEqual(commands[0]!.slice(2), ['1', 'NX', 'PX', 70_000]);
});

test('dpop: behind another proxy the origin is what clients believe', async () => {
  const { filter } = made({ origin: 'https://api.test' });
  const proof = await prove(CLIENT, BOUND, { claims: { htu: 'https://api.test/a' } });
  assert.equal(await outcome(filter, asksWith(BOUND, proof, 'http://10.0.0.7:8080/a')), 'alice');
});

test('dpop: a refused client is told that it was the proof, and what is taken', async () => {
  const { filter } = made({ algorithms: ['ES256'] });
  const fault = (await filter.authenticate!(asksWith(BOUND, 'x'))) as Fault;
  assert.deepEqual(fault.extras?.headers, [['www-authenticate', 'DPoP algs="ES256", error="invalid_dpop_proof"']]);
});

// ---- nonces (RFC 9449 section 9)

const NONCE = { nonce: { secret: { name: 'bench', key: 'nonce' }, lifetime: '100s' }, window: '600s' };
const SECRETS: Record<string, string> = {
  one: 'a secret of thirty-two bytes ....',
  two: 'another secret of that length ...',
};

function withNonces(secret: string, more: object = {}): ReturnType<typeof made> {
  return made({ ...NONCE, ...more }, { secret: () => SECRETS[secret] ?? secret });
}

let proofs = 0;
function proofWith(nonce: unknown): Promise<string> {
  return prove(CLIENT, BOUND, { claims: { nonce, jti: `nonce ${proofs++}` } });
}

/** The nonce that a client without one is told. */
async function nonceOf({ filter }: ReturnType<typeof made>): Promise<string> {
  const fault = (await filter.authenticate!(asksWith(BOUND, await proofWith(undefined)))) as Fault;
  assert.equal(fault.code, 'jwt.nonce');
  const [challenge, nonce] = fault.extras!.headers!;
  assert.match(challenge![1], /^DPoP algs=".*", error="use_dpop_nonce"$/);
  assert.equal(nonce![0], 'dpop-nonce');
  // RFC 9449 section 8.1: NQCHAR.
  assert.match(nonce![1], /^[\x21\x23-\x5b\x5d-\x7e]+$/);
  return nonce![1];
}

const NONCES: [rule: string, afterMs: number, nonce: (given: string) => unknown, want: string][] = [
  ['the one that was given', 0, (given) => given, 'alice'],
  ['as long as it may be used', 100_000, (given) => given, 'alice'],
  ['for longer', 101_000, (given) => given, 'jwt.nonce'],
  ['none', 0, () => undefined, 'jwt.nonce'],
  ['an empty one', 0, () => '', 'jwt.nonce'],
  ['one that is no text', 0, (given) => [given], 'jwt.nonce'],
  ['another time', 0, (given) => `${given.slice(0, 6)}A${given.slice(7)}`, 'jwt.nonce'],
  ['another end', 0, (given) => `${given.slice(0, -2)}AA`, 'jwt.nonce'],
  ['a shorter one', 0, (given) => given.slice(0, -2), 'jwt.nonce'],
  ['a longer one', 0, (given) => `${given}A`, 'jwt.nonce'],
];

for (const [rule, afterMs, nonce, want] of NONCES) {
  test(`dpop nonce: ${rule}`, async () => {
    const here = withNonces('one');
    const given = await nonceOf(here);
    here.env.advance(afterMs);
    assert.equal(await outcome(here.filter, asksWith(BOUND, await proofWith(nonce(given)))), want);
  });
}

test('dpop nonce: proxies with one secret take those of each other, others do not', async () => {
  const given = await nonceOf(withNonces('one'));
  assert.equal(await outcome(withNonces('one').filter, asksWith(BOUND, await proofWith(given))), 'alice');
  assert.equal(await outcome(withNonces('two').filter, asksWith(BOUND, await proofWith(given))), 'jwt.nonce');
});

test('dpop nonce: a secret that is short is refused', () => {
  assert.throws(() => withNonces('short'), /has 5 bytes, and needs 32/);
});

test('dpop nonce: a proof that is not good otherwise is told that, and one without a nonce is not used up', async () => {
  const here = withNonces('one');
  const given = await nonceOf(here);
  const claims = { nonce: given, htm: 'POST' };
  assert.equal(await outcome(here.filter, asksWith(BOUND, await prove(CLIENT, BOUND, { claims }))), 'jwt.proof');
  const again = (nonce: string | undefined): Promise<string> =>
    prove(CLIENT, BOUND, { claims: { jti: 'again', nonce } });
  assert.equal(await outcome(here.filter, asksWith(BOUND, await again(undefined))), 'jwt.nonce');
  assert.equal(await outcome(here.filter, asksWith(BOUND, await again(given))), 'alice');
});

test('dpop nonce: the answer brings a new one when half of its time is over, and may not be kept', async () => {
  const here = withNonces('one');
  const given = await nonceOf(here);
  const answerTo = async (): Promise<string[]> => {
    const x = asksWith(BOUND, await proofWith(given));
    assert.equal(await outcome(here.filter, x), 'alice');
    const response = makeResponse(200, { 'cache-control': 'max-age=60' });
    await here.filter.onResponse!(x, response);
    return linesOf(response.headers);
  };
  here.env.advance(50_000);
  assert.deepEqual(await answerTo(), ['cache-control: max-age=60']);
  here.env.advance(1_000);
  const fresh = await nonceOf(here);
  assert.notEqual(fresh, given);
  assert.deepEqual(await answerTo(), [`dpop-nonce: ${fresh}`, 'cache-control: no-store']);
  assert.equal(typeof made().filter.onResponse, 'undefined', 'nothing is to be done where there are no nonces');
});

test('dpop: proofs are forgotten when they are too old anyway, and none before', () => {
  const seen = new SeenProofs(100);
  assert.deepEqual([seen.take('a', 0, 3), seen.take('a', 50, 3), seen.take('a', 99, 3)], ['new', 'seen', 'seen']);
  assert.deepEqual([seen.take('b', 99, 3), seen.take('a', 100, 3), seen.take('b', 198, 3)], ['new', 'seen', 'seen']);
  assert.deepEqual([seen.take('a', 201, 3), seen.take('b', 202, 3)], ['new', 'new']);
  assert.deepEqual([seen.take('c', 203, 3), seen.take('d', 204, 3), seen.take('e', 205, 3)], ['new', 'full', 'full']);
  assert.equal(seen.take('d', 1_000, 3), 'new');
});

test('dpop: addresses in one form', () => {
  assert.equal(plainUri('HTTP://A.Test:80/%7Ea/./b%2fc?x#y'), 'http://a.test/~a/b%2Fc');
  assert.equal(plainUri('https://u:p@a.test/'), undefined);
  assert.equal(plainUri('ftp://a.test/'), undefined);
  assert.equal(plainUri('a'), undefined);
});

// ---- other bindings: `[rule, cnf, fingerprint of the client's certificate, want]`

const PRINT = '01'.repeat(32);
const X5T = Buffer.from(PRINT, 'hex').toString('base64url');
const BINDINGS: [rule: string, cnf: unknown, fingerprint: string | undefined, want: string][] = [
  ['its certificate', { 'x5t#S256': X5T }, PRINT, 'alice'],
  ['no certificate', { 'x5t#S256': X5T }, undefined, 'jwt.binding'],
  ['another certificate', { 'x5t#S256': X5T }, '02'.repeat(32), 'jwt.binding'],
  ['a hash that is none', { 'x5t#S256': '' }, PRINT, 'jwt.binding'],
  ['a hash that is no text', { 'x5t#S256': 7 }, PRINT, 'jwt.binding'],
  ['a key inside', { jwk: {} }, PRINT, 'jwt.binding'],
  ['a certificate and something unknown', { 'x5t#S256': X5T, kid: 'a' }, PRINT, 'jwt.binding'],
  ['nothing', {}, PRINT, 'jwt.binding'],
  ['text', 'a', PRINT, 'jwt.binding'],
  ['null', null, PRINT, 'jwt.binding'],
  ['a list', [], PRINT, 'jwt.binding'],
];

for (const [rule, cnf, fingerprint, want] of BINDINGS) {
  test(`jwt binding: ${rule}`, async () => {
    const { filter } = made();
    const token = await sign(ISSUER_KEY, claimsOf({ cnf }));
    const clientCertificate =
      fingerprint === undefined
        ? undefined
        : { subject: '', commonName: '', dns: [], uri: [], fingerprint, der: Buffer.alloc(0) };
    const asks = (): ReturnType<typeof asking> => asking(token, { client: { clientCertificate } });
    assert.equal(await outcome(filter, asks()), want);
    assert.equal(await outcome(filter, asks()), want);
  });
}
