import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Headers } from '../http/headers.ts';
import { addVary, chooseCoding, codingsOf, forbidsTransform, weakenTag, WRITTEN_CODINGS } from './codings.ts';

const CHOICES: [rule: string, accept: string | undefined, coding: string | undefined, identity: 'taken' | 'refused'][] =
  [
    ['no field: no coding, though any may be sent', undefined, undefined, 'taken'],
    ['an empty field: no coding', '', undefined, 'taken'],
    ['one coding', 'gzip', 'gzip', 'taken'],
    ['its old name', 'x-gzip', 'gzip', 'taken'],
    ['any case, any space', ' GZIP ;q=1 ', 'gzip', 'taken'],
    ['of equals the first one offered', 'gzip, deflate, br, zstd', 'zstd', 'taken'],
    ['the highest quality', 'gzip;q=1.0, br;q=0.5, zstd;q=0.1', 'gzip', 'taken'],
    ['a quality of nothing refuses', 'gzip, br;q=0, zstd;q=0.000', 'gzip', 'taken'],
    ['a star is every coding that is not named', '*', 'zstd', 'taken'],
    ['a star besides one that is refused', 'zstd;q=0, *', 'br', 'taken'],
    ['a star of nothing refuses identity', 'gzip, *;q=0', 'gzip', 'refused'],
    ['a star of nothing, identity named', 'identity, *;q=0', undefined, 'taken'],
    ['identity may be refused', 'gzip, identity;q=0', 'gzip', 'refused'],
    ['nothing is left', 'identity;q=0', undefined, 'refused'],
    ['identity before every coding', 'identity, gzip;q=0.5', undefined, 'taken'],
    ['identity like a coding: the coding', 'identity, gzip', 'gzip', 'taken'],
    ['what is not known', 'deflate, sdch', undefined, 'taken'],
    ['a quality that is none refuses', 'gzip;q=2, br;q=x, zstd;q=0.1234', undefined, 'taken'],
    ['empty elements', ',, gzip ,', 'gzip', 'taken'],
    ['a list without end', `${'a,'.repeat(500)}gzip`, undefined, 'taken'],
    ['names that every object has', 'constructor, __proto__', undefined, 'taken'],
  ];

for (const [rule, accept, coding, identity] of CHOICES) {
  test(`codings: ${rule}`, () => {
    assert.deepEqual(chooseCoding(accept, WRITTEN_CODINGS), { coding, identityRefused: identity === 'refused' });
  });
}

const APPLIED: [rule: string, lines: string[], want: string[]][] = [
  ['none', [], []],
  ['identity is none', ['identity'], []],
  ['in order, of several lines, in lower case', ['GZip, identity', 'br'], ['gzip', 'br']],
  ['an old name', ['x-gzip'], ['gzip']],
];

for (const [rule, lines, want] of APPLIED) {
  test(`codings of a body: ${rule}`, () => {
    const headers = Headers.of(lines.map((line) => ['Content-Encoding', line]));
    assert.deepEqual(codingsOf(headers), want);
  });
}

const TAGS: [tag: string, want: string][] = [
  ['"abc"', 'W/"abc"'],
  ['W/"abc"', 'W/"abc"'],
  ['abc', 'abc'],
];

for (const [tag, want] of TAGS) {
  test(`codings: the tag ${tag} becomes ${want}`, () => {
    const headers = Headers.of([['ETag', tag]]);
    weakenTag(headers);
    assert.equal(headers.get('etag'), want);
  });
}

const VARIES: [before: string[], want: string[]][] = [
  [[], ['Accept-Encoding']],
  [['Origin'], ['Origin', 'Accept-Encoding']],
  [['origin, ACCEPT-ENCODING'], ['origin, ACCEPT-ENCODING']],
  [['*'], ['*']],
];

for (const [before, want] of VARIES) {
  test(`codings: Vary ${JSON.stringify(before)} becomes ${JSON.stringify(want)}`, () => {
    const headers = Headers.of(before.map((value) => ['Vary', value]));
    addVary(headers, 'Accept-Encoding');
    assert.deepEqual(headers.getAll('vary'), want);
  });
}

const CONTROLS: [value: string, forbids: string][] = [
  ['no-transform', 'yes'],
  ['max-age=5, No-Transform', 'yes'],
  ['public,no-transform,max-age=1', 'yes'],
  ['max-age=5', 'no'],
  ['x-no-transform', 'no'],
  ['no-transforms', 'no'],
];

for (const [value, forbids] of CONTROLS) {
  test(`codings: Cache-Control "${value}" forbids changes: ${forbids}`, () => {
    assert.equal(forbidsTransform(Headers.of([['Cache-Control', value]])) ? 'yes' : 'no', forbids);
  });
}
