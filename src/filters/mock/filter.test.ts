import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { Fault } from '../../base/fault.ts';
import type { Filter, Verdict } from '../../filter/filter.ts';
import { makeEnv, makeExchange, type TestEnv } from '../../filter/testing/exchange.ts';
import { OpenApiDocument } from '../../openapi/document.ts';
import { clusterTo, Harness, request, routeOf, ruleTo, Upstream } from '../../proxy/testing/node-harness.ts';
import { check } from '../../schema/schema.ts';
import { mock, MockConfig } from './config.ts';
import { code } from './filter.ts';
import { sampleOf } from './sample.ts';

const MATCH = { matchedPath: '/' };

function make(config: object, env: TestEnv = makeEnv()): Filter {
  const checked = check(MockConfig, config);
  assert.deepEqual(checked.issues, []);
  return code.make(checked.value!, env);
}

/** `200 application/json {"a":1}`, `pass`, or the code of the fault. */
function said(verdict: Verdict | string): string {
  if (verdict === undefined) return 'pass';
  if (verdict instanceof Fault) return verdict.code;
  assert.ok(typeof verdict !== 'string');
  const type = verdict.headers.find(([name]) => name === 'content-type')?.[1] ?? '-';
  return `${verdict.status} ${type} ${String(verdict.body)}`.trim();
}

const json = (more: object): object => ({ content: { 'application/json': more } });
const ask = (responses: object): object => ({ get: { responses } });

const DOCUMENT = {
  openapi: '3.1.0',
  servers: [{ url: '/v1' }],
  paths: {
    '/users/{id}': ask({
      200: json({ example: { id: 1 } }),
      404: json({ examples: { none: { value: 'none' }, gone: { $ref: '#/components/examples/Gone' } } }),
      '5xx': {},
      default: json({ example: 'other' }),
    }),
    '/users/me': ask({ 201: json({ example: 'me' }), 200: json({ example: 'first' }) }),
    '/tree': ask({ 200: json({ schema: { $ref: '#/components/schemas/Tree' } }) }),
    '/types': ask({
      200: { content: { 'application/json': { example: 1 }, 'text/plain': { example: 'one' }, 'image/*': {} } },
    }),
    '/empty': ask({ 204: { content: { 'text/plain': { example: 'never' } } } }),
    '/moved': ask({ 302: { headers: { Location: { example: '/a' }, 'Content-Length': { example: 9 } } } }),
    '/split': ask({ 200: { headers: { 'X-A': { example: 'a\r\nX-B: b' } } } }),
    '/text': ask({ 200: json({ schema: { type: 'object' }, example: '{"a": 1}' }) }),
    '/none': { get: {} },
    '/wrong': ask({ 200: json({ schema: { $ref: '#/nothing' } }) }),
    '/out': ask({ 200: { $ref: 'file:///etc/passwd' } }),
  },
  components: {
    examples: { Gone: { value: { gone: true } } },
    schemas: {
      Tree: {
        type: 'object',
        required: ['v'],
        properties: { v: { type: 'integer' }, next: { $ref: '#/components/schemas/Tree' } },
      },
    },
  },
};

const ROWS: [rule: string, target: string, headers: Record<string, string>, want: string][] = [
  ['the first 2xx, by its example', '/v1/users/7', {}, '200 application/json {"id":1}'],
  ['the smallest 2xx; fixed segments before names', '/v1/users/me', {}, '200 application/json "first"'],
  ['another status', '/v1/users/7', { prefer: 'code=404' }, '404 application/json "none"'],
  [
    'an example by name, referred to',
    '/v1/users/7',
    { prefer: 'code=404, example=gone' },
    '404 application/json {"gone":true}',
  ],
  [
    'quoted, other preferences before',
    '/v1/users/7',
    { prefer: 'wait=5; x="a,b", Code="404"' },
    '404 application/json "none"',
  ],
  ['the first of two counts', '/v1/users/7', { prefer: 'code=404, code=200' }, '404 application/json "none"'],
  ['a range of statuses', '/v1/users/7', { prefer: 'code=503' }, '503 -'],
  ['the default, with the status', '/v1/users/7', { prefer: 'code=418' }, '418 application/json "other"'],
  ['a status that is not there', '/v1/users/me', { prefer: 'code=404' }, '200 application/json "first"'],
  ['an informational status', '/v1/users/7', { prefer: 'code=101' }, '200 application/json {"id":1}'],
  [
    'an example that is not there',
    '/v1/users/7',
    { prefer: 'code=404, example=__proto__' },
    '404 application/json "none"',
  ],
  ['no preference at all', '/v1/users/7', { prefer: '"=;=,,' }, '200 application/json {"id":1}'],
  ['a circle ends', '/v1/tree', {}, '200 application/json {"v":0}'],
  ['a type by Accept', '/v1/types', { accept: 'text/*' }, '200 text/plain one'],
  ['the better of two', '/v1/types', { accept: 'application/json;q=0.5, text/plain' }, '200 text/plain one'],
  ['the specific range has the word', '/v1/types', { accept: '*/*, application/json;q=0' }, '200 text/plain one'],
  ['none is accepted', '/v1/types', { accept: 'text/html' }, 'mock.not-acceptable'],
  ['no body of 204', '/v1/empty', {}, '204 -'],
  ['JSON that is written as a text', '/v1/text', {}, '200 application/json {"a": 1}'],
  ['no answer described', '/v1/none', {}, 'mock.no-answer'],
  ['a reference to nothing', '/v1/wrong', {}, 'mock.document-wrong'],
  ['a reference to a file', '/v1/out', {}, 'mock.document-wrong'],
  ['another path', '/v1/else', {}, 'mock.unknown-path'],
  ['another base path', '/users/7', {}, 'mock.unknown-path'],
];

