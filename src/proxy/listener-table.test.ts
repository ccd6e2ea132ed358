import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PortListeners } from './listener-table.ts';

const PORT = new PortListeners(
  ['*', '*.test', '*.shop.test', 'www.shop.test'].map((hostname): [string, string] => [hostname, hostname]),
);

const ROWS: [rule: string, host: string, want: string][] = [
  ['an exact name', 'www.shop.test', 'www.shop.test'],
  ['a wildcard takes one label', 'api.shop.test', '*.shop.test'],
  ['a wildcard takes several labels', 'a.b.shop.test', '*.shop.test'],
  ['a wildcard does not take its own end', 'shop.test', '*.test'],
  ['any other name', 'example.org', '*'],
  ['a name with the end of a wildcard but no dot', 'xshop.test', '*.test'],
  ['an IPv4 address', '127.0.0.1', '*'],
  ['an IPv6 address', '[::1]', '*'],
  ['an end of a wildcard as a whole host', '.shop.test', '*.test'],
];

for (const [rule, host, want] of ROWS) {
  test(`PortListeners: ${rule}`, () => assert.equal(PORT.find(host), want));
}

test('PortListeners: a host that no listener takes has none', () => {
  assert.equal(new PortListeners([['a.test', 1]]).find('b.test'), undefined);
  assert.equal(new PortListeners<number>([]).find('b.test'), undefined);
});
