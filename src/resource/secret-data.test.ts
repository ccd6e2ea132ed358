import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { SecretData } from './secret-data.ts';

const secret = new SecretData(new Map([['tls.key', 'hunter2']]));

test('SecretData: gives its values to those who ask by name', () => {
  assert.equal(secret.get('tls.key'), 'hunter2');
  assert.equal(secret.get('other'), undefined);
  assert.deepEqual(secret.keys(), ['tls.key']);
  assert.ok(secret.has('tls.key'));
});

const PRINTERS: [how: string, print: (value: unknown) => string][] = [
  ['String', (value) => String(value)],
  ['JSON', (value) => JSON.stringify(value)],
  ['inspect', (value) => inspect(value, { showHidden: true, depth: 9 })],
  ['inspect of its owner', (value) => inspect({ resource: { data: value } }, { depth: 9 })],
  ['its own fields', (value) => JSON.stringify(Object.entries(value as object))],
];

for (const [how, print] of PRINTERS) {
  test(`SecretData: ${how} does not show a value`, () => {
    assert.doesNotMatch(print(secret), /hunter2/);
  });
}
