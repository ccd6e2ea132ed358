/** The part of JSON Schema (2020-12) that this room speaks, plus words of our own. */
export interface JsonSchema {
  readonly type?: JsonType;
  readonly const?: string | number | boolean;
  readonly enum?: readonly (string | number | boolean)[];
  readonly anyOf?: readonly JsonSchema[];

  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
  readonly patternProperties?: Readonly<Record<string, JsonSchema>>;
  readonly minProperties?: number;
  readonly maxProperties?: number;

  readonly items?: JsonSchema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;

  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;

  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly exclusiveMaximum?: number;
  readonly multipleOf?: number;

  readonly default?: unknown;
  readonly title?: string;
  readonly description?: string;
  readonly examples?: unknown;

  /** Ours: what should be there, in words, for messages: `a host name such as "shop.test"`. */
  readonly expected?: string;
  /** Ours: the value is a secret; no message shows it. */
  readonly secret?: boolean;
  /** Ours: what a property that is written with nothing behind it stands for, instead of being absent. */
  readonly onNull?: unknown;
  /** Ours: the fields of list items that tell them apart; two items with the same ones are a mistake. */
  readonly uniqueBy?: readonly string[];
  /** Ours: the value names something that the compiler looks up and puts in its place (filter/references.ts). */
  readonly refersTo?: 'secret' | 'backend' | 'file' | 'module';
}

export type JsonType = 'string' | 'number' | 'integer' | 'boolean' | 'object' | 'array' | 'null';

/** Every word above; a schema with another one is refused, so that no rule is silently without effect. */
export const KEYWORDS: ReadonlySet<string> = new Set<keyof JsonSchema>([
  'type',
  'const',
  'enum',
  'anyOf',
  'properties',
  'required',
  'additionalProperties',
  'patternProperties',
  'minProperties',
  'maxProperties',
  'items',
  'minItems',
  'maxItems',
  'uniqueItems',
  'minLength',
  'maxLength',
  'pattern',
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'multipleOf',
  'default',
  'title',
  'description',
  'examples',
  'expected',
  'secret',
  'onNull',
  'uniqueBy',
  'refersTo',
]);
