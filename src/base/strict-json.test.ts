import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readJson } from './strict-json.ts';

const DEEP = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);

const ROWS: [rule: string, text: string | Buffer, want: RegExp | 'exact' | 'inexact'][] = [
  ['an object', '{"a":1,"b":[true,null,"x"],"c":{"a":1}}', 'exact'],
  ['the same key in two objects', '[{"a":1},{"a":2},{"b":{"a":1}}]', 'exact'],
  ['a value that looks like a key', '{"a":"b","b":"a","c":["a","a"]}', 'exact'],
  ['a key twice', '{"a":1,"a":1}', /key twice/],
  ['a key twice behind an object and a list', '{"a":{"b":[1,{"c":2}]},"a":1}', /key twice/],
  ['a key twice, escaped once', '{"a":1,"\\u0061":2}', /key twice/],
  ['a key twice with an escaped quote', '{"a\\"":1,"a\\"":2}', /key twice/],
  ['a key twice, with a slash that may be escaped', '{"a/b":1,"a\\/b":2}', /key twice/],
  ['keys that differ in case', '{"a":1,"A":2}', 'exact'],
  ['names that every object has', '{"__proto__":1,"constructor":2,"toString":3}', 'exact'],
  ['one of them twice', '{"__proto__":1,"__proto__":2}', /key twice/],
  ['a string that ends in a backslash', '{"a":"\\\\","b":"\\\\\\"","c":1}', 'exact'],
  ['brackets in strings', '["[[[[[[[[[[[[","{{{{{{{{{{{{{"]', 'exact'],
  ['as deep as may be', DEEP(8), 'exact'],
  ['deeper', DEEP(9), /8 levels/],
  ['without end', DEEP(200_000), /8 levels/],
  ['a byte order mark', '\ufeff{}', /byte order mark/],
  ['not UTF-8', Buffer.from([0x22, 0xff, 0x22]), /UTF-8/],
  ['an overlong form', Buffer.from([0x22, 0xc0, 0xaf, 0x22]), /UTF-8/],
  ['a surrogate in bytes', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), /UTF-8/],
  ['UTF-16', Buffer.from('{}', 'utf16le'), /not JSON/],
  ['half a character, escaped', '["\\ud800"]', /surrogate/],
  ['the other half', '["\\uDC00x"]', /surrogate/],
  ['both halves', '["\\ud83d\\ude00"]', 'exact'],
  ['NaN', '[NaN]', /not JSON/],
  ['Infinity', '[-Infinity]', /not JSON/],
  ['a comma too many', '[1,]', /not JSON/],
  ['a comment', '[1/**/]', /not JSON/],
  ['single quotes', "['a']", /not JSON/],
  ['nothing', '', /not JSON/],
  ['two values', '1 2', /not JSON/],
  ['a number that is not finite', '[1e400]', /out of range/],
  ['the same, negative', '{"a":-1e999}', /out of range/],
  ['a number with more digits than a double has', '{"id":12345678901234567890}', 'inexact'],
  ['one that a double has all the same', '{"id":9007199254740992}', 'exact'],
  ['a fraction in another spelling', '[1.5000000000000000, 1e21, 1E+2, 0.10e-7, -0e5]', 'exact'],
  ['a fraction that is rounded', '[0.1000000000000000055511151231257827]', 'inexact'],
];

for (const [rule, text, want] of ROWS) {
  test(`strict JSON: ${rule}`, () => {
    const read = readJson(typeof text === 'string' ? Buffer.from(text) : text, { depthMax: 8 });
    if (want instanceof RegExp) assert.match(read.ok ? 'read' : read.refused, want);
    else {
      assert.ok(read.ok, read.ok ? '' : read.refused);
      assert.equal(read.inexact, want === 'inexact');
      assert.deepEqual(read.value, JSON.parse(String(text)));
    }
  });
}

test('strict JSON: time is linear in the text', () => {
  const backslashes = Buffer.from(`["${'\\\\'.repeat(500_000)}"]`);
  const keys = Buffer.from(`{${Array.from({ length: 100_000 }, (_, i) => `"k${i}":0`).join(',')}}`);
  for (const bytes of [backslashes, keys]) {
    const start = performance.now();
    assert.ok(readJson(bytes, { depthMax: 8 }).ok);
    assert.ok(performance.now() - start < 1_000);
  }
});
