/**
 * Turns a schema into one function that checks a value, fills in defaults and
 * words every issue. One walk does all three: filling first and checking later
 * would word issues about values that nobody wrote.
 */
import { choicesOf, expectedOf, gotOf, oneOf, quoted, suggestion } from './describe.ts';
import { type JsonSchema, KEYWORDS } from './json-schema.ts';

/** Issues kept for one value; a file of nonsense does not become a report without end. */
export const ISSUES_MAX = 100;

/** Fields of one object among which a misspelt name is looked for. */
const KEYS_COMPARED_MAX = 64;

export type IssueCode =
  | 'field.type'
  | 'field.value'
  | 'field.range'
  | 'field.length'
  | 'field.pattern'
  | 'field.count'
  | 'field.missing'
  | 'field.unknown'
  | 'field.duplicate';

export interface Issue {
  /** JSON pointer (RFC 6901) from the value that was checked; for a missing field, where it should be. */
  readonly pointer: string;
  /** What should be and what is, in one sentence. */
  readonly message: string;
  readonly code: IssueCode;
  readonly expected: string;
  readonly got: string;
  /** The name that was likely meant. */
  readonly nearest?: string;
}

export type Validate = (value: unknown, issues: Issue[]) => unknown;

type Check = (value: unknown, walk: Walk) => unknown;

/** @throws {RangeError} on a schema with a word that {@link JsonSchema} lacks */
export function compileSchema(schema: JsonSchema): Validate {
  const check = compile(schema);
  return (value, issues) => check(value, new Walk(issues));
}

/** Where the walk stands, and what it found. */
class Walk {
  readonly path: (string | number)[] = [];
  readonly issues: Issue[];

  constructor(issues: Issue[]) {
    this.issues = issues;
  }

  /** Nothing more is taken; finding near names for it would cost time for nothing. */
  get full(): boolean {
    return this.issues.length >= ISSUES_MAX;
  }

  report(issue: Omit<Issue, 'pointer'>, ...below: (string | number)[]): void {
    if (!this.full) this.issues.push({ pointer: pointerOf([...this.path, ...below]), ...issue });
  }

  /** What `check` says of the value below this place. */
  into(check: Check, key: string | number, value: unknown): unknown {
    this.path.push(key);
    const filled = check(value, this);
    this.path.pop();
    return filled;
  }
}

