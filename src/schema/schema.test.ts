import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Type as TypeBox } from 'typebox';
import { Value } from 'typebox/value';
import { seededRandom } from '../base/random.ts';
import { check, jsonSchemaOf, type TSchema, Type } from './schema.ts';

const strict = { additionalProperties: false };
const Match = Type.Union([Type.Literal('Exact'), Type.Literal('PathPrefix'), Type.Literal('RegularExpression')], {
  default: 'PathPrefix',
});
const Port = Type.Object({ port: Type.Integer({ minimum: 1, maximum: 65_535 }) }, strict);
const Filter = Type.Union([
  Type.Object(
    { type: Type.Literal('CORS'), cors: Type.Object({ maxAge: Type.Optional(Type.Integer()) }, strict) },
    strict,
  ),
  Type.Object({ type: Type.Literal('Mirror'), mirror: Type.Object({ name: Type.String() }, strict) }, strict),
]);
const Size = Type.Union([Type.Integer({ minimum: 0 }), Type.String({ pattern: '^[0-9]+Ki$', expected: 'a size' })], {
  expected: 'a size',
});

// What is wrong, and what is said: pointer, code, message.
const ISSUES: [rule: string, schema: TSchema, value: unknown, want: readonly [string, string, string][]][] = [
  [
    'a value outside a choice names the choice that was likely meant',
    Type.Object({ type: Match }),
    { type: 'Prefix' },
    [
      [
        '/type',
        'field.value',
        'Expected one of "Exact", "PathPrefix", "RegularExpression", got "Prefix": did you mean "PathPrefix"',
      ],
    ],
  ],
  [
    'a choice without a near one lists all',
    Match,
    'x',
    [['', 'field.value', 'Expected one of "Exact", "PathPrefix", "RegularExpression", got "x"']],
  ],
  [
    'a literal names itself',
    Type.Literal('v1'),
    'v2',
    [['', 'field.value', 'Expected "v1", got "v2": did you mean "v1"']],
  ],
  [
    'a number in quotes',
    Port,
    { port: '80' },
    [['/port', 'field.type', 'Expected a whole number from 1 to 65535, got "80": remove the quotes']],
  ],
  [
    'a number out of its range',
    Port,
    { port: 0 },
    [['/port', 'field.range', 'Expected a whole number from 1 to 65535, got 0']],
  ],
  [
    'a fraction where a whole number belongs',
    Port,
    { port: 1.5 },
    [['/port', 'field.type', 'Expected a whole number from 1 to 65535, got 1.5']],
  ],
  [
    'a number that is text',
    Type.Object({ name: Type.String() }),
    { name: 12 },
    [['/name', 'field.type', 'Expected a string, got 12: put it in quotes']],
  ],
  [
    'quotes are no help against a pattern',
    Type.String({ pattern: 's$', expected: 'a time' }),
    10,
    [['', 'field.type', 'Expected a time, got 10']],
  ],
  [
    'a word where true or false belongs',
    Type.Boolean(),
    'true',
    [['', 'field.type', 'Expected true or false, got "true": remove the quotes']],
  ],
  [
    'one value where a list belongs',
    Type.Array(Type.String()),
    'a',
    [['', 'field.type', 'Expected a list, got "a": begin each item with "-"']],
  ],
  ['an object where a value belongs', Type.String(), {}, [['', 'field.type', 'Expected a string, got an object']]],
  ['a list where an object belongs', Port, [1, 2], [['', 'field.type', 'Expected an object, got a list of 2']]],
  [
    'a missing field',
    Port,
    {},
    [['/port', 'field.missing', 'Missing field "port": expected a whole number from 1 to 65535']],
  ],
  [
    'null is missing too',
    Port,
    { port: null },
    [['/port', 'field.missing', 'Missing field "port": expected a whole number from 1 to 65535']],
  ],
  [
    'an unknown field with a near name is said once',
    Port,
    { prot: 80 },
    [['/prot', 'field.unknown', 'Unknown field "prot": did you mean "port"']],
  ],
  [
    'an unknown field without a near name',
    Port,
    { port: 1, x: 1 },
    [['/x', 'field.unknown', 'Unknown field "x": expected "port"']],
  ],
  [
    'a tag chooses the branch that speaks',
    Filter,
    { type: 'Mirror', mirror: {} },
    [['/mirror/name', 'field.missing', 'Missing field "name": expected a string']],
  ],
  [
    'a wrong tag',
    Filter,
    { type: 'Cors' },
    [['/type', 'field.value', 'Expected one of "CORS", "Mirror", got "Cors": did you mean "CORS"']],
  ],
  [
    'a missing tag',
    Filter,
    { cors: {} },
    [['/type', 'field.missing', 'Missing field "type": expected one of "CORS", "Mirror"']],
  ],
  [
    'a field of another branch',
    Filter,
    { type: 'CORS', cors: {}, mirror: {} },
    [['/mirror', 'field.unknown', 'Unknown field "mirror": expected one of "type", "cors"']],
  ],
  ['a tagged union wants an object', Filter, 'CORS', [['', 'field.type', 'Expected an object, got "CORS"']]],
  ['the branch of the right type speaks', Size, '8k', [['', 'field.pattern', 'Expected a size, got "8k"']]],
  ['no branch has the type', Size, true, [['', 'field.type', 'Expected a size, got true']]],
  [
    'a string that is too short',
    Type.String({ minLength: 1 }),
    '',
    [['', 'field.length', 'Expected a string of at least 1 character, got an empty string']],
  ],
  [
    'a string that is too long',
    Type.String({ maxLength: 3 }),
    'abcd',
    [['', 'field.length', 'Expected a string of at most 3 characters, got 4 characters']],
  ],
  [
    'a pattern without words',
    Type.String({ pattern: '^a$' }),
    'b',
    [['', 'field.pattern', 'Expected text that matches ^a$, got "b"']],
  ],
  [
    'too few items',
    Type.Array(Type.String(), { minItems: 1 }),
    [],
    [['', 'field.count', 'Expected at least 1 item, got 0']],
  ],
  [
    'too many items',
    Type.Array(Type.Integer(), { maxItems: 1 }),
    [1, 2],
    [['', 'field.count', 'Expected at most 1 item, got 2']],
  ],
  [
    'an item twice',
    Type.Array(Type.String(), { uniqueItems: true }),
    ['a', 'b', 'a'],
    [['/2', 'field.duplicate', 'Duplicate item "a": item 0 has it already']],
  ],
  [
    'a name twice in a list',
    Type.Array(Type.Object({ name: Type.String() }), { uniqueBy: ['name'] }),
    [{ name: 'a' }, { name: 'a' }],
    [['/1/name', 'field.duplicate', 'Duplicate name "a": item 0 has it already']],
  ],
  [
    'too many fields',
    Type.Record(Type.String(), Type.String(), { maxProperties: 1 }),
    { a: '1', b: '2' },
    [['', 'field.count', 'Expected at most 1 field, got 2']],
  ],
  [
    'a key that the pattern refuses',
    Type.Record(Type.String({ pattern: '^[a-z]+$' }), Type.String(), { expected: 'a word' }),
    { 'A!': '' },
    [['/A!', 'field.unknown', 'Unknown field "A!": expected a word']],
  ],
  [
    'tokens of a pointer are escaped',
    Type.Record(Type.String(), Type.String()),
    { 'a/b~c': 1 },
    [['/a~1b~0c', 'field.type', 'Expected a string, got 1: put it in quotes']],
  ],
  [
    'a secret is never shown',
    Type.String({ secret: true, pattern: '^x' }),
    'hunter2',
    [['', 'field.pattern', 'Expected text that matches ^x, got a string (hidden: it is a secret)']],
  ],
  [
    'a long value is cut',
    Type.String({ pattern: '^x' }),
    'y'.repeat(100),
    [['', 'field.pattern', `Expected text that matches ^x, got "${'y'.repeat(60)}…"`]],
  ],
  [
    'all issues are said',
    Type.Object({ a: Type.Integer(), b: Type.Boolean() }),
    { a: 'x', b: 'y' },
    [
      ['/a', 'field.type', 'Expected a whole number, got "x"'],
      ['/b', 'field.type', 'Expected true or false, got "y"'],
    ],
  ],
];

