import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Reply } from '../../filter/filter.ts';
import { makeEnv, makeExchange } from '../../filter/testing/exchange.ts';
import { check } from '../../schema/schema.ts';
import { RedirectConfig } from './config.ts';
import { code } from './filter.ts';

interface Row {
  readonly rule: string;
  readonly config: object;
  readonly url?: string;
  readonly listenerPort?: number;
  readonly matchedPath?: string;
  readonly want: string;
}

const ROWS: Row[] = [
  {
    rule: 'only the host changes',
    config: { hostname: 'example.org' },
    url: 'http://shop.test/a',
    want: 'http://example.org/a',
  },
  {
    rule: 'the query is kept',
    config: { hostname: 'example.org' },
    url: 'http://shop.test/a?b=c',
    want: 'http://example.org/a?b=c',
  },
  {
    rule: 'the host of the request stays',
    config: { scheme: 'https' },
    url: 'http://Shop.test/',
    want: 'https://shop.test/',
  },
  {
    rule: 'the port of the request is not that of the new address',
    config: { hostname: 'example.org' },
    url: 'http://shop.test:9999/a',
    listenerPort: 80,
    want: 'http://example.org/a',
  },
  {
    rule: 'the port of the listener is named',
    config: { hostname: 'example.org' },
    listenerPort: 8080,
    want: 'http://example.org:8080/',
  },
  { rule: 'a default port is not named, http', config: { port: 80 }, listenerPort: 8080, want: 'http://shop.test/' },
  {
    rule: 'a default port is not named, https',
    config: { port: 443 },
    url: 'https://shop.test/',
    want: 'https://shop.test/',
  },
  { rule: 'another port is named', config: { port: 8083 }, want: 'http://shop.test:8083/' },
  { rule: 'a new scheme brings its port', config: { scheme: 'https' }, listenerPort: 8080, want: 'https://shop.test/' },
  { rule: 'a new scheme with a port', config: { scheme: 'https', port: 8443 }, want: 'https://shop.test:8443/' },
  {
    rule: 'the default port of the other scheme is named',
    config: { scheme: 'https', port: 80 },
    want: 'https://shop.test:80/',
  },
  { rule: 'from https to http', config: { scheme: 'http' }, url: 'https://shop.test/', want: 'http://shop.test/' },
  {
    rule: 'https keeps 443 out',
    config: { hostname: 'example.org' },
    url: 'https://shop.test/',
    want: 'https://example.org/',
  },
  {
    rule: 'the whole path',
    config: { path: { kind: 'full', value: '/new' } },
    url: 'http://shop.test/old/a?b',
    want: 'http://shop.test/new?b',
  },
  {
    rule: 'the prefix of the path',
    config: { path: { kind: 'prefix', value: '/new' } },
    url: 'http://shop.test/old/a?b',
    matchedPath: '/old',
    want: 'http://shop.test/new/a?b',
  },
  {
    rule: 'the prefix is taken away',
    config: { path: { kind: 'prefix', value: '/' } },
    url: 'http://shop.test/old',
    matchedPath: '/old',
    want: 'http://shop.test/',
  },
  {
    rule: 'an IPv6 host stays in brackets',
    config: { scheme: 'https' },
    url: 'http://[::1]:80/',
    want: 'https://[::1]/',
  },
  { rule: 'no host to name', config: { scheme: 'https' }, url: 'http:///a', want: '/a' },
  {
    rule: 'two slashes without a host name no other one',
    config: {},
    url: 'http:////evil.test/a',
    want: '/evil.test/a',
  },
];

for (const { rule, config, url, listenerPort, matchedPath, want } of ROWS) {
  test(`redirect: ${rule}`, () => {
    const checked = check(RedirectConfig, config);
    assert.deepEqual(checked.issues, []);
    const x = makeExchange({ ...(url !== undefined && { url }), ...(listenerPort !== undefined && { listenerPort }) });
    const reply = code.make(checked.value!, makeEnv()).onRequest!(x, { matchedPath }) as Reply;
    assert.deepEqual(reply.headers, [['location', want]]);
    assert.equal(reply.status, 302);
  });
}

for (const statusCode of [301, 302, 303, 307, 308]) {
  test(`redirect: status ${statusCode}`, () => {
    const checked = check(RedirectConfig, { statusCode });
    const reply = code.make(checked.value!, makeEnv()).onRequest!(makeExchange(), { matchedPath: '/' }) as Reply;
    assert.equal(reply.status, statusCode);
    assert.equal(reply.body, '');
  });
}

const REFUSED: object[] = [
  { statusCode: 304 },
  { scheme: 'ftp' },
  { port: 0 },
  { hostname: 'a/b' },
  { hostname: 'a\r\nb' },
  { path: { kind: 'full', value: '/a\r\nb' } },
];

for (const config of REFUSED) {
  test(`redirect: ${JSON.stringify(config)} is refused`, () => {
    assert.notEqual(check(RedirectConfig, config).issues.length, 0);
  });
}
