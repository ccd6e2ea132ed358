import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check } from '../schema/schema.ts';
import { Hostname, PathReplacement, replacePath } from './address.ts';

// The table of Gateway API (HTTPPathModifier.replacePrefixMatch), then what it leaves open.
const ROWS: [path: string, matched: string | undefined, kind: 'full' | 'prefix', value: string, want: string][] = [
  ['/foo/bar', '/foo', 'prefix', '/xyz', '/xyz/bar'],
  ['/foo/bar', '/foo', 'prefix', '/xyz/', '/xyz/bar'],
  ['/foo/bar', '/foo/', 'prefix', '/xyz', '/xyz/bar'],
  ['/foo/bar', '/foo/', 'prefix', '/xyz/', '/xyz/bar'],
  ['/foo', '/foo', 'prefix', '/xyz', '/xyz'],
  ['/foo/', '/foo', 'prefix', '/xyz', '/xyz/'],
  ['/foo/bar', '/foo', 'prefix', '', '/bar'],
  ['/foo/', '/foo', 'prefix', '', '/'],
  ['/foo', '/foo', 'prefix', '', '/'],
  ['/foo/', '/foo', 'prefix', '/', '/'],
  ['/foo', '/foo', 'prefix', '/', '/'],
  ['/foo/bar', '/', 'prefix', '/xyz', '/xyz/foo/bar'],
  ['/', '/', 'prefix', '/xyz', '/xyz/'],
  ['/foo//bar', '/foo', 'prefix', '/xyz', '/xyz//bar'],
  ['/foo', '/foo', 'prefix', 'xyz', '/xyz'],
  ['/foo/bar', undefined, 'prefix', '/xyz', '/foo/bar'],
  ['/changed', '/foo', 'prefix', '/xyz', '/changed'],
  ['/foo/bar', '/foo', 'full', '/xyz', '/xyz'],
  ['/foo/bar', undefined, 'full', '/xyz/', '/xyz/'],
  ['/foo/bar', '/foo', 'full', 'xyz', '/xyz'],
  ['/foo/bar', '/foo', 'full', '', '/'],
];

for (const [path, matched, kind, value, want] of ROWS) {
  test(`replacePath: ${path} with ${kind} "${value}" for "${matched}" is ${want}`, () => {
    assert.equal(replacePath(path, matched, { kind, value }), want);
  });
}

const VALUES: [value: string, want: 'accepted' | 'refused'][] = [
  ['/a/b-c_d.e~f;g=h:i@j', 'accepted'],
  ['/%41', 'accepted'],
  ['', 'accepted'],
  ['/a?b', 'refused'],
  ['/a#b', 'refused'],
  ['/a b', 'refused'],
  ['/a\\b', 'refused'],
  ['/a\r\nb', 'refused'],
  ['/caf\xe9', 'refused'],
];

for (const [value, want] of VALUES) {
  test(`PathReplacement: ${JSON.stringify(value)} is ${want}`, () => {
    const { issues } = check(PathReplacement, { kind: 'full', value });
    assert.equal(issues.length === 0 ? 'accepted' : 'refused', want);
  });
}

for (const [host, want] of [
  ['shop.test', 'accepted'],
  ['Shop.test', 'refused'],
  ['shop.test:80', 'refused'],
  ['*.test', 'refused'],
  ['-a.test', 'refused'],
] as const) {
  test(`Hostname: "${host}" is ${want}`, () => {
    assert.equal(check(Hostname, host).issues.length === 0 ? 'accepted' : 'refused', want);
  });
}
