/** Where a configuration of a filter refers to something, by its schema (filter/references.ts). */
import type { JsonSchema } from '../schema/json-schema.ts';

/** A place in a configuration. */
export type Path = readonly (string | number)[];

export type ReferenceKind = NonNullable<JsonSchema['refersTo']>;

type Put = (kind: ReferenceKind, value: unknown, path: Path) => unknown;

const referring = new WeakMap<JsonSchema, boolean>();

export function refers(schema: JsonSchema): boolean {
  let known = referring.get(schema);
  if (known === undefined) {
    known = schema.refersTo !== undefined || partsOf(schema).some(refers);
    referring.set(schema, known);
  }
  return known;
}

function partsOf({
  properties = {},
  patternProperties = {},
  additionalProperties,
  items,
  anyOf = [],
}: JsonSchema): JsonSchema[] {
  const others = typeof additionalProperties === 'object' ? [additionalProperties] : [];
  return [
    ...Object.values(properties),
    ...Object.values(patternProperties),
    ...others,
    ...(items ? [items] : []),
    ...anyOf,
  ];
}

/** A copy with something else in the place of each reference. */
export function mapReferences(schema: JsonSchema, value: unknown, put: Put): unknown {
  return new Walk(put).at(schema, value, []);
}

class Walk {
  readonly #put: Put;

  constructor(put: Put) {
    this.#put = put;
  }

  at(schema: JsonSchema, value: unknown, path: Path): unknown {
    if (value === undefined || value === null || !refers(schema)) return value;
    if (schema.refersTo !== undefined) return this.#put(schema.refersTo, value, path);
    if (Array.isArray(value)) return value.map((item, i) => this.at(schema.items ?? {}, item, [...path, i]));
    if (typeof value !== 'object') return value;
    const fields = Object.entries(value as object).map(([name, inner]) => [
      name,
      this.#field(schema, [name, inner], path),
    ]);
    return Object.fromEntries(fields) as unknown;
  }

  /** Of alternatives, the one that has the field counts: alternatives that refer differ in their fields. */
  #field(schema: JsonSchema, [name, inner]: readonly [string, unknown], path: Path): unknown {
    const below = [...path, name];
    const own = schema.properties?.[name];
    if (own !== undefined) return this.at(own, inner, below);
    for (const branch of schema.anyOf ?? []) {
      const found = branch.properties?.[name];
      if (found !== undefined && refers(found)) return this.at(found, inner, below);
    }
    const [pattern] = Object.values(schema.patternProperties ?? {});
    const other = pattern ?? schema.additionalProperties;
    return typeof other === 'object' ? this.at(other, inner, below) : inner;
  }
}
