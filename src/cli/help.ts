/** Help texts, printed from the command table. */
import type { Command, Option } from './command.ts';
import type { CommandEntry } from './commands.ts';
import { paint, type Palette } from './paint.ts';

export function overviewHelp(commands: readonly CommandEntry[], palette: Palette): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  return [
    'Fourways: API gateway and service mesh, configured with the Kubernetes Gateway API',
    '',
    `${paint(palette, 'bold', 'Usage:')} fourways COMMAND [OPTIONS]`,
    '',
    paint(palette, 'bold', 'Commands:'),
    ...commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`),
    '',
    'Run "fourways help COMMAND" for the options of a command.',
    'Exit codes: 0 done, 1 problems were found or it failed, 2 the arguments are wrong.',
  ].join('\n');
}

export function commandHelp(command: Command, palette: Palette): string {
  const rows = Object.entries(command.options).map(([name, option]) => [optionTerm(name, option), option] as const);
  const width = Math.max(...rows.map(([term]) => term.length));
  return [
    command.summary,
    '',
    `${paint(palette, 'bold', 'Usage:')} ${command.usage}`,
    '',
    ...(command.details === undefined ? [] : [command.details, '']),
    paint(palette, 'bold', 'Options:'),
    ...rows.map(([term, option]) => `  ${term.padEnd(width)}  ${optionText(option)}`),
  ].join('\n');
}

/** `-H, --header 'NAME: VALUE'`. */
export function optionTerm(name: string, { short, type, value }: Option): string {
  const shortTerm = short === undefined ? '    ' : `-${short}, `;
  return `${shortTerm}--${name}${type === 'string' ? ` ${value ?? 'VALUE'}` : ''}`;
}

/** The description with its choices. */
export function optionText({ description, choices, multiple }: Option): string {
  const notes = [
    ...(choices === undefined ? [] : [`one of ${choices.join(', ')}`]),
    ...(multiple === true ? ['may be repeated'] : []),
  ];
  return notes.length === 0 ? description : `${description} (${notes.join('; ')})`;
}
