/**
 * Typed schema in, JSON Schema and checked values out. The only file that knows
 * TypeBox, and it takes only its types: the builders below make the same JSON
 * Schema, because loading TypeBox costs 100 to 180 ms in every thread (109 files
 * for its builders alone) while a proxy should be ready in 600 ms. A test holds
 * builders and checks equal to TypeBox's own.
 */
import type { Static as TypeBoxStatic, TSchema as TypeBoxSchema, Type as TypeBox } from 'typebox';
import { compileSchema, type Issue, type Validate } from './compile.ts';
import { type JsonSchema, KEYWORDS } from './json-schema.ts';

export type TSchema = TypeBoxSchema;
export type Static<S extends TSchema> = TypeBoxStatic<S>;

type Builders = Pick<
  typeof TypeBox,
  | 'Array'
  | 'Boolean'
  | 'Enum'
  | 'Integer'
  | 'Literal'
  | 'Null'
  | 'Number'
  | 'Object'
  | 'Optional'
  | 'Record'
  | 'String'
  | 'Union'
  | 'Unknown'
>;

/** What {@link Type.Optional} made: whether a property may be absent is said by its owner's `required`. */
const OPTIONAL = new WeakSet<object>();

/** Builders of schemas, as TypeBox has them. */
export const Type: Builders = {
  Array: (items: TSchema, options?: object) => ({ type: 'array', items, ...options }),
  Boolean: (options?: object) => ({ type: 'boolean', ...options }),
  Enum: (values: readonly unknown[], options?: object) => ({ enum: [...values], ...options }),
  Integer: (options?: object) => ({ type: 'integer', ...options }),
  Literal: (value: unknown, options?: object) => ({ type: typeof value, const: value, ...options }),
  Null: (options?: object) => ({ type: 'null', ...options }),
  Number: (options?: object) => ({ type: 'number', ...options }),
  Object: buildObject,
  Optional: (schema: TSchema) => {
    const copy = { ...schema };
    OPTIONAL.add(copy);
    return copy;
  },
  Record: buildRecord,
  String: (options?: object) => ({ type: 'string', ...options }),
  Union: (anyOf: readonly TSchema[], options?: object) => ({ anyOf: [...anyOf], ...options }),
  Unknown: (options?: object) => ({ ...options }),
} as unknown as Builders;

/** Unlike TypeBox, a property with a default is not `required`: the schema speaks of what is written. */
function buildObject(properties: Readonly<Record<string, JsonSchema>>, options?: object): JsonSchema {
  const required = Object.keys(properties).filter((name) => {
    const property = properties[name]!;
    return !OPTIONAL.has(property) && property.default === undefined;
  });
  return { type: 'object', ...(required.length > 0 && { required }), properties, ...options };
}

function buildRecord(key: JsonSchema, value: JsonSchema, options?: object): JsonSchema {
  return { type: 'object', patternProperties: { [key.pattern ?? '^.*$']: value }, ...options };
}

/** What {@link check} found. `value` is new, with every default filled in, and only there without issues. */
export type Checked<T> =
  | { readonly value: T; readonly issues: readonly [] }
  | { readonly value: undefined; readonly issues: readonly Issue[] };

const VALIDATORS = new WeakMap<TSchema, Validate>();

/**
 * Checks a value that came from JSON or YAML. The value is not changed. A
 * property that is null counts as absent unless its schema takes null, as in
 * Kubernetes; so that `filters:` with nothing behind it means no filters.
 *
 * @throws {RangeError} on a schema with a word that {@link JsonSchema} lacks: a bug, never the operator's doing
 */
export function check<S extends TSchema>(schema: S, value: unknown): Checked<Static<S>> {
  let validate = VALIDATORS.get(schema);
  if (validate === undefined) VALIDATORS.set(schema, (validate = compileSchema(schema)));
  const issues: Issue[] = [];
  const filled = validate(value, issues);
  return issues.length === 0 ? { value: filled as Static<S>, issues: [] } : { value: undefined, issues };
}

const OUR_WORDS: ReadonlySet<string> = new Set(['expected', 'onNull', 'uniqueBy', 'refersTo']);

/** The schema as plain JSON Schema, for docs and editors: without our own words. */
export function jsonSchemaOf(schema: TSchema): object {
  return plain(schema as JsonSchema) as object;
}

function plain(schema: JsonSchema): JsonSchema {
  const out: Record<string, unknown> = {};
  for (const [word, value] of Object.entries(schema)) {
    if (!KEYWORDS.has(word) || OUR_WORDS.has(word)) continue;
    if (word === 'secret') out['writeOnly'] = value;
    else if (word === 'properties' || word === 'patternProperties') out[word] = plainEach(value as object);
    else if (word === 'anyOf') out[word] = (value as JsonSchema[]).map(plain);
    else if (word === 'items' || word === 'additionalProperties') {
      out[word] = typeof value === 'object' ? plain(value as JsonSchema) : value;
    } else out[word] = value;
  }
  return out;
}

function plainEach(schemas: object): object {
  return Object.fromEntries(Object.entries(schemas).map(([name, schema]) => [name, plain(schema as JsonSchema)]));
}
