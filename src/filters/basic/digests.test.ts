import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Digests, TOKEN_CHARS_MAX } from './digests.ts';

const SHORT = 'YWxpY2U6c2VjcmV0';

const PAIRS: readonly (readonly [rule: string, a: string, b: string, want: 'same' | 'apart'])[] = [
  ['the same', SHORT, SHORT, 'same'],
  ['one letter differs', SHORT, `${SHORT.slice(0, -1)}1`, 'apart'],
  ['one is the beginning of the other', SHORT, `${SHORT}YQ==`, 'apart'],
  ['what is filled up with zeros', SHORT, `${SHORT}\0`, 'apart'],
  ['nothing, and a zero', '', '\0', 'apart'],
  ['long ones that are the same', 'a'.repeat(2_000), 'a'.repeat(2_000), 'same'],
  ['long ones that differ at the end', 'a'.repeat(2_000), `${'a'.repeat(1_999)}b`, 'apart'],
  ['around the length that one view serves', 'a'.repeat(101), 'a'.repeat(102), 'apart'],
  ['the longest', 'a'.repeat(TOKEN_CHARS_MAX), `${'a'.repeat(TOKEN_CHARS_MAX - 1)}b`, 'apart'],
];

for (const [rule, a, b, want] of PAIRS) {
  test(`basic digests: ${rule}`, () => {
    const digests = new Digests();
    const first = digests.ofToken(a);
    // Nothing of what was hashed between counts.
    digests.ofToken('x'.repeat(TOKEN_CHARS_MAX));
    digests.ofToken('');
    assert.equal(first === digests.ofToken(b) ? 'same' : 'apart', want);
    assert.equal(first.length, 32);
  });
}

test('basic digests: of two tables are not the same, and names are not tokens', () => {
  assert.notEqual(new Digests().ofToken(SHORT), new Digests().ofToken(SHORT));
  const digests = new Digests();
  assert.equal(digests.ofName('alice'), digests.ofName('alice'));
  assert.notEqual(digests.ofName('alice'), Buffer.from(digests.ofToken('alice'), 'latin1').toString('hex'));
});
