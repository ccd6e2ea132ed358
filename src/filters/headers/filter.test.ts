import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Filter } from '../../filter/filter.ts';
import { linesOf, makeEnv, makeExchange, makeResponse } from '../../filter/testing/exchange.ts';
import { check } from '../../schema/schema.ts';
import { type Changes, HeadersConfig } from './config.ts';
import { code } from './filter.ts';

function make(config: object): Filter {
  const checked = check(HeadersConfig, config);
  assert.deepEqual(checked.issues, []);
  return code.make(checked.value!, makeEnv());
}

const field = (name: string, value: string): { name: string; value: string } => ({ name, value });

type Fields = Record<string, string | string[]>;
const ROWS: [rule: string, changes: Partial<Changes>, before: Fields, after: string[]][] = [
  ['set makes a line', { set: [field('X-Set', 'new')] }, { a: '1' }, ['a: 1', 'x-set: new']],
  ['set replaces every line', { set: [field('X-Set', 'new')] }, { 'x-set': ['1', '2'] }, ['x-set: new']],
  ['add makes a line', { add: [field('X-Add', 'new')] }, {}, ['x-add: new']],
  ['add joins what is there', { add: [field('X-Add', 'new')] }, { 'x-add': 'old' }, ['x-add: old,new']],
  ['add joins several lines', { add: [field('X-Add', 'new')] }, { 'X-ADD': ['1', '2'] }, ['x-add: 1,2,new']],
  ['add twice', { add: [field('a', '1'), field('A', '2')] }, {}, ['a: 1,2']],
  ['remove takes every line', { remove: ['X-Gone'] }, { 'x-gone': ['1', '2'], a: '1' }, ['a: 1']],
  ['remove of what is not there', { remove: ['x-gone'] }, { a: '1' }, ['a: 1']],
  ['set after remove of the same name', { set: [field('a', '2')], remove: ['A'] }, { a: '1' }, ['a: 2']],
  ['a value beyond ASCII', { set: [field('a', 'caf\xe9')] }, {}, ['a: caf\xe9']],
  ['nothing', {}, { a: '1' }, ['a: 1']],
];

for (const [rule, changes, before, after] of ROWS) {
  test(`headers: ${rule}`, () => {
    const x = makeExchange({ headers: before });
    assert.equal(make({ request: changes }).onRequest!(x, { matchedPath: '/' }), undefined);
    assert.deepEqual(linesOf(x.request.headers), after);

    const response = makeResponse(200, before);
    make({ response: changes }).onResponse!(x, response);
    assert.deepEqual(linesOf(response.headers), after);
  });
}

test('headers: Set-Cookie is never joined', () => {
  const response = makeResponse(200, { 'set-cookie': 'a=1' });
  make({ response: { add: [field('Set-Cookie', 'b=2')] } }).onResponse!(makeExchange(), response);
  assert.deepEqual(linesOf(response.headers), ['set-cookie: a=1', 'set-cookie: b=2']);
});

const HOSTS: [rule: string, changes: Partial<Changes>, want: string][] = [
  ['set of host sets the authority', { set: [field('Host', 'other.test:81')] }, 'other.test:81'],
  ['add of host does too', { add: [field('host', 'other.test')] }, 'other.test'],
  ['host cannot be removed', { remove: ['host'] }, 'shop.test'],
  ['a host that is not one is not sent', { set: [field('host', 'a b')] }, 'shop.test'],
];

for (const [rule, changes, want] of HOSTS) {
  test(`headers: ${rule}`, () => {
    const x = makeExchange();
    make({ request: changes }).onRequest!(x, { matchedPath: '/' });
    assert.equal(x.request.authority, want);
    assert.deepEqual(linesOf(x.request.headers), []);
  });
}

test('headers: absent sides cost no hook', () => {
  assert.deepEqual(Object.keys(make({ request: {} })), ['onRequest']);
  assert.deepEqual(Object.keys(make({ response: {} })), ['onResponse']);
  assert.deepEqual(Object.keys(make({})), []);
});

test('headers: framing is out of reach, by schema and without it', () => {
  const changes = {
    set: [field('Content-Length', '5'), field('a', '1')],
    add: [field('transfer-Encoding', 'chunked')],
    remove: ['connection'],
  };
  assert.equal(check(HeadersConfig, { request: changes }).issues.length, 3);
  const x = makeExchange({ headers: { connection: 'close' } });
  code.make({ request: changes }, makeEnv()).onRequest!(x, { matchedPath: '/' });
  assert.deepEqual(linesOf(x.request.headers), ['connection: close', 'a: 1']);
});
