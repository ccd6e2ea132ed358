/** Expressions of JSONata, within bounds. The only file that knows the package. */
import jsonata from 'jsonata';

export interface JsonataBounds {
  readonly timeMs: number;
  readonly stackMax: number;
  readonly itemsMax: number;
}

export type Evaluate = (input: unknown, bindings: Readonly<Record<string, unknown>>) => Promise<unknown>;

/**
 * JSONata runs regular expressions by backtracking, over what strangers send; and `$eval` runs what strangers send: neither
 * can be written.
 */
function offends(node: unknown): 'regex' | 'eval' | undefined {
  if (typeof node !== 'object' || node === null) return undefined;
  if (node instanceof RegExp) return 'regex';
  const { type, value } = node as { readonly type?: unknown; readonly value?: unknown };
  if (type === 'variable' && value === 'eval') return 'eval';
  for (const part of Object.values(node)) {
    const found = offends(part);
    if (found !== undefined) return found;
  }
  return undefined;
}

const OFFENCES = {
  regex: 'Regular expressions are not offered: use $contains, $split and $replace with texts',
  eval: '$eval is not offered',
} as const;

/** @throws {Error} on an expression that is not valid; the message says what and where */
export function compileJsonata(source: string, { timeMs, stackMax, itemsMax }: JsonataBounds): Evaluate {
  try {
    const expression = jsonata(source, { timeout: timeMs, stack: stackMax, sequence: itemsMax });
    const offence = offends(expression.ast());
    if (offence !== undefined) throw new Error(OFFENCES[offence]);
    return (input, bindings) => expression.evaluate(input, bindings) as Promise<unknown>;
  } catch (error) {
    const { message, position } = error as { readonly message?: string; readonly position?: number };
    const where = position === undefined ? '' : ` (at character ${position})`;
    throw new Error(`${message ?? 'It is not JSONata'}${where}`, { cause: error });
  }
}
