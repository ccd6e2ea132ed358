import assert from 'node:assert/strict';
import { test } from 'node:test';
import { missingNeeds, NEEDS } from './need.ts';

test('need: a program that no folder of the path has is missing', () => {
  const needs = [
    { program: 'sh', package: 'dash', why: 'a test' },
    { program: 'no-such-program', package: 'none', why: 'a test' },
  ];
  assert.deepEqual(missingNeeds(needs, '/nowhere:/bin:/usr/bin'), [needs[1]]);
  assert.deepEqual(missingNeeds(needs, ''), needs);
  assert.deepEqual(
    missingNeeds(
      [
        { ...needs[0]!, folders: '/nowhere/*:/bi*' },
        { ...needs[0]!, folders: '/bi*' },
      ],
      '',
    ),
    [{ ...needs[0]!, folders: '/nowhere/*:/bi*' }],
  );
});

test('need: nothing is missing while the tests run', () => {
  assert.deepEqual(missingNeeds(NEEDS, process.env['PATH'] ?? ''), []);
});
