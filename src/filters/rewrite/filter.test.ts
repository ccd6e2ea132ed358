import assert from 'node:assert/strict';
import { test } from 'node:test';
import { makeEnv, makeExchange } from '../../filter/testing/exchange.ts';
import { check } from '../../schema/schema.ts';
import { RewriteConfig } from './config.ts';
import { code } from './filter.ts';

const ROWS: [rule: string, config: object, path: string, matched: string | undefined, want: string][] = [
  ['nothing', {}, '/a?q', '/a', 'shop.test /a?q'],
  ['the host', { hostname: 'one.example.org' }, '/a?q', '/a', 'one.example.org /a?q'],
  ['the whole path', { path: { kind: 'full', value: '/one' } }, '/full/one/two?q', '/full', 'shop.test /one?q'],
  ['the prefix', { path: { kind: 'prefix', value: '/one' } }, '/prefix/one/two', '/prefix/one', 'shop.test /one/two'],
  [
    'the prefix away',
    { path: { kind: 'prefix', value: '/' } },
    '/strip-prefix/three',
    '/strip-prefix',
    'shop.test /three',
  ],
  ['all of the path away', { path: { kind: 'prefix', value: '/' } }, '/strip-prefix', '/strip-prefix', 'shop.test /'],
  ['nothing of what an expression matched', { path: { kind: 'prefix', value: '/x' } }, '/a', undefined, 'shop.test /a'],
  ['both', { hostname: 'b.test', path: { kind: 'prefix', value: '' } }, '/a/b', '/a', 'b.test /b'],
];

for (const [rule, config, path, matchedPath, want] of ROWS) {
  test(`rewrite: ${rule}`, () => {
    const checked = check(RewriteConfig, config);
    assert.deepEqual(checked.issues, []);
    const x = makeExchange({ url: `http://shop.test${path}` });
    assert.equal(code.make(checked.value!, makeEnv()).onRequest!(x, { matchedPath }), undefined);
    const { authority, host, path: after, query } = x.request;
    assert.equal(`${authority} ${after}${query}`, want);
    assert.equal(host, 'shop.test', 'what was routed by stays');
  });
}
