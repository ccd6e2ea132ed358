import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Headers } from '../../http/headers.ts';
import { shownHeaders } from './shown-headers.ts';

const HIDDEN = '(redacted)';

const ROWS: [name: string, value: string, want: string][] = [
  ['x-team', 'shop', 'shop'],
  ['user-agent', 'curl/8.0.0 (x86_64-pc-linux-gnu) libcurl', 'curl/8.0.0 (x86_64-pc-linux-gnu) libcurl'],
  [
    'traceparent',
    '00-fa4759f9c4be83eb02eb9ceb6b79d7b3-9b9f3fad2a6751e3-01',
    '00-fa4759f9c4be83eb02eb9ceb6b79d7b3-9b9f3fad2a6751e3-01',
  ],
  ['authorization', 'Basic YTpi', HIDDEN],
  ['proxy-authorization', 'x', HIDDEN],
  ['cookie', 'a=b', HIDDEN],
  ['x-api-key', 'k', HIDDEN],
  ['x-amz-security-token', 't', HIDDEN],
  ['x-custom', 'Bearer abc', HIDDEN],
  ['x-fourways-user', 'eyJhbGciOiJFUzI1NiJ9.e30.c2ln', HIDDEN],
  ['x-custom', 'fwexample_alice_Zk4nB8xQ2WmS6vTyHcLp', HIDDEN],
  ['sec-websocket-protocol', 'base64url.bearer.authorization.k8s.io.Zk4nB8xQ2WmS6vTyHcLp', HIDDEN],
  ['sec-websocket-key', 'dGhl', HIDDEN],
  ['sec-fetch-mode', 'cors', 'cors'],
  ['grpc-metadata-x', 'Zk4nB8xQ2WmS6vTyHcLp01234567', HIDDEN],
  ['referer', 'https://shop.test/callback?code=secret&state=1', 'https://shop.test/callback?(redacted)'],
  ['x-original-url', '/reset?token=abc', '/reset?(redacted)'],
];

for (const [name, value, want] of ROWS) {
  test(`shownHeaders: ${name}: ${value}`, () => {
    assert.deepEqual(shownHeaders(Headers.of([[name, value]])), { [name]: want });
  });
}

test('shownHeaders: lines of one name are one, values and their number are bounded', () => {
  const many = Array.from({ length: 100 }, (_, i): [string, string] => [`x-${i}`, 'a b '.repeat(200)]);
  const shown = shownHeaders(Headers.of([['accept', 'a'], ['Accept', 'b'], ...many]));
  assert.equal(shown['accept'], 'a, b');
  assert.ok(Object.keys(shown).length < 64);
  assert.equal(shown['x-0']!.length, 256);
});
