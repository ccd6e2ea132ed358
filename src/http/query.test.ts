import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../base/random.ts';
import { queryValue, queryValues, withoutParameter } from './query.ts';

const ROWS: [rule: string, query: string, name: string, want: string | undefined][] = [
  ['no query holds nothing', '', 'a', undefined],
  ['an empty query holds nothing', '?', 'a', undefined],
  ['a value', '?a=1', 'a', '1'],
  ['a later one', '?a=1&b=2', 'b', '2'],
  ['the first of several counts', '?a=1&a=2', 'a', '1'],
  ['names are whole', '?ab=1&a=2', 'a', '2'],
  ['names are not the beginnings of others', '?a=1', 'ab', undefined],
  ['names are case-sensitive', '?A=1', 'a', undefined],
  ['a name in a value is not one', '?b=a=1&a=2', 'a', '2'],
  ['a value may hold an equals sign', '?a=b=c', 'a', 'b=c'],
  ['a parameter without a value is empty', '?a&b', 'a', ''],
  ['a parameter with an empty value is empty', '?a=&b', 'a', ''],
  ['a plus sign is a space', '?a=b+c', 'a', 'b c'],
  ['an escape is decoded', '?a=b%20c%2Bd', 'a', 'b c+d'],
  ['UTF-8 is decoded', '?a=%c3%a9', 'a', '\xe9'],
  ['raw UTF-8 is decoded', '?a=\xc3\xa9', 'a', '\xe9'],
  ['bytes that are not UTF-8 become U+FFFD', '?a=%ff', 'a', '\ufffd'],
  ['an escaped name is decoded', '?%61=1', 'a', '1'],
  ['a name with a space', '?a+b=1', 'a b', '1'],
  ['a name with a plus sign must be escaped', '?a+b=1&a%2Bb=2', 'a+b', '2'],
  ['a percent sign that starts no escape is itself', '?a=100%&b=%z1', 'a', '100%'],
  ['a percent sign in a name that starts no escape is itself', '?a%=1', 'a%', '1'],
  ['only an ampersand separates', '?a=1;b=2', 'b', undefined],
  ['a question mark is a character', '?a=1?b=2', 'a', '1?b=2'],
  ['empty parameters are passed over', '?&&a=1', 'a', '1'],
  ['brackets are characters', '?a[]=1', 'a[]', '1'],
];

for (const [rule, query, name, want] of ROWS) {
  test(`queryValue: ${rule}`, () => assert.equal(queryValue(query, name), want));
}

test('queryValue agrees with URLSearchParams where that has no opinion of its own on bytes', () => {
  const random = seededRandom(1, 2, 3, 4);
  const parts = ['a', 'b', '=', '&', '+', '%20', '%61', '%C3%A9', '%', 'ab', '&a=', '%2B', '%26'];
  for (let round = 0; round < 20_000; round++) {
    const query = `?${Array.from({ length: random.bits32() % 9 }, () => parts[random.bits32() % parts.length]).join('')}`;
    const theirs = new URLSearchParams(query);
    for (const name of ['a', 'b', 'ab', 'a b', '\xe9', 'a+', '&']) {
      assert.equal(queryValue(query, name), theirs.get(name) ?? undefined, `${name} in ${query}`);
    }
  }
});

const ALL: [rule: string, query: string, name: string, values: string[], without: string][] = [
  ['no query', '', 'k', [], ''],
  ['an empty query stays', '?', 'k', [], '?'],
  ['the only one', '?k=1', 'k', ['1'], ''],
  ['the first', '?k=1&a=2', 'k', ['1'], '?a=2'],
  ['the last', '?a=2&k=1', 'k', ['1'], '?a=2'],
  ['several, one without a value', '?k=1&a=%20+b&k&k=3', 'k', ['1', '', '3'], '?a=%20+b'],
  ['another way to write the name', '?%6b=1&K=2', 'k', ['1'], '?K=2'],
  ['a plus sign in the name', '?a+k=1&b', 'a k', ['1'], '?b'],
  ['empty parameters stay', '?&&k=1&&a&', 'k', ['1'], '?&&&a&'],
  ['nothing to take out', '?a=%6b&&b', 'k', [], '?a=%6b&&b'],
];

for (const [rule, query, name, values, without] of ALL) {
  test(`queryValues and withoutParameter: ${rule}`, () => {
    assert.deepEqual(queryValues(query, name), values);
    assert.equal(withoutParameter(query, name), without);
  });
}

test('queryValues and withoutParameter agree with URLSearchParams, and leave the rest as it is', () => {
  const random = seededRandom(4, 3, 2, 1);
  const parts = ['a', 'k', '=', '&', '+', '%6b', '%6B', '%', '&k=', '%26'];
  for (let round = 0; round < 20_000; round++) {
    const query = `?${Array.from({ length: random.bits32() % 9 }, () => parts[random.bits32() % parts.length]).join('')}`;
    const theirs = new URLSearchParams(query);
    assert.deepEqual(queryValues(query, 'k'), theirs.getAll('k'), query);
    const rest = withoutParameter(query, 'k');
    theirs.delete('k');
    assert.deepEqual([...new URLSearchParams(rest)], [...theirs], query);
  }
});
