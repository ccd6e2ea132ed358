import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FILTER_CELLS_BYTES, FILTER_MARKS_BYTES } from '../base/limits.ts';
import { Marks } from './marks.ts';
import { makeEnv } from './testing/exchange.ts';

test('Marks: what one worker raises, every other one sees', () => {
  const shared = { cells: new SharedArrayBuffer(FILTER_CELLS_BYTES), marks: new SharedArrayBuffer(FILTER_MARKS_BYTES) };
  const [one, two] = [1, 2].map((number) => new Marks(makeEnv({ ...shared, worker: { number, of: 2 } })));
  const slot = one!.slotOf('http://shop.test/a');
  assert.equal(two!.slotOf('http://shop.test/a'), slot);
  const before = one!.read(slot);
  two!.raise('http://shop.test/a');
  assert.equal(one!.read(slot), before + 1);
  const others = Array.from({ length: 1_000 }, (_, i) => one!.slotOf(`http://shop.test/${i}`));
  assert.ok(new Set(others).size > 995);
});
