import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Random, seededRandom } from '../base/random.ts';
import { alarmOf, renewAtMs, renewSoonAtMs, retryAtMs } from './renewal.ts';

const HOUR_MS = 3_600_000;
const LIFE = { notBeforeMs: 0, notAfterMs: 24 * HOUR_MS };
const always = (unit: number): Random => ({ unit: () => unit, bits32: () => 0 });

test('a certificate is renewed at half of its life, give or take a twentieth', () => {
  assert.equal(renewAtMs(LIFE, always(0)), 10.8 * HOUR_MS);
  assert.equal(renewAtMs(LIFE, always(0.5)), 12 * HOUR_MS);
  assert.ok(Math.abs(renewAtMs(LIFE, always(1)) - 13.2 * HOUR_MS) < 1);
});

test('a thousand proxies that joined together are not renewed together', () => {
  const random = seededRandom(1, 2, 3, 4);
  const byTenMinutes = new Map<number, number>();
  for (let i = 0; i < 1_000; i++) {
    const slot = Math.floor(renewAtMs(LIFE, random) / 600_000);
    byTenMinutes.set(slot, (byTenMinutes.get(slot) ?? 0) + 1);
  }
  // 2.4 hours are 14.4 slots: 69 in each, if it were even.
  assert.ok(Math.max(...byTenMinutes.values()) < 110, JSON.stringify([...byTenMinutes]));
  assert.ok(byTenMinutes.size >= 14);
});

test('when its issuer is to be retired, it is renewed within an hour of a day, and not later than anyway', () => {
  assert.equal(renewSoonAtMs(LIFE, 2 * HOUR_MS, always(0)), 2 * HOUR_MS);
  assert.equal(renewSoonAtMs(LIFE, 2 * HOUR_MS, always(1)), 3 * HOUR_MS);
  assert.equal(renewSoonAtMs(LIFE, 11.9 * HOUR_MS, always(1)), 12 * HOUR_MS);
  assert.equal(renewSoonAtMs(LIFE, 20 * HOUR_MS, always(1)), 20 * HOUR_MS);
});

test('what failed is tried again soon, then less often, and still often before the end', () => {
  const waits = Array.from({ length: 40 }, (_, i) => retryAtMs({ life: LIFE, failures: i + 1 }, 0, always(1)));
  assert.equal(waits[0], 43_200);
  assert.equal(waits[1], 86_400);
  assert.equal(waits.at(-1), 24 * HOUR_MS * 0.02);
  let atMs = 12 * HOUR_MS;
  let tries = 0;
  for (; atMs < LIFE.notAfterMs; tries++) atMs = retryAtMs({ life: LIFE, failures: tries + 1 }, atMs, always(1));
  assert.ok(tries >= 25, `${tries} tries`);
  assert.equal(retryAtMs({ life: LIFE, failures: 1 }, 0, always(0)), 21_600);
});

const ALARMS: [rule: string, failures: number, atHours: number, want: ReturnType<typeof alarmOf>][] = [
  ['fresh', 0, 0, 'none'],
  ['half of its life is over, and nothing was tried yet', 0, 13, 'none'],
  ['a failure before half of its life', 1, 11.9, 'none'],
  ['half of its life is over and renewing failed', 1, 12, 'late'],
  ['more than a tenth is left', 3, 21.5, 'late'],
  ['a tenth is left', 0, 21.6, 'urgent'],
  ['its last moment', 9, 23.999, 'urgent'],
  ['its end', 0, 24, 'over'],
];

for (const [rule, failures, atHours, want] of ALARMS) {
  test(`alarmOf: ${rule}: ${want}`, () => assert.equal(alarmOf({ life: LIFE, failures }, atHours * HOUR_MS), want));
}
