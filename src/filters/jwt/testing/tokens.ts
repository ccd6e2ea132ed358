/** Issuers with real keys, tokens, proofs and a filter that takes them, for tests. */
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, CompactSign, exportJWK, type JWK } from 'jose';
import { Fault } from '../../../base/fault.ts';
import type { Authentication, Filter } from '../../../filter/filter.ts';
import {
  type ExchangeValues,
  makeEnv,
  makeExchange,
  TEST_WALL_MS,
  type TestEnv,
  type TestExchange,
} from '../../../filter/testing/exchange.ts';
import { check } from '../../../schema/schema.ts';
import { JwtConfig } from '../config.ts';
import { code } from '../filter.ts';

export const ISSUER = 'https://id.test';
export const NOW_S = TEST_WALL_MS / 1000;

export interface TestKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly jwk: JWK;
}

/** A key pair for this algorithm. */
export async function makeKey(alg: string, kid = alg): Promise<TestKey> {
  const { privateKey, publicKey } = pairFor(alg);
  return { kid, alg, privateKey, publicKey, jwk: { ...(await exportJWK(publicKey)), kid } };
}

function pairFor(alg: string): { privateKey: KeyObject; publicKey: KeyObject } {
  if (alg.startsWith('ES')) {
    const namedCurve = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' }[alg]!;
    return generateKeyPairSync('ec', { namedCurve });
  }
  return alg.startsWith('Ed') ? generateKeyPairSync('ed25519') : generateKeyPairSync('rsa', { modulusLength: 2048 });
}

/** What a good token says, and what of it differs. `undefined` leaves a member out. */
export function claimsOf(more: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return { iss: ISSUER, aud: 'api', sub: 'alice', iat: NOW_S, exp: NOW_S + 600, ...more };
}

/** A token signed with a real key. */
export function sign(
  { privateKey, alg, kid }: TestKey,
  claims: Readonly<Record<string, unknown>> | string,
  header: Readonly<Record<string, unknown>> = {},
): Promise<string> {
  const text = typeof claims === 'string' ? claims : JSON.stringify(claims);
  const own = JSON.parse(JSON.stringify({ alg, kid, typ: 'at+jwt', ...header })) as { alg: string };
  return new CompactSign(Buffer.from(text)).setProtectedHeader(own).sign(privateKey);
}

/** Parts that are put together as they are: for what no library would sign. */
export function rawToken(header: object | string, claims: object | string, signature: Buffer | string): string {
  const part = (of: object | string): string =>
    Buffer.from(typeof of === 'string' ? of : JSON.stringify(of)).toString('base64url');
  return `${part(header)}.${part(claims)}.${Buffer.from(signature).toString('base64url')}`;
}

export function sha256(text: string): string {
  return createHash('sha256').update(text).digest('base64url');
}

/** A proof for a token (RFC 9449 section 4.2), and what of it differs. */
export async function prove(
  key: TestKey,
  token: string,
  more: { readonly claims?: object; readonly header?: object } = {},
): Promise<string> {
  const { kid: _, ...jwk } = key.jwk;
  const claims = { jti: `${Math.abs(createHash('md5').update(JSON.stringify(more)).digest().readInt32LE())}` };
  const said = { ...claims, htm: 'GET', htu: 'https://shop.test/a', iat: NOW_S, ath: sha256(token), ...more.claims };
  return sign(key, said, { typ: 'dpop+jwt', jwk, kid: undefined, ...more.header });
}

export function thumbprint(key: TestKey): Promise<string> {
  return calculateJwkThumbprint(key.jwk, 'sha256');
}

/** The filter with its effects. Its configuration is checked as that of an operator is. */
export function makeFilter(
  config: object,
  parts: Parameters<typeof makeEnv>[0] = {},
): { filter: Filter; env: TestEnv } {
  const checked = check(JwtConfig, config);
  assert.deepEqual(checked.issues, []);
  const env = makeEnv(parts);
  return { filter: code.make(checked.value!, env), env };
}

/** An issuer whose keys are in the configuration. */
export function issuerOf(keys: readonly TestKey[], more: object = {}): object {
  return { issuer: ISSUER, audiences: ['api'], jwks: { inline: { keys: keys.map(({ jwk }) => jwk) } }, ...more };
}

export function asking(token: string, values: ExchangeValues = {}): TestExchange {
  return makeExchange({
    url: 'https://shop.test/a',
    ...values,
    headers: { authorization: `Bearer ${token}`, ...values.headers },
  });
}

/** The code of the fault, `absent`, or the subject. */
export async function outcome(filter: Filter, x: TestExchange): Promise<string> {
  return textOf(await filter.authenticate!(x));
}

export function textOf(found: Authentication): string {
  if (found === 'absent') return found;
  if (found instanceof Fault) return found.code;
  return 'subject' in found ? found.subject : 'reply';
}
