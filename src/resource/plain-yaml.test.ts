import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seededRandom } from '../base/random.ts';
import { itemRangesOfPlainYaml, locatePlainYaml, NOT_PLAIN, readPlainYaml } from './plain-yaml.ts';
import { compareReaders, DOCUMENTS, oddYaml } from './testing/odd-yaml.ts';
import { itemRangesOfYaml, locateYaml, readYaml } from './yaml.ts';

const ROWS: [rule: string, text: string, want: unknown][] = [
  ['a mapping by indentation', 'a:\n  b: c\n  d:\n    e: f\n', { a: { b: 'c', d: { e: 'f' } } }],
  ['a list deeper than its key', 'a:\n  - b\n  - c\n', { a: ['b', 'c'] }],
  ['a list in the column of its key', 'a:\n- b\n- c\nd: e\n', { a: ['b', 'c'], d: 'e' }],
  [
    'mappings in a list',
    '- a: 1\n  b: 2\n-   a: 3\n    b: 4\n',
    [
      { a: 1, b: 2 },
      { a: 3, b: 4 },
    ],
  ],
  ['lists in a list', '- - a\n  - b\n- c\n', [['a', 'b'], 'c']],
  ['nothing is null', 'a:\nb: \n-c: ~\n', NOT_PLAIN],
  ['nothing behind a key is null', 'a:\nb: ~\nc: null\n', { a: null, b: null, c: null }],
  ['nothing in a list is null', '-\n- a\n', [null, 'a']],
  ['comments are skipped', '# top\na: 1 # one\n  # deep\nb: "#"\n\n#end', { a: 1, b: '#' }],
  ['a hash inside a word is no comment', 'a: b#c\n', { a: 'b#c' }],
  [
    'words and numbers of the core schema',
    'a: [true, False, null, ~, 12, -3, 1.5]\n',
    { a: [true, false, null, null, 12, -3, 1.5] },
  ],
  ['what looks like a number and is none', 'a: 10.0.0.1\nb: 10s\nc: 1-2\nd: -\n', NOT_PLAIN],
  [
    'addresses and durations are text',
    'a: 10.0.0.1\nb: 10s\nc: 1-2\nd: -x\n',
    { a: '10.0.0.1', b: '10s', c: '1-2', d: '-x' },
  ],
  ['yes and no are text', 'a: yes\nb: on\nc: No\n', { a: 'yes', b: 'on', c: 'No' }],
  ['a time is text', 'a: 2026-11-01T12:00:00Z\n', { a: '2026-11-01T12:00:00Z' }],
  ['double quotes with escapes', 'a: "x\\n\\u0041\\"" # y\n', { a: 'x\nA"' }],
  ['single quotes', "a: 'it''s'\n'b c': \"d\"\n", { a: "it's", 'b c': 'd' }],
  ['flow collections on one line', 'a: {b: [c, "d"], e: {}}\nf: []\n', { a: { b: ['c', 'd'], e: {} }, f: [] }],
  ['JSON', '{\n "a": [1,\n {"b":null}],\n "c": "d"}\n', { a: [1, { b: null }], c: 'd' }],
  ['a literal block', 'a: |\n  x\n    y\n\n  z\n\nb: 1\n', { a: 'x\n  y\n\nz\n', b: 1 }],
  ['a literal block without its last line end', 'a: |-\n  x\n\nb: 1\n', { a: 'x', b: 1 }],
  ['a literal block with all line ends', 'a: |+\n  x\n\nb: 1\n', { a: 'x\n\n', b: 1 }],
  ['a document marker', '---\na: 1\n', { a: 1 }],
  ['nothing at all', '# nothing\n', null],
  ['a key of a label', 'app.kubernetes.io/name: web\n', { 'app.kubernetes.io/name': 'web' }],
  ['a colon inside a word', 'a: http://b:80/c\n', { a: 'http://b:80/c' }],
  // What is left to the full parser: it decides, and it words mistakes.
  ['an anchor', 'a: &x 1\n', NOT_PLAIN],
  ['an alias', 'a: *x\n', NOT_PLAIN],
  ['a tag', 'a: !x 1\n', NOT_PLAIN],
  ['a folded block', 'a: >\n  x\n', NOT_PLAIN],
  ['a key twice', 'a: 1\na: 2\n', NOT_PLAIN],
  ['a scalar over two lines', 'a: b\n  c\n', NOT_PLAIN],
  ['a colon in text', 'a: b: c\n', NOT_PLAIN],
  ['a tab', 'a:\t1\n', NOT_PLAIN],
  ['a line end of another system', 'a: 1\r\n', NOT_PLAIN],
  ['bad indentation', 'a:\n  b: 1\n c: 2\n', NOT_PLAIN],
  ['a flow collection over lines', 'a: [b,\n  c]\n', NOT_PLAIN],
  ['an octal number', 'a: 0o17\n', NOT_PLAIN],
  ['a number with a leading zero', 'a: 007\n', NOT_PLAIN],
  ['a number as key', '80: a\n', NOT_PLAIN],
  ['a word of the core schema as key', 'true: a\n', NOT_PLAIN],
  ['a key that would change the prototype', '__proto__: {a: 1}\n', NOT_PLAIN],
  ['deep nesting', `${'['.repeat(100)}${']'.repeat(100)}\n`, NOT_PLAIN],
  ['a literal block that ends without a line end', 'a: |\n  x', NOT_PLAIN],
];

