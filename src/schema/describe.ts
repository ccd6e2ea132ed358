/** Words for messages: what a schema asks for, and what a value is. */
import { nearest } from '../base/problem.ts';
import type { JsonSchema } from './json-schema.ts';

/** Longer values are cut in messages. */
const SHOWN_CHARS_MAX = 60;

/** Names listed in one message; the rest is left out. */
const NAMES_MAX = 12;

/** `a whole number from 1 to 65535`, `one of "a", "b"`, `a list`. */
export function expectedOf(schema: JsonSchema): string {
  if (schema.expected !== undefined) return schema.expected;
  const choices = choicesOf(schema);
  if (choices !== undefined) return oneOf(choices);
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(expectedOf))].join(', or ');
  switch (schema.type) {
    case 'string':
      return 'a string';
    case 'integer':
      return `a whole number${rangeOf(schema)}`;
    case 'number':
      return `a number${rangeOf(schema)}`;
    case 'boolean':
      return 'true or false';
    case 'array':
      return 'a list';
    case 'object':
      return 'an object';
    case 'null':
      return 'null';
    case undefined:
    default:
      return 'any value';
  }
}

/** What a value is: `"8080"`, `8080`, `a list of 2`. Never the value of a secret. */
export function gotOf(value: unknown, schema: JsonSchema = {}): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : `a list of ${value.length}`;
  if (typeof value === 'object') return 'an object';
  if (schema.secret === true) return `a ${typeof value} (hidden: it is a secret)`;
  return typeof value === 'string' ? quoted(value) : JSON.stringify(value);
}

export function quoted(text: string): string {
  return JSON.stringify(text.length > SHOWN_CHARS_MAX ? `${text.slice(0, SHOWN_CHARS_MAX)}…` : text);
}

/** The values of an `enum`, a `const`, or a union of consts; undefined for any other schema. */
export function choicesOf(schema: JsonSchema): readonly (string | number | boolean)[] | undefined {
  if (schema.enum !== undefined) return schema.enum;
  if (schema.const !== undefined) return [schema.const];
  const consts = schema.anyOf?.map((branch) => branch.const);
  return consts?.every((value) => value !== undefined) === true ? consts : undefined;
}

export function oneOf(choices: readonly (string | number | boolean)[]): string {
  const shown = choices.slice(0, NAMES_MAX).map((choice) => JSON.stringify(choice));
  if (choices.length > NAMES_MAX) shown.push('…');
  return shown.length === 1 ? shown[0]! : `one of ${shown.join(', ')}`;
}

/** `did you mean "PathPrefix"`: a near spelling, else the one candidate that holds the word or is held by it. */
export function suggestion(word: string, candidates: readonly string[]): string | undefined {
  const near = nearest(word, candidates);
  if (near !== undefined) return near;
  const lower = word.toLowerCase();
  if (lower.length < 3) return undefined;
  const related = candidates.filter((candidate) => {
    const other = candidate.toLowerCase();
    return other.includes(lower) || (other.length >= 3 && lower.includes(other));
  });
  return related.length === 1 ? related[0] : undefined;
}

function rangeOf({ minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf }: JsonSchema): string {
  const step = multipleOf === undefined ? '' : `, in steps of ${multipleOf}`;
  if (exclusiveMinimum !== undefined) return ` above ${exclusiveMinimum}${step}`;
  if (exclusiveMaximum !== undefined) return ` below ${exclusiveMaximum}${step}`;
  if (minimum !== undefined && maximum !== undefined) return ` from ${minimum} to ${maximum}${step}`;
  if (minimum !== undefined) return `, at least ${minimum}${step}`;
  if (maximum !== undefined) return `, at most ${maximum}${step}`;
  return step;
}
