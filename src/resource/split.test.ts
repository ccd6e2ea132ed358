import assert from 'node:assert/strict';
import { test } from 'node:test';
import { detached, linesBeforeContent, splitDocuments, splitItems } from './split.ts';

const ROWS: [rule: string, text: string, want: [text: string, line: number][]][] = [
  ['one document', 'a: 1\n', [['a: 1\n', 1]]],
  [
    'a marker begins a document',
    'a: 1\n---\nb: 2\n',
    [
      ['a: 1\n', 1],
      ['b: 2\n', 3],
    ],
  ],
  ['documents without content are left out', '---\n# nothing\n---\n\n---\na: 1\n---\n', [['a: 1\n', 6]]],
  ['content may stand behind the marker', '--- {a: 1}\n', [['--- {a: 1}\n', 1]]],
  ['a longer run of hyphens is no marker', 'a: |\n-----BEGIN\n', [['a: |\n-----BEGIN\n', 1]]],
  ['an indented marker is none', 'a: |\n  ---\n', [['a: |\n  ---\n', 1]]],
  [
    'the end of a document',
    'a: 1\n...\nb: 2\n',
    [
      ['a: 1\n', 1],
      ['...\nb: 2\n', 2],
    ],
  ],
  ['directives are no content', '%YAML 1.2\n---\na: 1\n', [['a: 1\n', 3]]],
  [
    'no line end at the end',
    'a: 1\n---\nb: 2',
    [
      ['a: 1\n', 1],
      ['b: 2', 3],
    ],
  ],
  [
    'line ends of another system',
    'a: 1\r\n---\r\nb: 2\r\n',
    [
      ['a: 1\r\n', 1],
      ['b: 2\r\n', 3],
    ],
  ],
  ['nothing', '\n', []],
];

for (const [rule, text, want] of ROWS) {
  test(`splitDocuments: ${rule}`, () => {
    assert.deepEqual(
      splitDocuments(text).map((piece) => [piece.text, piece.line]),
      want,
    );
  });
}

test('splitItems: an item of several lines keeps its columns', () => {
  const text = 'items:\n- a: 1\n  b: 2\n- {c: 3}\n';
  const pieces = splitItems({ text, line: 10, column: 0 }, [
    [9, 21],
    [23, 29],
  ]);
  assert.deepEqual(pieces, [
    { text: '  a: 1\n  b: 2\n', line: 11, column: 0 },
    { text: '{c: 3}', line: 13, column: 2 },
  ]);
});

test('splitItems: many items on one line cost no spaces', () => {
  const pieces = splitItems({ text: '[{}, {"a": 1}]', line: 1, column: 4 }, [
    [1, 3],
    [5, 13],
  ]);
  assert.deepEqual(pieces, [
    { text: '{}', line: 1, column: 5 },
    { text: '{"a": 1}', line: 1, column: 9 },
  ]);
});

test('detached: the same text, whatever its characters', () => {
  for (const text of ['plain', 'é', '…', '\ud83d\ude00', '\ud800 alone', '']) assert.equal(detached(text), text);
});

test('linesBeforeContent: counts what comes before the first field', () => {
  assert.equal(linesBeforeContent('# a\n\n---\n# b\na: 1\n'), 4);
  assert.equal(linesBeforeContent('a: 1\n# b\n'), 0);
});
