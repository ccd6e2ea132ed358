/** Schemas as functions, by Ajv: made at their first use, of what the operator wrote only. */
import { Ajv, type ErrorObject, type Options, type ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { canonicalJson } from '../../base/canonical.ts';
import { compilePattern } from '../../base/safe-regex.ts';
import type { OpenApiDocument } from '../../openapi/document.ts';
import { type Direction, SchemaMaker } from '../../openapi/schema.ts';

/** Texts that are longer are of no format: some of the formats' expressions take time that grows faster than the text. */
const FORMAT_CHARS_MAX = 4_096;

/** Of a pattern, in a message. */
const PATTERN_TOLD_CHARS_MAX = 128;

/** Its types speak of a default export inside the default export. */
const addFormats = formats as unknown as (ajv: Ajv) => Ajv;

type TextTest = (text: string) => boolean;

/** Patterns as functions, each made once. */
export class Patterns {
  readonly #tests = new Map<string, TextTest>();
  readonly #onUnchecked: ((source: string) => void) | undefined;

  /** @param onUnchecked  told of a pattern that cannot be checked, which every text matches then. Without it that is a mistake. */
  constructor(onUnchecked?: (source: string) => void) {
    this.#onUnchecked = onUnchecked;
  }

  /** @throws {Error} on a pattern that cannot be checked, where nobody is told */
  testOf(source: string): TextTest {
    let test = this.#tests.get(source);
    if (test === undefined) this.#tests.set(source, (test = this.#make(source)));
    return test;
  }

  #make(source: string): TextTest {
    const pattern = compilePattern(source);
    if (pattern.ok) return (text) => pattern.test(text);
    const short = source.slice(0, PATTERN_TOLD_CHARS_MAX);
    if (this.#onUnchecked === undefined) throw new Error(`Pattern "${short}" cannot be checked: ${pattern.message}`);
    this.#onUnchecked(short);
    return () => true;
  }
}

/** The first mistake ends it: how many there are is up to the client. */
function optionsOf(patterns: Patterns): Options {
  // Ajv tells patterns apart by what they are as text.
  const regExp = (source: string): { test: TextTest; toString(): string } => ({
    test: patterns.testOf(source),
    toString: () => source,
  });
  return {
    strict: true,
    strictTypes: false,
    strictRequired: false,
    strictTuples: false,
    allowUnionTypes: true,
    validateFormats: true,
    logger: false,
    // What many schemas refer to is compiled once.
    inlineRefs: false,
    // Its letter "u" is part of the syntax that ours has anyway.
    unicodeRegExp: false,
    code: { regExp: Object.assign(regExp, { code: 'require("./safe-regex")' }) },
  };
}

/** As exact as a double is: the largest is read as 2 to the power of 63. */
function isInt64(value: number): boolean {
  return Number.isInteger(value) && Math.abs(value) <= 2 ** 63;
}

function prepared(ajv: Ajv): Ajv {
  addFormats(ajv);
  for (const [name, format] of Object.entries(ajv.formats)) {
    const test = testOf(format);
    if (test !== undefined) {
      ajv.addFormat(name, { type: 'string', validate: (text) => text.length <= FORMAT_CHARS_MAX && test(text) });
    }
  }
  ajv.addFormat('int64', { type: 'number', validate: isInt64 });
  // Ajv compares objects two by two, which a body of a megabyte can make last for minutes.
  ajv.removeKeyword('uniqueItems');
  ajv.addKeyword({
    keyword: 'uniqueItems',
    type: 'array',
    schemaType: 'boolean',
    validate: (wanted: boolean, items: readonly unknown[]) =>
      !wanted || new Set(items.map((item) => canonicalJson(item))).size === items.length,
    error: { message: 'must NOT have duplicate items' },
  });
  return ajv;
}

function testOf(format: unknown): TextTest | undefined {
  if (format instanceof RegExp) return (text) => format.test(text);
  if (typeof format === 'function') return format as TextTest;
  const { type, validate } = format as { readonly type?: string; readonly validate?: unknown };
  if (type === 'number' || validate === undefined) return undefined;
  return testOf(validate);
}

/** The schemas of a document, for one direction. */
export class Validators {
  readonly #ajv: Ajv;
  readonly #maker: SchemaMaker;
  readonly #made = new WeakMap<object, ValidateFunction>();

  constructor(document: OpenApiDocument, direction: Direction, patterns: Patterns) {
    // Formats that are not known say nothing, as the specification has it.
    this.#ajv = prepared(new Ajv2020({ ...optionsOf(patterns), strict: false }));
    this.#maker = new SchemaMaker(document, direction, {
      target: (_, schema) => void this.#ajv.addSchema(schema),
      pattern: (source) => void patterns.testOf(source),
    });
  }

  /** @throws {Error} on a schema that is not valid: the document is wrong */
  of(schema: object | boolean): ValidateFunction {
    if (typeof schema === 'boolean') return this.#ajv.compile(schema);
    let made = this.#made.get(schema);
    if (made === undefined) this.#made.set(schema, (made = this.#ajv.compile(this.#maker.make(schema))));
    return made;
  }
}

/**
 * A schema that stands alone. Here the operator wrote it, and can write another pattern.
 *
 * @throws {Error} when it is not valid, or has a pattern that cannot be checked
 */
export function standaloneValidator(schema: object): ValidateFunction {
  const { $schema: dialect } = schema as { readonly $schema?: unknown };
  const options = optionsOf(new Patterns());
  const ajv = prepared(
    typeof dialect === 'string' && dialect.includes('draft-07') ? new Ajv(options) : new Ajv2020(options),
  );
  return ajv.compile(schema);
}

/** One mistake, for the client. Holds nothing that a value said. */
export interface Issue {
  readonly in: 'path' | 'query' | 'header' | 'cookie' | 'body';
  readonly name?: string;
  /** JSON pointer into the value; names of properties only. */
  readonly pointer?: string;
  readonly message: string;
}

const POINTER_CHARS_MAX = 256;

export function issuesOf(errors: readonly ErrorObject[] | null | undefined, where: Omit<Issue, 'message'>): Issue[] {
  return (errors ?? []).map(({ instancePath, message = 'is not valid' }) => {
    const pointer = instancePath.slice(0, POINTER_CHARS_MAX);
    return { ...where, ...((where.in === 'body' || pointer !== '') && { pointer }), message };
  });
}
