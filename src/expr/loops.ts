/** `list.all(v, test)` and its kin: loops over lists and the keys of maps, each step paid from the purse. */
import type { ASTNode } from '@marcbachmann/cel-js';
import { type Cell, type Code, type Compile, paidIn, type Scope } from './code.ts';
import { itemsOf, type Purse, type Value } from './values.ts';

type Call = Extract<ASTNode, { op: 'rcall' }>;

const LOOPS: ReadonlySet<string> = new Set(['all', 'exists', 'exists_one', 'map', 'filter']);

export function isLoop(node: Call): boolean {
  return LOOPS.has(node.args[0]);
}

/** A loop that is ready: over what, with which variable. */
interface Loop {
  readonly over: Code;
  readonly cell: Cell;
  readonly purse: Purse;
}

export function compileLoop(node: Call, compile: Compile, scope: Scope): Code {
  const [name, whole, [variable, ...parts]] = node.args;
  const cell: Cell = { value: undefined };
  const cells = new Map(scope.cells).set(variable!.args as string, cell);
  const inside: Scope = { ...scope, cells, inLoop: true };
  const loop: Loop = { over: paidIn(scope, compile(whole, scope)), cell, purse: scope.purse };
  const [first, second] = parts.map((part) => compile(part, inside)) as [Code, Code | undefined];
  switch (name) {
    case 'all':
      return quantifier(loop, first, false);
    case 'exists':
      return quantifier(loop, first, true);
    case 'exists_one':
      return collector(loop, { test: first, take: () => 1n, give: (found) => found.length === 1 });
    case 'filter':
      return collector(loop, { test: first, take: () => cell.value, give: (found) => found });
    default: {
      const test = second === undefined ? () => true : first;
      return collector(loop, { test, take: second ?? first, give: (found) => found });
    }
  }
}

/** One element decides alone, also when others have no value: as `||` and `&&` between all of them. */
function quantifier({ over, cell, purse }: Loop, test: Code, decisive: boolean): Code {
  return (x) => {
    const items = itemsOf(over(x));
    if (items === undefined) return undefined;
    let result: boolean | undefined = !decisive;
    for (const item of items) {
      if (!purse.spend(1)) return stopped(cell);
      cell.value = item;
      const value = test(x);
      if (value === decisive) {
        result = decisive;
        break;
      }
      if (value !== !decisive) result = undefined;
    }
    cell.value = undefined;
    return result;
  };
}

interface Collected {
  readonly test: Code;
  readonly take: Code;
  readonly give: (found: readonly Value[]) => Value;
}

/** All elements are looked at; one without a value leaves none to the whole. */
function collector({ over, cell, purse }: Loop, { test, take, give }: Collected): Code {
  return (x) => {
    const items = itemsOf(over(x));
    if (items === undefined) return undefined;
    const found: Value[] = [];
    for (const item of items) {
      if (!purse.spend(1)) return stopped(cell);
      cell.value = item;
      const value = test(x);
      if (value === false) continue;
      const taken = value === true ? take(x) : undefined;
      if (taken === undefined) return stopped(cell);
      found.push(taken);
    }
    cell.value = undefined;
    return give(found);
  };
}

function stopped(cell: Cell): undefined {
  cell.value = undefined;
  return undefined;
}
