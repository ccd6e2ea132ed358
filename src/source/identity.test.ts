import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readManifests } from '../resource/read.ts';
import type { Resource } from '../resource/resource.ts';
import { Identity } from './identity.ts';

function read(name: string, path: string, metadata = ''): Resource {
  const text = `{ apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: { name: ${name}${metadata} }, spec: { rules: [{ matches: [{ path: { value: ${path} } }] }] } }`;
  return readManifests(text, 'a.yaml').documents[0]!.resource!;
}

/** Generation and time of creation after each of these readings of one route. */
function history(readings: readonly Resource[], identity = new Identity()): [number, number | undefined][] {
  return readings.map((resource, i) => {
    const [stamped] = identity.stamp([resource], i + 1);
    return [stamped!.metadata.generation, stamped!.metadata.creationMs];
  });
}

const ROWS: [rule: string, readings: Resource[], generations: number[]][] = [
  ['a spec that changes counts up', [read('a', '/1'), read('a', '/2'), read('a', '/1')], [1, 2, 3]],
  ['a spec that stays does not', [read('a', '/1'), read('a', '/1'), read('a', '/1', ', labels: { b: c }')], [1, 1, 1]],
  ['a higher generation in the manifest counts', [read('a', '/1'), read('a', '/1', ', generation: 7')], [1, 7]],
  ['a lower one does not', [read('a', '/1', ', generation: 7'), read('a', '/2', ', generation: 3')], [7, 8]],
];

for (const [rule, readings, want] of ROWS) {
  test(`Identity: ${rule}`, () => {
    assert.deepEqual(
      history(readings).map(([generation]) => generation),
      want,
    );
  });
}

test('Identity: what is there at the beginning has no age, what comes later has', () => {
  const identity = new Identity();
  identity.stamp([read('a', '/1')], 10);
  const stamped = identity.stamp([read('a', '/1'), read('b', '/1')], 20);
  assert.deepEqual(
    stamped.map(({ metadata }) => metadata.creationMs),
    [undefined, 20],
  );
  const later = identity.stamp([read('a', '/2'), read('b', '/2')], 30);
  assert.deepEqual(
    later.map(({ metadata }) => metadata.creationMs),
    [undefined, 20],
  );
});

test('Identity: a time in the manifest counts, also for what comes later', () => {
  const identity = new Identity();
  identity.stamp([], 10);
  const [stamped] = identity.stamp([read('a', '/1', ', creationTimestamp: "2020-01-01T00:00:00Z"')], 20);
  assert.equal(stamped!.metadata.creationMs, Date.UTC(2020, 0, 1));
});

test('Identity: what goes and comes again is new', () => {
  const identity = new Identity();
  identity.stamp([read('a', '/1')], 10);
  identity.stamp([read('a', '/2')], 20);
  identity.stamp([], 30);
  const [stamped] = identity.stamp([read('a', '/2')], 40);
  assert.deepEqual([stamped!.metadata.generation, stamped!.metadata.creationMs], [1, 40]);
});

test('Identity: what did not change stays the identical object', () => {
  const identity = new Identity();
  const resources = [read('a', '/1'), read('b', '/1')];
  identity.stamp([], 10);
  const before = identity.stamp(resources, 20);
  const after = identity.stamp([resources[0]!, read('b', '/2')], 30);
  assert.equal(after[0], before[0]);
  assert.notEqual(after[1], before[1]);
});

test('Identity: an earlier run is remembered', () => {
  const first = new Identity();
  first.stamp([], 0);
  first.stamp([read('a', '/1'), read('b', '/1')], 10);
  first.stamp([read('a', '/2'), read('b', '/1')], 20);
  const keys = ['HTTPRoute/default/a', 'HTTPRoute/default/b'];
  const remembered = new Map(keys.map((key) => [key, JSON.parse(JSON.stringify(first.of(key)))]));
  const second = new Identity(remembered);
  const stamped = second.stamp([read('a', '/3'), read('b', '/1'), read('c', '/1')], 30);
  assert.deepEqual(
    stamped.map(({ metadata }) => [metadata.generation, metadata.creationMs]),
    [
      [3, 10],
      [1, 10],
      [1, 30],
    ],
  );
});

test('Identity: of two with the same key, the first has the identity', () => {
  const identity = new Identity();
  const [a, twin] = [read('a', '/1'), read('a', '/2')];
  identity.stamp([a, twin], 10);
  const stamped = identity.stamp([a, twin], 20);
  assert.deepEqual([stamped[0], stamped[1]], [a, twin]);
});
