import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pathTemplate } from './path-template.ts';

const ROWS: [path: string, want: string][] = [
  ['/', '/'],
  ['/orders', '/orders'],
  ['/orders/', '/orders/'],
  ['/orders/17', '/orders/*'],
  ['/orders/17/items/3', '/orders/*/items/*'],
  ['/v1/orders', '/v1/orders'],
  ['/2026-11-29/report', '/*/report'],
  ['/users/9b2d5f0e-5a70-4c3e-9d58-3f6e1b7c2a10/keys', '/users/*/keys'],
  ['/users/9B2D5F0E-5A70-4C3E-9D58-3F6E1B7C2A10', '/users/*'],
  ['/blobs/deadbeef01', '/blobs/*'],
  ['/faceless', '/faceless'],
  ['/decade', '/decade'],
  ['/blobs/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855', '/blobs/*'],
  ['/t/ya29a0AfH6SMBxxyz_1234567', '/t/*'],
  ['/u/ann@shop.test', '/u/*'],
  ['/o/ord-4711', '/o/*'],
  ['/shop.Orders/GetOrder', '/shop.Orders/GetOrder'],
  ['/a%20b', '/a%20b'],
  ['/a*b', '/*'],
  [`/${'x'.repeat(65)}`, '/*'],
  ['/a/b/c/d/e/f/g/h/i/j/k/l/m/n', '/a/b/c/d/e/f/g/h/i/j/k/l/**'],
  ['*', '*'],
  ['', ''],
];

for (const [path, want] of ROWS)
  test(`pathTemplate: ${path.slice(0, 40)}`, () => assert.equal(pathTemplate(path), want));

test('pathTemplate: is no longer than a rule may be, and stays what it is', () => {
  const long = pathTemplate(`/${Array.from({ length: 12 }, () => 'abcdef'.repeat(10)).join('/')}/end`);
  assert.ok(long.length <= 520, `${long.length}`);
  assert.match(long, /\/\*\*$/);
  for (const [, want] of ROWS) assert.equal(pathTemplate(want), want);
});
