/** A schema as rows of a table: one for each field, nested fields with their path. */
import { choicesOf, expectedOf } from '../src/schema/describe.ts';
import type { JsonSchema } from '../src/schema/json-schema.ts';

export interface FieldRow {
  /** `rules[].matches[].path.type`. */
  readonly path: string;
  /** What may stand there, in words. */
  readonly value: string;
  /** The default as JSON, `required`, or nothing. */
  readonly fallback: string;
  readonly text: string;
}

/** Deeper fields are not listed: no kind of ours goes that far, so it would be a schema that holds itself. */
const DEPTH_MAX = 24;

export function fieldRows(schema: JsonSchema, prefix = '', depth = 0): FieldRow[] {
  if (depth > DEPTH_MAX) throw new RangeError(`Cannot list "${prefix}": more than ${DEPTH_MAX} levels deep`);
  const required = new Set(schema.required ?? []);
  const own = Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
    const path = prefix === '' ? name : `${prefix}.${name}`;
    const row = {
      path,
      value: valueText(property),
      fallback:
        property.default === undefined
          ? required.has(name)
            ? 'required'
            : ''
          : `\`${JSON.stringify(property.default)}\``,
      text: property.description ?? '',
    };
    return [row, ...nested(property, path, depth)];
  });
  return [...own, ...mapRows(schema, prefix, depth)];
}

function nested(schema: JsonSchema, path: string, depth: number): FieldRow[] {
  if (schema.items !== undefined) return nested(schema.items, `${path}[]`, depth + 1);
  const branches = schema.anyOf?.flatMap((branch) => nested(branch, path, depth + 1)) ?? [];
  return [...fieldRows(schema, path, depth + 1), ...branches];
}

function mapRows(schema: JsonSchema, prefix: string, depth: number): FieldRow[] {
  const values = Object.values(schema.patternProperties ?? {});
  return values.flatMap((value) => nested(value, `${prefix}.*`, depth + 1));
}

function valueText(schema: JsonSchema): string {
  if (choicesOf(schema) !== undefined || schema.expected !== undefined) return expectedOf(schema);
  if (schema.items !== undefined) {
    const { minItems = 0, maxItems } = schema;
    const count = maxItems === undefined ? '' : ` (${minItems} to ${maxItems})`;
    return `list of ${expectedOf(schema.items).replace(/^an? /, '')}${count}`;
  }
  const { minLength, maxLength } = schema;
  const length = maxLength === undefined ? '' : `, ${minLength ?? 0} to ${maxLength} characters`;
  return `${expectedOf(schema)}${length}`;
}
