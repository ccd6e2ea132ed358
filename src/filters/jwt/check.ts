/** What the schema cannot say of `jwt`. */
import { parseDuration } from '../../base/duration.ts';
import type { ConfigIssue } from '../../filter/declaration.ts';
import { type Issuer, type Jwks, type JwtConfig, PUBLIC_ALGORITHMS, SECRET_ALGORITHMS } from './config.ts';
import { isDiscoverable, isSafeAddress } from './discovery.ts';
import { type Jwk, publicKeyOf } from './verify-key.ts';

export function check({ issuers, from, dpop, cache, claimHeaders }: JwtConfig): readonly ConfigIssue[] {
  const issues = issuers.flatMap((issuer, i) => issuerIssues(issuer, `/issuers/${i}`));
  from.forEach(({ header, query, cookie, scheme }, i) => {
    if ([header, query, cookie].filter((one) => one !== undefined).length !== 1) {
      issues.push({ pointer: `/from/${i}`, message: 'Set one of header, query and cookie' });
    } else if (scheme !== undefined && header === undefined) {
      issues.push({ pointer: `/from/${i}/scheme`, message: 'Only a header has a word before its token' });
    }
  });
  claimHeaders.forEach(({ header }, i) => {
    if (RESERVED.has(header.toLowerCase())) {
      issues.push({ pointer: `/claimHeaders/${i}/header`, message: `Expected a header of its own, got "${header}"` });
    }
  });
  bounds(issues, '/dpop/window', dpop.window, { minMs: 1_000, maxMs: 600_000 });
  if (dpop.nonce !== undefined) {
    bounds(issues, '/dpop/nonce/lifetime', dpop.nonce.lifetime, { minMs: 10_000, maxMs: 86_400_000 });
    if (dpop.mode === 'refuse')
      issues.push({ pointer: '/dpop/nonce', message: 'No proofs are taken: mode is "refuse"' });
  }
  bounds(issues, '/cache/ttl', cache.ttl, { minMs: 1_000, maxMs: 86_400_000 });
  return issues;
}

/** Fields that mean something to everybody on the way. */
const RESERVED: ReadonlySet<string> = new Set(['host', 'authorization', 'cookie', 'content-type', 'dpop']);

function issuerIssues(issuer: Issuer, pointer: string): ConfigIssue[] {
  const { jwks, secretKeys, algorithms = [], audiences, clockSkew, maxAge } = issuer;
  const issues: ConfigIssue[] = [];
  if (jwks !== undefined && secretKeys !== undefined) {
    issues.push({ pointer, message: 'Set one of jwks and secretKeys: public keys and shared ones do not mix' });
  }
  const isSearched = secretKeys === undefined && SOURCES.every((source) => jwks?.[source] === undefined);
  if (isSearched && !isDiscoverable(issuer.issuer)) {
    const message =
      'Expected an address beginning with "https:", where the keys are found, since neither jwks nor secretKeys says where they are';
    issues.push({ pointer: `${pointer}/issuer`, message });
  }
  const able: readonly string[] = secretKeys === undefined ? PUBLIC_ALGORITHMS : SECRET_ALGORITHMS;
  algorithms.forEach((algorithm, i) => {
    if (able.includes(algorithm)) return;
    const keys = secretKeys === undefined ? 'public keys of jwks' : 'secretKeys';
    issues.push({ pointer: `${pointer}/algorithms/${i}`, message: `Cannot check ${algorithm} with ${keys}` });
  });
  if (audiences.length > 1 && audiences.includes('*')) {
    issues.push({ pointer: `${pointer}/audiences`, message: '"*" takes any audience: it stands alone' });
  }
  bounds(issues, `${pointer}/clockSkew`, clockSkew, { minMs: 0, maxMs: 600_000 });
  if (maxAge !== undefined) bounds(issues, `${pointer}/maxAge`, maxAge, { minMs: 1_000, maxMs: Infinity });
  if (jwks !== undefined) jwksIssues(issues, jwks, { pointer: `${pointer}/jwks`, algorithms });
  return issues;
}

const SOURCES = ['uri', 'backendRef', 'inline', 'secret', 'file'] as const;

interface Place {
  readonly pointer: string;
  readonly algorithms: readonly string[];
}

function jwksIssues(issues: ConfigIssue[], jwks: Jwks, { pointer, algorithms }: Place): void {
  if (SOURCES.filter((source) => jwks[source] !== undefined).length > 1) {
    issues.push({ pointer, message: `Set one of ${SOURCES.join(', ')}` });
  }
  if (jwks.uri !== undefined && !isSafeAddress(jwks.uri)) {
    const message = 'Expected "https:": whoever can change keys on their way can make tokens. Or use backendRef';
    issues.push({ pointer: `${pointer}/uri`, message });
  }
  const able = algorithms.length > 0 ? algorithms : PUBLIC_ALGORITHMS;
  jwks.inline?.keys.forEach((jwk, i) => {
    const at = `${pointer}/inline/keys/${i}`;
    if (Object.hasOwn(jwk, 'd') || Object.hasOwn(jwk, 'k')) {
      issues.push({ pointer: at, message: 'Expected a public key, got a private or secret one' });
      return;
    }
    const key = publicKeyOf(jwk as Jwk, able);
    if (typeof key === 'string') issues.push({ pointer: at, message: `Cannot use this key: ${key}` });
  });
  bounds(issues, `${pointer}/refreshMin`, jwks.refreshMin, { minMs: 1_000, maxMs: parseDuration(jwks.refreshMax)! });
  bounds(issues, `${pointer}/refreshMax`, jwks.refreshMax, { minMs: 1_000, maxMs: 7 * 86_400_000 });
  bounds(issues, `${pointer}/refresh`, jwks.refresh, { minMs: 1_000, maxMs: 7 * 86_400_000 });
  bounds(issues, `${pointer}/unknownKidWait`, jwks.unknownKidWait, { minMs: 1_000, maxMs: 3_600_000 });
  bounds(issues, `${pointer}/timeout`, jwks.timeout, { minMs: 100, maxMs: 60_000 });
}

interface Bounds {
  readonly minMs: number;
  readonly maxMs: number;
}

function bounds(issues: ConfigIssue[], pointer: string, text: string, { minMs, maxMs }: Bounds): void {
  const ms = parseDuration(text)!;
  if (ms >= minMs && ms <= maxMs) return;
  issues.push({ pointer, message: `Expected a duration of ${minMs} ms to ${maxMs} ms, got "${text}"` });
}
