import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check } from '../schema/schema.ts';
import { FieldName, FieldValue, FORBIDDEN_FIELDS } from './fields.ts';

const ROWS: [schema: 'name' | 'value', text: string, want: 'accepted' | 'refused'][] = [
  ['name', 'X-Request-Id', 'accepted'],
  ['name', 'host', 'accepted'],
  ['name', 'connection-id', 'accepted'],
  ['name', 'x-te', 'accepted'],
  ['name', '', 'refused'],
  ['name', 'a b', 'refused'],
  ['name', 'a:', 'refused'],
  ['name', 'a\r\n', 'refused'],
  ['name', ':authority', 'refused'],
  ['name', 'Content-Length', 'refused'],
  ['name', 'tRANSFER-eNCODING', 'refused'],
  ['value', '', 'accepted'],
  ['value', 'a b\tc', 'accepted'],
  ['value', 'caf\xe9', 'accepted'],
  ['value', ' a', 'refused'],
  ['value', 'a ', 'refused'],
  ['value', 'a\r\nb: c', 'refused'],
  ['value', 'a\0b', 'refused'],
  ['value', 'a\x7fb', 'refused'],
  ['value', '\u4e00', 'refused'],
];

for (const [kind, text, want] of ROWS) {
  test(`field ${kind} ${JSON.stringify(text)} is ${want}`, () => {
    const { issues } = check(kind === 'name' ? FieldName : FieldValue, text);
    assert.equal(issues.length === 0 ? 'accepted' : 'refused', want);
  });
}

test('every forbidden field is refused as a name', () => {
  for (const name of FORBIDDEN_FIELDS) assert.notEqual(check(FieldName, name).issues.length, 0, name);
});
