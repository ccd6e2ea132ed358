import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Headers } from './headers.ts';

/** As a codec reads them. */
function received(raw: string): Headers {
  const headers = new Headers();
  headers.reset(raw);
  for (const { 0: line, 1: name, 2: value, index } of raw.matchAll(/([^:\r\n]+): ([^\r\n]*)\r\n/g)) {
    const start = index + line.indexOf(value!, name!.length + 2);
    headers.push(index, index + name!.length, start, start + value!.length);
  }
  return headers;
}

const ALIKE: readonly (readonly [name: string, written: string, what: 'stays' | 'goes'])[] = [
  ['x-user-id', 'x-user-id', 'goes'],
  ['x-user-id', 'X-User-Id', 'goes'],
  ['x-user-id', 'x_user_id', 'goes'],
  ['x-user-id', 'X-USER_ID', 'goes'],
  ['x_user-id', 'X-User_Id', 'goes'],
  ['x-user-id', 'x-user-ids', 'stays'],
  ['x-user-id', 'x-user-i', 'stays'],
  ['x-user-id', 'x.user.id', 'stays'],
  ['x-user-id', 'xmuser-id', 'stays'],
];

for (const [name, written, what] of ALIKE) {
  test(`headers: without ${name}, ${written} ${what}`, () => {
    const line = `${written}: 1\r\n`;
    const want = what === 'goes' ? '' : line;
    const headers = received(`a: 1\r\n${line}b: 2\r\n${line}`);
    headers.add(written, '1');
    headers.deleteAlike(name);
    assert.equal(headers.toLines(), `a: 1\r\n${want}b: 2\r\n${want}${want}`);
  });
}

test('headers: what is like received lines is edited by itself, and each anew', () => {
  const lines = received('a: 1\r\nB: 2\r\na: 3\r\n');
  const edits: readonly ((headers: Headers) => void)[] = [
    (headers) => headers.add('age', '0'),
    (headers) => headers.delete('a'),
    (headers) => headers.deleteAlike('b'),
    (headers) => headers.markHop('a'),
    (headers) => headers.deleteWhere(() => true),
    (headers) => headers.reset(''),
    (headers) => {
      headers.delete('b');
      headers.restore();
    },
  ];
  const written = edits.map((edit) => {
    const headers = Headers.like(lines);
    edit(headers);
    return headers.toLines();
  });
  assert.deepEqual(written, [
    'a: 1\r\nB: 2\r\na: 3\r\nage: 0\r\n',
    'B: 2\r\n',
    'a: 1\r\na: 3\r\n',
    'B: 2\r\n',
    '',
    '',
    'a: 1\r\nB: 2\r\na: 3\r\n',
  ]);
  assert.equal(lines.toLines(), 'a: 1\r\nB: 2\r\na: 3\r\n');
});
