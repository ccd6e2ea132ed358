/**
 * Golden tests of the short form: `testdata/NAME.in.yaml` is what an operator
 * wrote, `testdata/NAME.out.yaml` the resources and the problems that it must
 * give. A new case is a new file. `npm run golden` rewrites the outputs.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { formatProblem } from '../../base/problem.ts';
import { readYaml } from '../../resource/yaml.ts';
import { writeManifests } from '../../resource/write.ts';
import type { Resource } from '../../resource/resource.ts';
import { readShortForm, type ShortRead } from './read.ts';
import { YamlLocator } from './yaml-locator.ts';

const TESTDATA = new URL('./testdata/', import.meta.url);

const FILES: Readonly<Record<string, string>> = {
  'shop.crt': '-----BEGIN CERTIFICATE-----\nshop\n-----END CERTIFICATE-----\n',
  'shop.key': '-----BEGIN EC PRIVATE KEY-----\nshop\n-----END EC PRIVATE KEY-----\n',
  'ca.crt': '-----BEGIN CERTIFICATE-----\nca\n-----END CERTIFICATE-----\n',
  'readme.md': '# Read me\n',
};

function read(text: string, previous?: ShortRead): ShortRead {
  return readShortForm(readYaml(text).value, {
    locator: new YamlLocator('fourways.yaml', text),
    readPem: (path) => {
      const found = FILES[path];
      return found === undefined ? { reason: 'no such file or directory' } : { text: found };
    },
    ...(previous !== undefined && { previous: previous.cache }),
  });
}

function resourcesOf({ documents }: ShortRead): Resource[] {
  return documents.flatMap(({ resource }) => resource ?? []);
}

for (const file of readdirSync(TESTDATA).filter((name) => name.endsWith('.in.yaml'))) {
  const name = file.slice(0, -'.in.yaml'.length);
  test(`short form: ${name}`, (t) => {
    const found = read(readFileSync(new URL(file, TESTDATA), 'utf8'));
    const problems = found.problems.map((problem) => `# ${formatProblem(problem)}\n`);
    const resources = resourcesOf(found).map((resource) => {
      const { line, column } = resource.origin.locate('/spec');
      return `# line ${line}, column ${column}\n${writeManifests([resource])}`;
    });
    t.assert.fileSnapshot([...problems, ...resources].join('---\n'), new URL(`${name}.out.yaml`, TESTDATA).pathname, {
      serializers: [(value) => String(value)],
    });
  });
}

const TEXT = `
services:
  users: http://127.0.0.1:3001
  orders: http://127.0.0.1:3002
routes:
  - match: /users
    to: users
  - match: /orders
    to: orders
`;

test('short form: what an edit does not touch stays the identical object, and its place moves', () => {
  const before = read(TEXT);
  const after = read(`# a comment\n${TEXT.replace('/orders', '/buy')}`, before);
  const was = new Map(resourcesOf(before).map((resource) => [resource.metadata.name + resource.kind, resource]));
  const same = resourcesOf(after).filter((resource) => was.get(resource.metadata.name + resource.kind) === resource);
  assert.deepEqual(
    same.map(({ kind, metadata: { name } }) => `${kind} ${name}`),
    ['GatewayClass fourways', 'Gateway fourways', 'Backend users', 'Backend orders', 'HTTPRoute users'],
  );
  assert.equal(same.at(-1)!.origin.locate('/spec/rules/0/matches/0/path').line, 7);
});

test('short form: a route keeps its place in the file as its age', () => {
  const orders = resourcesOf(read(TEXT)).map(({ kind, metadata: { order } }) =>
    kind === 'HTTPRoute' ? order : undefined,
  );
  assert.deepEqual(
    orders.filter((order) => order !== undefined),
    [1, 2],
  );
});

test('short form: GatewayClass is implied, nothing else is', () => {
  const implied = read(TEXT).documents.filter(({ implied }) => implied);
  assert.deepEqual(
    implied.map(({ key }) => key),
    ['GatewayClass//fourways'],
  );
});

// A tenth of this on a quiet machine; one look through the file for each route would take minutes.
test('short form: the time to read and locate grows with the routes, not with their square', () => {
  const routes = Array.from({ length: 3_000 }, (_, i) => `  - match: /r${i}\n    to: users\n`).join('');
  const text = `services:\n  users: http://127.0.0.1:3001\nroutes:\n${routes}`;
  const startMs = performance.now();
  const found = read(text);
  for (const resource of resourcesOf(found)) resource.origin.locate('/spec/rules/0');
  assert.equal(resourcesOf(found).length, 3_003);
  assert.ok(performance.now() - startMs < 10_000, `${performance.now() - startMs} ms`);
});

// What is written for `match`, and the match of the first rule that it must become.
const MATCHES: [rule: string, match: string, want: object][] = [
  ['a text is a prefix', '/a', { path: { type: 'PathPrefix', value: '/a' } }],
  ['a method may stand before it', 'GET /a', { path: { type: 'PathPrefix', value: '/a' }, method: 'GET' }],
  ['a method alone takes every path', 'DELETE', { path: { type: 'PathPrefix', value: '/' }, method: 'DELETE' }],
  ['exact is exact', '{ exact: /a }', { path: { type: 'Exact', value: '/a' } }],
  ['regex is a regular expression', '{ regex: "/a.*" }', { path: { type: 'RegularExpression', value: '/a.*' } }],
];

for (const [rule, match, want] of MATCHES) {
  test(`short form match: ${rule}`, () => {
    const route = resourcesOf(read(`routes: [{ match: ${match}, to: 'http://127.0.0.1:1' }]`)).find(
      ({ kind }) => kind === 'HTTPRoute',
    );
    assert.ok(route?.kind === 'HTTPRoute');
    assert.deepEqual(route.spec.rules[0]!.matches, [{ headers: [], queryParams: [], ...want }]);
  });
}
