/** The functions of expressions. What is not in the table is refused when the expression is checked. */
import type { ASTNode } from '@marcbachmann/cel-js';
import { CidrSet, isCidr } from '../base/cidr.ts';
import { EXPRESSION_LIST_MAX, EXPRESSION_TEXT_CHARS_MAX } from '../base/limits.ts';
import { compileRegex } from '../base/safe-regex.ts';
import { type Code, type Compile, literalText, literalTexts, paidIn, type Scope, Unoffered } from './code.ts';
import { int64, sizeOf, type Value } from './values.ts';

type Call = Extract<ASTNode, { op: 'call' | 'rcall' }>;

/** A function of its values, none of which is `undefined`. */
type Plain = (a: Value, b: Value, c: Value) => Value;

const isText = (value: Value): value is string => typeof value === 'string';

/** Functions of two texts. Most are asked with a literal, which is looked at once. */
const OF_TEXTS: Readonly<Record<string, (text: string, other: string) => Value>> = {
  contains: (text, other) => text.includes(other),
  startsWith: (text, other) => text.startsWith(other),
  endsWith: (text, other) => text.endsWith(other),
  indexOf: (text, other) => BigInt(text.indexOf(other)),
  lastIndexOf: (text, other) => BigInt(text.lastIndexOf(other)),
  split: (text, separator) => {
    const parts = text.split(separator, EXPRESSION_LIST_MAX + 1);
    return parts.length > EXPRESSION_LIST_MAX ? undefined : parts;
  },
};

const PLAIN: Readonly<Record<string, Plain>> = {
  size: (value) => sizeOf(value),
  dyn: (value) => value,
  string: textOf,
  int: intOf,
  double: doubleOf,
  bool: (value) => (typeof value === 'boolean' ? value : BOOLS.get(value)),
  lowerAscii: (text) => (isText(text) ? text.replaceAll(/[A-Z]+/g, (run) => run.toLowerCase()) : undefined),
  upperAscii: (text) => (isText(text) ? text.replaceAll(/[a-z]+/g, (run) => run.toUpperCase()) : undefined),
  trim: (text) => (isText(text) ? text.trim() : undefined),
  substring: partOf,
  join: joined,
};

const BOOLS: ReadonlyMap<Value, boolean> = new Map([
  ...['1', 't', 'true', 'TRUE', 'True'].map((text) => [text, true] as const),
  ...['0', 'f', 'false', 'FALSE', 'False'].map((text) => [text, false] as const),
]);

export function compileFunction(node: Extract<ASTNode, { op: 'call' }>, compile: Compile, scope: Scope): Code {
  const [name, values] = node.args;
  return compileCall({ node, name, values }, compile, scope);
}

export function compileMethod(node: Extract<ASTNode, { op: 'rcall' }>, compile: Compile, scope: Scope): Code {
  const [name, receiver, values] = node.args;
  return compileCall({ node, name, values: [receiver, ...values] }, compile, scope);
}

interface Parts {
  readonly node: Call;
  readonly name: string;
  /** The receiver first, if there is one. */
  readonly values: readonly ASTNode[];
}

function compileCall({ node, name, values }: Parts, compile: Compile, scope: Scope): Code {
  const plain = ownOf(PLAIN, name);
  const ofTexts = values.length === 2 ? ownOf(OF_TEXTS, name) : undefined;
  const isKnown = plain !== undefined || ofTexts !== undefined || name === 'inCidr' || name === 'matches';
  if (!isKnown) throw new Unoffered(`The function "${name}" is not offered in this form`, node);
  const paid = paidIn(scope, compile(values[0]!, scope));
  if (name === 'inCidr') return inCidr(paid, values[1]!);
  if (name === 'matches') return matches(paid, values[1]!);
  const rest = values.slice(1).map((value) => compile(value, scope));
  if (ofTexts !== undefined) return paidIn(scope, appliedToTexts(ofTexts, [paid, rest[0]!], literalText(values[1]!)));
  return paidIn(scope, applied(plain!, [paid, ...rest]));
}