const ENV = makeEnv();
const filter = make({ document: DOCUMENT }, ENV);
for (const [rule, target, headers, want] of ROWS) {
  test(`mock: ${rule}`, () => {
    const x = makeExchange({ url: `http://api.test${target}`, headers });
    assert.equal(said(filter.onRequest!(x, MATCH) as Verdict), want);
    // Also the second time, when it is kept.
    assert.equal(said(filter.onRequest!(x, MATCH) as Verdict), want);
  });
}

test('mock: what is wrong is said once', () => {
  assert.equal(ENV.warnings.filter((line) => line.includes('GET /wrong')).length, 1);
});

function headersOf(target: string, headers: Record<string, string> = {}): unknown {
  const verdict = filter.onRequest!(makeExchange({ url: `http://api.test${target}`, headers }), MATCH) as Verdict;
  assert.ok(verdict !== undefined && !(verdict instanceof Fault));
  return verdict.headers;
}

test('mock: headers come from the document, those of framing and those that would split never', () => {
  const vary = ['vary', 'Accept, Prefer'];
  assert.deepEqual(headersOf('/v1/moved'), [['Location', '/a'], vary]);
  assert.deepEqual(headersOf('/v1/split'), [vary]);
  assert.deepEqual(headersOf('/v1/users/7', { prefer: 'code=500' }), [vary, ['preference-applied', 'code=500']]);
});

test('mock: another method names those that are there; unmatched: pass goes on', () => {
  const x = makeExchange({ method: 'PUT', url: 'http://api.test/v1/types' });
  const verdict = filter.onRequest!(x, MATCH) as Fault;
  assert.equal(verdict.code, 'mock.unknown-method');
  assert.deepEqual(verdict.extras?.headers, [['allow', 'GET, HEAD']]);
  assert.equal(said(make({ document: DOCUMENT, unmatched: 'pass' }).onRequest!(x, MATCH) as Verdict), 'pass');
});

test('mock: answers that are written in the policy', () => {
  const made = make({
    responses: [
      {
        path: '/a/{id}',
        example: { a: 1 },
        headers: [
          { name: 'Set-Cookie', value: 'a=1' },
          { name: 'set-cookie', value: 'b=2' },
        ],
      },
      { path: '/a/{id}', status: 404, body: '{ raw', contentType: 'application/json' },
      { method: 'POST', path: '/a', status: 201 },
    ],
  });
  const at = (method: string, path: string, prefer = ''): Verdict =>
    made.onRequest!(makeExchange({ method, url: `http://a.test${path}`, headers: { prefer } }), MATCH) as Verdict;
  assert.equal(said(at('GET', '/a/5')), '200 application/json {"a":1}');
  assert.equal(said(at('HEAD', '/a/5', 'code=404')), '404 application/json { raw');
  assert.equal(said(at('POST', '/a')), '201 -');
  const { headers } = at('GET', '/a/5') as { headers: readonly (readonly string[])[] };
  assert.deepEqual(
    headers.filter(([name]) => name === 'set-cookie').map(([, value]) => value),
    ['a=1', 'b=2'],
  );
});

