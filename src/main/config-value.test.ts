import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defineFilter } from '../filter/own.ts';
import { plainValue } from './config-value.ts';

const stamp = defineFilter({ name: 'stamp', phase: 'admit', make: () => ({}) });
const FILE = '/srv/fourways.config.ts';
const PLAIN = { module: FILE, filter: 'stamp', phase: 'admit' };

const ROWS: [rule: string, value: unknown, want: unknown][] = [
  ['a filter becomes the name of its module', { own: [stamp] }, { own: { use: [PLAIN] } }],
  ['a list under another name stays one', { list: [stamp] }, { list: [PLAIN] }],
  [
    'what is said beside it is kept',
    { own: { use: [{ module: stamp, options: { a: 1 }, guard: 'none' }] } },
    { own: { use: [{ ...PLAIN, options: { a: 1 }, guard: 'none' }] } },
  ],
  [
    'a phase that is said counts',
    { own: [{ module: stamp, phase: 'authorise' }] },
    { own: { use: [{ ...PLAIN, phase: 'authorise' }] } },
  ],
  ['a file stays its name', { own: [{ module: './a.ts' }] }, { own: { use: [{ module: './a.ts' }] } }],
];

for (const [rule, value, want] of ROWS) {
  test(`filters in a configuration: ${rule}`, () => {
    assert.deepEqual(plainValue(value, FILE), { kind: 'value', value: want });
  });
}

test('filters in a configuration: another function is refused', () => {
  const { kind } = plainValue({ own: [() => undefined] }, FILE);
  assert.equal(kind, 'failed');
});
