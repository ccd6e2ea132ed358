import assert from 'node:assert/strict';
import { test } from 'node:test';
import { lineStarts, literalPlaces, placeOf, positionAt } from './literal-places.ts';

// The text has one mark, `<>`: where the search for the pointer must lead.
const ROWS: [rule: string, marked: string, pointer: string][] = [
  ['a property begins at its name', 'export default { a: 1, <>b: 2 };', '/b'],
  ['a list item begins at its value', 'export default { a: [1, <>{ b: 2 }] };', '/a/1'],
  ['a call around the object is looked through', 'export default defineConfig({ <>a: 1 });', '/a'],
  ['a variable is followed', 'const config: Config = { <>a: 1 };\nexport default config;', '/a'],
  ['a variable inside a call is followed', 'const c = {\n  <>a: 1 };\nexport default defineConfig(c);', '/a'],
  ['CommonJS exports are found', 'module.exports = { <>a: 1 };', '/a'],
  ['quoted names are names', `export default { "a/b": { <>'c d': 1 } };`, '/a~1b/c d'],
  ['brackets in strings do not count', `export default { a: "}]", b: '\\'}', <>c: 1 };`, '/c'],
  ['brackets in templates do not count', 'export default { a: `}${ f({ x: `]` }) }{`, <>b: 1 };', '/b'],
  ['brackets in comments do not count', 'export default { a: 1, // }\n /* ] */ <>b: 1 };', '/b'],
  ['brackets in regular expressions do not count', 'export default { a: /[/}"]\\/}/, <>b: 4 / 2, c: 1 };', '/b'],
  ['a division is not a regular expression', `export default { a: 4 / 2, <>b: '/' };`, '/b'],
  ['a function value is one value', 'export default { a: (x) => { return [x, 1]; }, <>b: 1 };', '/b'],
  ['a type assertion ends with its value', 'export default { a: [1] as const, <>b: 1 } satisfies Config;', '/b'],
  ['a shorthand is a property', 'export default { a, <>b, c: 1 };', '/b'],
  ['behind a spread in an object, names still count', 'export default { ...base, <>a: 1 };', '/a'],
  ['behind a spread in a list, the list is the place', 'export default { <>a: [...base, { b: 1 }] };', '/a/3/b'],
  ['a computed part leads to the nearest around it', 'export default { a: { <>b: make() } };', '/a/b/0/c'],
  ['a wholly computed export leads to the start', '<>export default make();', '/a'],
];

for (const [rule, marked, pointer] of ROWS) {
  test(`literalPlaces: ${rule}`, () => {
    const text = marked.replace('<>', '');
    assert.equal(placeOf(literalPlaces(text), pointer), marked.indexOf('<>'));
  });
}

test('literalPlaces: text that is cut off anywhere ends', () => {
  const text = 'const c = { a: [`x${ {} }`, /a[/]/, "b"], ...d, e() { return 1; } };\nexport default f(c);';
  for (let cut = 0; cut <= text.length; cut++) {
    literalPlaces(text.slice(0, cut));
    literalPlaces(`export default ${text.slice(10, cut)}`);
  }
});

test('literalPlaces: a variable that stands for itself ends', () => {
  assert.equal(literalPlaces('const a = a;\nexport default a;').size, 0);
  assert.equal(literalPlaces('const a = b;\nconst b = a;\nexport default a;').size, 0);
});

test('positionAt: lines and columns count from 1', () => {
  const starts = lineStarts('ab\ncd\n\ne');
  const want = ['1:1', '1:2', '1:3', '2:1', '2:2', '2:3', '3:1', '4:1', '4:2'];
  const got = want.map((_, offset) => positionAt(starts, offset));
  assert.deepEqual(
    got.map(({ line, column }) => `${line}:${column}`),
    want,
  );
});
