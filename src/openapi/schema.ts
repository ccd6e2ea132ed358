/**
 * Schemas of a document as JSON Schema 2020-12, each with what it refers to. Words that say nothing of validity are left out, so that a
 * strict validator can be asked; words of OpenAPI 3.0 become those of JSON Schema.
 */
import { isNode, type Node, type OpenApiDocument, pointerOf } from './document.ts';
import { within, type WrongPart } from './wrong.ts';

/** Of a request, what is `readOnly` is not required; of an answer, what is `writeOnly`. */
export type Direction = 'request' | 'answer';

const KEPT = [
  'type', 'enum', 'const', 'format', 'pattern', 'minLength', 'maxLength', 'minimum', 'maximum', 'multipleOf',
  'exclusiveMinimum', 'exclusiveMaximum', 'minItems', 'maxItems', 'uniqueItems', 'minProperties', 'maxProperties',
  'required', 'minContains', 'maxContains', 'dependentRequired',
] as const; // prettier-ignore

const ONE_SCHEMA = [
  'items',
  'additionalProperties',
  'not',
  'contains',
  'propertyNames',
  'if',
  'then',
  'else',
  'unevaluatedItems',
  'unevaluatedProperties',
] as const;
const LIST_OF_SCHEMAS = ['allOf', 'anyOf', 'oneOf', 'prefixItems'] as const;
const MAP_OF_SCHEMAS = ['properties', 'patternProperties', 'dependentSchemas'] as const;

/** What would change how references are read. */
const UNSUPPORTED = ['$id', '$anchor', '$dynamicRef', '$dynamicAnchor', '$recursiveRef'] as const;

/** Who is told what is met. Either may throw where it is wrong. */
export interface SchemaTold {
  /** A schema that others refer to by `$ref: id`. */
  target(id: string, schema: object): void;
  /** Of `pattern`, and of a key of `patternProperties`. */
  pattern(source: string): void;
}

/** Makes schemas of one document for one direction; what many refer to is made once. */
export class SchemaMaker {
  readonly #document: OpenApiDocument;
  readonly #direction: Direction;
  readonly #ids = new Map<string, string>();
  /** References whose targets are being made, each inside the one before. */
  readonly #making: string[] = [];
  /** Which targets refer to a target. */
  readonly #referrers = new Map<string, Set<string>>();
  readonly #refused = new Map<string, WrongPart>();
  readonly #told: SchemaTold;

  constructor(document: OpenApiDocument, direction: Direction, told: SchemaTold) {
    this.#document = document;
    this.#direction = direction;
    this.#told = told;
  }

  make(schema: unknown): object | boolean {
    if (typeof schema === 'boolean') return schema;
    if (!isNode(schema)) return {};
    const reference = schema['$ref'];
    if (typeof reference !== 'string') return this.#own(schema);
    const target = { $ref: this.#target(reference) };
    // OpenAPI 3.0: what stands beside a reference is not there.
    if (this.#document.version === '3.0') return target;
    const beside = this.#own(schema);
    return Object.keys(beside).length === 0 ? target : { allOf: [target, beside] };
  }

  /** @throws {WrongPart} when the target, or what it refers to, is wrong: each time it is asked for */
  #target(reference: string): string {
    const referrer = this.#making.at(-1);
    if (referrer !== undefined) this.#referrersOf(reference).add(referrer);
    const refused = this.#refused.get(reference);
    if (refused !== undefined) throw refused;
    const known = this.#ids.get(reference);
    if (known !== undefined) return known;
    const target = this.#document.at(reference);
    const id = `urn:schema:${this.#ids.size}`;
    this.#ids.set(reference, id); // before it is made: it may refer to itself
    this.#making.push(reference);
    try {
      within(pointerOf(reference), () => {
        const made = this.make(target);
        this.#told.target(
          id,
          typeof made === 'boolean' ? { $id: id, ...(made ? {} : { not: {} }) } : { $id: id, ...made },
        );
      });
    } catch (error) {
      this.#refuse(reference, error as WrongPart);
      throw error;
    } finally {
      this.#making.pop();
    }
    return id;
  }

  /** What refers to it is wrong, too, also what was made before that was known: targets may be in a circle. */
  #refuse(reference: string, wrong: WrongPart): void {
    if (this.#refused.has(reference)) return;
    this.#refused.set(reference, wrong);
    for (const referrer of this.#referrersOf(reference)) this.#refuse(referrer, wrong);
  }

  #referrersOf(reference: string): Set<string> {
    let referrers = this.#referrers.get(reference);
    if (referrers === undefined) this.#referrers.set(reference, (referrers = new Set()));
    return referrers;
  }

