import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { PathPolicy } from '../base/path-policy.ts';
import { seededRandom } from '../base/random.ts';
import { checkQuery, normalisePath } from './path.ts';

const DEFAULT: PathPolicy = {
  dotSegments: 'resolve',
  encodedSlash: 'keep',
  emptySegments: 'keep',
  backslash: 'refuse',
  parameters: 'keep',
  invalidUtf8: 'refuse',
};

// A string is the normal form; an expression is what the reason of the refusal says.
const ROWS: [rule: string, path: string, want: string | RegExp, policy?: Partial<PathPolicy>][] = [
  ['the root is itself', '/', '/'],
  ['an ordinary path is itself', '/a/b-c_d.e~f/', '/a/b-c_d.e~f/'],
  ['reserved characters are themselves', "/a:b@c!$&'()*+,;=d", "/a:b@c!$&'()*+,;=d"],
  ['brackets are tolerated', '/a[0]', '/a[0]'],
  ['a path must be absolute', 'a/b', /start with a slash/],
  ['an empty path is refused', '', /start with a slash/],
  ['an asterisk is not a path', '*', /start with a slash/],

  ['escaped letters are decoded', '/%41%62c', '/Abc'],
  ['escaped digits, hyphen, low line and tilde are decoded', '/%30%2d%5F%7e', '/0-_~'],
  ['hex digits are written in upper case', '/%c3%a9%2c', '/%C3%A9%2C'],
  ['escaped reserved characters stay escaped', '/%3b%3f%23%25', '/%3B%3F%23%25'],
  ['an escaped percent sign is not decoded twice', '/%2541%252e%252f', '/%2541%252e%252f'],
  ['a percent sign without digits is refused', '/%zz', /not followed by two hex/],
  ['a percent sign with one digit is refused', '/a%4', /not followed by two hex/],
  ['a percent sign at the end is refused', '/a%', /not followed by two hex/],
  ['a percent sign before a sign is refused', '/%+1', /not followed by two hex/],
  ['IIS escapes are refused', '/%u002e', /not followed by two hex/],

  ['a dot segment goes', '/a/./b', '/a/b'],
  ['a dot segment at the end leaves a slash', '/a/.', '/a/'],
  ['two dots take back a segment', '/a/b/../c', '/a/c'],
  ['two dots at the end leave a slash', '/a/b/..', '/a/'],
  ['two dots may lead back to the root', '/a/..', '/'],
  ['escaped dots count as dots', '/a/%2e%2E/b', '/b'],
  ['half escaped dots count as dots', '/a/.%2e/b/%2e./c', '/c'],
  ['an escaped single dot counts', '/a/%2e/b', '/a/b'],
  ['climbing above the root is refused', '/../etc/passwd', /above its root/],
  ['climbing above the root later is refused', '/a/../../b', /above its root/],
  ['climbing above the root with escapes is refused', '/%2e%2e/%2e%2e/', /above its root/],
  ['three dots are a name', '/.../a', '/.../a'],
  ['a name may start with a dot', '/.well-known/acme', '/.well-known/acme'],
  ['a name may start with two dots', '/..a/b', '/..a/b'],
  ['dot segments can be refused', '/a/./b', /dot segment/, { dotSegments: 'refuse' }],
  ['escaped dot segments can be refused', '/a/%2e%2e/b', /dot segment/, { dotSegments: 'refuse' }],
  ['names with dots are not refused with them', '/a.b/.c', '/a.b/.c', { dotSegments: 'refuse' }],

  ['an encoded slash is kept apart from a slash', '/a%2fb', '/a%2Fb'],
  ['an encoded backslash is kept', '/a%5cb', '/a%5Cb'],
  ['an encoded slash can be decoded', '/a%2fb%2F', '/a/b/', { encodedSlash: 'decode' }],
  ['a decoded slash makes dot segments', '/a/..%2fb', '/b', { encodedSlash: 'decode' }],
  ['a decoded slash makes empty segments', '/a/%2fb', '/a/b', { encodedSlash: 'decode', emptySegments: 'merge' }],
  ['a decoded backslash is refused as one', '/a%5cb', /backslash/, { encodedSlash: 'decode' }],
  ['a decoded backslash becomes a slash', '/a%5cb', '/a/b', { encodedSlash: 'decode', backslash: 'slash' }],
  ['an encoded slash can be refused', '/a%2fb', /encoded slash/, { encodedSlash: 'refuse' }],
  ['an encoded backslash can be refused', '/a%5Cb', /encoded slash/, { encodedSlash: 'refuse' }],
  ['dots before an encoded slash are refused', '/a/..%2fb', /beside an encoded slash/],
  ['dots behind an encoded slash are refused', '/a%2f../b', /beside an encoded slash/],
  ['dots between encoded slashes are refused', '/a%2f%2e%2e%2fb', /beside an encoded slash/],
  ['dots before an encoded backslash are refused', '/..%5cb', /beside an encoded slash/],
  ['one dot beside an encoded slash is refused', '/a/.%2fb', /beside an encoded slash/],
  ['names with dots beside an encoded slash are not', '/a.b%2f.c', '/a.b%2F.c'],

  ['empty segments are kept', '/a//b//', '/a//b//'],
  ['two dots take back an empty segment', '/a//../b', '/a/b'],
  ['empty segments can be merged', '//a///b//', '/a/b/', { emptySegments: 'merge' }],
  ['merging comes before two dots', '/a//../b', '/b', { emptySegments: 'merge' }],
  ['empty segments can be refused', '/a//b', /empty segment/, { emptySegments: 'refuse' }],
  ['an empty first segment can be refused', '//a', /empty segment/, { emptySegments: 'refuse' }],
  ['a slash at the end is not an empty segment', '/a/', '/a/', { emptySegments: 'refuse' }],

  ['a backslash is refused', '/a\\b', /backslash/],
  ['a backslash in front is refused', '/\\evil.test', /backslash/],
  ['a backslash can be a slash', '/a\\..\\b', '/b', { backslash: 'slash' }],
  ['a backslash that makes two slashes is merged', '/\\a', '/a', { backslash: 'slash', emptySegments: 'merge' }],

  ['parameters are kept', '/a;v=1/b;c', '/a;v=1/b;c'],
  ['parameters can be refused', '/a;v=1', /path parameters/, { parameters: 'refuse' }],
  ['an escaped semicolon is a character', '/a%3bv', '/a%3Bv', { parameters: 'refuse' }],
  ['two dots with parameters are refused', '/a/..;/admin', /with parameters/],
  ['two dots with named parameters are refused', '/a/..;x=1/admin', /with parameters/],
  ['one dot with parameters is refused', '/.;/admin', /with parameters/],
  ['escaped dots with parameters are refused', '/a/%2e%2e;/admin', /with parameters/],
  ['two dots with an escaped semicolon are refused', '/a/..%3b/admin', /with parameters/],

  ['an escaped NUL is refused', '/a%00.jpg', /NUL/],
  ['an escaped NUL can be kept', '/a%00b', '/a%00b', { invalidUtf8: 'keep' }],
  ['an overlong slash is refused', '/..%c0%af..', /not UTF-8/],
  ['an overlong dot is refused', '/%c0%ae%c0%ae/', /not UTF-8/],
  ['an overlong form of three bytes is refused', '/%e0%80%af', /not UTF-8/],
  ['an overlong form of four bytes is refused', '/%f0%80%80%af', /not UTF-8/],
  ['a surrogate is refused', '/%ed%a0%80', /not UTF-8/],
  ['a code point past the last one is refused', '/%f4%90%80%80', /not UTF-8/],
  ['a byte that never is UTF-8 is refused', '/%ff', /not UTF-8/],
  ['a lone continuation byte is refused', '/%80', /not UTF-8/],
  ['a character cut by a letter is refused', '/%c3a', /not UTF-8/],
  ['a character cut by a slash is refused', '/%c3/%a9', /not UTF-8/],
  ['a character cut by the end is refused', '/%e2%82', /not UTF-8/],
  ['characters of two to four bytes are accepted', '/%c3%a9%e2%82%ac%f0%9f%98%80', '/%C3%A9%E2%82%AC%F0%9F%98%80'],
  ['other bytes can be kept', '/%ff%c0%af', '/%FF%C0%AF', { invalidUtf8: 'keep' }],

  ['raw UTF-8 is escaped', '/\xc3\xa9', '/%C3%A9'],
  ['raw and escaped bytes of one character are one spelling', '/\xc3%a9', '/%C3%A9'],
  ['a raw byte that is not UTF-8 is refused', '/\xff', /not UTF-8/],
  ['a raw byte that is not UTF-8 can be escaped', '/\xff', '/%FF', { invalidUtf8: 'keep' }],
  ['characters without a place in a path are escaped', '/"<>^`{|}', '/%22%3C%3E%5E%60%7B%7C%7D'],
  ['an escaped space stays', '/a%20b', '/a%20b'],
  ['escaped control characters stay', '/a%0d%0ab%7f', '/a%0D%0Ab%7F'],
  ['a space is refused', '/a b', /control character, a space/],
  ['a tab is refused', '/a\tb', /control character, a space/],
  ['a line end is refused', '/a\r\nb', /control character, a space/],
  ['NUL is refused', '/a\0b', /control character, a space/],
  ['DEL is refused', '/a\x7f', /control character, a space/],
  ['a fragment is refused', '/a#b', /control character, a space/],
  ['a query is not part of a path', '/a?b', /control character, a space/],
  ['a character beyond latin1 is refused', '/\u2025', /control character, a space/],
];

