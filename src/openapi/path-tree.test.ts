import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PathTree } from './path-tree.ts';

const TEMPLATES = [
  '/',
  '/users',
  '/users/{id}',
  '/users/me',
  '/users/{id}/files/{name}.json',
  '/users/{id}/files/{name}',
  '/compare/{base}...{head}',
  '/a/{x}/c',
  '/a/b/{y}/d',
  '/{any}/x',
  '/caf\u00e9',
];

const ROWS: [path: string, template: string | undefined, parts?: string[]][] = [
  ['/', '/'],
  ['/users', '/users'],
  ['/users/', undefined],
  ['/users/7', '/users/{id}', ['7']],
  ['/users/me', '/users/me', []],
  ['/users/7/files/a.json', '/users/{id}/files/{name}.json', ['7', 'a']],
  ['/users/7/files/.json', '/users/{id}/files/{name}', ['7', '.json']],
  ['/users/7/files/a.txt', '/users/{id}/files/{name}', ['7', 'a.txt']],
  ['/users/7/files/a/b', undefined],
  ['/compare/v1...v2', '/compare/{base}...{head}', ['v1', 'v2']],
  ['/compare/v1', undefined],
  ['/compare/...v2', undefined],
  ['/a/b/c', '/a/{x}/c', ['b']],
  ['/a/b/c/d', '/a/b/{y}/d', ['c']],
  ['/q/x', '/{any}/x', ['q']],
  ['/users/%2e%2e', '/users/{id}', ['%2e%2e']],
  ['/caf%C3%A9', '/caf\u00e9'],
  ['/constructor', undefined],
];

const tree = new PathTree<string>();
for (const template of TEMPLATES) assert.equal(tree.add(template, template), undefined);

for (const [path, template, parts = []] of ROWS) {
  test(`path tree: ${path} is ${template ?? 'nothing'}`, () => {
    const found = tree.find(path);
    assert.equal(found?.value, template);
    if (found !== undefined) assert.deepEqual(found.parts, parts);
  });
}

test('path tree: the same template under other names is the same', () => {
  assert.equal(tree.add('/users/{user}', 'other'), '/users/{id}');
});

test('path tree: a look-up does not grow with the number of templates', () => {
  const cost = (count: number): number => {
    const large = new PathTree<number>();
    for (let i = 0; i < count; i++) large.add(`/s${i}/{id}/items/{item}`, i);
    const path = `/s${count >> 1}/7/items/8`;
    let best = Infinity;
    for (let round = 0; round < 10; round++) {
      const start = performance.now();
      for (let i = 0; i < 5_000; i++) large.find(path);
      best = Math.min(best, performance.now() - start);
    }
    return best;
  };
  assert.ok(cost(10_000) < 8 * cost(100));
});