test('mock: a delay waits; who still waits when the filter ends is answered', async () => {
  const env = makeEnv();
  const slow = make({ document: DOCUMENT, delay: '2s' }, env);
  const over: number[] = [];
  const answers = [1, 2].map(async (n) => {
    await slow.onRequest!(makeExchange({ url: 'http://api.test/v1/types' }), MATCH);
    over.push(n);
  });
  env.advance(1_999);
  await Promise.resolve();
  assert.deepEqual(over, []);
  env.advance(1);
  await Promise.all(answers);
  assert.deepEqual(over, [1, 2]);
  const last = slow.onRequest!(makeExchange({ url: 'http://api.test/v1/types' }), MATCH);
  slow.close!();
  assert.equal(said((await last) as Verdict), '200 application/json 1');
});

const SAMPLES: [rule: string, schema: object, want: unknown][] = [
  ['example', { type: 'string', example: 'a', default: 'b' }, 'a'],
  ['default', { type: 'string', default: 'b', enum: ['a', 'b'] }, 'b'],
  ['enum', { enum: ['x', 'y'] }, 'x'],
  ['a text', { type: 'string', minLength: 8 }, 'stringxx'],
  ['a short text', { type: 'string', maxLength: 3 }, 'str'],
  ['a format', { type: 'string', format: 'date' }, '2026-01-01'],
  ['a number', { type: 'integer', exclusiveMinimum: 4, multipleOf: 5 }, 5],
  ['a negative number', { type: 'integer', maximum: -3 }, -3],
  ['a list', { type: 'array', items: { type: 'boolean' }, minItems: 2 }, [false, false]],
  ['nullable', { type: ['null', 'string'] }, 'string'],
  [
    'an object without what is only written',
    { properties: { a: { type: 'null' }, b: { writeOnly: true } } },
    { a: null },
  ],
  [
    'parts',
    { type: 'object', properties: { a: { const: 1 } }, allOf: [{ properties: { b: { const: 2 } } }] },
    { a: 1, b: 2 },
  ],
  ['an alternative', { oneOf: [{ type: 'integer', minimum: 3 }, { type: 'string' }] }, 3],
];
const NO_PATHS = new OpenApiDocument({ openapi: '3.1.0', paths: {} });

for (const [rule, schema, want] of SAMPLES) {
  test(`mock: a sample of ${rule}, which its schema allows`, () => {
    const sample = sampleOf(NO_PATHS, schema);
    assert.deepEqual(sample, want);
    assert.ok(new Ajv2020({ strict: false, validateFormats: false }).validate(schema, sample));
  });
}

test('mock: a schema that grows with the power of its depth ends', () => {
  let schema: object = { type: 'string' };
  for (let i = 0; i < 12; i++) schema = { type: 'array', minItems: 100, items: schema };
  const start = process.cpuUsage();
  const text = JSON.stringify(sampleOf(NO_PATHS, schema));
  assert.ok(text.length < 200_000);
  assert.ok(process.cpuUsage(start).user < 1_000_000);
});

const REFUSED: [what: string, config: object][] = [
  ['nothing', {}],
  ['two sources', { document: {}, responses: [{ path: '/a' }] }],
  ['a long delay', { document: {}, delay: '2m' }],
  ['two bodies', { responses: [{ path: '/a', body: 'a', example: 1 }] }],
  ['an answer twice', { responses: [{ path: '/{a}' }, { path: '/{b}' }] }],
];
for (const [what, config] of REFUSED) {
  test(`mock: ${what} is refused`, () => {
    assert.equal(mock.check(check(MockConfig, config).value!).length, 1);
  });
}

test('mock: through a proxy, no upstream is asked for what the document has', async () => {
  const seen: string[] = [];
  await using upstream = await Upstream.start((asked, answer) => {
    seen.push(asked.url!);
    answer.end('real');
  });
  await using proxy = new Harness([mock]);
  const config = check(MockConfig, { document: DOCUMENT, unmatched: 'pass', delay: '5ms' }).value;
  const filters = [{ filter: 'mock', config, owner: 'Policy d/p' }];
  await proxy.start({ routes: { r: routeOf(ruleTo({ filters })) }, clusters: { c: clusterTo([upstream.port]) } });
  const mocked = await request(proxy.port, { method: 'GET', path: '/v1/users/7' });
  assert.equal(`${mocked.status} ${mocked.body}`, '200 {"id":1}');
  assert.equal((await request(proxy.port, { method: 'GET', path: '/real' })).body, 'real');
  assert.deepEqual(seen, ['/real']);
});