/** RFC 6901: `~` and `/` inside a token are written `~0` and `~1`. */
export function pointerOf(path: readonly (string | number)[]): string {
  return path.map((token) => `/${String(token).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

function compile(schema: JsonSchema): Check {
  const strange = Object.keys(schema).find((word) => !KEYWORDS.has(word));
  if (strange !== undefined) throw new RangeError(`Cannot compile schema: the word "${strange}" is not known`);
  const choices = choicesOf(schema);
  if (choices !== undefined) return compileChoice(schema, choices);
  if (schema.anyOf !== undefined) return compileUnion(schema, schema.anyOf);
  switch (schema.type) {
    case 'string':
      return compileString(schema);
    case 'integer':
    case 'number':
      return compileNumber(schema);
    case 'boolean':
      return (value, walk) => (typeof value === 'boolean' ? value : mistyped(schema, value, walk));
    case 'array':
      return compileArray(schema);
    case 'object':
      return compileObject(schema);
    case 'null':
      return (value, walk) => (value === null ? value : mistyped(schema, value, walk));
    case undefined:
    default:
      return (value) => value;
  }
}

/** A value of another JSON type. People write `port: "80"` and `name: 1`, so say what to do about it. */
function mistyped(schema: JsonSchema, value: unknown, walk: Walk): unknown {
  const expected = expectedOf(schema);
  const got = gotOf(value, schema);
  const message = `Expected ${expected}, got ${got}${hintFor(schema, value)}`;
  walk.report({ code: 'field.type', message, expected, got });
  return value;
}

function hintFor({ type, pattern }: JsonSchema, value: unknown): string {
  const numeric = type === 'integer' || type === 'number';
  if (numeric && typeof value === 'string' && /^-?\d+(\.\d+)?$/.test(value)) return ': remove the quotes';
  if (type === 'boolean' && (value === 'true' || value === 'false')) return ': remove the quotes';
  if (type === 'string' && (typeof value === 'number' || typeof value === 'boolean')) {
    return pattern === undefined || new RegExp(pattern, 'u').test(String(value)) ? ': put it in quotes' : '';
  }
  if (type === 'array' && value !== null && value !== undefined) return ': begin each item with "-"';
  return '';
}

function compileChoice(schema: JsonSchema, choices: readonly (string | number | boolean)[]): Check {
  const known = new Set<unknown>(choices);
  return (value, walk) => {
    if (known.has(value) || walk.full) return value;
    const expected = oneOf(choices);
    const got = gotOf(value, schema);
    const near = typeof value === 'string' ? suggestion(value, choices.map(String)) : undefined;
    const hint = near === undefined ? '' : `: did you mean "${near}"`;
    const nearest = near === undefined ? {} : { nearest: near };
    walk.report({ code: 'field.value', message: `Expected ${expected}, got ${got}${hint}`, expected, got, ...nearest });
    return value;
  };
}

/**
 * Branches that are objects and differ in one literal field (`type: Exact`) are
 * chosen by that field. Of other branches the first without issues wins; without
 * one, the only branch of the value's JSON type speaks.
 */
function compileUnion(schema: JsonSchema, branches: readonly JsonSchema[]): Check {
  const field = discriminatorOf(branches);
  if (field !== undefined) return compileTagged(schema, branches, field);
  const checks = branches.map(compile);
  return (value, walk) => {
    for (const check of checks) {
      const trial = new Walk([]);
      const filled = check(value, trial);
      if (trial.issues.length === 0) return filled;
    }
    const alike = checks.filter((_, i) => meantFor(branches[i]!, value));
    return alike.length === 1 ? alike[0]!(value, walk) : mistyped(schema, value, walk);
  };
}

/** The field that is a different literal in every branch, if there is one. */
function discriminatorOf(branches: readonly JsonSchema[]): string | undefined {
  return Object.keys(branches[0]?.properties ?? {}).find((name) => {
    const values = branches.map((branch) => branch.properties?.[name]?.const);
    return !values.includes(undefined) && new Set(values).size === branches.length;
  });
}

function compileTagged(schema: JsonSchema, branches: readonly JsonSchema[], field: string): Check {
  const tagOf = (branch: JsonSchema) => branch.properties![field]!.const!;
  const tags = branches.map(tagOf);
  const checks = new Map<unknown, Check>(branches.map((branch) => [tagOf(branch), compile(branch)]));
  const checkTag = compileChoice({}, tags);
  return (value, walk) => {
    if (!isObject(value)) return mistyped({ ...schema, expected: schema.expected ?? 'an object' }, value, walk);
    const tag = value[field];
    const check = checks.get(tag);
    if (check !== undefined) return check(value, walk);
    if (tag === undefined || tag === null) reportMissing(field, oneOf(tags), walk);
    else walk.into(checkTag, field, tag);
    return value;
  };
}

function meantFor({ type }: JsonSchema, value: unknown): boolean {
  if (type === 'integer') return typeof value === 'number';
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isObject(value);
  return typeof value === type;
}

function compileString(schema: JsonSchema): Check {
  const { minLength = 0, maxLength = Infinity, pattern } = schema;
  const regex = pattern === undefined ? undefined : new RegExp(pattern, 'u');
  return (value, walk) => {
    if (typeof value !== 'string') return mistyped(schema, value, walk);
    const length = value.length <= minLength || value.length > maxLength ? charsOf(value) : value.length;
    if (length < minLength || length > maxLength) {
      const expected = `${schema.expected ?? 'a string'} of ${boundOf(length, [minLength, maxLength], 'character')}`;
      const got = length === 0 ? 'an empty string' : `${length} characters`;
      walk.report({ code: 'field.length', message: `Expected ${expected}, got ${got}`, expected, got });
    } else if (regex !== undefined && !regex.test(value)) {
      const expected = schema.expected ?? `text that matches ${pattern}`;
      const got = gotOf(value, schema);
      walk.report({ code: 'field.pattern', message: `Expected ${expected}, got ${got}`, expected, got });
    }
    return value;
  };
}

/** JSON Schema counts characters (code points), not UTF-16 units. */
function charsOf(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

function compileNumber(schema: JsonSchema): Check {
  const { minimum = -Infinity, maximum = Infinity, multipleOf } = schema;
  const { exclusiveMinimum = -Infinity, exclusiveMaximum = Infinity } = schema;
  return (value, walk) => {
    if (typeof value !== 'number' || !Number.isFinite(value)) return mistyped(schema, value, walk);
    if (schema.type === 'integer' && !Number.isInteger(value)) return mistyped(schema, value, walk);
    const inside = value >= minimum && value <= maximum && value > exclusiveMinimum && value < exclusiveMaximum;
    if (!inside || (multipleOf !== undefined && value % multipleOf !== 0)) {
      const expected = expectedOf(schema);
      const got = gotOf(value, schema);
      walk.report({ code: 'field.range', message: `Expected ${expected}, got ${got}`, expected, got });
    }
    return value;
  };
}

function compileArray(schema: JsonSchema): Check {
  const { minItems = 0, maxItems = Infinity, uniqueItems = false, uniqueBy } = schema;
  const checkItem = compile(schema.items ?? {});
  return (value, walk) => {
    if (!Array.isArray(value)) return mistyped(schema, value, walk);
    checkCount(value.length, { bounds: [minItems, maxItems], noun: 'item' }, walk);
    const filled = value.map((item, i) => walk.into(checkItem, i, item));
    if (uniqueItems) reportRepeats(filled, [], walk);
    if (uniqueBy !== undefined) reportRepeats(filled, uniqueBy, walk);
    return filled;
  };
}

/** Items that repeat an earlier one: in whole, or in the named fields when all of them are there. */
function reportRepeats(items: readonly unknown[], fields: readonly string[], walk: Walk): void {
  const seen = new Map<string, number>();
  items.forEach((item, i) => {
    if (fields.length > 0 && !(isObject(item) && fields.every((field) => item[field] !== undefined))) return;
    const named = fields.map((field) => (item as Record<string, unknown>)[field]);
    const key = JSON.stringify(fields.length === 0 ? item : named);
    const first = seen.get(key);
    if (first === undefined) {
      seen.set(key, i);
      return;
    }
    const field = fields.length === 1 ? fields[0]! : undefined;
    const what = fields.length === 0 ? 'item' : fields.join(' and ');
    const got =
      named.length === 1
        ? gotOf(named[0])
        : fields.length === 0
          ? gotOf(item)
          : named.map((v) => gotOf(v)).join(' and ');
    const message = `Duplicate ${what} ${got}: item ${first} has it already`;
    const issue = { code: 'field.duplicate', message, expected: `a ${what} of its own`, got } as const;
    if (field === undefined) walk.report(issue, i);
    else walk.report(issue, i, field);
  });
}

interface Property {
  readonly name: string;
  readonly check: Check;
  readonly required: boolean;
  readonly schema: JsonSchema;
  readonly takesNull: boolean;
}

type Fields = Readonly<Record<string, unknown>>;

function compileObject(schema: JsonSchema): Check {
  const { minProperties = 0, maxProperties = Infinity } = schema;
  const required = new Set(schema.required);
  const properties = Object.entries(schema.properties ?? {}).map(([name, property]): Property => ({
    name,
    check: compile(property),
    required: required.has(name),
    schema: property,
    takesNull: takesNull(property),
  }));
  const names = properties.map(({ name }) => name);
  const known = new Set(names);
  const isClosed = schema.additionalProperties === false;
  const checkRest = compileRest(schema, names);

  return (value, walk) => {
    if (!isObject(value)) return mistyped(schema, value, walk);
    const out: Record<string, unknown> = {};
    const keys = Object.keys(value);
    for (const property of properties) {
      if (fillProperty(property, value, { out, walk })) continue;
      const { name } = property;
      // A misspelt name is said once, as unknown, and not again as missing.
      if (
        isClosed &&
        keys.length <= KEYS_COMPARED_MAX &&
        keys.some((key) => !known.has(key) && suggestion(key, names) === name)
      ) {
        continue;
      }
      reportMissing(name, expectedOf(property.schema), walk);
    }
    for (const key of keys) if (!known.has(key)) checkRest(key, value[key], { out, walk });
    checkCount(keys.length, { bounds: [minProperties, maxProperties], noun: 'field' }, walk);
    return out;
  };
}

interface Fill {
  readonly out: Record<string, unknown>;
  readonly walk: Walk;
}

/** False when the property is required, absent and without a default. */
function fillProperty({ name, check, schema, ...property }: Property, value: Fields, { out, walk }: Fill): boolean {
  const written = Object.hasOwn(value, name) ? value[name] : undefined;
  const absent = written === undefined || (written === null && !property.takesNull);
  if (!absent) out[name] = walk.into(check, name, written);
  else if (written === null && schema.onNull !== undefined) out[name] = walk.into(check, name, schema.onNull);
  else if (schema.default !== undefined) out[name] = walk.into(check, name, schema.default);
  else return !property.required;
  return true;
}

type Bounds = readonly [least: number, most: number];

function checkCount(count: number, { bounds, noun }: { bounds: Bounds; noun: string }, walk: Walk): void {
  if (count >= bounds[0] && count <= bounds[1]) return;
  const expected = boundOf(count, bounds, noun);
  walk.report({ code: 'field.count', message: `Expected ${expected}, got ${count}`, expected, got: String(count) });
}

/** The bound that a count breaks: `at least 1 item`. */
function boundOf(count: number, [least, most]: Bounds, noun: string): string {
  const [word, bound] = count < least ? ['at least', least] : ['at most', most];
  return `${word} ${bound} ${noun}${bound === 1 ? '' : 's'}`;
}

function reportMissing(name: string, expected: string, walk: Walk): void {
  const message = `Missing field "${name}": expected ${expected}`;
  walk.report({ code: 'field.missing', message, expected, got: 'nothing' }, name);
}

/** What becomes of a key that `properties` does not name. */
function compileRest(schema: JsonSchema, names: readonly string[]): (key: string, value: unknown, fill: Fill) => void {
  const { additionalProperties, patternProperties, expected: says } = schema;
  const patterns = Object.entries(patternProperties ?? {}).map(([pattern, property]) => ({
    pattern,
    regex: new RegExp(pattern, 'u'),
    check: compile(property),
    takesNull: takesNull(property),
  }));
  const checkOther = typeof additionalProperties === 'object' ? compile(additionalProperties) : undefined;
  return (key, value, { out, walk }) => {
    const match = patterns.find(({ regex }) => regex.test(key));
    if (match !== undefined) {
      if (value !== null || match.takesNull) put(out, key, walk.into(match.check, key, value));
    } else if (checkOther !== undefined) {
      put(out, key, walk.into(checkOther, key, value));
    } else if (additionalProperties === false || (patterns.length > 0 && names.length === 0)) {
      if (!walk.full) walk.report(unknownField(key, names, says), key);
    } else put(out, key, value);
  };
}

function unknownField(key: string, names: readonly string[], says: string | undefined): Omit<Issue, 'pointer'> {
  const near = suggestion(key, names);
  const expected = names.length === 0 ? (says ?? 'another name') : oneOf(names);
  const hint = near === undefined ? `expected ${expected}` : `did you mean "${near}"`;
  const message = `Unknown field ${quoted(key)}: ${hint}`;
  return { code: 'field.unknown', message, expected, got: quoted(key), ...(near !== undefined && { nearest: near }) };
}

/** `__proto__` as a key is a key like any other. */
function put(out: Record<string, unknown>, key: string, value: unknown): void {
  if (key === '__proto__') {
    Object.defineProperty(out, key, { value, enumerable: true, writable: true, configurable: true });
  } else out[key] = value;
}

function takesNull(schema: JsonSchema): boolean {
  if (schema.anyOf !== undefined) return schema.anyOf.some(takesNull);
  return schema.type === 'null' || (schema.type === undefined && choicesOf(schema) === undefined);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
