import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Accepted, acceptContent, acceptFailure } from './accept.ts';
import type { Policy } from '../resource/resource.ts';
import { readContent } from './file-content.ts';

const THEN = Date.UTC(2026, 0, 1);
const NOW = Date.UTC(2026, 0, 2);

function route(name: string, path = '/', kind = 'HTTPRoute'): string {
  return [
    'apiVersion: gateway.networking.k8s.io/v1',
    `kind: ${kind}`,
    `metadata: { name: ${name} }`,
    `spec: { rules: [{ matches: [{ path: { value: ${path} } }] }] }`,
    '',
  ].join('\n');
}

function accept(text: string, before: readonly Accepted[] = []): ReturnType<typeof acceptContent> {
  return acceptContent(readContent(text, 'a.yaml', undefined), NOW, () => before);
}

const BEFORE = acceptContent(
  readContent([route('a'), route('b'), route('c')].join('---\n'), 'a.yaml', undefined),
  THEN,
  () => [],
).accepted;

const BROKEN_YAML = route('b').replace('{ name: b }', '{ name: b');
const NAMELESS = route('b').replace('name: b', 'nam: b');

// What the file says now, and what counts then: names, those that are kept with a star.
const ROWS: [rule: string, documents: string[], want: string[]][] = [
  ['what is right counts', [route('a'), route('d')], ['a', 'd']],
  ['a document that breaks a rule keeps its resource', [route('a'), route('b', 'x'), route('c')], ['a', 'c', 'b*']],
  ['a document that is no YAML keeps the resource it names', [route('a'), BROKEN_YAML, route('c')], ['a', 'c', 'b*']],
  ['a document that has no name keeps all that is missing', [NAMELESS], ['a*', 'b*', 'c*']],
  ['a document of an unknown name keeps all that is missing', [route('a'), route('new', 'x')], ['a', 'b*', 'c*']],
  [
    'a kind that cannot be told keeps all that is missing',
    [route('a'), route('b', '/', 'HTTPRoutes')],
    ['a', 'b*', 'c*'],
  ],
  ['beside a broken document, one that was deleted goes', [route('a', 'x'), route('c')], ['c', 'a*']],
];

for (const [rule, documents, want] of ROWS) {
  test(`acceptContent: ${rule}`, () => {
    const { accepted } = accept(documents.join('---\n'), BEFORE);
    const got = accepted.map(({ resource, standing }) => resource.metadata.name + (standing === 'kept' ? '*' : ''));
    assert.deepEqual(got, want);
  });
}

test('acceptContent: what is kept says since when, at the text that is refused', () => {
  const { problems, broken } = accept([route('a'), route('b', 'x'), route('c')].join('---\n'), BEFORE);
  assert.deepEqual(
    problems.map(({ level, code, resource, at, message }) => ({ level, code, resource, line: at?.line, message })),
    [
      {
        level: 'error',
        code: 'field.rule',
        resource: 'HTTPRoute default/b',
        line: 9,
        message: 'Expected a path that begins with "/", got "x"',
      },
      {
        level: 'warning',
        code: 'source.last-good',
        resource: 'HTTPRoute default/b',
        line: 9,
        message: 'Still serving the version read at 2026-01-01T00:00:00.000Z: the new one has errors',
      },
    ],
  );
  assert.equal(broken, 'some');
});

test('acceptContent: without a version before, a broken document only removes itself', () => {
  const { accepted, broken } = accept([route('a'), route('b', 'x')].join('---\n'));
  assert.deepEqual(
    accepted.map(({ resource }) => resource.metadata.name),
    ['a'],
  );
  assert.equal(broken, 'some');
  assert.equal(accept(route('b', 'x')).broken, 'all');
});

