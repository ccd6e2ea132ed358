import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatTimeout, parseTimeout } from './timeout.ts';

const READ: readonly (readonly [rule: string, value: string, ms: number | undefined])[] = [
  ['hours', '2H', 7_200_000],
  ['minutes', '3M', 180_000],
  ['seconds', '1S', 1_000],
  ['milliseconds', '100m', 100],
  ['microseconds', '1500u', 1.5],
  ['nanoseconds', '1000000n', 1],
  ['zero', '0m', 0],
  ['eight digits', '99999999H', 99_999_999 * 3_600_000],
  ['leading zeros', '00000001S', 1_000],
  ['nine digits', '100000000n', undefined],
  ['no unit', '100', undefined],
  ['no digits', 'S', undefined],
  ['empty', '', undefined],
  ['a unit of another case', '1h', undefined],
  ['a sign', '-1S', undefined],
  ['a plus', '+1S', undefined],
  ['a fraction', '1.5S', undefined],
  ['a space', '1 S', undefined],
  ['a space behind', '1S ', undefined],
  ['two units', '1mS', undefined],
  ['digits of another script', '١S', undefined],
];

for (const [rule, value, ms] of READ) void test(`grpc-timeout: ${rule}`, () => assert.equal(parseTimeout(value), ms));

const WRITE: readonly (readonly [ms: number, value: string])[] = [
  [0, '1u'],
  [0.0001, '1u'],
  [1.5, '1500u'],
  [99_999, '99999000u'],
  [100_000, '100000m'],
  [99_999_999, '99999999m'],
  [100_000_000, '100000S'],
  [1e15, '99999999S'],
];

for (const [ms, value] of WRITE) {
  void test(`grpc-timeout: ${ms} ms are written as ${value}`, () => {
    assert.equal(formatTimeout(ms), value);
    assert.ok(ms < 0.001 || parseTimeout(value)! <= ms, 'never longer than what is left');
  });
}
