import assert from 'node:assert/strict';
import { test } from 'node:test';
import { healthRequest, healthResponse, readHealthRequest, readHealthResponse, SERVING } from './health.ts';

for (const service of ['', 'shop.Cart', 'x'.repeat(300), 'ünïcode']) {
  void test(`health: a request for "${service.slice(0, 20)}" reads back`, () => {
    assert.equal(readHealthRequest(healthRequest(service)), service);
  });
}

void test('health: an answer is what the specification shows', () => {
  assert.deepEqual([...healthResponse(SERVING)], [0, 0, 0, 0, 2, 8, 1]);
  assert.equal(readHealthResponse(healthResponse(SERVING)), 1);
  assert.equal(readHealthResponse(Buffer.from([0, 0, 0, 0, 0])), 0, 'an absent field is its default');
});

const REQUESTS: readonly (readonly [rule: string, bytes: readonly number[], want: string | undefined])[] = [
  [
    'unknown fields are passed over',
    [0, 0, 0, 0, 19, 0x10, 0x96, 0x01, 0x0a, 1, 97, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x25, 1, 2, 3, 4],
    undefined,
  ],
  [
    'fields of all kinds around the name',
    [0, 0, 0, 0, 20, 0x10, 0x96, 0x01, 0x0a, 1, 97, 0x19, 1, 2, 3, 4, 5, 6, 7, 8, 0x25, 1, 2, 3, 4],
    'a',
  ],
  ['the last name counts', [0, 0, 0, 0, 6, 0x0a, 1, 97, 0x0a, 1, 98], 'b'],
  ['a length beyond the end', [0, 0, 0, 0, 2, 0x0a, 5], undefined],
  ['a group, which is no longer used', [0, 0, 0, 0, 1, 0x0b], undefined],
  ['a varint without end', [0, 0, 0, 0, 2, 0x08, 0x80], undefined],
  ['compressed', [1, 0, 0, 0, 0], undefined],
  ['two messages', [0, 0, 0, 0, 0, 0, 0, 0, 0, 0], undefined],
  ['a prefix that is cut off', [0, 0, 0], undefined],
];
for (const [rule, bytes, want] of REQUESTS) {
  void test(`health: ${rule}`, () => assert.equal(readHealthRequest(Buffer.from(bytes)), want));
}
