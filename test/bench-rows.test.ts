import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SCENARIOS } from '../bench/scenario.ts';
import { FILTERS } from '../src/filters/list.ts';

test('bench: every filter has a row under load', () => {
  const rows = SCENARIOS.filter(({ filter }) => filter !== undefined).map(({ name }) => name);
  const missing = FILTERS.map(
    ({ name }) => `filter-${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
  )
    // `own` is measured by its guard.
    .filter((wanted) => !rows.some((row) => row === wanted || row.startsWith(`${wanted}-`)));
  assert.deepEqual(missing, []);
});
