import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cookieValues, deleteCookie } from './cookies.ts';
import { Headers } from './headers.ts';

const ROWS: [rule: string, lines: string[], values: string[], left: string[]][] = [
  ['none', [], [], []],
  ['the only one', ['k=1'], ['1'], []],
  ['the first', ['k=1; a=2'], ['1'], ['a=2']],
  ['the last', ['a=2; k=1'], ['1'], ['a=2']],
  ['between others, which stay as they are', ['a="x y" ;  b=;k=1;c=%20=d'], ['1'], ['a="x y" ;  b=;c=%20=d']],
  ['twice in one line', ['k=1; k=2; a=3'], ['1', '2'], ['a=3']],
  ['in two lines', ['k=1; a=2', 'b=3; k=4'], ['1', '4'], ['a=2', 'b=3']],
  ['quoted', ['k="1"'], ['1'], []],
  ['a lone quote is part of the value', ['k="'], ['"'], []],
  ['empty', ['k='], [''], []],
  ['spaces and tabs around name and value', ['a=1; \tk \t= 1 '], ['1'], ['a=1']],
  ['names are case-sensitive', ['K=1'], [], ['K=1']],
  ['names are whole', ['kk=1; xk=2'], [], ['kk=1; xk=2']],
  ['a word without an equals sign is no cookie of that name', ['k; a=1'], [], ['k; a=1']],
  ['a name in a value is not one', ['a=k=1'], [], ['a=k=1']],
  ['other spaces are part of a name', ['\xa0k=1'], [], ['\xa0k=1']],
];

for (const [rule, lines, values, left] of ROWS) {
  test(`cookies: ${rule}`, () => {
    const headers = Headers.of(lines.map((line) => ['Cookie', line]));
    assert.deepEqual(cookieValues(headers, 'k'), values);
    deleteCookie(headers, 'k');
    assert.deepEqual(headers.getAll('cookie'), left);
  });
}

test('cookies: a line of spaces is read in linear time', () => {
  const headers = Headers.of([['cookie', `${' '.repeat(1_000_000)}x=1;k=1`]]);
  const startMs = performance.now();
  assert.deepEqual(cookieValues(headers, 'k'), ['1']);
  deleteCookie(headers, 'k');
  assert.ok(performance.now() - startMs < 1_000);
});
