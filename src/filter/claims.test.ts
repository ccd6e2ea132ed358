import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ClaimHeaders, claimReader, consumerReader } from './claims.ts';
import { Headers } from '../http/headers.ts';

const CLAIMS = {
  sub: 'ann',
  'https://shop.test/role': 'clerk',
  'a.b': 'whole',
  a: { b: 'inside', c: { d: 1 } },
  list: ['x', 'y', 7],
  empty: '',
};

const PATHS: readonly (readonly [path: string, want: unknown])[] = [
  ['sub', 'ann'],
  ['https://shop.test/role', 'clerk'],
  ['a.b', 'whole'],
  ['a.c.d', 1],
  ['a.c.d.e', undefined],
  ['sub.length', undefined],
  ['list.0', undefined],
  ['list.length', undefined],
  ['toString', undefined],
  ['a.constructor', undefined],
];
for (const [path, want] of PATHS) {
  test(`claims: ${path} is ${JSON.stringify(want)}`, () => assert.deepEqual(claimReader(path)(CLAIMS), want));
}

const CONSUMERS: readonly (readonly [config: Parameters<typeof consumerReader>[0], want: unknown])[] = [
  [undefined, undefined],
  [{ claim: 'sub' }, { name: 'ann', groups: [], labels: {} }],
  [
    { claim: 'sub', groups: 'list' },
    { name: 'ann', groups: ['x', 'y'], labels: {} },
  ],
  [
    { claim: 'sub', groups: 'a.b' },
    { name: 'ann', groups: ['whole'], labels: {} },
  ],
  [{ claim: 'empty' }, undefined],
  [{ claim: 'list' }, undefined],
  [{ claim: 'absent' }, undefined],
];
for (const [config, want] of CONSUMERS) {
  test(`claims: the consumer by ${JSON.stringify(config)}`, () => {
    const consumer = consumerReader(config)(CLAIMS);
    assert.deepEqual(consumer, want);
    assert.ok(consumer === undefined || (Object.isFrozen(consumer) && Object.isFrozen(consumer.groups)));
  });
}

const VALUES: readonly (readonly [value: unknown, separator: string, want: string])[] = [
  ['ann', ',', 'ann'],
  ['a,b', ',', 'a,b'],
  [7, ',', '7'],
  [false, ',', 'false'],
  ['ü', ',', '\xc3\xbc'],
  [['a', 1], ',', 'a,1'],
  [['a', 'b,admin'], ',', 'dropped'],
  [['a', 'b,admin'], ' ', 'a b,admin'],
  [['a', {}], ',', 'dropped'],
  [[], ',', 'dropped'],
  [{}, ',', 'dropped'],
  ['', ',', 'dropped'],
  ['a\r\nx-admin: 1', ',', 'dropped'],
  [' a', ',', 'dropped'],
  ['\ud800', ',', 'dropped'],
  ['x'.repeat(4_096), ',', 'x'.repeat(4_096)],
  ['ü'.repeat(2_049), ',', 'dropped'],
  [null, ',', 'none'],
  [undefined, ',', 'none'],
];
for (const [value, separator, want] of VALUES) {
  test(`claims: ${JSON.stringify(value)?.slice(0, 40)} with ${separator} as a header`, () => {
    let dropped = 0;
    const headers = new ClaimHeaders([{ claim: 'c', header: 'X-C', separator }]);
    const lines = headers.linesOf({ c: value }, () => dropped++);
    assert.deepEqual(
      [lines, dropped],
      want === 'dropped' || want === 'none' ? [[], want === 'none' ? 0 : 1] : [[['X-C', want]], 0],
    );
  });
}

test('claims: what a client sends under the names of headers is taken out, however it is spelt', () => {
  const sent = Headers.of([
    ['X-User-Id', 'forged'],
    ['x_user_id', 'forged'],
    ['x-user', 'kept'],
  ]);
  new ClaimHeaders([{ claim: 'sub', header: 'X-User-Id' }]).strip(sent);
  assert.equal(sent.toLines(), 'x-user: kept\r\n');
});
