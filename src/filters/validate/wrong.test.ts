/** What is wrong in a document: a problem where it stands, and the fault of the operations that need it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeEnv } from '../../filter/testing/exchange.ts';
import { check } from '../../schema/schema.ts';
import { validate, ValidateConfig } from './config.ts';
import { FORM_TYPE } from './media.ts';
import { BAD, decide, INT, json, make, NO_TYPE, param, WRONG } from './testing/decide.ts';

const BACK_REFERENCE = { type: 'string', pattern: '^(.)\\1$' };
const TARGETS = {
  Wrong: { type: 'object', properties: { a: NO_TYPE } },
  Pattern: { type: 'array', items: BACK_REFERENCE },
  Fine: { type: 'integer' },
  // In a circle: Around is made before Circle turns out to be wrong.
  Circle: {
    type: 'object',
    properties: { around: { $ref: '#/components/schemas/Around' }, wrong: { $ref: '#/components/schemas/Wrong' } },
  },
  Around: { type: 'object', properties: { back: { $ref: '#/components/schemas/Circle' } } },
  Beside: { type: 'object', properties: { f: { $ref: '#/components/schemas/Fine' } } },
};
const to = (name: string): object => ({ $ref: `#/components/schemas/${name}` });

/** Each operation is `POST /a`, its pointer `/paths/~1a/post`. */
const WRONG_PARTS: [rule: string, operation: object, pointer: string, message: RegExp][] = [
  [
    'a parameter',
    { parameters: [param('q', 'query', INT), param('p', 'query', NO_TYPE)] },
    '/paths/~1a/post/parameters/1',
    /type/,
  ],
  [
    'a reference of a parameter',
    { parameters: [{ $ref: '#/components/parameters/No' }] },
    '/paths/~1a/post/parameters/0',
    /leads to nothing/,
  ],
  ['a body', { requestBody: json(NO_TYPE) }, '/paths/~1a/post/requestBody/content/application~1json', /type/],
  [
    'a body of any type',
    { requestBody: { content: { '*/*': { schema: NO_TYPE } } } },
    '/paths/~1a/post/requestBody/content/*~1*',
    /type/,
  ],
  [
    'a form',
    { requestBody: { content: { [FORM_TYPE]: { schema: NO_TYPE } } } },
    '/paths/~1a/post/requestBody/content/application~1x-www-form-urlencoded',
    /type/,
  ],
  [
    'a pattern that cannot be checked',
    { parameters: [param('q', 'query', INT), param('p', 'query', BACK_REFERENCE)] },
    '/paths/~1a/post/parameters/1',
    /^Pattern "\^\(\.\)\\1\$" cannot be checked: Backreferences are not supported/,
  ],
  [
    'such a pattern in a target',
    { requestBody: json(to('Pattern')) },
    '/components/schemas/Pattern',
    /cannot be checked/,
  ],
  [
    'such a pattern of names',
    { requestBody: json({ patternProperties: { [BACK_REFERENCE.pattern]: {} } }) },
    '/paths/~1a/post/requestBody/content/application~1json',
    /cannot be checked/,
  ],
  ['a target', { requestBody: json(to('Wrong')) }, '/components/schemas/Wrong', /type/],
  ['a target of a target in a circle', { requestBody: json(to('Circle')) }, '/components/schemas/Wrong', /type/],
  [
    'a reference in a schema',
    { requestBody: json({ items: to('No') }) },
    '/paths/~1a/post/requestBody/content/application~1json',
    /leads to nothing/,
  ],
  [
    'an answer',
    { responses: { 200: json({}), default: json(NO_TYPE) } },
    '/paths/~1a/post/responses/default/content/application~1json',
    /type/,
  ],
  [
    'a header of an answer',
    { responses: { 200: { headers: { 'X-A': { schema: NO_TYPE } } } } },
    '/paths/~1a/post/responses/200/headers/X-A',
    /type/,
  ],
];

