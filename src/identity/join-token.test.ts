import assert from 'node:assert/strict';
import { createHash, randomBytes, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { makeCertificate } from '../net/testing/certificates.ts';
import { anchorsFor, isSameHash, makeToken, readToken } from './join-token.ts';

const ROOT = randomBytes(32).toString('hex');

test('a token reads as it was made, and no two are alike', () => {
  const [one, two] = [makeToken(ROOT), makeToken(ROOT)];
  assert.deepEqual(readToken(one.text), { id: one.id, hash: one.hash, root: ROOT });
  assert.notEqual(one.id, two.id);
  assert.notEqual(one.hash, two.hash);
  assert.match(one.text, /^fwj_[A-Za-z0-9_-]{112}$/);
  const secret = Buffer.from(one.text.slice(4), 'base64url').subarray(16, 48);
  assert.equal(one.hash, createHash('sha256').update(secret).digest('hex'));
});

test('a token with any digit changed, cut anywhere or with anything behind it is refused', () => {
  const { text } = makeToken(ROOT);
  for (let i = 0; i < text.length; i++) {
    assert.ok('flaw' in readToken(text.slice(0, i)), `cut at ${i}`);
    const other = text[i] === 'x' ? 'y' : 'x';
    assert.ok('flaw' in readToken(text.slice(0, i) + other + text.slice(i + 1)), `changed at ${i}`);
  }
  for (const more of ['A', '\n', ' ', '=', '.']) assert.ok('flaw' in readToken(text + more));
});

const HASHES: [rule: string, a: string, b: string, want: boolean][] = [
  ['the same', ROOT, ROOT, true],
  ['the first byte', `00${ROOT.slice(2)}`, `01${ROOT.slice(2)}`, false],
  ['the last byte', `${ROOT.slice(0, -2)}00`, `${ROOT.slice(0, -2)}01`, false],
  ['another length', ROOT, ROOT.slice(2), false],
  ['nothing', ROOT, '', false],
];

for (const [rule, a, b, want] of HASHES) {
  test(`isSameHash: ${rule}`, () => assert.equal(isSameHash(a, b), want));
}

test('of the anchors, the one that the token names is believed, and no other root', () => {
  const root = makeCertificate({ kind: 'ca', subject: 'Ours' });
  const evil = makeCertificate({ kind: 'ca', subject: 'Ours' });
  const between = makeCertificate({ kind: 'ca', subject: 'Next', issuer: root });
  const anchors = [evil.leafPem, 'nonsense', between.leafPem, root.leafPem];
  const hash = createHash('sha256').update(new X509Certificate(root.leafPem).raw).digest('hex');
  assert.deepEqual(anchorsFor(anchors, hash), [root.leafPem, between.leafPem]);
  assert.equal(anchorsFor([evil.leafPem, between.leafPem], hash), undefined);
  assert.equal(anchorsFor([], hash), undefined);
});