for (const [rule, schema, value, want] of ISSUES) {
  test(`check: ${rule}`, () => {
    const { value: filled, issues } = check(schema, value);
    assert.deepEqual(
      issues.map(({ pointer, code, message }) => [pointer, code, message]),
      want,
    );
    assert.equal(filled, undefined);
  });
}

const FILLED: [rule: string, schema: TSchema, value: unknown, want: unknown][] = [
  ['a default fills what is absent', Type.Object({ type: Match }), {}, { type: 'PathPrefix' }],
  ['a default fills null', Type.Object({ type: Match }), { type: null }, { type: 'PathPrefix' }],
  [
    'a default is filled in itself',
    Type.Object({ a: Type.Object({ b: Type.Integer({ default: 1 }) }, { default: {} }) }),
    {},
    { a: { b: 1 } },
  ],
  ['an optional field stays absent', Type.Object({ a: Type.Optional(Type.String()) }), {}, {}],
  ['an optional null is absent', Type.Object({ a: Type.Optional(Type.String()) }), { a: null }, {}],
  [
    'null stays where it is a value',
    Type.Object({ a: Type.Union([Type.String(), Type.Null()]) }),
    { a: null },
    { a: null },
  ],
  [
    'null may stand for a value',
    Type.Object({ a: Type.Optional(Type.Object({ b: Type.Integer({ default: 1 }) }, { onNull: {} })) }),
    { a: null },
    { a: { b: 1 } },
  ],
  ['other fields are kept where they are allowed', Type.Object({}), { a: [{}] }, { a: [{}] }],
  ['anything goes', Type.Unknown(), { a: null }, { a: null }],
];

