import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyDelta, deltaSize, diffPlans } from './diff.ts';
import type { PlanBundle, PlanDelta } from './plan.ts';
import { bundleOf, CLUSTER, PARTS, routeTo } from './testing/plans.ts';

const before = bundleOf(PARTS);
const NOTHING = { ports: {}, listeners: {}, routes: {}, streams: {}, clusters: {}, secrets: {} };
const NO_NAMES = { ports: [], listeners: [], routes: [], streams: [], clusters: [], secrets: [] };
const route = routeTo('Gateway/shop/edge/http', 'a.test');
const secret = { certificatePem: 'NEW', privateKeyPem: 'NEW' };

const ROWS: [rule: string, after: PlanBundle, want: Omit<PlanDelta, 'from' | 'to'>][] = [
  ['the same bundle changes nothing', before, { set: NOTHING, remove: NO_NAMES }],
  ['equal parts that are other objects change nothing', structuredClone(before), { set: NOTHING, remove: NO_NAMES }],
  [
    'a changed part is set',
    bundleOf({ ...PARTS, routes: { 'HTTPRoute/shop/web': route } }),
    { set: { ...NOTHING, routes: { 'HTTPRoute/shop/web': route } }, remove: NO_NAMES },
  ],
  [
    'a part that went is removed',
    bundleOf({ ...PARTS, routes: {} }),
    { set: NOTHING, remove: { ...NO_NAMES, routes: ['HTTPRoute/shop/web'] } },
  ],
  [
    'a new part is set',
    bundleOf({ ...PARTS, clusters: { ...PARTS.clusters, new: CLUSTER } }),
    { set: { ...NOTHING, clusters: { new: CLUSTER } }, remove: NO_NAMES },
  ],
  [
    'a secret with another value is set, one that went is removed',
    { ...before, secrets: { other: secret } },
    { set: { ...NOTHING, secrets: { other: secret } }, remove: { ...NO_NAMES, secrets: ['Secret/shop/tls'] } },
  ],
];

for (const [rule, after, want] of ROWS) {
  test(`diffPlans: ${rule}`, () => {
    const { from, to, set, remove } = diffPlans(before, after);
    assert.deepEqual({ set, remove }, want);
    assert.equal(from, before.plan.version);
    assert.equal(to, after.plan.version);
  });

  test(`applyDelta: ${rule}, applied`, () => {
    assert.deepEqual(applyDelta(before, diffPlans(before, after)), after);
    assert.deepEqual(applyDelta(undefined, diffPlans(undefined, after)), after);
  });
}

test('diffPlans: without a plan before, everything is set', () => {
  const { from, set, remove } = diffPlans(undefined, before);
  assert.equal(from, undefined);
  assert.deepEqual(set.routes, before.plan.routes);
  assert.deepEqual(set.secrets, before.secrets);
  assert.deepEqual(remove, NO_NAMES);
});

test('applyDelta: a full delta replaces whatever was there', () => {
  const after = bundleOf({ ...PARTS, routes: {} });
  assert.deepEqual(applyDelta(before, diffPlans(undefined, after)), after);
});

test('applyDelta: untouched parts stay the same objects', () => {
  const after = bundleOf({ ...PARTS, routes: {} });
  const applied = applyDelta(before, diffPlans(before, structuredClone(after)));
  assert.equal(applied.plan.clusters['Service/shop/web/80'], CLUSTER);
});

test('applyDelta: a delta from another version is refused', () => {
  const after = bundleOf({ ...PARTS, routes: {} });
  assert.throws(() => applyDelta(after, diffPlans(before, after)), /Cannot apply the delta: it starts at/);
});

test('deltaSize: counts what is set and what is removed', () => {
  assert.equal(deltaSize(diffPlans(before, before)), 0);
  assert.equal(deltaSize(diffPlans(before, bundleOf({ ...PARTS, routes: {} }))), 1);
  assert.equal(deltaSize(diffPlans(undefined, before)), 7);
});
