import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Fault } from '../../base/fault.ts';
import { type Filter, WHOLE_BODY } from '../../filter/filter.ts';
import { linesOf, makeEnv, makeExchange, makeResponse } from '../../filter/testing/exchange.ts';
import { clusterTo, Harness, request, routeOf, ruleTo, Upstream } from '../../proxy/testing/node-harness.ts';
import { check } from '../../schema/schema.ts';
import { check as checkConfig } from './check.ts';
import { transform, TransformConfig } from './config.ts';
import { code } from './filter.ts';

const MATCH = { matchedPath: '/' };

function configOf(config: object): TransformConfig {
  const checked = check(TransformConfig, config);
  assert.deepEqual(checked.issues, []);
  return checked.value!;
}

const make = (config: object): Filter => code.make(configOf(config), makeEnv());

/** What a request body becomes: its text, `as it came`, or the code of the fault. */
async function changed(config: object, body: string, headers: Record<string, string | string[]> = {}): Promise<string> {
  const filter = make(config);
  const x = makeExchange({
    method: 'POST',
    url: 'http://shop.test/a?b=c',
    headers: { 'content-type': 'application/json', ...headers },
    bodyLength: Buffer.byteLength(body),
  });
  const wish = await filter.onRequest!(x, MATCH);
  if (wish instanceof Fault) return wish.code;
  if (wish !== WHOLE_BODY) return 'as it came';
  const said = await filter.onRequestBody!(x, Buffer.from(body), 'whole');
  if (said instanceof Fault) return said.code;
  return Buffer.isBuffer(said) ? said.toString() : 'as it came';
}

const FAILED = 'transform.request-failed';
const LOOP = '($f := function($n) { $f($n + 1) + 1 }; $f(0))';
const FOREVER = '($f := function($n) { $f($n + 1) }; $f(0))';

const BODIES: [rule: string, body: string, input: string, want: string][] = [
  ['fields are renamed', '{ "b": a }', '{"a":1}', '{"b":1}'],
  ['what is asked is known', '$request.method & " " & $request.path', '{}', '"POST /a"'],
  ['lists', 'items.{ "n": $uppercase(name) }', '{"items":[{"name":"a"},{"name":"b"}]}', '[{"n":"A"},{"n":"B"}]'],
  ['the whole stays', '$', '{"a":[1,{"b":null}]}', '{"a":[1,{"b":null}]}'],
  ['no value', 'nothing', '{"a":1}', FAILED],
  ['a mistake of types', '"a" + 1', '{}', FAILED],
  ['no JSON', '$', '{', FAILED],
  ['a key twice', '$', '{"a":1,"a":2}', FAILED],
  ['a number that would change', '$', '{"id":12345678901234567890}', FAILED],
  ['too deep', '$', '['.repeat(100) + ']'.repeat(100), FAILED],
  ['an expression that calls itself for ever', LOOP, '{}', FAILED],
  ['one that does not come back', FOREVER, '{}', FAILED],
  ['a list of the size that a client chose', '[1..n]', '{"n":9000000}', FAILED],
  ['a text that a client lets grow', '$pad("", n, "#")', '{"n":2000000}', FAILED],
  [
    'reserved names of a client',
    '$merge([{"x": 1}, $])',
    '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}',
    'any',
  ],
  ['reserved names as keys', '{ k: v }', '{"k":"__proto__","v":{"polluted":1}}', 'any'],
  ['functions of the platform are out of reach', '$string.constructor("return 1")()', '{}', FAILED],
];

for (const [rule, body, input, want] of BODIES) {
  test(`transform: ${rule}`, async () => {
    const start = performance.now();
    const got = await changed({ request: { body } }, input);
    if (want !== 'any') assert.equal(got, want);
    assert.equal(({} as { polluted?: unknown }).polluted, undefined);
    assert.ok(performance.now() - start < 2_000);
    if (want === FAILED) assert.equal(await changed({ request: { body }, onError: 'pass' }, input), 'as it came');
  });
}

