import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findJsonMistake } from './json.ts';

const ROWS: [rule: string, text: string, offset: number, expected: string, got: string][] = [
  ['a bare word', '{"a": yes}', 6, 'a value', '"y"'],
  ['a name without quotes', '{a: 1}', 1, 'a name in double quotes', '"a"'],
  ['single quotes', "{'a': 1}", 1, 'a name in double quotes', '"\'"'],
  ['no colon', '{"a" 1}', 5, '":"', '"1"'],
  ['no comma in a list', '[1 2]', 3, '"," or "]"', '"2"'],
  ['a comma too many', '[1,]', 3, 'a value', '"]"'],
  ['the wrong end', '[{"a": 1]', 8, '"," or "}"', '"]"'],
  ['a leading zero', '[01]', 1, 'a value', '"0"'],
  ['a plus', '[+1]', 1, 'a value', '"+"'],
  ['a line end inside a string', '["a\n"]', 1, 'a value', '"\\""'],
  ['an unknown escape', '["\\x"]', 1, 'a value', '"\\""'],
  ['two values', '{} {}', 3, 'the end of the file', '"{"'],
  ['nothing', '', 0, 'a value', 'the end of the file'],
];

for (const [rule, text, offset, expected, got] of ROWS) {
  test(`findJsonMistake: ${rule}`, () => {
    assert.throws(() => JSON.parse(text));
    assert.deepEqual(findJsonMistake(text), { offset, expected, got });
  });
}

test('findJsonMistake: finds one wherever JSON is cut', () => {
  const text = '{"a": [1, -2.5e3, true, null, "x\\u0041"], "b": {}}';
  for (let cut = 0; cut < text.length; cut++) assert.equal(findJsonMistake(text.slice(0, cut)).offset <= cut, true);
});