for (const [rule, path, want, policy] of ROWS) {
  test(`normalisePath: ${rule}`, () => {
    const got = normalisePath(path, { ...DEFAULT, ...policy });
    if (typeof want === 'string') assert.equal(got, want);
    else assert.match(typeof got === 'string' ? `accepted as ${got}` : got.refused, want);
  });
}

test('normalisePath: a normal form is its own normal form, and free of what the policy is about', () => {
  const random = seededRandom(1, 2, 3, 4);
  const pick = <T>(items: readonly T[]): T => items[random.bits32() % items.length]!;
  const parts = ['/', '/', '/', '.', '..', 'a', '%2e', '%2E', '%2f', '%5C', '\\', ';', '%41', '%c3%a9', '%c3', '\xe9'];
  const more = ['%00', '%25', '%252e', '|', '%3b', 'x', '%', '%7C', '\xc3\xa9', '%0a', '~', '%7e'];
  let accepted = 0;
  for (let round = 0; round < 40_000; round++) {
    const policy: PathPolicy = {
      dotSegments: pick(['resolve', 'resolve', 'refuse']),
      encodedSlash: pick(['keep', 'decode', 'refuse']),
      emptySegments: pick(['keep', 'merge', 'refuse']),
      backslash: pick(['refuse', 'slash']),
      parameters: pick(['keep', 'refuse']),
      invalidUtf8: pick(['refuse', 'keep']),
    };
    const path = `/${Array.from({ length: random.bits32() % 8 }, () => pick(random.unit() < 0.8 ? parts : more)).join('')}`;
    const normal = normalisePath(path, policy);
    if (typeof normal !== 'string') continue;
    accepted++;
    const told = `${JSON.stringify(path)} with ${JSON.stringify(policy)}`;
    assert.equal(normalisePath(normal, policy), normal, told);
    assert.match(normal, /^\/(?:[-\w.~!$&'()*+,;=:@/[\]]|%[0-9A-F]{2})*$/, told);
    assert.ok(!normal.split('/').some((segment) => /^\.\.?(?:;|$)/.test(segment)), told);
    if (policy.emptySegments !== 'keep') assert.ok(!normal.includes('//'), told);
    if (policy.encodedSlash !== 'keep') assert.doesNotMatch(normal, /%2F|%5C/, told);
    if (policy.parameters === 'refuse') assert.ok(!normal.includes(';'), told);
  }
  assert.ok(accepted > 5_000, `only ${accepted} paths were accepted: the test looks at too little`);
});

const QUERIES: [rule: string, query: string, want: 'accepted' | 'refused'][] = [
  ['no query', '', 'accepted'],
  ['an empty query', '?', 'accepted'],
  ['an ordinary query', '?a=b&c=%20d+e', 'accepted'],
  ['slashes, question marks and brackets', '?a=/b?c&d[]={"e"|f}', 'accepted'],
  ['a percent sign that starts no escape', '?a=100%', 'accepted'],
  ['raw bytes beyond ASCII', '?a=\xc3\xa9', 'accepted'],
  ['a fragment', '?a#b', 'refused'],
  ['a space', '?a b', 'refused'],
  ['a line end', '?a\r\nX: y', 'refused'],
  ['NUL', '?a\0', 'refused'],
  ['DEL', '?a\x7f', 'refused'],
];

for (const [rule, query, want] of QUERIES) {
  test(`checkQuery: ${rule} is ${want}`, () => {
    assert.equal(checkQuery(query) === undefined ? 'accepted' : 'refused', want);
  });
}

// The guide for operators makes promises about attacks: each row of its table must hold.
const GUIDE = readFileSync(new URL('../../docs/guide/path-normalisation.md', import.meta.url), 'utf8');
const ATTACKS = GUIDE.slice(GUIDE.indexOf('## Attacks'), GUIDE.indexOf('## Paths in rules'))
  .split('\n')
  .flatMap((line) => /^\| `(.*?)`.*?\|.*?\| (.*?) *\|$/.exec(line)?.slice(1) ?? [])
  .flatMap((cell, i, cells) => (i % 2 === 0 ? [[cell, cells[i + 1]!] as const] : []));

test('the guide on path normalisation has a table of attacks', () => assert.ok(ATTACKS.length >= 20));

for (const [path, promise] of ATTACKS) {
  test(`the guide on path normalisation: ${path} is ${promise}`, () => {
    const got = normalisePath(path, DEFAULT);
    if (promise.startsWith('refused')) assert.ok(typeof got !== 'string', `accepted as ${JSON.stringify(got)}`);
    else if (/as it is|another path|takes it/.test(promise)) assert.equal(got, path);
    else if (promise.startsWith('forwarded escaped'))
      assert.equal(
        got,
        path.replaceAll(/%../g, (escape) => escape.toUpperCase()),
      );
    else assert.equal(got, /`([^`]*)`/.exec(promise)?.[1]);
  });
}
