import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NOTHING_ISSUED } from './acme.ts';
import { Compiler } from './compile.ts';
import { PROBLEMS_MAX } from './problems.ts';
import { resourcesIn } from './testing/many-routes.ts';

const orphan = (i: number): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: route-${i}, namespace: shop }
spec: { parentRefs: [{ name: gone }], rules: [{ backendRefs: [{ name: gone, port: 80 }] }] }
`;

test('a folder with the same mistake in each file names the first ones and counts the rest', () => {
  const count = PROBLEMS_MAX / 2 + 7;
  const compiler = new Compiler({ controllerName: 'a.test/b', bindDefault: '*', wallMs: () => 0 });
  const { problems } = compiler.compile(
    resourcesIn(Array.from({ length: count }, (_, i) => orphan(i)).join('\n---\n')),
  );
  assert.equal(problems.length, PROBLEMS_MAX + 1);
  assert.deepEqual(problems.at(-1), {
    level: 'error',
    code: 'problems.more',
    message: 'And 14 more problems: solve the first ones',
  });
});

test('a problem can be written as JSON with its place', () => {
  const compiler = new Compiler({ controllerName: 'a.test/b', bindDefault: '*', wallMs: () => 0 });
  const { problems } = compiler.compile(resourcesIn(orphan(1), 'a.yaml'));
  assert.deepEqual(JSON.parse(JSON.stringify(problems[0])), {
    level: 'error',
    code: 'reference.missing',
    resource: 'HTTPRoute shop/route-1',
    at: { file: 'a.yaml', line: 5, column: 22 },
    field: '/spec/parentRefs/0',
    message: 'Gateway shop/gone does not exist',
  });
});

test('who is there and could not be read is not called missing', () => {
  const compiler = new Compiler({ controllerName: 'a.test/b', bindDefault: '*', wallMs: () => 0 });
  const resources = resourcesIn(orphan(1));
  const said = (...unread: string[]): string[] =>
    compiler.compile(resources, NOTHING_ISSUED, new Set(unread)).problems.map(({ message }) => message);
  assert.deepEqual(said(), ['Gateway shop/gone does not exist', 'Service shop/gone does not exist']);
  assert.deepEqual(said('Gateway shop/gone'), ['Service shop/gone does not exist']);
  assert.deepEqual(said('Gateway gone', 'Service other/gone'), said());
});
