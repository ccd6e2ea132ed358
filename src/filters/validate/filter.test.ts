import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../../base/fault.ts';
import { WHOLE_BODY } from '../../filter/filter.ts';
import { makeEnv, makeExchange, makeResponse } from '../../filter/testing/exchange.ts';
import { clusterTo, Harness, request, routeOf, ruleTo, Upstream } from '../../proxy/testing/node-harness.ts';
import { check } from '../../schema/schema.ts';
import { validate, ValidateConfig } from './config.ts';
import { code } from './filter.ts';
import { BAD, decide, INT, make, MATCH, param, type Sent } from './testing/decide.ts';

const INTS = { type: 'array', items: { type: 'integer' } };
const POINT = {
  type: 'object',
  properties: { x: { type: 'integer' }, y: { type: 'integer' } },
  additionalProperties: false,
};
const get = (...parameters: object[]): object => ({ get: { parameters, responses: {} } });
const path = (name: string, schema: object, more: object = {}): object =>
  get(param(name, 'path', schema, { required: true, ...more }));

const DOCUMENT = {
  openapi: '3.1.0',
  info: { title: 'API', version: '1' },
  servers: [{ url: 'https://api.test/v1' }],
  paths: {
    '/items/{id}': path('id', INT),
    '/ids/{ids}': path('ids', INTS),
    '/points/{p}': path('p', POINT),
    '/xpoints/{p}': path('p', POINT, { explode: true }),
    '/labels/{ids}': path('ids', INTS, { style: 'label', explode: true }),
    '/matrix/{id}': path('id', INT, { style: 'matrix' }),
    '/xmatrix/{ids}': path('ids', INTS, { style: 'matrix', explode: true }),
    '/search': get(
      param('q', 'query', { type: 'string', maxLength: 5 }, { required: true }),
      param('n', 'query', INT),
      param('on', 'query', { type: 'boolean' }),
      param('ids', 'query', INTS),
      param('flat', 'query', INTS, { explode: false }),
      param('spaced', 'query', INTS, { style: 'spaceDelimited', explode: false }),
      param('piped', 'query', INTS, { style: 'pipeDelimited', explode: false }),
      param('deep', 'query', POINT, { style: 'deepObject' }),
      param('json', 'query', {}, { schema: undefined, content: { 'application/json': { schema: POINT } } }),
      param('X-Trace', 'header', { type: 'string', pattern: '^(a+)+$' }),
      param('session', 'cookie', INT),
    ),
    '/items': {
      post: {
        requestBody: {
          required: true,
          content: {
            'application/json': { schema: { $ref: '#/components/schemas/Item' } },
            'application/x-www-form-urlencoded': { schema: { $ref: '#/components/schemas/Item' } },
            'multipart/form-data': { schema: { type: 'object', required: ['file'], properties: { file: {} } } },
            'image/*': {},
          },
        },
        responses: {
          '201': {
            headers: { 'X-Id': { required: true, schema: { type: 'integer' } } },
            content: { 'application/json': { schema: { $ref: '#/components/schemas/Item' } } },
          },
          '4XX': { content: { 'application/json': { schema: { type: 'object', required: ['error'] } } } },
        },
      },
    },
    '/trees': {
      post: { requestBody: { content: { 'application/json': { schema: { $ref: '#/components/schemas/Tree' } } } } },
    },
  },
  components: {
    schemas: {
      Item: {
        type: 'object',
        required: ['name', 'id'],
        properties: {
          id: { type: 'integer', readOnly: true },
          name: { type: 'string', minLength: 1 },
          secret: { type: 'string', writeOnly: true },
          tags: { type: 'array', items: { type: 'object' }, uniqueItems: true },
          mail: { type: 'string', format: 'email' },
          price: { type: 'number', maximum: 100 },
          size: { type: 'integer', format: 'int64' },
        },
      },
      Tree: {
        type: 'object',
        properties: { next: { $ref: '#/components/schemas/Tree' }, v: { type: 'integer' } },
        required: ['v'],
      },
    },
  },
};

const ITEM = '/v1/items';

