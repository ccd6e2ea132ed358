import assert from 'node:assert/strict';
import { test } from 'node:test';
import { canonicalJson, hashOf } from './canonical.ts';

const ROWS: [rule: string, value: unknown, want: string][] = [
  ['keys are sorted at every depth', { b: { d: 1, c: 2 }, a: 3 }, '{"a":3,"b":{"c":2,"d":1}}'],
  ['the order of a list counts', [2, 1], '[2,1]'],
  ['what is undefined is left out of objects', { a: undefined, b: 1 }, '{"b":1}'],
  ['what is undefined is null in lists', [undefined, null], '[null,null]'],
  ['nothing is nothing', { a: {}, b: [], c: '' }, '{"a":{},"b":[],"c":""}'],
  ['an object of nothing but undefined is empty', { a: undefined }, '{}'],
  ['text is escaped as JSON does it', { 'a"': '\n' }, '{"a\\"":"\\n"}'],
  ['values that are no objects are JSON', true, 'true'],
  ['null is null', null, 'null'],
];

for (const [rule, value, want] of ROWS) {
  test(`canonicalJson: ${rule}`, () => {
    assert.equal(canonicalJson(value), want);
    assert.doesNotThrow(() => void JSON.parse(canonicalJson(value)));
  });
}

test('hashOf: equal values give equal hashes, whatever the order of their keys', () => {
  assert.equal(hashOf({ a: 1, b: 2 }), hashOf({ b: 2, a: 1 }));
  assert.notEqual(hashOf({ a: 1 }), hashOf({ a: 2 }));
});
