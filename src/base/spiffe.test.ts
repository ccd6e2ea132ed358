import assert from 'node:assert/strict';
import test from 'node:test';
import { parseSpiffeId, spiffeIdOf } from './spiffe.ts';

test('an identity is read in its one spelling', () => {
  const rows: [rule: string, text: string, want: readonly (string | undefined)[] | undefined][] = [
    ['a workload', 'spiffe://cluster.local/ns/shop/sa/orders', ['cluster.local', 'shop', 'orders']],
    ['another path', 'spiffe://example.org/orders', ['example.org', undefined, undefined]],
    ['a trust domain alone', 'spiffe://example.org', ['example.org', undefined, undefined]],
    ['more behind a workload', 'spiffe://a.test/ns/shop/sa/orders/x', ['a.test', undefined, undefined]],
    ['capitals in the trust domain', 'spiffe://Example.org/a', undefined],
    ['another scheme', 'https://example.org/a', undefined],
    ['capitals in the scheme', 'SPIFFE://example.org/a', undefined],
    ['no trust domain', 'spiffe:///ns/shop/sa/orders', undefined],
    ['a port', 'spiffe://example.org:80/a', undefined],
    ['a user', 'spiffe://me@example.org/a', undefined],
    ['a query', 'spiffe://example.org/a?b', undefined],
    ['an escape', 'spiffe://example.org/%61', undefined],
    ['an empty segment', 'spiffe://example.org//a', undefined],
    ['a slash at the end', 'spiffe://example.org/a/', undefined],
    ['dots', 'spiffe://example.org/ns/../sa', undefined],
    ['one dot', 'spiffe://example.org/.', undefined],
    ['a line break behind it', 'spiffe://example.org/a\n', undefined],
    ['too long', `spiffe://example.org/${'a'.repeat(2_048)}`, undefined],
  ];
  for (const [rule, text, want] of rows) {
    const id = parseSpiffeId(text);
    assert.deepEqual(id && [id.trustDomain, id.namespace, id.account], want, rule);
    if (id !== undefined) assert.equal(id.id, text);
  }
});

test('a certificate with two URIs has no identity', () => {
  const a = 'spiffe://a.test/a';
  assert.equal(spiffeIdOf([a])?.id, a);
  assert.equal(spiffeIdOf([a, a]), undefined);
  assert.equal(spiffeIdOf([]), undefined);
});