const REQUESTS: [rule: string, method: string, url: string, sent: Sent, want: string][] = [
  ['a number in the path', 'GET', '/v1/items/7', {}, 'ok'],
  ['HEAD is like GET', 'HEAD', '/v1/items/7', {}, 'ok'],
  ['no number', 'GET', '/v1/items/x', {}, `${BAD} path id`],
  ['a number that is none in JSON', 'GET', '/v1/items/0x7', {}, `${BAD} path id`],
  ['a number that is too small', 'GET', '/v1/items/0', {}, `${BAD} path id`],
  ['broken UTF-8', 'GET', '/v1/items/%ff', {}, `${BAD} path id`],
  ['another path', 'GET', '/v1/nothing', {}, 'validate.unknown-path'],
  ['without the base path', 'GET', '/items/7', {}, 'validate.unknown-path'],
  ['a base path that only begins alike', 'GET', '/v10/items/7', {}, 'validate.unknown-path'],
  ['another method', 'DELETE', '/v1/items/7', {}, 'validate.unknown-method'],
  ['style simple', 'GET', '/v1/ids/1,2,3', {}, 'ok'],
  ['an item that is no number', 'GET', '/v1/ids/1,b', {}, `${BAD} path ids`],
  ['an encoded comma is no comma', 'GET', '/v1/ids/1%2C2', {}, `${BAD} path ids`],
  ['an object', 'GET', '/v1/points/x,1,y,2', {}, 'ok'],
  ['an object with a field twice', 'GET', '/v1/points/x,1,x,2', {}, `${BAD} path p`],
  ['an object with a field too many', 'GET', '/v1/points/x,1,z,2', {}, `${BAD} path p`],
  ['half a pair', 'GET', '/v1/points/x,1,y', {}, `${BAD} path p`],
  ['an exploded object', 'GET', '/v1/xpoints/x=1,y=2', {}, 'ok'],
  ['a field called __proto__', 'GET', '/v1/xpoints/__proto__=1', {}, `${BAD} path p`],
  ['style label', 'GET', '/v1/labels/.1.2', {}, 'ok'],
  ['a label without its dot', 'GET', '/v1/labels/1.2', {}, `${BAD} path ids`],
  ['style matrix', 'GET', '/v1/matrix/;id=5', {}, 'ok'],
  ['a matrix of another name', 'GET', '/v1/matrix/;no=5', {}, `${BAD} path id`],
  ['an exploded matrix', 'GET', '/v1/xmatrix/;ids=1;ids=2', {}, 'ok'],
  ['required in the query', 'GET', '/v1/search', {}, `${BAD} query q`],
  ['there', 'GET', '/v1/search?q=a', {}, 'ok'],
  ['empty is there', 'GET', '/v1/search?q=', {}, 'ok'],
  ['too long once decoded', 'GET', '/v1/search?q=%61%61%61%61%61%61', {}, `${BAD} query q`],
  ['an encoded name', 'GET', '/v1/search?%71=a', {}, 'ok'],
  ['twice, as readers differ on it', 'GET', '/v1/search?q=a&q=b', {}, `${BAD} query q`],
  ['a boolean', 'GET', '/v1/search?q=a&on=true', {}, 'ok'],
  ['no boolean', 'GET', '/v1/search?q=a&on=1', {}, `${BAD} query on`],
  ['an exploded list', 'GET', '/v1/search?q=a&ids=1&ids=2', {}, 'ok'],
  ['a bad item', 'GET', '/v1/search?q=a&ids=1&ids=x', {}, `${BAD} query ids`],
  ['a flat list', 'GET', '/v1/search?q=a&flat=1,2', {}, 'ok'],
  ['a list with spaces', 'GET', '/v1/search?q=a&spaced=1%202', {}, 'ok'],
  ['a list with pipes', 'GET', '/v1/search?q=a&piped=1|2%7C3', {}, 'ok'],
  ['a deep object', 'GET', '/v1/search?q=a&deep[x]=1&deep%5By%5D=2', {}, 'ok'],
  ['a deep object with a field too many', 'GET', '/v1/search?q=a&deep[z]=1', {}, `${BAD} query deep`],
  ['JSON in a query', 'GET', '/v1/search?q=a&json=%7B%22x%22%3A1%7D', {}, 'ok'],
  ['broken JSON in a query', 'GET', '/v1/search?q=a&json=%7B', {}, `${BAD} query json`],
  ['a query that is not encoded', 'GET', '/v1/search?q=%zz', {}, `${BAD} query q`],
  ['a header', 'GET', '/v1/search?q=a', { headers: { 'x-trace': 'aaa' } }, 'ok'],
  ['a bad header', 'GET', '/v1/search?q=a', { headers: { 'x-trace': 'b' } }, `${BAD} header x-trace`],
  ['a cookie', 'GET', '/v1/search?q=a', { headers: { cookie: 'a=b; session=5' } }, 'ok'],
  ['a bad cookie', 'GET', '/v1/search?q=a', { headers: { cookie: 'session=x' } }, `${BAD} cookie session`],
  ['a body; what is read-only is not required', 'POST', ITEM, { body: '{"name":"a"}' }, 'ok'],
  ['a body that lacks a field', 'POST', ITEM, { body: '{}' }, `${BAD} body`],
  ['a deep mistake has its pointer', 'POST', ITEM, { body: '{"name":""}' }, `${BAD} body /name`],
  ['no body', 'POST', ITEM, {}, `${BAD} body`],
  ['a key twice', 'POST', ITEM, { body: '{"name":"a","name":"b"}' }, 'validate.malformed'],
  ['no JSON', 'POST', ITEM, { body: '{name:1}' }, 'validate.malformed'],
  ['NaN', 'POST', ITEM, { body: '{"name":"a","price":NaN}' }, 'validate.malformed'],
  ['a number beyond all', 'POST', ITEM, { body: '{"name":"a","price":1e999}' }, 'validate.malformed'],
  ['a number that is too large', 'POST', ITEM, { body: '{"name":"a","price":1e99}' }, `${BAD} body /price`],
  ['a byte order mark', 'POST', ITEM, { body: '\ufeff{"name":"a"}' }, 'validate.malformed'],
  ['a deep body', 'POST', '/v1/trees', { body: '{"next":'.repeat(65) + '1' + '}'.repeat(65) }, 'validate.malformed'],
  ['a recursive schema', 'POST', '/v1/trees', { body: '{"v":1,"next":{"v":2,"next":{}}}' }, `${BAD} body /next/next`],
  ['no body where none is required', 'POST', '/v1/trees', {}, 'ok'],
  ['another type', 'POST', ITEM, { body: 'a', headers: { 'content-type': 'text/plain' } }, 'validate.unsupported-type'],
  ['no type', 'POST', ITEM, { body: 'a', headers: { 'content-type': '' } }, 'validate.unsupported-type'],
  [
    'a type with a suffix is another',
    'POST',
    ITEM,
    { body: '{}', headers: { 'content-type': 'application/a+json' } },
    'validate.unsupported-type',
  ],
  ['a range without a schema', 'POST', ITEM, { body: 'a', headers: { 'content-type': 'image/png' } }, 'ok'],
  [
    'UTF-8 is said',
    'POST',
    ITEM,
    { body: '{"name":"a"}', headers: { 'content-type': 'application/json; charset=UTF-8' } },
    'ok',
  ],
  [
    'another charset',
    'POST',
    ITEM,
    { body: '{}', headers: { 'content-type': 'application/json; charset=utf-7' } },
    'validate.unsupported-type',
  ],
  ...(
    [
      ['a charset twice', 'application/json; charset=utf-8; charset=utf-16'],
      ['a charset behind one in quotes', 'application/json; a="; charset=utf-8"; charset=utf-16'],
      ['a parameter that is none', 'application/json; charset=utf-8 x'],
      ['two types, of which services take the first or the last', ['application/json', 'text/plain']],
      ['two types the other way round', ['text/plain', 'application/json']],
      ['two types in one line', 'application/json, text/plain'],
    ] satisfies [string, string | string[]][]
  ).map(([rule, type]): (typeof REQUESTS)[number] => {
    return [
      rule,
      'POST',
      ITEM,
      { body: '{"name":"a"}', headers: { 'content-type': type } },
      'validate.unsupported-type',
    ];
  }),
  [
    'parameters in quotes and empty ones',
    'POST',
    ITEM,
    { body: '{"name":"a"}', headers: { 'content-type': 'Application/JSON ;a="\\"" ; ; Charset="UTF-8";' } },
    'ok',
  ],
  [
    'identity is no coding (RFC 9110 section 12.5.3)',
    'POST',
    ITEM,
    { body: '{"name":"a"}', headers: { 'content-encoding': 'identity' } },
    'ok',
  ],
  ['an int64', 'POST', ITEM, { body: '{"name":"a","size":9223372036854775807}' }, 'ok'],
  ['a number beyond int64', 'POST', ITEM, { body: '{"name":"a","size":9323372036854775807}' }, `${BAD} body /size`],
  ['a compressed body', 'POST', ITEM, { body: 'a', headers: { 'content-encoding': 'gzip' } }, 'validate.coded'],
  [
    'a form',
    'POST',
    ITEM,
    { body: 'name=a&price=5', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
    'ok',
  ],
  [
    'a bad form',
    'POST',
    ITEM,
    { body: 'name=a&price=x', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
    `${BAD} body /price`,
  ],
  [
    'a field of a form twice',
    'POST',
    ITEM,
    { body: 'name=a&name=b', headers: { 'content-type': 'application/x-www-form-urlencoded' } },
    `${BAD} body name`,
  ],
  ['a multipart form', 'POST', ITEM, multipart('file'), 'ok'],
  ['a multipart form without a part', 'POST', ITEM, multipart('other'), `${BAD} body file`],
  ['a multipart form that does not end', 'POST', ITEM, { ...multipart('file'), body: '--b\r\n' }, 'validate.malformed'],
];

function multipart(name: string): Sent {
  const body = `--b\r\nContent-Disposition: form-data; name="${name}"; filename="x"\r\n\r\ndata\r\n--b--\r\n`;
  return { body, headers: { 'content-type': 'multipart/form-data; boundary=b' } };
}

const filter = make({ document: DOCUMENT });
for (const [rule, method, url, sent, want] of REQUESTS) {
  test(`validate: ${rule}`, async () => {
    assert.equal(await decide(filter, method, url, sent), want);
  });
}

test('validate: a method that is not there names those that are', () => {
  const said = filter.onRequest!(makeExchange({ method: 'PUT', url: 'http://api.test/v1/items/7' }), MATCH);
  assert.ok(said instanceof Fault);
  assert.deepEqual(said.extras?.headers, [['allow', 'GET, HEAD']]);
});

test('validate: errors say no value of the request, nor does the log', async () => {
  const secret = 'hunter2secret';
  const x = makeExchange({ method: 'GET', url: `http://api.test/v1/search?q=${secret}&n=${secret}&on=${secret}` });
  const said = (await filter.onRequest!(x, MATCH)) as Fault;
  assert.ok(!JSON.stringify([said.detail, said.extras]).includes(secret));
});

test('validate: in mode report everything passes, counted', async () => {
  const env = makeEnv();
  const reporting = make({ document: DOCUMENT, requests: 'report' }, env);
  for (const [, method, url, sent] of REQUESTS) assert.equal(await decide(reporting, method, url, sent), 'ok');
  assert.ok(env.counts.get('request_invalid')! > 30);
});

// ---- attacks

test('validate: patterns that would take for ever take no time', async () => {
  const start = performance.now();
  assert.equal(
    await decide(filter, 'GET', '/v1/search?q=a', { headers: { 'x-trace': `${'a'.repeat(50_000)}b` } }),
    `${BAD} header x-trace`,
  );
  assert.ok(performance.now() - start < 500);
});

for (const [what, body] of [
  ['unique items', JSON.stringify({ name: 'a', tags: Array.from({ length: 50_000 }, (_, i) => ({ i })) })],
  ['a format', JSON.stringify({ name: 'a', mail: `${'a.'.repeat(400_000)}@` })],
] as const) {
  test(`validate: a body against ${what} takes time that is linear in it`, async () => {
    const start = performance.now();
    await decide(filter, 'POST', ITEM, { body });
    assert.ok(performance.now() - start < 2_000);
  });
}

const BACK_REFERENCE = { type: 'string', pattern: '^(.)\\1$' };

test('validate: lookaround and Unicode in patterns are checked', async () => {
  const no = { type: 'string', pattern: '^(?!aws:)\\p{L}+$' };
  const filter = make({ document: { openapi: '3.1.0', paths: { '/v': get(param('a', 'query', no)) } } });
  for (const [value, want] of [
    ['straße', 'ok'],
    ['𠀀', 'ok'],
    ['aws:x', `${BAD} query a`],
    ['a1', `${BAD} query a`],
  ] as const) {
    assert.equal(await decide(filter, 'GET', `/v?a=${encodeURIComponent(value)}`), want, value);
  }
});

test('validate: a pattern that cannot be checked is passed only where that is said, and then told once', async () => {
  const paths = {
    '/v': get(param('a', 'query', BACK_REFERENCE)),
    '/w': get(param('b', 'query', { ...BACK_REFERENCE })),
  };
  const env = makeEnv();
  const filter = make({ document: { openapi: '3.1.0', paths }, uncheckedPatterns: 'pass' }, env);
  for (const url of ['/v?a=xy', '/v?a=xx', '/w?b=xy']) assert.equal(await decide(filter, 'GET', url), 'ok');
  assert.equal(env.counts.get('unchecked_pattern'), 1);
  assert.equal(env.warnings.length, 1);
});

test('validate: a pattern that cannot be checked is refused in a schema of its own', () => {
  for (const schema of [BACK_REFERENCE, { patternProperties: { [BACK_REFERENCE.pattern]: {} } }]) {
    assert.throws(
      () => make({ schemas: { request: schema }, uncheckedPatterns: 'pass' }),
      /cannot be checked: Backreferences/,
    );
  }
});

// ---- documents

const DOCUMENTS: [rule: string, document: object, want: RegExp][] = [
  ['another version', { swagger: '2.0' }, /3\.0\.x or 3\.1\.x/],
  [
    'a reference elsewhere',
    { openapi: '3.1.0', paths: { '/a': { $ref: 'https://evil.test/a.yaml' } } },
    /leads out of the document/,
  ],
  ['a circle', { openapi: '3.1.0', paths: { '/a': { $ref: '#/paths/~1a' } } }, /circle/],
  ['nothing there', { openapi: '3.1.0', paths: { '/a': { $ref: '#/components/x' } } }, /leads to nothing/],
  ['two of one', { openapi: '3.0.3', paths: { '/{a}': { get: {} }, '/{b}': { get: {} } } }, /take the same requests/],
];

for (const [rule, document, want] of DOCUMENTS) {
  test(`validate: a document with ${rule} is refused`, () => {
    assert.throws(() => make({ document }), want);
  });
}

test('validate: OpenAPI 3.0 says nullable and exclusive in its own way', async () => {
  const schema = { type: 'integer', nullable: true, minimum: 1, exclusiveMinimum: true };
  const kind = { type: 'string', nullable: true, enum: ['a'] };
  const size = { type: 'string', nullable: true, enum: ['a', null] };
  const properties = { n: schema, kind, size };
  const media = { 'application/json': { schema: { type: 'object', properties } } };
  const old = make({ document: { openapi: '3.0.3', paths: { '/a': { post: { requestBody: { content: media } } } } } });
  assert.equal(await decide(old, 'POST', '/a', { body: '{"n":null}' }), 'ok');
  assert.equal(await decide(old, 'POST', '/a', { body: '{"n":2}' }), 'ok');
  assert.equal(await decide(old, 'POST', '/a', { body: '{"n":1}' }), `${BAD} body /n`);
  // Section 4.7.24: other words keep what they mean, and may not allow null.
  assert.equal(await decide(old, 'POST', '/a', { body: '{"kind":null}' }), `${BAD} body /kind`);
  assert.equal(await decide(old, 'POST', '/a', { body: '{"size":null}' }), 'ok');
});

test('validate: exactly one source is to be named', () => {
  for (const config of [{}, { document: DOCUMENT, schemas: {} }]) {
    assert.equal(validate.check(check(ValidateConfig, config).value!).length, 1);
  }
  assert.equal(validate.check(check(ValidateConfig, { document: DOCUMENT }).value!).length, 0);
});

test('validate: a file is read, JSON or YAML', async () => {
  const yaml =
    'openapi: 3.1.0\npaths:\n  /a/{id}:\n    get:\n      parameters:\n        - {name: id, in: path, schema: {type: integer}}\n';
  for (const text of [
    yaml,
    '{"openapi":"3.1.0","paths":{"/a/{id}":{"get":{"parameters":[{"name":"id","in":"path","schema":{"type":"integer"}}]}}}}',
  ]) {
    const env = makeEnv({ readFile: () => Buffer.from(text) });
    const made = code.make(
      { ...check(ValidateConfig, { document: {} }).value!, document: undefined, file: { file: '/api' } } as never,
      env,
    );
    assert.equal(await decide(made, 'GET', '/a/5'), 'ok');
    assert.equal(await decide(made, 'GET', '/a/x'), `${BAD} path id`);
    made.close!();
  }
});

// ---- answers

const ANSWERS: [rule: string, status: number, headers: Record<string, string>, body: string, want: string][] = [
  ['as it should be', 201, { 'x-id': '5' }, '{"id":1,"name":"a"}', 'ok'],
  ['what is read-only is required', 201, { 'x-id': '5' }, '{"name":"a"}', 'bad'],
  ['a header is missing', 201, {}, '{"id":1,"name":"a"}', 'bad'],
  ['a header is wrong', 201, { 'x-id': 'x' }, '{"id":1,"name":"a"}', 'bad'],
  ['a range of statuses', 404, {}, '{"error":1}', 'ok'],
  ['a wrong body of it', 404, {}, '{}', 'bad'],
  ['a status that is not there', 200, {}, '{}', 'bad'],
  ['another type', 201, { 'x-id': '5', 'content-type': 'text/html' }, '<p>', 'bad'],
  ['compressed', 201, { 'x-id': '5', 'content-encoding': 'br' }, 'x', 'bad'],
  ['no JSON', 201, { 'x-id': '5' }, '{', 'bad'],
];

for (const [rule, status, headers, body, want] of ANSWERS) {
  test(`validate answers: ${rule}`, async () => {
    const env = makeEnv();
    for (const answers of ['enforce', 'report'] as const) {
      const checking = make({ document: DOCUMENT, answers }, env);
      const x = makeExchange({
        method: 'POST',
        url: 'http://api.test/v1/items',
        headers: { 'content-type': 'image/png' },
        bodyLength: 5,
      });
      assert.equal(checking.onRequest!(x, MATCH), undefined);
      assert.equal(x.request.headers.get('accept-encoding'), 'identity');
      const response = {
        ...makeResponse(status, { 'content-type': 'application/json', ...headers }),
        bodyLength: body.length,
      };
      let said = checking.onResponse!(x, response);
      if (said === WHOLE_BODY)
        said = (await checking.onResponseBody!(x, response, Buffer.from(body))) as unknown as typeof said;
      const code = said instanceof Fault ? said.code : 'ok';
      assert.equal(code, answers === 'enforce' && want === 'bad' ? 'validate.answer-invalid' : 'ok');
    }
    assert.equal(env.counts.get('answer_invalid') ?? 0, want === 'bad' ? 2 : 0);
  });
}

// ---- drift

test('validate: the drift report says what was seen, without values, within its bound', async () => {
  const env = makeEnv();
  const drifting = make({ document: DOCUMENT, requests: 'report', driftMax: 5 }, env);
  for (let i = 0; i < 100; i++)
    await decide(drifting, 'GET', `/v1/users/${i}/orders/0b5a6c1e-8a9b-4c1d-9e2f-${i + 1e11}`);
  await decide(drifting, 'DELETE', '/v1/items/7');
  await decide(drifting, 'GET', '/v1/search?q=a&page=secret');
  await decide(drifting, 'POST', ITEM, { body: '{"name":"a","color":"secret"}' });
  for (let i = 0; i < 50; i++) await decide(drifting, 'GET', `/word${String.fromCharCode(97 + (i % 26))}`);
  const { entries, others } = drifting.drift!();
  assert.deepEqual(entries.slice(0, 4), [
    { kind: 'path', what: 'GET /v1/users/{}/orders/{}', count: 100 },
    { kind: 'method', what: 'DELETE /items/{id}', count: 1 },
    { kind: 'query', what: 'GET /search ?page', count: 1 },
    { kind: 'field', what: 'POST /items /color', count: 1 },
  ]);
  assert.equal(entries.length, 5);
  assert.ok(others > 40);
  assert.equal(env.counts.get('drift_path'), 150);
});

test('validate: schemas without a document', async () => {
  const schema = { type: 'object', required: ['a'], properties: { a: { type: 'integer' } } };
  for (const $schema of ['http://json-schema.org/draft-07/schema#', 'https://json-schema.org/draft/2020-12/schema']) {
    const alone = make({ schemas: { request: { $schema, ...schema } } });
    assert.equal(await decide(alone, 'POST', '/x', { body: '{"a":1}' }), 'ok');
    assert.equal(await decide(alone, 'POST', '/x', { body: '{"a":"b"}' }), `${BAD} body /a`);
    assert.equal(
      await decide(alone, 'POST', '/x', { body: 'a', headers: { 'content-type': 'text/plain' } }),
      'validate.unsupported-type',
    );
    assert.equal(await decide(alone, 'GET', '/x'), 'ok');
  }
  assert.throws(() => make({ schemas: { request: { type: 'object', propertys: {} } } }), /unknown keyword/);
});

test('validate: through a proxy, a bad request reaches nobody and a good one is what was sent', async () => {
  const seen: string[] = [];
  await using upstream = await Upstream.start((asked, answer) => {
    asked.on('data', (bytes: Buffer) => seen.push(bytes.toString()));
    asked.on('end', () => answer.writeHead(201, { 'content-type': 'application/json', 'x-id': '1' }).end('{"id":1}'));
  });
  await using proxy = new Harness([validate]);
  const config = check(ValidateConfig, { document: DOCUMENT, answers: 'enforce' }).value;
  const filters = [{ filter: 'validate', config, owner: 'Policy d/p' }];
  await proxy.start({ routes: { r: routeOf(ruleTo({ filters })) }, clusters: { c: clusterTo([upstream.port]) } });
  const send = (body: string): ReturnType<typeof request> =>
    request(proxy.port, { method: 'POST', path: ITEM, headers: { 'content-type': 'application/json' }, body });
  const refused = await send('{"name":5}');
  assert.equal(refused.status, 400);
  assert.deepEqual((JSON.parse(refused.body) as { errors: unknown }).errors, [
    { in: 'body', pointer: '/name', message: 'must be string' },
  ]);
  assert.deepEqual(seen, []);
  // The upstream answers without what it promises.
  const broken = await send('{ "name": "a" }');
  assert.deepEqual(seen, ['{ "name": "a" }']);
  assert.equal(broken.status, 502);
});

test('validate: rules of one document may take bodies of different depth', async () => {
  const bytes = Buffer.from(
    JSON.stringify({
      openapi: '3.1.0',
      info: { title: 'API', version: '1' },
      paths: {
        '/a': { post: { requestBody: { content: { 'application/json': { schema: {} } } }, responses: {} } },
      },
    }),
  );
  const env = makeEnv({ readFile: () => bytes });
  const [shallow, deep] = [2, 8].map((depthMax) =>
    code.make({ ...check(ValidateConfig, { file: 'api.txt', depthMax }).value!, file: { file: '/api.txt' } }, env),
  );
  const sent = { body: '[[[1]]]' };
  assert.equal(await decide(deep!, 'POST', '/a', sent), 'ok');
  assert.notEqual(await decide(shallow!, 'POST', '/a', sent), 'ok');
  assert.equal(await decide(deep!, 'POST', '/a', sent), 'ok');
  for (const filter of [shallow!, deep!]) filter.close!();
});
