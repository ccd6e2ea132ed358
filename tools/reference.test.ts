import assert from 'node:assert/strict';
import { test } from 'node:test';
import { referencePages, stalePages } from './reference.ts';
import { fieldRows } from './schema-rows.ts';

test('reference: docs/reference is what the code says (npm run reference)', async () => {
  assert.deepEqual(await stalePages(), []);
});

test('reference: each page has a title and something under it', async () => {
  const pages = await referencePages();
  assert.ok(pages.size > 5);
  for (const [path, text] of pages) assert.match(text, /^# \S[^]*\n\n[^]+/, path);
});

test('reference: fields are listed with those inside lists, maps and unions', () => {
  const rows = fieldRows({
    type: 'object',
    required: ['name'],
    properties: {
      name: { type: 'string', maxLength: 9, description: 'A name.' },
      list: { type: 'array', items: { type: 'object', properties: { deep: { type: 'boolean' } } }, default: [] },
      map: {
        type: 'object',
        patternProperties: { '^x': { type: 'object', properties: { inside: { enum: ['a', 'b'] } } } },
      },
      either: { anyOf: [{ type: 'null' }, { type: 'object', properties: { one: { type: 'integer', minimum: 1 } } }] },
    },
  });
  assert.deepEqual(
    rows.map(({ path, value, fallback }) => [path, value, fallback]),
    [
      ['name', 'a string, 0 to 9 characters', 'required'],
      ['list', 'list of object', '`[]`'],
      ['list[].deep', 'true or false', ''],
      ['map', 'an object', ''],
      ['map.*.inside', 'one of "a", "b"', ''],
      ['either', 'null, or an object', ''],
      ['either.one', 'a whole number, at least 1', ''],
    ],
  );
});
