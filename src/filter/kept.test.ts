import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Kept } from './kept.ts';
import { makeExchange } from './testing/exchange.ts';

test('each filter finds what it kept of each exchange, and nothing else', () => {
  const [first, second] = [new Kept<string>(), new Kept<string>()];
  const [x, y] = [makeExchange(), makeExchange()];
  assert.equal(first.get(x), undefined);
  first.set(x, 'one');
  second.set(x, 'two');
  first.set(y, 'other');
  first.set(x, 'three');
  assert.deepEqual([first.get(x), second.get(x), first.get(y), second.get(y)], ['three', 'two', 'other', undefined]);
  first.delete(x);
  first.delete(makeExchange());
  assert.deepEqual([first.get(x), second.get(x), first.get(y)], [undefined, 'two', 'other']);
});
