import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../../base/random.ts';
import { StreamTable } from './stream-table.ts';

test('stream-table: holds what a map holds, however ids come and go', () => {
  const random = seededRandom(1, 2, 3, 4);
  const table = new StreamTable<{ id: number }>();
  const map = new Map<number, { id: number }>();
  let nextId = 1;
  for (let i = 0; i < 20_000; i++) {
    const grows = random.unit() < (i % 4_000 < 2_000 ? 0.6 : 0.4);
    if (grows || map.size === 0) {
      const stream = { id: nextId };
      nextId += 2 * (1 + (random.bits32() % 40));
      table.add(stream);
      map.set(stream.id, stream);
    } else {
      const ids = [...map.keys()];
      const id = ids[random.bits32() % ids.length]!;
      table.delete(id);
      table.delete(id);
      map.delete(id);
      assert.equal(table.get(id), undefined);
    }
    const some = 1 + 2 * (random.bits32() % nextId);
    assert.equal(table.get(some), map.get(some));
    assert.equal(table.size, map.size);
  }
  assert.deepEqual(new Set(table.all()), new Set(map.values()));
  for (const [id, stream] of map) assert.equal(table.get(id), stream);
});
