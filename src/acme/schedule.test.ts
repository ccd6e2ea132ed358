import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { KeyPair } from '../compile/certificate.ts';
import { chanceIn, renewAtMs, retryDelayMs } from './schedule.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

const DELAYS: [rule: string, failure: Parameters<typeof retryDelayMs>[0], want: number][] = [
  ['the first failure waits a minute', { count: 1, retryAfterMs: undefined, rateLimited: false }, MINUTE_MS],
  ['the next one longer', { count: 2, retryAfterMs: undefined, rateLimited: false }, 5 * MINUTE_MS],
  ['after many it is six hours', { count: 50, retryAfterMs: undefined, rateLimited: false }, 6 * HOUR_MS],
  [
    'a server that says longer is left alone for longer',
    { count: 1, retryAfterMs: 2 * HOUR_MS, rateLimited: true },
    2 * HOUR_MS,
  ],
  ['one that says shorter is not hurried', { count: 3, retryAfterMs: 1_000, rateLimited: false }, 15 * MINUTE_MS],
  ['a limit without a time is an hour', { count: 1, retryAfterMs: undefined, rateLimited: true }, HOUR_MS],
  ['no wait is longer than a day', { count: 1, retryAfterMs: 40 * DAY_MS, rateLimited: true }, DAY_MS],
];

for (const [rule, failure, want] of DELAYS) {
  test(`retryDelayMs: ${rule}`, () => assert.equal(retryDelayMs(failure, 0), want));
}

test('retryDelayMs: chance makes it longer by up to a fifth, never shorter', () => {
  const failure = { count: 1, retryAfterMs: undefined, rateLimited: false };
  assert.equal(retryDelayMs(failure, 1), MINUTE_MS * 1.2);
});

function pairOf(certificatePem: string, days: number): KeyPair {
  return { certificatePem, privateKeyPem: '', dnsNames: [], notBeforeMs: 0, notAfterMs: days * DAY_MS };
}

test('renewAtMs: at two thirds of the life, earlier by up to a twentieth of it, the same at every start', () => {
  const all = Array.from({ length: 200 }, (_, i) => renewAtMs(pairOf(`certificate ${i}`, 90), undefined));
  for (const atMs of all) assert.ok(atMs <= 60 * DAY_MS && atMs >= 55.5 * DAY_MS, `after ${atMs / DAY_MS} days`);
  assert.ok(Math.max(...all) - Math.min(...all) > 4 * DAY_MS, 'they are spread');
  assert.equal(renewAtMs(pairOf('certificate 7', 90), undefined), all[7]);
});

test('renewAtMs: as long before its end as the operator says, and never before a tenth of its life', () => {
  const at = renewAtMs(pairOf('a', 90), 10 * DAY_MS);
  assert.ok(at <= 80 * DAY_MS && at >= 75.5 * DAY_MS);
  assert.ok(renewAtMs(pairOf('a', 90), 400 * DAY_MS) >= 9 * DAY_MS - 1);
});

test('chanceIn: a number from 0 to 1', () => {
  for (const text of ['', 'a', 'b']) assert.ok(chanceIn(text) >= 0 && chanceIn(text) <= 1);
});