test('acceptContent: a short form is refused as a whole', () => {
  const good = accept('services: { a: http://127.0.0.1:1 }\nroutes: [{ name: r, match: /a, to: a }]\n');
  const { accepted, problems, broken } = accept(
    'listen: 9000\nservices: { a: http://127.0.0.1:1 }\nroutes: [{ name: r, match: /b, to: b }, { name: s, to: a }]\n',
    good.accepted,
  );
  assert.deepEqual(
    accepted.map(({ resource }) => resource),
    good.accepted.map(({ resource }) => resource),
  );
  assert.equal(broken, 'all');
  assert.deepEqual(
    problems.map(({ message }) => message),
    [
      'Unknown service "b": did you mean "a"',
      'Still serving the 4 resources of the version read at 2026-01-02T00:00:00.000Z',
    ],
  );
});

test('acceptContent: without a version before, the right parts of a short form count', () => {
  const { accepted } = accept(
    'services: { a: http://127.0.0.1:1 }\nroutes: [{ name: r, to: b }, { name: s, to: a }]\n',
  );
  const routes = accepted.filter(({ resource }) => resource.kind === 'HTTPRoute');
  assert.deepEqual(
    routes.map(({ resource }) => resource.metadata.name),
    ['s'],
  );
});

test('acceptFailure: a file that cannot be read keeps what it gave', () => {
  const { accepted, problems, broken } = acceptFailure('/etc/a.yaml', 'permission denied', BEFORE);
  assert.deepEqual(
    accepted.map(({ resource }) => resource),
    BEFORE.map(({ resource }) => resource),
  );
  assert.equal(broken, 'all');
  assert.deepEqual(
    problems.map(({ message }) => message),
    [
      'Cannot read "/etc/a.yaml": permission denied',
      'Still serving the 3 resources of the version read at 2026-01-01T00:00:00.000Z',
    ],
  );
});

function policy(spec: string): string {
  return `apiVersion: fourways.io/v1alpha1\nkind: Policy\nmetadata: { name: p }\nspec: ${spec}\n`;
}

const TARGET = 'targetRefs: [{ kind: HTTPRoute, name: a }]';

test('acceptContent: a policy that could protect, and has mistakes, closes its targets when there is no version before', () => {
  const broken = policy(`{ ${TARGET}, filters: { corss: {} } }`);
  const first = accept([route('a'), broken].join('---\n'));
  assert.deepEqual(
    first.accepted.map(({ key, standing }) => `${key} ${standing}`),
    ['HTTPRoute/default/a written', 'Policy/default/p stand-in'],
  );
  assert.deepEqual(
    first.problems.map(({ message }) => message),
    ['Unknown field "corss": did you mean "cors"'],
  );
  const again = accept([route('a'), broken.replace('corss', 'corsss')].join('---\n'), first.accepted);
  const { spec } = again.accepted[1]!.resource as Policy;
  assert.deepEqual(spec.refusedFilters, ['corsss'], 'it speaks of the newest text');
  assert.equal(again.problems.length, 1, 'there is no version that could still be served');
  const right = accept([route('a'), policy(`{ ${TARGET}, filters: { cors: {} } }`)].join('---\n'), again.accepted);
  assert.deepEqual(
    right.accepted.map(({ standing }) => standing),
    ['written', 'written'],
  );
  const kept = accept([route('a'), broken].join('---\n'), right.accepted);
  assert.deepEqual(
    kept.accepted.map(({ standing }) => standing),
    ['written', 'kept'],
  );
});

for (const [rule, spec] of [
  ['that only shapes', `{ ${TARGET}, filters: { headers: { nonsense: 1 } } }`],
  ['whose targets cannot be read', '{ targetRefs: [{ kind: Nonsense, name: a }], filters: { jwtt: {} } }'],
  ['without filters', `{ ${TARGET}, listener: { nonsense: 1 } }`],
] as const) {
  test(`acceptContent: a policy with mistakes ${rule} removes itself`, () => {
    const { accepted } = accept([route('a'), policy(spec)].join('---\n'));
    assert.deepEqual(
      accepted.map(({ key }) => key),
      ['HTTPRoute/default/a'],
    );
  });
}