  #own(schema: Node): Record<string, unknown> {
    for (const word of UNSUPPORTED) {
      if (typeof schema[word] === 'string') throw new Error(`"${word}" in a schema is not supported: use $ref "#/…"`);
    }
    const out: Record<string, unknown> = {};
    for (const word of KEPT) if (schema[word] !== undefined) out[word] = schema[word];
    for (const word of ONE_SCHEMA) if (schema[word] !== undefined) out[word] = this.make(schema[word]);
    for (const word of LIST_OF_SCHEMAS) {
      const list = schema[word];
      if (Array.isArray(list) && list.length > 0) out[word] = list.map((one) => this.make(one));
    }
    for (const word of MAP_OF_SCHEMAS) {
      if (isNode(schema[word])) out[word] = this.#map(schema[word]);
    }
    if (typeof schema['pattern'] === 'string') this.#told.pattern(schema['pattern']);
    for (const source of Object.keys((out['patternProperties'] as object | undefined) ?? {}))
      this.#told.pattern(source);
    this.#require(schema, out);
    if (this.#document.version === '3.0') fromThreeZero(schema, out);
    return out;
  }

  #map(schemas: Node): Record<string, unknown> {
    // A null prototype: a property may be called `__proto__`.
    const out = Object.create(null) as Record<string, unknown>;
    for (const [name, one] of Object.entries(schemas)) out[name] = this.make(one);
    return out;
  }

  #require(schema: Node, out: Record<string, unknown>): void {
    const { required } = schema;
    if (!Array.isArray(required)) {
      delete out['required']; // OpenAPI 2.0 had `required: true` in properties, and documents still do
      return;
    }
    const word = this.#direction === 'request' ? 'readOnly' : 'writeOnly';
    const properties = isNode(schema['properties']) ? schema['properties'] : {};
    const wanted = (required as unknown[]).filter((name): name is string => {
      if (typeof name !== 'string') return false;
      const property = Object.hasOwn(properties, name) ? properties[name] : undefined;
      return !isNode(property) || this.#document.resolved(property)[word] !== true;
    });
    out['required'] = [...new Set(wanted)];
  }
}

/** OpenAPI 3.0.4 section 4.7.24: `nullable`, and limits that are exclusive by a flag. */
function fromThreeZero(schema: Node, out: Record<string, unknown>): void {
  for (const [flag, limit] of [
    ['exclusiveMinimum', 'minimum'],
    ['exclusiveMaximum', 'maximum'],
  ] as const) {
    if (typeof schema[flag] !== 'boolean') continue;
    delete out[flag];
    if (schema[flag] && out[limit] !== undefined) {
      out[flag] = out[limit];
      delete out[limit];
    }
  }
  if (schema['nullable'] !== true || out['type'] === undefined) return;
  // What else is said holds for null, too: an `enum` has to name it.
  out['type'] = [...[out['type']].flat(), 'null'];
}

/** Alternatives that are looked into for a type. */
const DEPTH_MAX = 8;

/** Types that values of a schema may have: for values that are spelled as text. Empty when nothing is said. */
export function typesOf(document: OpenApiDocument, schema: unknown, depth: number = 0): ReadonlySet<string> {
  const types = new Set<string>();
  if (depth > DEPTH_MAX) return types;
  const node = document.resolved(schema);
  if (node['type'] !== undefined) {
    for (const type of [node['type']].flat()) if (typeof type === 'string') types.add(type);
    return types;
  }
  for (const word of LIST_OF_SCHEMAS) {
    const list = node[word];
    if (word === 'prefixItems' || !Array.isArray(list)) continue;
    for (const one of list) for (const type of typesOf(document, one, depth + 1)) types.add(type);
  }
  if (types.size === 0 && isNode(node['properties'])) types.add('object');
  if (types.size === 0 && node['items'] !== undefined) types.add('array');
  return types;
}

/** The schema of a property, also where `allOf` and its like say it. */
export function propertyOf(document: OpenApiDocument, schema: unknown, name: string, depth: number = 0): unknown {
  if (depth > DEPTH_MAX) return undefined;
  const node = document.resolved(schema);
  const properties = node['properties'];
  if (isNode(properties) && Object.hasOwn(properties, name)) return properties[name];
  for (const word of LIST_OF_SCHEMAS) {
    const list = node[word];
    if (word === 'prefixItems' || !Array.isArray(list)) continue;
    for (const one of list) {
      const found = propertyOf(document, one, name, depth + 1);
      if (found !== undefined) return found;
    }
  }
  return isNode(node['additionalProperties']) ? node['additionalProperties'] : undefined;
}
