import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nameCovers, parseAltNames } from './certificate.ts';

const COVERS: [rule: string, pattern: string, host: string, want: boolean][] = [
  ['a name stands for itself', 'a.test', 'a.test', true],
  ['and for no other', 'a.test', 'b.test', false],
  ['nor for what is below it', 'a.test', 'x.a.test', false],
  ['a wildcard stands for one label', '*.a.test', 'x.a.test', true],
  ['not for none', '*.a.test', 'a.test', false],
  ['not for two', '*.a.test', 'y.x.a.test', false],
  ['not for an empty one', '*.a.test', '.a.test', false],
  ['one label after it is enough', '*.org', 'example.org', true],
  ['none is not', '*.', 'x.', false],
  ['a bare star stands for nothing', '*', 'test', false],
  ['a star inside a label stands for nothing', 'x*.a.test', 'xy.a.test', false],
  ['a star further right stands for nothing', 'x.*.test', 'x.a.test', false],
  ['two stars stand for nothing', '*.*.test', 'x.a.test', false],
  ['an empty name stands for nothing', '', '', false],
];
for (const [rule, pattern, host, want] of COVERS) {
  test(`nameCovers: ${rule}`, () => assert.equal(nameCovers(pattern, host), want));
}

const NONE = { dns: [], uri: [], ip: [] };
const ALT_NAMES: [rule: string, text: string, want: Partial<typeof NONE> | object][] = [
  ['nothing', '', {}],
  ['one DNS name', 'DNS:A.test', { dns: ['a.test'] }],
  [
    'several kinds',
    'DNS:a.test, DNS:*.b.test, IP Address:10.0.0.1, IP Address:0:0:0:0:0:0:0:1, URI:spiffe://t/ns/a',
    {
      dns: ['a.test', '*.b.test'],
      ip: ['10.0.0.1', '0:0:0:0:0:0:0:1'],
      uri: ['spiffe://t/ns/a'],
    },
  ],
  ['a value that pretends to be two is one', 'DNS:"a.test, DNS:evil.test"', { dns: ['a.test, dns:evil.test'] }],
  ['kinds that are not known are skipped', 'email:a@b.test, DNS:a.test, Registered ID:1.2.3', { dns: ['a.test'] }],
];
for (const [rule, text, want] of ALT_NAMES) {
  test(`parseAltNames: ${rule}`, () => assert.deepEqual(parseAltNames(text), { ...NONE, ...want }));
}