function ownOf<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}

const OMITTED: Code = () => null;

function applied(plain: Plain, [first, second = OMITTED, third = OMITTED]: readonly Code[]): Code {
  return (x) => {
    const a = first!(x);
    const b = second(x);
    const c = third(x);
    return a === undefined || b === undefined || c === undefined ? undefined : plain(a, b, c);
  };
}

function appliedToTexts(
  run: (text: string, other: string) => Value,
  [first, second]: readonly [Code, Code],
  literal: string | undefined,
): Code {
  if (literal !== undefined) {
    return (x) => {
      const text = first(x);
      return typeof text === 'string' ? run(text, literal) : undefined;
    };
  }
  return (x) => {
    const text = first(x);
    const other = second(x);
    return isText(text) && isText(other) ? run(text, other) : undefined;
  };
}

/** Networks are literals, so that they are read once. */
function inCidr(code: Code, networks: ASTNode): Code {
  const one = literalText(networks);
  const cidrs = one === undefined ? literalTexts(networks) : [one];
  if (cidrs === undefined) throw new Unoffered('inCidr takes a literal: "10.0.0.0/8" or a list of such', networks);
  const wrong = cidrs.find((cidr) => !isCidr(cidr));
  if (wrong !== undefined) throw new Unoffered(`"${wrong}" is no network such as "10.0.0.0/8"`, networks);
  const set = new CidrSet(cidrs);
  return (x) => {
    const address = code(x);
    return isText(address) ? set.has(address) : undefined;
  };
}

/** Finds an expression anywhere in a text, in linear time. It is a literal, so that it is compiled once. */
function matches(code: Code, pattern: ASTNode): Code {
  const source = literalText(pattern);
  if (source === undefined) throw new Unoffered('matches takes a literal as its pattern', pattern);
  const alone = compileRegex(source);
  if (!alone.ok)
    throw new Unoffered(`Pattern is not accepted: ${alone.message}, at character ${alone.offset + 1}`, pattern);
  const regex = compileRegex(`(?s:.*)(?:${source})(?s:.*)`);
  if (!regex.ok) throw new Unoffered(`Pattern is not accepted: ${regex.message}`, pattern);
  return (x) => {
    const text = code(x);
    return isText(text) ? regex.test(text) : undefined;
  };
}

function textOf(value: Value): string | undefined {
  if (isText(value)) return value;
  return typeof value === 'boolean' || typeof value === 'bigint' || typeof value === 'number' ? `${value}` : undefined;
}

function intOf(value: Value): bigint | undefined {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? int64(BigInt(Math.trunc(value))) : undefined;
  return isText(value) && /^[+-]?\d{1,19}$/.test(value) ? int64(BigInt(value.replace('+', ''))) : undefined;
}

function doubleOf(value: Value): number | undefined {
  if (typeof value === 'bigint' || typeof value === 'number') return Number(value);
  if (!isText(value) || value.length > 64) return undefined;
  return /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?$/.test(value) ? Number(value) : undefined;
}

/** From `start` to before `end`, which may be left out; undefined outside of the text. */
function partOf(text: Value, start: Value, end: Value): string | undefined {
  if (!isText(text) || typeof start !== 'bigint') return undefined;
  const from = Number(start);
  const to = typeof end === 'bigint' ? Number(end) : text.length;
  return from < 0 || to < from || to > text.length ? undefined : text.slice(from, to);
}

function joined(list: Value, separator: Value): string | undefined {
  if (!Array.isArray(list) || !list.every(isText)) return undefined;
  const between = isText(separator) ? separator : '';
  let chars = between.length * list.length;
  for (const text of list) chars += text.length;
  return chars > EXPRESSION_TEXT_CHARS_MAX ? undefined : list.join(between);
}