for (const [rule, operation, pointer, message] of WRONG_PARTS) {
  const paths = { '/a': { post: operation }, '/b': { post: { requestBody: json(INT), responses: {} } } };
  const document = { openapi: '3.1.0', paths, components: { schemas: TARGETS } };

  test(`validate: ${rule} that is wrong is a problem where it stands`, () => {
    const [issue, ...others] = validate.check(check(ValidateConfig, { document }).value!);
    assert.deepEqual([issue?.pointer, others], [`/document${pointer}`, []]);
    assert.match(issue!.message, message);
  });

  test(`validate: ${rule} that is wrong fails the requests of its operation only, and is told once`, async () => {
    for (const [requests, want] of [
      ['enforce', WRONG],
      ['report', 'ok'],
    ] as const) {
      const env = makeEnv();
      const filter = make({ document, requests, answers: requests }, env);
      for (let i = 0; i < 3; i++) assert.equal(await decide(filter, 'POST', '/a', { body: '{}' }), want);
      assert.equal(await decide(filter, 'POST', '/b', { body: '5' }), 'ok');
      assert.equal(env.counts.get('document_wrong'), 3);
      assert.equal(env.warnings.length, 1);
      assert.ok(env.warnings[0]!.includes(`wrong at ${pointer}: `), env.warnings[0]!);
    }
  });

  test(`validate: ${rule} that is wrong is found without a request`, () => {
    const env = makeEnv();
    const filter = make({ document, answers: 'report' }, env);
    for (let i = 0; i < 4; i++) env.advance(20);
    assert.equal(env.warnings.length, 1);
    assert.ok(env.warnings[0]!.includes(`wrong at ${pointer}: `), env.warnings[0]!);
    filter.close!();
  });
}

test('validate: what refers to a wrong target in a circle is wrong, what stands beside it is not', async () => {
  const paths = Object.fromEntries(
    ['Circle', 'Around', 'Beside'].map((name) => [`/${name}`, { post: { requestBody: json(to(name)) } }]),
  );
  const env = makeEnv();
  const filter = make({ document: { openapi: '3.1.0', paths, components: { schemas: TARGETS } } }, env);
  assert.equal(await decide(filter, 'POST', '/Circle', { body: '{}' }), WRONG);
  assert.equal(await decide(filter, 'POST', '/Around', { body: '{}' }), WRONG);
  assert.equal(await decide(filter, 'POST', '/Beside', { body: '{"f":1}' }), 'ok');
  assert.equal(await decide(filter, 'POST', '/Beside', { body: '{"f":"x"}' }), `${BAD} body /f`);
  assert.equal(env.warnings.length, 1, 'it is the same mistake');
});

test('validate: a body that no value is right for', async () => {
  const filter = make({ document: { openapi: '3.1.0', paths: { '/a': { post: { requestBody: json(false) } } } } });
  assert.equal(await decide(filter, 'POST', '/a', { body: '{}' }), `${BAD} body`);
});

test('validate: a wrong schema of its own is a problem where it stands', () => {
  for (const [schemas, want] of [
    [{ request: NO_TYPE }, ['/schemas/request']],
    [{ request: {}, answer: { propertys: {} } }, ['/schemas/answer']],
    [{ request: BACK_REFERENCE, answer: NO_TYPE }, ['/schemas/request', '/schemas/answer']],
    [{ request: { type: 'object' } }, []],
  ] as const) {
    const issues = validate.check(check(ValidateConfig, { schemas }).value!);
    assert.deepEqual(
      issues.map(({ pointer }) => pointer),
      want,
    );
  }
});

const MISTAKES: [rule: string, document: object, pointer: string][] = [
  ['another version', { swagger: '2.0' }, '/document'],
  ['a path that leads to nothing', { openapi: '3.1.0', paths: { '/a': { $ref: '#/x' } } }, '/document/paths/~1a'],
  ['two of one', { openapi: '3.0.3', paths: { '/{a}': { get: {} }, '/{b}': { get: {} } } }, '/document/paths/~1{b}'],
];

for (const [rule, document, pointer] of MISTAKES) {
  test(`validate: a document with ${rule} is a problem where it stands`, () => {
    const issues = validate.check(check(ValidateConfig, { document }).value!);
    assert.deepEqual(
      issues.map((issue) => issue.pointer),
      [pointer],
    );
  });
}
