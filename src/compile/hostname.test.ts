import assert from 'node:assert/strict';
import { test } from 'node:test';
import { certificateCovers, hostsOn, intersectHosts } from './hostname.ts';

const INTERSECTIONS: [a: string, b: string, want: string | undefined][] = [
  ['a.test', 'a.test', 'a.test'],
  ['a.test', 'b.test', undefined],
  ['*', 'a.test', 'a.test'],
  ['*', '*', '*'],
  ['*.a.test', 'b.a.test', 'b.a.test'],
  ['*.a.test', 'c.b.a.test', 'c.b.a.test'],
  ['*.a.test', 'a.test', undefined],
  ['*.a.test', '*.b.a.test', '*.b.a.test'],
  ['*.a.test', '*.b.test', undefined],
  ['*.a.test', 'xa.test', undefined],
];

for (const [a, b, want] of INTERSECTIONS) {
  test(`intersectHosts: ${a} with ${b}`, () => {
    assert.equal(intersectHosts(a, b), want);
    assert.equal(intersectHosts(b, a), want);
  });
}

const HOSTS: [rule: string, listener: string, route: string[], want: string[]][] = [
  ['a route without names takes the name of the listener', '*.a.test', [], ['*.a.test']],
  ['names are compared in lower case', 'a.test', ['A.Test'], ['a.test']],
  ['names that give the same intersection are one', 'b.a.test', ['*.a.test', 'b.a.test'], ['b.a.test']],
  ['names that do not overlap are left out', '*.a.test', ['b.a.test', 'c.test'], ['b.a.test']],
  ['nothing may be left', 'a.test', ['b.test'], []],
];

for (const [rule, listener, route, want] of HOSTS) {
  test(`hostsOn: ${rule}`, () => assert.deepEqual(hostsOn(listener, route), want));
}

const CERTIFICATES: [certificate: string, host: string, want: boolean][] = [
  ['a.test', 'a.test', true],
  ['*.test', 'a.test', true],
  ['*.test', 'b.a.test', false],
  ['*.test', '*.test', true],
  ['*.test', '*', false],
  ['*', 'a.test', true],
  ['a.test', 'b.test', false],
];

for (const [certificate, host, want] of CERTIFICATES) {
  test(`certificateCovers: ${certificate} for ${host} is ${want}`, () => {
    assert.equal(certificateCovers(certificate, host), want);
  });
}
