import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  begun,
  dueKind,
  finished,
  type Move,
  nextMove,
  retired,
  type RotationFacts,
  type RotationState,
  switched,
  trustedRoots,
} from './rotation.ts';

const OLD = { root: 'R1', issuer: 'I1' };
const REST: RotationState = { active: OLD, former: [] };
const ROOT_SPREAD = begun(REST, { root: 'R2', issuer: 'I2' }, 1);
const ROOT_RENEW = switched(ROOT_SPREAD, 2);
const ROOT_WITHDRAW = retired(ROOT_RENEW, 3);
const ISSUER_SPREAD = begun(REST, { root: 'R1', issuer: 'I2' }, 1);
const ISSUER_RENEW = switched(ISSUER_SPREAD, 2);
const NONE: RotationFacts = { behind: 0, elsewhere: 0, due: undefined, unnamed: [] };

const ROWS: [rule: string, state: RotationState, facts: Partial<RotationFacts>, want: Move][] = [
  ['nothing is to be done', REST, {}, { does: 'rest' }],
  ['proxies that are behind are not in the way of resting', REST, { behind: 3, elsewhere: 3 }, { does: 'rest' }],
  ['what is due begins', REST, { due: 'issuer' }, { does: 'make', kind: 'issuer' }],
  [
    'what was asked for begins before what is due',
    { ...REST, asked: 'root' },
    { due: 'issuer' },
    { does: 'make', kind: 'root' },
  ],
  ['what nobody names is forgotten', REST, { unnamed: ['R0'] }, { does: 'forget', roots: ['R0'] }],
  [
    'nothing is forgotten while it rotates',
    ROOT_SPREAD,
    { behind: 1, unnamed: ['R1'] },
    { does: 'wait', for: 'trust', count: 1 },
  ],
  ['the new root issues when all trust it', ROOT_SPREAD, { elsewhere: 9 }, { does: 'switch' }],
  ['not while one does not', ROOT_SPREAD, { behind: 1 }, { does: 'wait', for: 'trust', count: 1 }],
  ['an issuer below the same root waits for nobody', ISSUER_SPREAD, { behind: 5 }, { does: 'switch' }],
  ['the old one is retired when nobody has its certificates', ROOT_RENEW, {}, { does: 'retire' }],
  ['not while one has', ROOT_RENEW, { elsewhere: 1 }, { does: 'wait', for: 'renewal', count: 1 }],
  [
    'who joined meanwhile and has not spoken is no holder of the old one',
    ROOT_RENEW,
    { behind: 1 },
    { does: 'retire' },
  ],
  ['the old issuer is retired too', ISSUER_RENEW, {}, { does: 'retire' }],
  ['not while one has its certificates', ISSUER_RENEW, { elsewhere: 2 }, { does: 'wait', for: 'renewal', count: 2 }],
  ['it is over when all trust the new one only', ROOT_WITHDRAW, {}, { does: 'finish' }],
  ['not while one trusts the old one', ROOT_WITHDRAW, { behind: 4 }, { does: 'wait', for: 'trust', count: 4 }],
  [
    'nothing else begins before it is over',
    { ...ROOT_WITHDRAW, asked: 'root' },
    { behind: 1, due: 'root' },
    { does: 'wait', for: 'trust', count: 1 },
  ],
];

for (const [rule, state, facts, want] of ROWS) {
  test(`nextMove: ${rule}`, () => assert.deepEqual(nextMove(state, { ...NONE, ...facts }), want));
}

const TRUST: [rule: string, state: RotationState, roots: string[], issuer: string][] = [
  ['at rest', REST, ['R1'], 'I1'],
  ['both are trusted before the new one issues', ROOT_SPREAD, ['R1', 'R2'], 'I1'],
  ['both are trusted while certificates are renewed', ROOT_RENEW, ['R1', 'R2'], 'I2'],
  ['the new one alone', ROOT_WITHDRAW, ['R2'], 'I2'],
  ['and after it', finished(ROOT_WITHDRAW), ['R2'], 'I2'],
  ['an issuer changes no trust', ISSUER_SPREAD, ['R1'], 'I1'],
  ['nor when it issues', ISSUER_RENEW, ['R1'], 'I2'],
  ['nor after it', retired(ISSUER_RENEW, 3), ['R1'], 'I2'],
];

for (const [rule, state, roots, issuer] of TRUST) {
  test(`trustedRoots: ${rule}`, () => {
    assert.deepEqual(trustedRoots(state), roots);
    assert.equal(state.active.issuer, issuer);
  });
}

test('an issuer has nothing to withdraw', () => {
  assert.deepEqual(retired(ISSUER_RENEW, 3), { active: { root: 'R1', issuer: 'I2' }, former: [] });
});

test('a rotation that was asked for is begun once', () => {
  assert.equal('asked' in begun({ ...REST, asked: 'root' }, OLD, 1), false);
});

test('steps that the table does not have are defects', () => {
  for (const wrong of [
    () => switched(REST, 1),
    () => switched(ROOT_RENEW, 1),
    () => retired(ROOT_SPREAD, 1),
    () => finished(ROOT_RENEW),
    () => finished(REST),
  ]) {
    assert.throws(wrong, RangeError);
  }
});

const LIFE = { notBeforeMs: 0, notAfterMs: 100 };
const DUE: [rule: string, lives: Parameters<typeof dueKind>[0], nowMs: number, want: string | undefined][] = [
  ['young', { root: LIFE, issuer: LIFE }, 49, undefined],
  ['half of the life of both: the root, which takes its issuer along', { root: LIFE, issuer: LIFE }, 50, 'root'],
  ['of the issuer', { root: { ...LIFE, notAfterMs: 900 }, issuer: LIFE }, 50, 'issuer'],
  ['what was brought is not ours to replace', {}, 99, undefined],
];

for (const [rule, lives, nowMs, want] of DUE) {
  test(`dueKind: ${rule}`, () => assert.equal(dueKind(lives, nowMs), want));
}
