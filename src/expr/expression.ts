/**
 * Expressions of operators in CEL (Common Expression Language), about a request:
 * `request.method == "GET" && "admin" in consumer.groups`. They are checked with
 * the configuration and evaluated at requests, where nothing of them throws.
 */
import type { ASTNode, SourceRange } from '@marcbachmann/cel-js';
import { EXPRESSION_CHARS_MAX } from '../base/limits.ts';
import type { Exchange } from '../filter/filter.ts';
import { type Code, Unoffered } from './code.ts';
import { compileNode } from './compile.ts';
import { plainOf, Purse } from './values.ts';
import { REQUEST, type Vocabulary } from './vocabulary.ts';

/** What an expression is to come to. */
export interface Wanted {
  bool: boolean;
  string: string;
  /** As a number. An integral double counts: numbers in JSON are doubles. */
  int: number;
  /** As JSON has it. */
  any: unknown;
}
export type Want = keyof Wanted;

/** `undefined`: it has no value for this request. Something that it names is not there, or is of another type. */
export type Expression<W extends Want> = (x: Exchange) => Wanted[W] | undefined;

/** What is wrong with an expression, and where; undefined when nothing is. */
export function checkExpression(source: string, want: Want): string | undefined {
  return checkIn(REQUEST, source, want);
}

/** The same for expressions of another vocabulary. */
export function checkIn(vocabulary: Vocabulary, source: string, want: Want): string | undefined {
  const flaw = flawIn(vocabulary, source, want);
  return flaw === undefined ? undefined : located(flaw, source);
}

/** What is wrong with an expression. */
export interface Flaw {
  readonly message: string;
  /** Of the part of the source that it is about; undefined where that is all of it. */
  readonly start: number | undefined;
  readonly end: number | undefined;
}

/** The same, with its place apart. */
export function flawIn(vocabulary: Vocabulary, source: string, want: Want): Flaw | undefined {
  const read = readExpression(vocabulary, source, want);
  return 'message' in read ? read : undefined;
}

/** @throws {Error} on what {@link checkExpression} refuses: configurations were checked before */
export function compileExpression<W extends Want>(source: string, want: W): Expression<W> {
  return compileIn(REQUEST, source, want);
}

/** The same for expressions of another vocabulary. @throws {Error} as {@link compileExpression} */
export function compileIn<W extends Want>(vocabulary: Vocabulary, source: string, want: W): Expression<W> {
  const read = readExpression(vocabulary, source, want);
  if ('message' in read) throw new Error(`Cannot compile "${source}": ${located(read, source)}`);
  const { code, purse } = read;
  const taken = TAKEN[want];
  return (x) => {
    purse.refill();
    try {
      return taken(code(x), purse);
    } catch {
      // Claims that are nested thousands of levels deep end the stack. Everything else says `undefined`.
      return undefined;
    }
  };
}

const TAKEN: { readonly [W in Want]: (value: unknown, purse: Purse) => Wanted[W] | undefined } = {
  bool: (value) => (typeof value === 'boolean' ? value : undefined),
  string: (value) => (typeof value === 'string' ? value : undefined),
  int: (value) => {
    const number = typeof value === 'bigint' ? Number(value) : value;
    return typeof number === 'number' && Number.isSafeInteger(number) ? number : undefined;
  },
  any: (value, purse) => plainOf(value, purse),
};

const WANTED_NAMES = { bool: 'true or false', string: 'a text', int: 'an int' } as const;

interface Read {
  readonly code: Code;
  readonly purse: Purse;
}

/** The code of an expression, or what is wrong with it. */
function readExpression({ environment, fields }: Vocabulary, source: string, want: Want): Read | Flaw {
  if (source.length > EXPRESSION_CHARS_MAX) {
    return flawAt(`Expression is too long: ${source.length} characters, at most ${EXPRESSION_CHARS_MAX}`, undefined);
  }
  let ast: ASTNode;
  try {
    const parsed = environment.parse(source);
    const { type, error } = parsed.check();
    if (error !== undefined) return flawAt(`${error.summary}${adviceOn(error, source, fields)}`, error.range);
    const fits = want === 'any' || type === want || type === 'dyn';
    if (!fits) return flawAt(`Expression is of type ${type}: it should come to ${WANTED_NAMES[want]}`, undefined);
    ast = parsed.ast;
  } catch (error) {
    const { summary, range } = error as { readonly summary?: string; readonly range?: SourceRange };
    if (summary === undefined) throw error;
    return flawAt(summary, range);
  }
  const purse = new Purse();
  try {
    return { code: compileNode(ast, { cells: new Map(), purse, inLoop: false }), purse };
  } catch (error) {
    if (error instanceof Unoffered) return flawAt(error.message, error.node.range);
    throw error;
  }
}

/** What there is, where something was named that there is not. */
function adviceOn(
  { code, range }: { readonly code: string; readonly range?: SourceRange },
  source: string,
  fields: Vocabulary['fields'],
): string {
  if (code === 'unknown_variable') return `; known are ${[...Object.keys(fields), 'rule'].join(', ')}`;
  const variable = /([a-z]+)\.\s*$/.exec(source.slice(0, range?.start))?.[1];
  if (code !== 'no_such_key' || variable === undefined || !Object.hasOwn(fields, variable)) return '';
  return `; "${variable}" has ${Object.keys(fields[variable]!).join(', ')}`;
}

/** How much of an expression is quoted. */
const QUOTED_CHARS_MAX = 40;

function flawAt(message: string, range: SourceRange | undefined): Flaw {
  return { message: message.charAt(0).toUpperCase() + message.slice(1), start: range?.start, end: range?.end };
}

function located({ message, start, end }: Flaw, source: string): string {
  if (start === undefined || end === undefined) return message;
  const near = source.slice(start, Math.min(end, start + QUOTED_CHARS_MAX));
  return `${message} (at character ${start + 1}${near === '' ? '' : `: ${near}`})`;
}
