import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Marks } from '../../filter/marks.ts';
import { makeEnv } from '../../filter/testing/exchange.ts';
import { Headers } from '../../http/headers.ts';
import type { Storable } from './freshness.ts';
import { Stored } from './stored.ts';
import { Zone } from './zone.ts';

const FRESHNESS: Storable = {
  kind: 'storable',
  ageMs: 0,
  lifetimeMs: 60_000,
  revalidate: 'when-stale',
  staleWhileRevalidateMs: 0,
  staleIfErrorMs: 0,
  requestsMayStretch: 'yes',
};

function answer(bytes: number, tags: readonly string[] = []): Stored {
  const parts = { status: 200, lines: [], hidden: [], body: Buffer.alloc(bytes), vary: [], varyValues: [], tags };
  return new Stored(parts, FRESHNESS, 0);
}

interface World {
  readonly zone: Zone;
  readonly put: (name: string, bytes: number) => boolean;
  readonly use: (name: string, times?: number) => boolean;
}

function world(bytesMax: number): World {
  const zone = new Zone(new Marks(makeEnv()));
  zone.configure({ bytesMax, variantsMax: 4 }, () => undefined);
  const keyOf = (name: string) => ({ uri: `http://shop.test/${name}`, extra: 'rule' });
  return {
    zone,
    put: (name, bytes) => zone.put(keyOf(name), answer(bytes), zone.since(keyOf(name))),
    use(name, times = 1) {
      const stored = zone.find(keyOf(name), new Headers());
      if (stored !== undefined) stored.hits += times;
      return stored !== undefined;
    },
  };
}

const NONE = 1_024;

test('Zone: never holds more than it may', () => {
  const { zone, put } = world(100_000);
  for (let i = 0; i < 5_000; i++) {
    put(String(i), (i * 7_919) % 20_000);
    assert.ok(zone.figures.bytes <= 100_000);
  }
  assert.ok(zone.figures.entries > 2);
});

test('Zone: what is used stays, what is not goes', () => {
  const { put, use } = world(20 * (NONE + 100));
  put('dear', 0);
  for (let i = 0; i < 200; i++) {
    use('dear', 2);
    put(String(i), 0);
  }
  assert.equal(use('dear'), true);
  assert.equal(use('0'), false);
});

test('Zone: one large answer does not push out many small ones that are wanted, until it is wanted too', () => {
  const { put, use } = world(20 * (NONE + 100));
  for (let i = 0; i < 18; i++) {
    put(String(i), 0);
    use(String(i));
  }
  let asked = 1;
  while (!put('large', 15 * NONE)) asked++;
  assert.ok(asked > 5 && asked < 30, `${asked} times`);
  assert.equal(use('large'), true);
});

test('Zone: what is larger than all of it is not taken in, and nothing goes for it', () => {
  const { zone, put, use } = world(10_000);
  put('small', 0);
  assert.equal(put('large', 20_000), false);
  assert.equal(use('small'), true);
  assert.equal(zone.figures.entries, 1);
});

test('Zone: a smaller bound of a new plan holds at once', () => {
  const { zone, put } = world(100_000);
  for (let i = 0; i < 50; i++) put(String(i), 500);
  zone.configure({ bytesMax: 10_000, variantsMax: 4 }, () => undefined);
  assert.ok(zone.figures.bytes <= 10_000);
});

test('Zone: answers on their way have a bound of their own', () => {
  const { zone } = world(100_000);
  assert.equal(zone.beginFilling(20_000), true);
  assert.equal(zone.beginFilling(20_000), false);
  zone.endFilling(20_000);
  assert.equal(zone.beginFilling(20_000), true);
});

test('Zone: keys that are passed are bounded, and run out', () => {
  const { zone } = world(100_000);
  const key = (i: number) => ({ uri: String(i), extra: '' });
  for (let i = 0; i < 10_000; i++) zone.pass(key(i), 1_000);
  assert.equal(zone.isPassed(key(0), 0), false);
  assert.equal(zone.isPassed(key(9_999), 999), true);
  assert.equal(zone.isPassed(key(9_999), 1_000), false);
});

test('Zone: nothing is left of what is removed', () => {
  const { zone, put } = world(1_000_000);
  for (let i = 0; i < 100; i++) put(String(i), 10);
  assert.equal(zone.purge({ kind: 'prefix', value: 'http://shop.test/' }), 100);
  assert.deepEqual(zone.figures, { entries: 0, bytes: 0, bytesMax: 1_000_000, filling: 0 });
});

test('Zone: what another worker invalidates is forgotten here', () => {
  const shared = makeEnv();
  const [one, two] = [new Zone(new Marks(shared)), new Zone(new Marks(shared))];
  const key = { uri: 'http://shop.test/a', extra: '' };
  const request = new Headers();
  two.configure({ bytesMax: 100_000, variantsMax: 4 }, () => undefined);
  const before = two.since(key);
  two.put(key, answer(1), before);
  assert.notEqual(two.find(key, request), undefined);
  one.invalidate(key.uri);
  assert.equal(two.find(key, request), undefined);
  assert.equal(two.figures.entries, 0);
  // What was asked for before is not to be kept either.
  assert.equal(two.isPurged(key, before, []), true);
});
