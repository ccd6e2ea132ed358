import assert from 'node:assert/strict';
import { test } from 'node:test';
import { groupBy, Memo, type Tables } from './memo.ts';

interface Shop extends Tables {
  readonly services: ReadonlyMap<string, object>;
}

const web = {};
const own = {};

/** Runs one compile that asks for `a` and looks up service `web`; says whether the result was made anew. */
function compile(memo: Memo<Shop, object>, services: ReadonlyMap<string, object>, input: object = own): boolean {
  memo.begin({ services });
  memo.get('a', [input], (look) => ({ found: look('services', 'web') }));
  return memo.made === 1;
}

const ROWS: [rule: string, second: ReadonlyMap<string, object>, input: object, madeAgain: boolean][] = [
  ['the same objects hold', new Map([['web', web]]), own, false],
  [
    'an object that was not looked up does not count',
    new Map([
      ['web', web],
      ['other', {}],
    ]),
    own,
    false,
  ],
  ['another looked-up object', new Map([['web', {}]]), own, true],
  ['a looked-up object that went', new Map(), own, true],
  ['another input', new Map([['web', web]]), {}, true],
];

for (const [rule, second, input, madeAgain] of ROWS) {
  test(`Memo: ${rule}`, () => {
    const memo = new Memo<Shop, object>();
    assert.equal(compile(memo, new Map([['web', web]])), true);
    assert.equal(compile(memo, second, input), madeAgain);
  });
}

test('Memo: a look-up that found nothing is remembered too', () => {
  const memo = new Memo<Shop, object>();
  compile(memo, new Map());
  assert.equal(compile(memo, new Map()), false);
  assert.equal(compile(memo, new Map([['web', web]])), true);
});

test('Memo: a key that one compile did not ask for is forgotten', () => {
  const memo = new Memo<Shop, object>();
  const services = new Map([['web', web]]);
  compile(memo, services);
  memo.begin({ services });
  assert.equal(compile(memo, services), true);
});

test('Memo: more tables than there are bits share them, and every change is seen', () => {
  const names = Array.from({ length: 40 }, (_, i) => `table${i}`);
  const tablesWith = (changed: string): Tables =>
    Object.fromEntries(names.map((name) => [name, new Map([['web', name === changed ? {} : web]])]));
  for (const looked of names) {
    for (const changed of names) {
      const memo = new Memo<Tables, object>();
      for (const tables of [tablesWith(''), tablesWith(changed)]) {
        memo.begin(tables);
        memo.get('a', [], (look) => ({ found: look(looked, 'web') }));
      }
      assert.equal(memo.made === 1, looked === changed, `${looked} was looked into, ${changed} changed`);
    }
  }
});

test('groupBy: a group of the same items is the same array', () => {
  const items = [
    { key: 'a', n: 1 },
    { key: 'b', n: 2 },
    { key: 'a', n: 3 },
  ];
  const keyOf = (item: (typeof items)[number]): string[] => [item.key];
  const first = groupBy(items, keyOf, undefined);
  const second = groupBy([...items, { key: 'b', n: 4 }], keyOf, first);
  assert.equal(second.get('a'), first.get('a'));
  assert.notEqual(second.get('b'), first.get('b'));
  assert.equal(second.get('b')?.length, 2);
});
