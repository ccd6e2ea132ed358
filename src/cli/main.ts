/** From an argument list to an exit code: finds the command, reads its options, prints help and errors. */
import { nearest } from '../base/problem.ts';
import { type Command, CommandFailure, type ExitCode, type Io, UsageError } from './command.ts';
import { type CommandEntry, COMMANDS } from './commands.ts';
import { commandHelp, overviewHelp } from './help.ts';
import { readArguments } from './arguments.ts';

/**
 * Runs one command.
 *
 * @param argv  arguments without the program: `['check', 'gateway/']`
 * @returns 0 done, 1 problems found or failed, 2 wrong arguments. Never throws for what the user or the world did
 */
export async function runCommand(argv: readonly string[], io: Io): Promise<ExitCode> {
  const [word, ...rest] = argv;
  if (word === undefined || word === '--help' || word === '-h') return overview(io);
  if (word === '--version' || word === '-V') return runNamed('version', rest, io);
  if (word === 'help') return help(rest, io);
  return runNamed(word, rest, io);
}

function overview(io: Io): ExitCode {
  io.out(overviewHelp(COMMANDS, io));
  return 0;
}

async function help(words: readonly string[], io: Io): Promise<ExitCode> {
  const word = words.find((candidate) => !candidate.startsWith('-'));
  if (word === undefined || word === 'help') return overview(io);
  const entry = COMMANDS.find(({ name }) => name === word);
  if (entry === undefined) return unknownCommand(word, io);
  io.out(commandHelp(await entry.load(), io));
  return 0;
}

async function runNamed(word: string, argv: readonly string[], io: Io): Promise<ExitCode> {
  const entry = COMMANDS.find(({ name }) => name === word);
  return entry === undefined ? unknownCommand(word, io) : runEntry(entry, argv, io);
}

async function runEntry(entry: CommandEntry, argv: readonly string[], io: Io): Promise<ExitCode> {
  const command = await entry.load();
  if (asksForHelp(argv)) {
    io.out(commandHelp(command, io));
    return 0;
  }
  try {
    return await command.run(readArguments(command, argv), io);
  } catch (error) {
    if (error instanceof UsageError) return wrongArguments(command, error, io);
    if (error instanceof CommandFailure) return failed(error, argv, io);
    throw error;
  }
}

/** `fourways up --help` must help whatever else is wrong with the arguments. */
function asksForHelp(argv: readonly string[]): boolean {
  const end = argv.indexOf('--');
  const options = end < 0 ? argv : argv.slice(0, end);
  return options.includes('--help') || options.includes('-h');
}

function unknownCommand(word: string, io: Io): ExitCode {
  const guess = nearest(word, [...COMMANDS.map(({ name }) => name), 'help']);
  const kind = word.startsWith('-') ? 'option' : 'command';
  io.err(`Unknown ${kind} "${word}"${guess === undefined ? '' : `: did you mean "${guess}"?`}`);
  io.err('Run "fourways help" for the list of commands');
  return 2;
}

function wrongArguments(command: Command, error: UsageError, io: Io): ExitCode {
  io.err(`fourways ${command.name}: ${error.message}`);
  io.err(`Usage: ${command.usage}`);
  io.err(`Run "fourways help ${command.name}" for its options`);
  return 2;
}

function failed(error: CommandFailure, argv: readonly string[], io: Io): ExitCode {
  if (argv.includes('--json')) io.out(JSON.stringify({ error: error.message }));
  else io.err(error.message);
  return 1;
}
