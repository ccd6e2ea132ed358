import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MANIFEST_FILE_BYTES_MAX } from '../base/limits.ts';
import { type ReadResult, readManifests } from './read.ts';
import type { HTTPRoute } from './resource.ts';

function route(name: string, port = 80): string {
  return `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: ${name}, namespace: shop}
spec:
  rules:
  - backendRefs:
    - name: web
      port: ${port}
`;
}

function keysOf({ documents }: ReadResult): (string | undefined)[] {
  return documents.map(({ key }) => key);
}

function said({ problems }: ReadResult): string[] {
  return problems.map(({ at, message }) => `${at?.line}:${at?.column} ${message}`);
}

test('read: a document gives a typed resource with its defaults', () => {
  const { documents, problems } = readManifests(route('web'), 'a.yaml');
  assert.deepEqual(problems, []);
  const resource = documents[0]!.resource as HTTPRoute;
  assert.equal(documents[0]!.key, 'HTTPRoute/shop/web');
  assert.deepEqual(resource.metadata, {
    name: 'web',
    namespace: 'shop',
    labels: {},
    annotations: {},
    generation: 1,
    creationMs: undefined,
  });
  assert.deepEqual(resource.spec.rules[0], {
    matches: [{ path: { type: 'PathPrefix', value: '/' }, headers: [], queryParams: [] }],
    filters: [],
    backendRefs: [{ group: '', kind: 'Service', name: 'web', port: 80, weight: 1, filters: [] }],
  });
});

test('read: unchanged documents give the identical resources, wherever they stand', () => {
  const first = readManifests([route('a'), route('b'), route('c')].join('---\n'), 'a.yaml');
  const text = [`# new\n\n${route('new')}`, route('a'), route('b', 81), route('c')].join('---\n');
  const second = readManifests(text, 'a.yaml', first.cache);
  assert.deepEqual(keysOf(second), ['HTTPRoute/shop/new', 'HTTPRoute/shop/a', 'HTTPRoute/shop/b', 'HTTPRoute/shop/c']);

  const [a, b, c] = first.documents.map(({ resource }) => resource);
  assert.equal(second.documents[1]!.resource, a);
  assert.notEqual(second.documents[2]!.resource, b);
  assert.equal(second.documents[3]!.resource, c);
  assert.equal(c!.origin.line, 30);
  assert.deepEqual(c!.origin.locate('/spec/rules/0/backendRefs/0/port'), { file: 'a.yaml', line: 37, column: 7 });
});

test('read: problems move with their document', () => {
  const bad = route('bad', 0);
  const first = readManifests(`${route('a')}---\n${bad}`, 'a.yaml');
  assert.deepEqual(said(first), ['17:7 Expected a whole number from 1 to 65535, got 0']);
  const second = readManifests(`${route('a')}---\n# one\n---\n${bad}`, 'a.yaml', first.cache);
  assert.deepEqual(said(second), ['19:7 Expected a whole number from 1 to 65535, got 0']);
  const third = readManifests(`${route('a')}---\n# one\n---\n${bad}`, 'a.yaml', second.cache);
  assert.deepEqual(third.problems, second.problems);
});

test('read: the same text twice is two documents', () => {
  const text = `---\n${route('a')}---\n${route('a')}`;
  const first = readManifests(text, 'a.yaml');
  const second = readManifests(text, 'a.yaml', first.cache);
  assert.equal(second.documents.length, 2);
  assert.deepEqual(
    second.documents.map(({ origin }) => origin.line),
    [2, 11],
  );
  assert.deepEqual(
    new Set(second.documents.map(({ resource }) => resource)),
    new Set(first.documents.map((one) => one.resource)),
  );
});

const LISTS: [rule: string, file: string, text: string][] = [
  [
    'kind List in YAML',
    'a.yaml',
    `kind: List\napiVersion: v1\nitems:\n${['a', 'b'].map((name) => `- ${route(name).replaceAll('\n', '\n  ').trimEnd()}\n`).join('')}`,
  ],
  ['a YAML list', 'a.yaml', ['a', 'b'].map((name) => `- ${route(name).replaceAll('\n', '\n  ').trimEnd()}\n`).join('')],
  ['a JSON array', 'a.json', JSON.stringify(['a', 'b'].map(jsonRoute))],
  [
    'kind List in JSON',
    'a.json',
    JSON.stringify({ kind: 'List', apiVersion: 'v1', items: ['a', 'b'].map(jsonRoute) }, null, '\t'),
  ],
  [
    'a list of one kind',
    'a.json',
    JSON.stringify({ kind: 'HTTPRouteList', items: ['a', 'b'].map(jsonRoute) }, null, 2),
  ],
];

function jsonRoute(name: string): object {
  const rules = [{ backendRefs: [{ name: 'web', port: 80 }] }];
  return {
    apiVersion: 'gateway.networking.k8s.io/v1',
    kind: 'HTTPRoute',
    metadata: { name, namespace: 'shop' },
    spec: { rules },
  };
}

