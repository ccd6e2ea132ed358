import { resolve } from 'node:path';
import { nearest } from '../base/problem.ts';
import { ALGORITHMS } from '../filters/basic/password.ts';
import { type Arguments, defineCommand, type ExitCode, type Io, type Options, UsageError } from './command.ts';
import { createKey, importKeys, revoke, setPassword } from './key-edits.ts';
import { listKeys, verifyKeys } from './key-report.ts';

const OPTIONS = {
  consumer: { type: 'string', value: 'NAME', description: 'Whom the key belongs to; with list: whose keys are shown' },
  group: { type: 'string', value: 'NAME', multiple: true, description: 'Group that the consumer or the user is in' },
  label: { type: 'string', value: 'NAME=TEXT', multiple: true, description: 'What else is known of the consumer' },
  expires: {
    type: 'string',
    value: 'TIME',
    description: 'When the key ends: 90d, 12h, 2027-01-31, 2027-01-31T12:00:00Z',
  },
  'not-before': { type: 'string', value: 'TIME', description: 'When the key begins to be valid, in the same forms' },
  prefix: { type: 'string', value: 'WORD', description: 'What a new key begins with; default fw' },
  remove: { type: 'boolean', description: 'With revoke: take the line out, instead of keeping it as disabled' },
  stdin: { type: 'boolean', description: 'With verify: look the key up that stands on standard input' },
  user: { type: 'string', value: 'NAME', description: 'With passwd: whose password it is' },
  algorithm: {
    type: 'string',
    value: 'NAME',
    choices: ALGORITHMS,
    description: 'With passwd: how it is kept; default argon2id',
  },
} as const satisfies Options;

export type KeysArguments = Arguments<typeof OPTIONS>;

/** One action, on one file. */
export interface KeysTask {
  readonly values: KeysArguments['values'];
  /** What stands before the file: the id to revoke. */
  readonly id: string;
  /** As it was written, for messages. */
  readonly file: string;
  /** Absolute. */
  readonly path: string;
}

interface Action {
  readonly options: readonly (keyof typeof OPTIONS)[];
  /** What stands between its name and FILE. */
  readonly id?: string;
  run(task: KeysTask, io: Io): Promise<ExitCode>;
}

const KEY_OPTIONS = ['consumer', 'group', 'label', 'expires', 'not-before'] as const;

const ACTIONS: Readonly<Record<string, Action>> = {
  create: { options: [...KEY_OPTIONS, 'prefix'], run: createKey },
  import: { options: KEY_OPTIONS, run: importKeys },
  list: { options: ['consumer'], run: listKeys },
  revoke: { options: ['remove'], id: 'ID', run: revoke },
  verify: { options: ['stdin'], run: verifyKeys },
  passwd: { options: ['user', 'group', 'algorithm'], run: setPassword },
};

export const keys = defineCommand({
  name: 'keys',
  summary: 'Make, list and revoke API keys, and set passwords, in files beside the gateway',
  usage: 'fourways keys create|import|list|revoke ID|verify|passwd [OPTIONS] FILE',
  details: [
    '  create --consumer NAME [--group NAME] [--label NAME=TEXT] [--expires 90d] FILE   a new key, printed once',
    '  import --consumer NAME … FILE     keys of standard input, a line each: KEY, or KEY CONSUMER',
    '  list [--consumer NAME] FILE       who has keys, and until when; never the keys',
    '  revoke ID [--remove] FILE         a key, or a user of a file of passwords',
    '  verify [--stdin] FILE             whether every line is right; whose the key on standard input is',
    '  passwd --user NAME [--group NAME] FILE   the password is asked for, or read from standard input',
    '',
    'Files of keys are for the filter apiKey, files of passwords for the filter basic. Only hashes are kept. A gateway that runs',
    'sees a change within two seconds. Files are replaced as a whole; new ones have mode 0600.',
    'verify ends with 1 when a line is wrong, or when the key is not valid.',
  ].join('\n'),
  json:
    'create: `{ id, key, consumer, groups, labels, notBefore?, expires?, file }`; import: `{ imported: [{ id, consumer }], file }`; list: ' +
    '`{ keys: [{ id, consumer, groups, labels, notBefore?, expires?, state }] }` or `{ users: [{ name, groups }] }`; revoke: ' +
    '`{ id, file, removed }`; verify: `{ lines, problems: [{ line, message }], key?: { kind, id?, consumer?, state } }`; passwd: `{ user, groups, file, new }`.',
  options: OPTIONS,
  words: Object.keys(ACTIONS),

  async run({ values, positionals }, io) {
    const [word, ...rest] = positionals;
    const action = word !== undefined && Object.hasOwn(ACTIONS, word) ? ACTIONS[word] : undefined;
    if (action === undefined) throw unknownAction(word);
    for (const name of Object.keys(values)) {
      if (name in OPTIONS && !action.options.includes(name as keyof typeof OPTIONS)) {
        throw new UsageError(`Option --${name} is not for "${word}"`);
      }
    }
    const id = action.id === undefined ? '' : rest.shift();
    const [file, more] = rest;
    if (id === undefined || file === undefined || file === '') {
      throw new UsageError(`Name ${action.id === undefined ? 'a file' : `an ${action.id} and a file`}`);
    }
    if (more !== undefined) throw new UsageError(`Unexpected argument "${more}": one file is enough`);
    return action.run({ values, id, file, path: resolve(io.cwd, file) }, io);
  },
});

function unknownAction(word: string | undefined): UsageError {
  const names = Object.keys(ACTIONS);
  if (word === undefined) return new UsageError(`Say what to do: ${names.join(', ')}`);
  const guess = nearest(word, names);
  return new UsageError(
    `Cannot "${word}": ${guess === undefined ? `must be one of ${names.join(', ')}` : `did you mean "${guess}"?`}`,
  );
}