test('transform: other types and empty bodies are left alone, compressed ones refused', async () => {
  const config = { request: { body: '$' } };
  assert.equal(await changed(config, '{}', { 'content-type': 'text/plain' }), 'as it came');
  assert.equal(await changed(config, ''), 'as it came');
  assert.equal(await changed(config, '{}', { 'content-type': 'application/problem+json; a=b' }), '{}');
  assert.equal(await changed(config, 'x', { 'content-encoding': 'gzip' }), FAILED);
  // Whichever of two types a service believes, the body was changed.
  assert.equal(await changed(config, '{ }', { 'content-type': ['text/plain', 'application/json'] }), '{}');
  assert.equal(await changed(config, '{ }', { 'content-type': ['application/json', 'text/plain'] }), '{}');
});

test('transform: 304 says the tag of the answer that it confirms', () => {
  const filter = make({ answer: { body: '$' } });
  const response = makeResponse(304, { etag: '"a"' });
  assert.equal(filter.onResponse!(makeExchange(), response), undefined);
  assert.deepEqual(linesOf(response.headers), ['etag: W/"a"']);
});

test('transform: headers by expressions; no value and two lines are none', () => {
  const setHeaders = [
    { name: 'x-method', value: 'request.method' },
    { name: 'x-absent', value: 'request.headers["nothing"]' },
    { name: 'x-two', value: '"a\\r\\nb: c"' },
  ];
  const filter = make({ request: { setHeaders, removeHeaders: ['X-Gone'] } });
  const x = makeExchange({ headers: { 'x-gone': '1', 'x-absent': '1', 'x-two': '1', 'x-stays': '1' } });
  assert.equal(filter.onRequest!(x, MATCH), undefined);
  assert.deepEqual(linesOf(x.request.headers), ['x-stays: 1', 'x-method: GET']);
});

const WRONG: [config: object, pointer: string, message: RegExp][] = [
  [{ answer: { body: '($e := $eval; $e(a))' } }, '/answer/body', /eval is not offered/],
  [{ request: { body: '{ "a": ' } }, '/request/body', /at character/],
  [{ answer: { body: '$match(a, /x+/)' } }, '/answer/body', /Regular expressions are not offered/],
  [{ answer: { setHeaders: [{ name: 'a', value: '1 +' }] } }, '/answer/setHeaders/0/value', /./],
  [{ request: { setHeaders: [{ name: 'a', value: '1 + 1' }] } }, '/request/setHeaders/0/value', /int/],
];

for (const [config, pointer, message] of WRONG) {
  test(`transform: a mistake at ${pointer} is located`, () => {
    const [issue, ...others] = checkConfig(configOf(config));
    assert.equal(issue!.pointer, pointer);
    assert.match(issue!.message, message);
    assert.deepEqual(others, []);
  });
}

test('transform: an answer that is compressed all the same cannot be read', () => {
  const filter = make({ answer: { body: '$' } });
  const response = {
    ...makeResponse(200, { 'content-type': 'application/json', 'content-encoding': 'br' }),
    bodyLength: 5,
  };
  const said = filter.onResponse!(makeExchange(), response);
  assert.ok(said instanceof Fault && said.code === 'transform.answer-failed');
});

test('transform: both bodies through a proxy, with lengths and tags that are true', async () => {
  await using upstream = await Upstream.start((asked, answer) => {
    assert.equal(asked.headers['accept-encoding'], 'identity');
    const pieces: Buffer[] = [];
    asked.on('data', (bytes: Buffer) => pieces.push(bytes));
    asked.on('end', () => {
      const body = Buffer.concat(pieces);
      assert.equal(asked.headers['content-length'], String(body.length));
      answer
        .writeHead(200, { 'content-type': 'application/json', etag: '"1"', 'content-digest': 'sha-256=:AA==:' })
        .end(body);
    });
  });
  await using proxy = new Harness([transform]);
  const config = configOf({ request: { body: '{ "up": a }' }, answer: { body: '{ "down": up, "status": $status }' } });
  const filters = [{ filter: 'transform', config, owner: 'Policy d/p' }];
  await proxy.start({ routes: { r: routeOf(ruleTo({ filters })) }, clusters: { c: clusterTo([upstream.port]) } });
  const headers = { 'content-type': 'application/json', 'accept-encoding': 'gzip' };
  const got = await request(proxy.port, { method: 'POST', headers, body: '{"a":"x"}' });
  assert.equal(got.body, '{"down":"x","status":200}');
  assert.equal(got.headers['content-length'], String(got.body.length));
  assert.equal(got.headers.etag, 'W/"1"');
  assert.equal(got.headers['content-digest'], undefined);
});
