import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FILTERS } from '../filters/list.ts';
import { runCommand } from './main.ts';
import { fakeIo } from './testing/fake-io.ts';

async function filters(argv: string[], exit = 0): Promise<string> {
  const io = fakeIo();
  assert.equal(await runCommand(['filters', ...argv], io), exit);
  return [...io.outLines, ...io.errLines].join('\n');
}

test('filters: lists every filter in running order', async () => {
  const lines = (await filters([])).split('\n').slice(1);
  assert.deepEqual(
    lines.map((line) => line.split(' ')[0]),
    FILTERS.map(({ name }) => name),
  );
  const { filters: list } = JSON.parse(await filters(['--json'])) as { filters: { name: string; phase: string }[] };
  assert.deepEqual(
    list.map(({ name, phase }) => `${phase} ${name}`),
    FILTERS.map(({ name, phase }) => `${phase} ${name}`),
  );
});

test('filters: says all of one', async () => {
  const text = await filters(['cors']);
  assert.match(text, /^cors: Lets scripts of other origins call/);
  assert.match(text, /^preflight +Preflights that were answered\.$/m);
});

test('filters: a name that does not exist gets the nearest one', async () => {
  assert.match(await filters(['corse'], 1), /There is no filter "corse": did you mean "cors"\?/);
});