for (const [rule, file, text] of LISTS) {
  test(`read: ${rule} gives its items, and an edit of one leaves the other`, () => {
    const first = readManifests(text, file);
    assert.deepEqual(said(first), []);
    assert.deepEqual(keysOf(first), ['HTTPRoute/shop/a', 'HTTPRoute/shop/b']);

    const edited = text.replace(/("?port"?: ?)80/, '$18080');
    const second = readManifests(edited, file, first.cache);
    assert.notEqual(second.documents[0]!.resource, first.documents[0]!.resource);
    assert.equal(second.documents[1]!.resource, first.documents[1]!.resource);

    const broken = edited.replace(/("?port"?: ?)80\b/, '$199999');
    const [problem] = readManifests(broken, file, second.cache).problems;
    const lines = broken.slice(0, broken.indexOf('99999')).split('\n');
    assert.equal(problem?.at?.line, lines.length);
    assert.equal(problem?.at?.column, lines.at(-1)!.search(/"?port"?: ?$/) + 1);
  });
}

test('read: one broken document leaves the others', () => {
  const result = readManifests(`${route('a')}---\nkind: [\n---\n${route('b')}`, 'a.yaml');
  assert.deepEqual(keysOf(result), ['HTTPRoute/shop/a', undefined, 'HTTPRoute/shop/b']);
  assert.equal(result.problems.length, 1);
  assert.equal(result.documents[1]!.resource, undefined);
});

const BROKEN_KEYS: [rule: string, text: string, want: string | undefined][] = [
  [
    'in block style',
    route('a').replace('{name: a, namespace: shop}', '\n  labels: {}\n  name: "a"\n  namespace: shop'),
    'HTTPRoute/shop/a',
  ],
  ['in flow style', route('a'), 'HTTPRoute/shop/a'],
  ['without a namespace', route('a').replace(', namespace: shop', ''), 'HTTPRoute/default/a'],
  ['without a name', route('a').replace('name: a', 'nam: a'), undefined],
];

for (const [rule, text, want] of BROKEN_KEYS) {
  test(`read: a document that cannot be parsed has its key, ${rule}`, () => {
    const { documents } = readManifests(`${text}  bad: indent: ation\n`, 'a.yaml');
    assert.equal(documents[0]!.resource, undefined);
    assert.equal(documents[0]!.key, want);
  });
}

test('read: kinds of others are counted and are no mistake', () => {
  const deployment = 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n';
  const istio = 'apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: web}\n';
  const { documents, problems, ignored } = readManifests([deployment, deployment, istio].join('---\n'), 'a.yaml');
  assert.deepEqual(problems, []);
  assert.deepEqual(
    [...ignored],
    [
      ['Deployment (apps/v1)', 2],
      ['Gateway (networking.istio.io/v1)', 1],
    ],
  );
  assert.ok(documents.every(({ resource }) => resource === undefined));
});

test('read: an OpenAPI document beside manifests is none, and no mistake', () => {
  const text = JSON.stringify({ openapi: '3.1.0', info: { title: 'API', version: '1' }, paths: {} });
  for (const file of ['openapi.json', 'openapi.yaml']) {
    const { problems, ignored } = readManifests(text, file);
    assert.deepEqual([problems, [...ignored]], [[], [['OpenAPI document', 1]]], file);
  }
  assert.equal(readManifests('openapi: 3.1.0\n', 'a.yaml').problems.length, 1, 'it must look like one');
});

test('read: a set of keys beside manifests is none, and no mistake', () => {
  const text = JSON.stringify({ keys: [{ kty: 'EC', crv: 'P-256', x: 'a', y: 'b', kid: '1' }] });
  const { problems, ignored } = readManifests(text, 'jwks.json');
  assert.deepEqual([problems, [...ignored]], [[], [['JSON Web Key Set', 1]]]);
  for (const other of [
    '{ "keys": [] }',
    '{ "keys": [{ "kind": "x" }] }',
    '{ "keys": [{ "kty": "EC" }], "kind": "Polizy" }',
  ]) {
    assert.equal(readManifests(other, 'a.json').problems.length, 1, `${other} does not look like one`);
  }
});

test('read: empty files are empty', () => {
  for (const [text, file] of [
    ['', 'a.yaml'],
    ['\ufeff# nothing\n', 'a.yaml'],
    [' \n', 'a.json'],
  ] as const) {
    assert.deepEqual(readManifests(text, file).documents, []);
  }
});

test('read: a byte order mark is no content', () => {
  assert.deepEqual(keysOf(readManifests(`\ufeff${route('a')}`, 'a.yaml')), ['HTTPRoute/shop/a']);
});

