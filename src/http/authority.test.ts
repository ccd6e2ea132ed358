import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAuthority } from './authority.ts';

// Host and port as `host port`; undefined is refused.
const ROWS: [rule: string, value: string, want: string | undefined][] = [
  ['a name', 'shop.test', 'shop.test -'],
  ['a name with a port', 'shop.test:8080', 'shop.test 8080'],
  ['a name is lower case', 'Shop.TEST:80', 'shop.test 80'],
  ['a trailing dot goes', 'shop.test.', 'shop.test -'],
  ['a trailing dot before a port goes', 'shop.test.:80', 'shop.test 80'],
  ['a single label', 'localhost', 'localhost -'],
  ['digits, hyphens, low lines', 'a-1_b.x--y.test', 'a-1_b.x--y.test -'],
  ['an IPv4 address', '127.0.0.1:80', '127.0.0.1 80'],
  ['an IPv6 address', '[::1]', '[::1] -'],
  ['an IPv6 address with a port', '[2001:DB8::1]:443', '[2001:db8::1] 443'],
  ['an IPv6 address that ends in IPv4', '[::ffff:1.2.3.4]:1', '[::ffff:1.2.3.4] 1'],
  ['the empty port', 'shop.test:', 'shop.test -'],
  ['the largest port', 'a:65535', 'a 65535'],
  ['the longest name', `${'a'.repeat(253)}.:65535`, `${'a'.repeat(253)} 65535`],

  ['the empty value', '', undefined],
  ['a port alone', ':80', undefined],
  ['a dot alone', '.', undefined],
  ['a dot and a port', '.:80', undefined],
  ['a dot in front', '.shop.test', undefined],
  ['two dots', 'shop..test', undefined],
  ['two dots at the end', 'shop.test..', undefined],
  ['port zero', 'a:0', undefined],
  ['a port with a zero in front', 'a:080', undefined],
  ['a port that is too large', 'a:65536', undefined],
  ['a long port', 'a:100000', undefined],
  ['a port with a sign', 'a:+80', undefined],
  ['a port with a letter', 'a:8o', undefined],
  ['two ports', 'a:80:81', undefined],
  ['a user', 'user@shop.test', undefined],
  ['a user with a password', 'user:1@shop.test', undefined],
  ['a scheme', 'http://shop.test', undefined],
  ['a path', 'shop.test/a', undefined],
  ['a query', 'shop.test?a', undefined],
  ['a fragment', 'shop.test#a', undefined],
  ['a backslash', 'shop.test\\a', undefined],
  ['a list', 'a.test,b.test', undefined],
  ['a list with a space', 'a.test, b.test', undefined],
  ['a space', 'a test', undefined],
  ['a tab', 'a\ttest', undefined],
  ['a line end', 'a\r\nb', undefined],
  ['NUL', 'a\0', undefined],
  ['an escape', 'a%2eb', undefined],
  ['a wildcard', '*.test', undefined],
  ['a quote', "a'b", undefined],
  ['raw UTF-8', 'caf\xc3\xa9.test', undefined],
  ['a character beyond latin1', 'a\u3002test', undefined],
  ['a bare IPv6 address', '::1', undefined],
  ['an open bracket', '[::1', undefined],
  ['empty brackets', '[]', undefined],
  ['IPv4 in brackets', '[127.0.0.1]', undefined],
  ['an IPv6 zone', '[fe80::1%eth0]', undefined],
  ['a future address', '[v1.a]', undefined],
  ['text behind brackets', '[::1]a', undefined],
  ['a dot behind brackets', '[::1].', undefined],
  ['a name that is too long', 'a'.repeat(254), undefined],
  ['a value that is too long', `${'a.'.repeat(200)}test`, undefined],
];

for (const [rule, value, want] of ROWS) {
  test(`parseAuthority: ${rule} is ${want === undefined ? 'refused' : 'read'}`, () => {
    const got = parseAuthority(value);
    assert.equal(got && `${got.host} ${got.port ?? '-'}`, want);
  });
}
