import assert from 'node:assert/strict';
import test from 'node:test';
import { parseSpiffeId, readSpiffeId, spiffeIdOf } from './spiffe.ts';

const ROWS: [rule: string, text: string, want: string | RegExp][] = [
  ['a trust domain alone', 'spiffe://example.org', 'example.org '],
  ['a path', 'spiffe://example.org/ns/shop/sa/orders', 'example.org /ns/shop/sa/orders'],
  ['letters of a path keep their case', 'spiffe://td/A/b_-.9', 'td /A/b_-.9'],
  ['dots that are more than two are a name', 'spiffe://td/...', 'td /...'],
  ['underscores in a trust domain', 'spiffe://my_td-1.x', 'my_td-1.x '],
  ['the longest trust domain', `spiffe://${'a'.repeat(255)}`, `${'a'.repeat(255)} `],
  ['the longest ID', `spiffe://td/${'a'.repeat(2_036)}`, `td /${'a'.repeat(2_036)}`],
  ['another scheme is refused', 'https://example.org/a', /starts with/],
  ['a scheme in capitals is refused', 'SPIFFE://example.org', /starts with/],
  ['nothing is refused', '', /starts with/],
  ['no trust domain is refused', 'spiffe:///a', /trust domain/],
  ['a trust domain in capitals is refused', 'spiffe://Example.org', /lower-case/],
  ['a port is refused', 'spiffe://example.org:80/a', /trust domain/],
  ['a user is refused', 'spiffe://me@example.org/a', /trust domain/],
  ['a trust domain of other letters is refused', 'spiffe://exämple.org', /trust domain/],
  ['a trust domain that is encoded is refused', 'spiffe://ex%61mple.org', /trust domain/],
  ['a trust domain that is too long is refused', `spiffe://${'a'.repeat(256)}`, /255 bytes/],
  ['an ID that is too long is refused', `spiffe://td/${'a'.repeat(2_037)}`, /2048 bytes/],
  ['a slash at the end is refused', 'spiffe://td/', /part of the path/],
  ['a slash at the end of a path is refused', 'spiffe://td/a/', /part of the path/],
  ['an empty segment is refused', 'spiffe://td/a//b', /part of the path/],
  ['a dot segment is refused', 'spiffe://td/a/./b', /part of the path/],
  ['a segment of two dots is refused', 'spiffe://td/a/../b', /part of the path/],
  ['an encoded slash is refused', 'spiffe://td/a%2Fb', /part of the path/],
  ['a query is refused', 'spiffe://td/a?b', /part of the path/],
  ['a query behind the trust domain is refused', 'spiffe://td?b', /trust domain/],
  ['a fragment is refused', 'spiffe://td/a#b', /part of the path/],
  ['a line feed at the end is refused', 'spiffe://td\n', /trust domain/],
  ['a line feed at the end of a path is refused', 'spiffe://td/a\n', /part of the path/],
];

for (const [rule, text, want] of ROWS) {
  test(`readSpiffeId: ${rule}`, () => {
    const read = readSpiffeId(text);
    if (typeof want === 'string') {
      assert.ok(!('flaw' in read), 'flaw' in read ? read.flaw : '');
      assert.equal(`${read.trustDomain} ${read.path}`, want);
    } else {
      assert.match('flaw' in read ? read.flaw : 'none', want);
    }
  });
}

test('namespace and account are of a workload of the mesh', () => {
  const rows: [id: string, want: readonly (string | undefined)[] | undefined][] = [
    ['spiffe://cluster.local/ns/shop/sa/orders', ['shop', 'orders']],
    ['spiffe://a.test/ns/shop/sa/orders/x', [undefined, undefined]],
    ['spiffe://example.org/orders', [undefined, undefined]],
    ['spiffe://example.org//a', undefined],
  ];
  for (const [id, want] of rows) {
    const read = parseSpiffeId(id);
    assert.deepEqual(read && [read.namespace, read.account], want, id);
  }
});

test('a certificate with two URIs has no identity, nor has one of the trust domain itself', () => {
  const a = 'spiffe://a.test/a';
  assert.equal(spiffeIdOf([a])?.id, a);
  assert.equal(spiffeIdOf([a, a]), undefined);
  assert.equal(spiffeIdOf([]), undefined);
  assert.equal(spiffeIdOf(['spiffe://a.test']), undefined);
});
