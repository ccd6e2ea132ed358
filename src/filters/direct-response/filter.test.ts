import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeEnv, makeExchange } from '../../filter/testing/exchange.ts';
import { check } from '../../schema/schema.ts';
import { DirectResponseConfig } from './config.ts';
import { code } from './filter.ts';

const ROWS: [rule: string, config: object, status: number, headers: (readonly string[])[], body: string][] = [
  ['a status alone', { status: 404 }, 404, [], ''],
  ['a body is text', { status: 200, body: 'up' }, 200, [['content-type', 'text/plain; charset=utf-8']], 'up'],
  [
    'a body of another type',
    { status: 200, body: '{}', contentType: 'application/json' },
    200,
    [['content-type', 'application/json']],
    '{}',
  ],
  [
    'headers',
    { status: 503, body: 'later', headers: [{ name: 'Retry-After', value: '60' }] },
    503,
    [
      ['content-type', 'text/plain; charset=utf-8'],
      ['Retry-After', '60'],
    ],
    'later',
  ],
  [
    'a Content-Type among the headers is the only one',
    { status: 200, body: 'x', headers: [{ name: 'Content-Type', value: 'a/b' }] },
    200,
    [['Content-Type', 'a/b']],
    'x',
  ],
  ['204 has no body', { status: 204, body: 'x' }, 204, [], ''],
  ['304 has no body', { status: 304, body: 'x' }, 304, [], ''],
];

for (const [rule, config, status, headers, body] of ROWS) {
  test(`directResponse: ${rule}`, () => {
    const checked = check(DirectResponseConfig, config);
    assert.deepEqual(checked.issues, []);
    const reply = code.make(checked.value!, makeEnv()).onRequest!(makeExchange(), { matchedPath: '/' });
    assert.deepEqual(reply, { kind: 'reply', status, reason: 'direct-response', headers, body });
  });
}

const REFUSED: object[] = [
  {},
  { status: 101 },
  { status: 600 },
  { status: 200, contentType: 'a\r\nb' },
  { status: 200, headers: [{ name: 'content-length', value: '1' }] },
];

for (const config of REFUSED) {
  test(`directResponse: ${JSON.stringify(config)} is refused`, () => {
    assert.notEqual(check(DirectResponseConfig, config).issues.length, 0);
  });
}
