import { defineCommand, type ExitCode, type Option, UsageError } from './command.ts';
import { nearest } from '../base/problem.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

export const completion = defineCommand({
  name: 'completion',
  summary: 'Print the completion script of a shell',
  usage: 'fourways completion bash|zsh|fish',
  details: [
    'Load it where the shell starts:',
    '  bash  source <(fourways completion bash)                             in ~/.bashrc',
    '  zsh   source <(fourways completion zsh)                              in ~/.zshrc, after compinit',
    '  fish  fourways completion fish > ~/.config/fish/completions/fourways.fish',
  ].join('\n'),
  json: '`{ shell, script }`.',
  options: {},
  words: SHELLS,

  async run({ values: { json }, positionals }, io): Promise<ExitCode> {
    const shell = readShell(positionals);
    // Imported here because that list names this file.
    const { COMMANDS } = await import('./commands.ts');
    const commands = await Promise.all(
      COMMANDS.map(async ({ name, summary, load }) => {
        const { options, words = [] } = await load();
        return { name, summary, options, words };
      }),
    );
    const helpEntry = { name: 'help', summary: 'Print help', options: {}, words: commands.map(({ name }) => name) };
    const script = SCRIPTS[shell]([...commands, helpEntry]);
    io.out(json === true ? JSON.stringify({ shell, script }) : script);
    return 0;
  },
});

function readShell([word, second]: readonly string[]): Shell {
  if (word === undefined) throw new UsageError(`Name a shell: ${SHELLS.join(', ')}`);
  if (second !== undefined) throw new UsageError(`Unexpected argument "${second}"`);
  const shell = SHELLS.find((known) => known === word);
  if (shell !== undefined) return shell;
  const guess = nearest(word, SHELLS);
  const hint = guess === undefined ? `must be one of ${SHELLS.join(', ')}` : `did you mean "${guess}"?`;
  throw new UsageError(`Unknown shell "${word}": ${hint}`);
}

/** What completion knows of a command. */
export interface Completable {
  readonly name: string;
  readonly summary: string;
  readonly options: Readonly<Record<string, Option>>;
  readonly words: readonly string[];
}

const SCRIPTS: Readonly<Record<Shell, (commands: readonly Completable[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

/** Completes commands, options, choices of options and words; files everywhere else. */
function bashScript(commands: readonly Completable[]): string {
  const cases = commands.flatMap(({ name, options, words }) => [
    `    ${name})`,
    `      options=${quote(
      Object.keys(options)
        .map((option) => `--${option}`)
        .join(' '),
    )}`,
    ...(words.length === 0 ? [] : [`      [ "$COMP_CWORD" -eq 2 ] && words=${quote(words.join(' '))}`]),
    '      case "$previous" in',
    ...Object.entries(options).flatMap(([option, { choices }]) =>
      choices === undefined ? [] : [`        --${option}) words=${quote(choices.join(' '))}; options= ;;`],
    ),
    '        *) ;;',
    '      esac',
    '      ;;',
  ]);
  return [
    '# bash completion of fourways; written by "fourways completion bash"',
    '_fourways() {',
    '  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} options= words=',
    '  COMPREPLY=()',
    '  if [ "$COMP_CWORD" -eq 1 ]; then',
    `    COMPREPLY=($(compgen -W ${quote(commands.map(({ name }) => name).join(' '))} -- "$word"))`,
    '    return',
    '  fi',
    '  case "${COMP_WORDS[1]}" in',
    ...cases,
    '    *) ;;',
    '  esac',
    '  case "$word" in',
    '    -*) COMPREPLY=($(compgen -W "$options" -- "$word")) ;;',
    '    *)',
    '      if [ -n "$words" ]; then COMPREPLY=($(compgen -W "$words" -- "$word"))',
    '      else compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$word"))',
    '      fi',
    '      ;;',
    '  esac',
    '}',
    'complete -F _fourways fourways',
  ].join('\n');
}

function zshScript(commands: readonly Completable[]): string {
  const described = commands.map(({ name, summary }) => `    ${quote(`${name}:${summary.replaceAll(':', '\\:')}`)}`);
  const cases = commands.flatMap(({ name, options, words }) => [
    `    ${name})`,
    '      _arguments -S -s \\',
    ...Object.entries(options).map(([option, spec]) => `        ${quote(zshOption(option, spec))} \\`),
    `        ${words.length === 0 ? '' : `${quote(`1:word:(${words.join(' ')})`)} `}${quote('*:path:_files')}`,
    '      ;;',
  ]);
  return [
    '#compdef fourways',
    '# zsh completion of fourways; written by "fourways completion zsh"',
    '_fourways() {',
    '  local -a commands=(',
    ...described,
    '  )',
    '  if (( CURRENT == 2 )); then',
    '    _describe command commands',
    '    return',
    '  fi',
    '  local command=$words[2]',
    '  shift words',
    '  (( CURRENT-- ))',
    '  case $command in',
    ...cases,
    '  esac',
    '}',
    'compdef _fourways fourways',
  ].join('\n');
}

/** One `_arguments` specification: `*--header[text]:NAME:`. */
function zshOption(name: string, { type, description, multiple, value = 'VALUE', choices }: Option): string {
  const text = description.replaceAll(/[[\]:]/g, (special) => `\\${special}`);
  const action =
    choices === undefined ? (value === 'DIR' || value === 'PATH' ? '_files' : ' ') : `(${choices.join(' ')})`;
  const argument = type === 'string' ? `:${value.replaceAll(':', '\\:')}:${action}` : '';
  return `${multiple === true ? '*' : ''}--${name}[${text}]${argument}`;
}

function fishScript(commands: readonly Completable[]): string {
  const lines = commands.flatMap(({ name, summary, options, words }) => {
    const within = `-n ${quote(`__fish_seen_subcommand_from ${name}`)}`;
    return [
      `complete -c fourways -n __fish_use_subcommand -f -a ${name} -d ${quote(summary)}`,
      // Files are offered when one of the words has been written.
      ...(words.length === 0
        ? []
        : [
            `complete -c fourways -n ${quote(`__fish_seen_subcommand_from ${name}; and not __fish_seen_subcommand_from ${words.join(' ')}`)} -f -a ${quote(words.join(' '))}`,
          ]),
      ...Object.entries(options).map(([option, { type, short, description, choices }]) =>
        [
          `complete -c fourways ${within} -l ${option}`,
          ...(short === undefined ? [] : [`-s ${short}`]),
          ...(type === 'string' ? ['-r'] : []),
          ...(choices === undefined ? [] : [`-f -a ${quote(choices.join(' '))}`]),
          `-d ${quote(description)}`,
        ].join(' '),
      ),
    ];
  });
  return ['# fish completion of fourways; written by "fourways completion fish"', ...lines].join('\n');
}

/** One word for a POSIX shell and for fish. */
function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`;
}