for (const [rule, schema, value, want] of FILLED) {
  test(`check: ${rule}`, () => {
    const before = structuredClone(value);
    assert.deepEqual(check(schema, value), { value: want, issues: [] });
    assert.deepEqual(value, before, 'the value that was checked is not changed');
  });
}

test('check: the near name is given apart', () => {
  assert.equal(check(Port, { prot: 1 }).issues[0]?.nearest, 'port');
});

test('check: "__proto__" is a key like any other', () => {
  const { value } = check(Type.Record(Type.String(), Type.Unknown()), JSON.parse('{"__proto__": {"polluted": true}}'));
  assert.deepEqual(Object.keys(value ?? {}), ['__proto__']);
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
});

test('check: issues have a bound', () => {
  const { issues } = check(
    Type.Array(Type.String()),
    Array.from({ length: 1000 }, (_, i) => i),
  );
  assert.equal(issues.length, 100);
});

test('check: a schema with an unknown word is a bug', () => {
  assert.throws(() => check(Type.String({ minlength: 1 }), 'a'), /the word "minlength" is not known/);
});

test('jsonSchemaOf: plain JSON Schema, without our own words', () => {
  const schema = Type.Object(
    { key: Type.String({ secret: true }), list: Type.Array(Port, { uniqueBy: ['port'], expected: 'ports' }) },
    { ...strict, description: 'A thing.' },
  );
  assert.deepEqual(jsonSchemaOf(schema), {
    type: 'object',
    required: ['key', 'list'],
    properties: {
      key: { type: 'string', writeOnly: true },
      list: {
        type: 'array',
        items: {
          type: 'object',
          required: ['port'],
          properties: { port: { type: 'integer', minimum: 1, maximum: 65_535 } },
          additionalProperties: false,
        },
      },
    },
    additionalProperties: false,
    description: 'A thing.',
  });
});

test('Type: a field with a default may be left out, so it is not required', () => {
  assert.deepEqual(jsonSchemaOf(Type.Object({ a: Type.Integer({ default: 1 }) })), {
    type: 'object',
    properties: { a: { type: 'integer', default: 1 } },
  });
});

/** The same schemas by either builder; none has a default, the one thing that differs. */
function schemasBy(T: typeof Type): TSchema[] {
  return [
    T.String({ minLength: 1, maxLength: 4, pattern: '^[a-z]*$' }),
    T.Integer({ minimum: -3, maximum: 9 }),
    T.Number({ exclusiveMinimum: 0, multipleOf: 0.5 }),
    T.Boolean(),
    T.Literal('a'),
    T.Enum(['a', 'b', 3]),
    T.Union([T.Literal('a'), T.Literal('b')]),
    T.Union([T.Integer(), T.String({ pattern: '^a' })]),
    T.Array(T.String(), { minItems: 1, maxItems: 3, uniqueItems: true }),
    T.Object({ a: T.String(), b: T.Optional(T.Integer()) }),
    T.Object({ a: T.String(), b: T.Optional(T.Integer()) }, { additionalProperties: false }),
    T.Object({ a: T.Array(T.Object({ b: T.Boolean() })) }, { minProperties: 1, maxProperties: 2 }),
    T.Record(T.String({ pattern: '^[ab]$' }), T.Integer(), { additionalProperties: false }),
    T.Record(T.String(), T.Union([T.String(), T.Boolean()])),
    T.Union([
      T.Object({ a: T.Literal('a'), b: T.Integer() }, { additionalProperties: false }),
      T.Object({ a: T.Literal('b'), c: T.Optional(T.String()) }, { additionalProperties: false }),
    ]),
    T.Unknown(),
  ];
}

test('Type: builds the same JSON Schema as TypeBox', () => {
  assert.equal(JSON.stringify(schemasBy(Type)), JSON.stringify(schemasBy(TypeBox)));
});

test('check: accepts what TypeBox accepts, and nothing else', () => {
  const random = seededRandom(1, 2, 3, 4);
  const pick = <T>(list: readonly T[]): T => list[random.bits32() % list.length]!;
  const scalars = ['a', 'b', '', 'ab', 'abcde', 'é', 0, 1, 3, 9.5, -4, 10, true, false];
  const make = (depth: number): unknown => {
    const kind = depth === 0 ? 0 : random.bits32() % 4;
    if (kind === 1) return Array.from({ length: random.bits32() % 5 }, () => make(depth - 1));
    if (kind < 2) return pick(scalars);
    const names = ['a', 'b', 'c'].filter(() => random.unit() < 0.6);
    return Object.fromEntries(names.map((name) => [name, make(depth - 1)]));
  };
  const [ours, theirs] = [schemasBy(Type), schemasBy(TypeBox)];
  let accepted = 0;
  for (let round = 0; round < 20_000; round++) {
    const value = make(3);
    const i = round % ours.length;
    const want = Value.Check(theirs[i]!, value);
    accepted += Number(want);
    const { issues } = check(ours[i]!, value);
    assert.equal(issues.length === 0, want, `schema ${i}: ${JSON.stringify(value)}`);
  }
  assert.ok(accepted > 1000, `only ${accepted} values were right`);
});
