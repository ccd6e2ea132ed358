/** What a part of an expression becomes: a function of the exchange. `undefined`: it has no value here. */
import type { ASTNode } from '@marcbachmann/cel-js';
import type { Exchange } from '../filter/filter.ts';
import { type Purse, type Value, weightOf } from './values.ts';

export type Code = (x: Exchange) => Value;

/** A variable of a loop or of `cel.bind`. One evaluation runs at a time, so one place is enough. */
export interface Cell {
  value: Value;
}

/** What is known where a part of an expression stands. */
export interface Scope {
  readonly cells: ReadonlyMap<string, Cell>;
  readonly purse: Purse;
  /** Inside a loop, work on long texts is paid for. */
  readonly inLoop: boolean;
}

/** Compiles a part. Functions and loops are given it for their parts. */
export type Compile = (node: ASTNode, scope: Scope) => Code;

/** Part of an expression that the type checker accepts and that we do not offer. */
export class Unoffered extends Error {
  readonly node: ASTNode;

  constructor(message: string, node: ASTNode) {
    super(message);
    this.node = node;
  }
}

/**
 * In a loop, what is done with a long text, list or map is paid for by its
 * length, so that a loop over one long list does not look through another for
 * each of its elements.
 */
export function paidIn({ inLoop, purse }: Scope, code: Code): Code {
  if (!inLoop) return code;
  return (x) => {
    const value = code(x);
    return purse.spend(weightOf(value)) ? value : undefined;
  };
}

/** The text of a literal; undefined for everything else. */
export function literalText(node: ASTNode): string | undefined {
  return node.op === 'value' && typeof node.args === 'string' ? node.args : undefined;
}

/** A literal int or double as a number, where that says the same; undefined for everything else. */
export function literalNumber({ op, args }: ASTNode): number | undefined {
  if (op !== 'value') return undefined;
  const number = typeof args === 'bigint' ? Number(args) : args;
  return typeof number === 'number' && Math.abs(number) <= Number.MAX_SAFE_INTEGER ? number : undefined;
}

/** The texts of a list of literals; undefined for everything else. */
export function literalTexts(node: ASTNode): string[] | undefined {
  if (node.op !== 'list') return undefined;
  const texts = node.args.map(literalText);
  return texts.every((text) => text !== undefined) ? texts : undefined;
}
