/** Reads an argument list by an option table. Says what is wrong in our words, with the nearest name. */
import { parseArgs } from 'node:util';
import { nearest } from '../base/problem.ts';
import { type Arguments, type Command, type Option, UsageError } from './command.ts';

/** @throws {UsageError} on an unknown option, a missing or needless value, a repetition, or a value that is no choice */
export function readArguments(command: Command, argv: readonly string[]): Arguments<never> {
  // Not strict: the checks below give better messages than parseArgs has.
  const { values, positionals, tokens } = parseArgs({
    args: [...argv],
    options: parseTable(command),
    allowPositionals: true,
    strict: false,
    tokens: true,
  });
  const seen = new Set<string>();
  for (const token of tokens) if (token.kind === 'option') checkToken(command, token, seen);
  // The values have the types of the table: checkToken has just made sure of it.
  return { values, positionals } as unknown as Arguments<never>;
}

interface OptionToken {
  readonly name: string;
  readonly rawName: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

function parseTable(
  command: Command,
): Record<string, { type: 'string' | 'boolean'; short?: string; multiple?: boolean }> {
  return Object.fromEntries(
    Object.entries(command.options).map(([name, { type, short, multiple }]) => [
      name,
      { type, ...(short === undefined ? {} : { short }), ...(multiple === undefined ? {} : { multiple }) },
    ]),
  );
}

function checkToken(command: Command, token: OptionToken, seen: Set<string>): void {
  const { name, rawName } = token;
  const option = Object.hasOwn(command.options, name) ? command.options[name] : undefined;
  if (option === undefined) throw unknownOption(command, rawName);
  if (seen.has(name) && option.multiple !== true) throw new UsageError(`Option ${rawName} is given twice`);
  seen.add(name);
  if (option.type === 'boolean') {
    if (token.value !== undefined) throw new UsageError(`Option ${rawName} takes no value`);
    return;
  }
  checkValue(option, token);
}

function checkValue(option: Option, { rawName, value, inlineValue }: OptionToken): void {
  // `--bind --workers 2`: the second option is not the value of the first. `--bind=--x` is taken at its word.
  const forgotten = value === undefined || (inlineValue !== true && /^-./.test(value));
  if (forgotten) throw new UsageError(`Option ${rawName} needs a value: ${rawName} ${option.value ?? 'VALUE'}`);
  if (option.choices === undefined || option.choices.includes(value)) return;
  const guess = nearest(value, option.choices);
  const hint = guess === undefined ? '' : `; did you mean "${guess}"?`;
  throw new UsageError(`Option ${rawName} is "${value}": must be one of ${option.choices.join(', ')}${hint}`);
}

function unknownOption(command: Command, rawName: string): UsageError {
  const guess = nearest(
    rawName,
    Object.keys(command.options).map((name) => `--${name}`),
  );
  return new UsageError(`Unknown option "${rawName}"${guess === undefined ? '' : `: did you mean "${guess}"?`}`);
}
