import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatWorkloadId, parseWorkloadId } from './spiffe.ts';

const WORKLOADS: [rule: string, text: string, isOne: boolean][] = [
  ['namespace and account', 'spiffe://td/ns/shop/sa/orders', true],
  ['no path', 'spiffe://td', false],
  ['no account', 'spiffe://td/ns/shop/sa', false],
  ['a part too much', 'spiffe://td/ns/shop/sa/orders/x', false],
  ['other words', 'spiffe://td/namespace/shop/sa/orders', false],
  ['no ID at all', 'td/ns/shop/sa/orders', false],
];

for (const [rule, text, isOne] of WORKLOADS) {
  test(`parseWorkloadId: ${rule}`, () => {
    const read = parseWorkloadId(text);
    assert.equal(!('flaw' in read), isOne);
    if (!('flaw' in read)) assert.equal(formatWorkloadId(read), text);
  });
}

for (const [namespace, account] of [
  ['a/b', 'c'],
  ['', 'c'],
  ['a', '..'],
  ['a', 'c/sa/d'],
  ['a', 'ü'],
]) {
  test(`formatWorkloadId: "${namespace}" and "${account}" make no identity`, () => {
    assert.throws(() => formatWorkloadId({ trustDomain: 'td', namespace: namespace!, account: account! }), RangeError);
  });
}
