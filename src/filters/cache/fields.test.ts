/** What is read from fields: directives, dates. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NO_DIRECTIVES, parseCacheControl, parseTargeted } from './cache-control.ts';
import { parseHttpDate } from './http-date.ts';

type Said = Partial<NonNullable<ReturnType<typeof parseTargeted>>>;

const DIRECTIVES: [value: string, said: Said][] = [
  ['max-age=60', { maxAge: 60 }],
  ['Max-Age=60, PUBLIC', { maxAge: 60, isPublic: true }],
  ['max-age="60"', { maxAge: 60 }],
  ["max-age='60'", { maxAge: 0 }],
  ['max-age=060', { maxAge: 60 }],
  ['max-age=-1', { maxAge: 0 }],
  ['max-age=1.5', { maxAge: 0 }],
  ['max-age', { maxAge: 0 }],
  ['max-age =60', {}],
  ['max-age= 60', { maxAge: 0 }],
  ['max-age=99999999999999999999', { maxAge: 2 ** 31 }],
  ['max-age=1, max-age=60', { maxAge: 1 }],
  ['x="max-age=60, private", max-age=5', { maxAge: 5 }],
  ['x="\\", no-store", max-age=5', { maxAge: 5 }],
  ['private="set-cookie, x", no-cache="y"', { isPrivate: true, noCache: true }],
  ['max-stale', { maxStale: Infinity }],
  ['max-stale=5, min-fresh=6, only-if-cached', { maxStale: 5, minFresh: 6, onlyIfCached: true }],
  [
    's-maxage=1,must-revalidate,proxy-revalidate,stale-if-error=2,stale-while-revalidate=3',
    { sMaxAge: 1, mustRevalidate: true, proxyRevalidate: true, staleIfError: 2, staleWhileRevalidate: 3 },
  ],
  [',, ,no-store,', { noStore: true }],
  ['', {}],
];

for (const [value, said] of DIRECTIVES) {
  test(`cache: Cache-Control says ${value}`, () => {
    assert.deepEqual(parseCacheControl(value), { ...NO_DIRECTIVES, ...said });
  });
}

const TARGETED: [value: string, said: Said | undefined][] = [
  ['max-age=60, no-cache', { maxAge: 60, noCache: true }],
  ['max-age=60;x=1, private=?1', { maxAge: 60, isPrivate: true }],
  ['no-store=?0, max-age=1', { maxAge: 1 }],
  ['max-age=1, max-age=2', { maxAge: 2 }],
  ['Max-Age=60', undefined],
  ['max-age=60,, private', undefined],
  ['max-age=60 private', undefined],
  ["max-age='60'", undefined],
  ['', undefined],
  ['x'.repeat(5_000), undefined],
];

for (const [value, said] of TARGETED) {
  test(`cache: CDN-Cache-Control says ${value.slice(0, 40)}`, () => {
    assert.deepEqual(parseTargeted(value), said === undefined ? undefined : { ...NO_DIRECTIVES, ...said });
  });
}

const NOW_MS = Date.UTC(2026, 0, 1);
const THEN_MS = Date.UTC(1994, 10, 6, 8, 49, 37);

const DATES: [text: string, ms: number | undefined][] = [
  ['Sun, 06 Nov 1994 08:49:37 GMT', THEN_MS],
  ['Sunday, 06-Nov-94 08:49:37 GMT', THEN_MS],
  ['Sun Nov  6 08:49:37 1994', THEN_MS],
  ['sun, 06 nov 1994 08:49:37 gmt', THEN_MS],
  ['Friday, 01-Jan-60 00:00:00 GMT', Date.UTC(2060, 0, 1)],
  ['Sun, 06 Nov 1994 08:49:37 UTC', undefined],
  ['Sun, 06 Nov 1994 08:49:37 +0000', undefined],
  ['Sun, 6 Nov 1994 08:49:37 GMT', undefined],
  ['Sun, 06 Nov 94 08:49:37 GMT', undefined],
  ['Sun 06 Nov 1994 08:49:37 GMT', undefined],
  ['Sun, 06-Nov-1994 08:49:37 GMT', undefined],
  ['Sun, 06 Foo 1994 08:49:37 GMT', undefined],
  ['Sun, 06 Nov 1994 24:49:37 GMT', undefined],
  ['Sun, 40 Nov 1994 08:49:37 GMT', undefined],
  ['1994-11-06T08:49:37Z', undefined],
  ['0', undefined],
  ['', undefined],
];

for (const [text, ms] of DATES) {
  test(`cache: the date "${text}"`, () => assert.equal(parseHttpDate(text, NOW_MS), ms));
}

test('cache: no value takes long to read', () => {
  const long = ['"'.repeat(4_000), '\\'.repeat(4_000), ';a'.repeat(2_000), `a;${' '.repeat(4_000)}`, ','.repeat(4_000)];
  const startMs = performance.now();
  for (const value of long) {
    parseCacheControl(value);
    parseTargeted(value);
    parseTargeted(`a=${value}`);
    parseHttpDate(value, 0);
  }
  assert.ok(performance.now() - startMs < 500);
});
