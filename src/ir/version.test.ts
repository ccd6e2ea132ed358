import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { PlanRoute } from './plan.ts';
import { PARTS, routeTo } from './testing/plans.ts';
import { hashPart, type PlanParts, versionOf } from './version.ts';

const route = PARTS.routes['HTTPRoute/shop/web']!;
const rule = route.rules[0]!;
const at = { file: 'a.yaml', line: 1, column: 1 };
const filter = { filter: 'headers', config: { at: 1 }, owner: 'HTTPRoute shop/web' };

const SAME: [rule: string, a: PlanRoute, b: PlanRoute][] = [
  ['equal parts', route, structuredClone(route)],
  ['another position of a rule', route, { ...route, rules: [{ ...rule, at }] }],
  [
    'another position of a filter',
    { ...route, rules: [{ ...rule, filters: [{ ...filter, at }] }] },
    { ...route, rules: [{ ...rule, filters: [filter] }] },
  ],
  ['another order of keys', route, { rules: route.rules, attach: route.attach, createdMs: route.createdMs }],
];

for (const [name, a, b] of SAME) {
  test(`hashPart: ${name} give the same hash`, () => assert.equal(hashPart(a), hashPart(b)));
}

const DIFFERENT: [rule: string, a: PlanRoute, b: PlanRoute][] = [
  ['another host', route, routeTo('Gateway/shop/edge/http', 'a.test')],
  ['another age', route, { ...route, createdMs: 2 }],
  [
    'a field "at" inside the configuration of a filter',
    { ...route, rules: [{ ...rule, filters: [filter] }] },
    { ...route, rules: [{ ...rule, filters: [{ ...filter, config: { at: 2 } }] }] },
  ],
];

for (const [name, a, b] of DIFFERENT) {
  test(`hashPart: ${name} gives another hash`, () => assert.notEqual(hashPart(a), hashPart(b)));
}

test('versionOf: the order of names does not count, names and kinds do', () => {
  const { '*:80': http, '*:443': https } = PARTS.ports;
  const version = versionOf(PARTS);
  assert.equal(versionOf({ ...PARTS, ports: { '*:443': https!, '*:80': http! } }), version);
  assert.notEqual(versionOf({ ...PARTS, ports: { '*:443': http!, '*:80': https! } }), version);
  assert.notEqual(versionOf({ ...PARTS, routes: {} }), version);
  assert.match(version, /^[0-9a-f]{64}$/);
});

test('versionOf: 5,000 known parts cost little', () => {
  const routes = Object.fromEntries(
    Array.from({ length: 5_000 }, (_, i) => [`HTTPRoute/shop/r${i}`, routeTo('Gateway/shop/edge/http', `h${i}.test`)]),
  );
  const parts: PlanParts = { ...PARTS, routes };
  versionOf(parts);
  const startMs = performance.now();
  for (let round = 0; round < 5; round++) versionOf(parts);
  const eachMs = (performance.now() - startMs) / 5;
  assert.ok(eachMs < 50, `took ${eachMs} ms`); // 3 ms alone; the margin is for a busy machine
});