test('read: line ends of another system', () => {
  const result = readManifests(`${route('a')}---\n${route('b', 0)}`.replaceAll('\n', '\r\n'), 'a.yaml');
  assert.deepEqual(said(result), ['17:7 Expected a whole number from 1 to 65535, got 0']);
  assert.deepEqual(keysOf(result), ['HTTPRoute/shop/a', 'HTTPRoute/shop/b']);
});

test('read: aliases work, up to a bound', () => {
  const few = route('a').replace('spec:', 'x: &p 80\nspec:').replace('port: 80', 'port: *p');
  assert.deepEqual(said(readManifests(few, 'a.yaml')), [
    '4:1 Unknown field "x": expected one of "apiVersion", "kind", "metadata", "spec", "status"',
  ]);
  const bomb = [
    'a: &a [x, x, x, x, x, x, x, x, x]',
    ...'bcdefgh'.split('').map((name, i) => {
      const of = 'abcdefgh'[i];
      return `${name}: &${name} [${Array.from({ length: 9 }, () => `*${of}`).join(', ')}]`;
    }),
  ].join('\n');
  assert.match(said(readManifests(`${bomb}\n`, 'a.yaml'))[0]!, /^1:1 Cannot read YAML: excessive alias count/);
});

test('read: a file that is too large is not read', () => {
  const { documents, problems } = readManifests(' '.repeat(MANIFEST_FILE_BYTES_MAX + 1), 'a.yaml');
  assert.deepEqual(documents, []);
  assert.deepEqual(
    problems.map(({ code }) => code),
    ['file.too-large'],
  );
});

test('read: nesting without end is a mistake, not a crash', () => {
  const deep = `a: ${'['.repeat(100_000)}\n`;
  assert.equal(readManifests(deep, 'a.yaml').problems.length, 1);
  assert.equal(readManifests('['.repeat(100_000), 'a.json').problems.length, 1);
  const blocks = Array.from({ length: 2000 }, (_, i) => `${' '.repeat(i)}a:\n`).join('');
  assert.equal(readManifests(blocks, 'a.yaml').problems.length, 1);
});

const LARGE: [rule: string, text: string, file: string, problems: number][] = [
  ['a value in double quotes', configMap(`"${'x\\n'.repeat(1_000_000)}"`), 'a.yaml', 0],
  ['a value in single quotes', configMap(`'${'x'.repeat(2_000_000)}'`), 'a.yaml', 0],
  [
    'a value in JSON',
    JSON.stringify({
      kind: 'ConfigMap',
      apiVersion: 'v1',
      metadata: { name: 'a' },
      data: { a: 'x\n'.repeat(1_000_000) },
    }),
    'a.json',
    0,
  ],
  ['a Secret', configMap('YWFh'.repeat(500_000)).replace('ConfigMap', 'Secret'), 'a.yaml', 0],
  ['comments before the content', `${'# comment\n'.repeat(300_000)}${configMap('x')}`, 'a.yaml', 0],
  ['blank lines in a value', configMap(`|\n    x\n${'\n'.repeat(300_000)}    y`), 'a.yaml', 0],
  [
    'unknown fields',
    `${route('a')}  x:\n${Array.from({ length: 20_000 }, (_, i) => `  k${i}: 1\n`).join('')}`,
    'a.yaml',
    100,
  ],
];

function configMap(value: string): string {
  return `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  a: ${value}\n`;
}

for (const [rule, text, file, problems] of LARGE) {
  test(`read: ${rule} may be large`, () => {
    const before = performance.now();
    assert.equal(readManifests(text, file).problems.length, problems);
    assert.ok(performance.now() - before < 5000, 'in a time that does not grow with the square of the size');
  });
}

const LEAKS: [how: string, text: string, file: string][] = [
  ['an alias', secret('*hunter2'), 'a.yaml'],
  ['a tag', secret('!hunter2'), 'a.yaml'],
  ['a broken scalar', secret('"hunter2'), 'a.yaml'],
  ['a mapping in a line', secret('hunter2: hunter2'), 'a.yaml'],
  ['text that is not base64', secret('hunter2!'), 'a.yaml'],
  ['a number', secret('1234567'), 'a.yaml'],
  ['one value for all', 'apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData: hunter2\n', 'a.yaml'],
  ['JSON without quotes', '{"kind": "Secret", "stringData": {"a": hunter2}}', 'a.json'],
  ['a broken JSON string', '{"kind": "Secret", "stringData": {"a": "hunter2}}', 'a.json'],
];

function secret(value: string): string {
  return `apiVersion: v1\nkind: Secret\nmetadata: {name: a}\ndata:\n  a: ${value}\n`;
}

for (const [how, text, file] of LEAKS) {
  test(`read: no problem shows a secret: ${how}`, () => {
    const { problems } = readManifests(text, file);
    assert.equal(problems.length > 0, true);
    assert.doesNotMatch(JSON.stringify(problems), /hunter2|1234567/);
  });
}