for (const [rule, text, want] of ROWS) {
  test(`readPlainYaml: ${rule}`, () => {
    const got = readPlainYaml(text);
    assert.deepEqual(got, want);
    if (got !== NOT_PLAIN) assert.deepEqual(readYaml(text).value, want, 'the full parser reads the same');
  });
}

/** Every pointer into a value, and one that leads nowhere from there. */
function pathsOf(value: unknown, path: readonly string[] = []): string[][] {
  const own = [[...path], [...path, 'nowhere']];
  if (value === null || typeof value !== 'object') return own;
  return [...own, ...Object.entries(value).flatMap(([key, below]) => pathsOf(below, [...path, key]))];
}

test('locatePlainYaml: finds every field where the full parser finds it', () => {
  for (const text of DOCUMENTS) {
    const value = readPlainYaml(text);
    const paths = pathsOf(value);
    assert.deepEqual(locatePlainYaml(text, paths), locateYaml(text, paths));
    for (const path of paths) assert.deepEqual(locatePlainYaml(text, [path]), locateYaml(text, [path]));
  }
});

test('locatePlainYaml: a name that also stands elsewhere is not mixed up', () => {
  const text = 'a:\n  c: 1\nb:\n  c: 2\n  d:\n  - c: 3\n  - c: 4\n';
  const paths = [
    ['b', 'c'],
    ['b', 'd', '1', 'c'],
    ['a', 'd'],
  ];
  assert.deepEqual(locatePlainYaml(text, paths), [
    { line: 3, column: 2 },
    { line: 6, column: 4 },
    { line: 0, column: 0 },
  ]);
});

test('itemRangesOfPlainYaml: begins and ends items where the full parser does', () => {
  for (const text of DOCUMENTS.slice(2)) {
    const cut = (ranges: readonly (readonly [number, number])[]): string[] =>
      ranges.map(([start, end]) =>
        text
          .slice(start, end)
          .replaceAll(/\n#.*$/gm, '')
          .trimEnd(),
      );
    const plain = itemRangesOfPlainYaml(text, ['items']);
    assert.ok(plain !== NOT_PLAIN && plain.length > 1);
    assert.deepEqual(cut(plain), cut(itemRangesOfYaml(text, ['items'])));
  }
});

test('readPlainYaml: what it takes of broken and odd text, the full parser reads the same', () => {
  const random = seededRandom(5, 6, 7, 8);
  let taken = 0;
  for (let round = 0; round < 8000; round++) {
    const text = oddYaml(random);
    const result = compareReaders(text);
    assert.notEqual(result, 'different', JSON.stringify(text));
    taken += Number(result === 'same');
  }
  assert.ok(taken > 800, `only ${taken} texts were taken`);
});
