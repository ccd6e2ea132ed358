import assert from 'node:assert/strict';
import { test } from 'node:test';
import { COMMANDS } from './commands.ts';
import { runCommand } from './main.ts';
import { fakeIo } from './testing/fake-io.ts';

// Each row: arguments, exit code, and what standard output or standard error must say.
const ROWS: [rule: string, argv: string[], exit: number, stream: 'out' | 'err', want: RegExp][] = [
  ['no command prints the list of commands', [], 0, 'out', /^ {2}up +Run the gateway/m],
  ['help prints the list of commands', ['help'], 0, 'out', /^Usage: fourways COMMAND/m],
  ['--help prints the list of commands', ['--help'], 0, 'out', /^ {2}version +Print the version/m],
  ['help COMMAND prints its options', ['help', 'up'], 0, 'out', /^ {6}--bind ADDR +IP address/m],
  ['COMMAND --help prints its options', ['up', '--help'], 0, 'out', /^Usage: fourways up PATH/m],
  ['COMMAND -h prints its options', ['version', '-h'], 0, 'out', /^ {2}-h, --help/m],
  ['--help helps whatever else is wrong', ['up', '--nonsense', '--help'], 0, 'out', /^Usage: fourways up PATH/m],
  ['--version is version', ['--version'], 0, 'out', /^fourways \d+\.\d+\.\d+ \(Node\.js v26\.0\.0, plan format \d+\)$/],
  [
    'a misspelt command names the nearest',
    ['verison'],
    2,
    'err',
    /Unknown command "verison": did you mean "version"\?/,
  ],
  ['an unknown command that is like none', ['xyzzy'], 2, 'err', /^Unknown command "xyzzy"$/m],
  ['an unknown option before the command', ['--bind', 'up'], 2, 'err', /^Unknown option "--bind"$/m],
  ['help of a misspelt command', ['help', 'vresion'], 2, 'err', /did you mean "version"\?/],
  [
    'a misspelt option names the nearest',
    ['up', '.', '--bnid=::1'],
    2,
    'err',
    /Unknown option "--bnid": did you mean "--bind"\?/,
  ],
  ['an unknown short option', ['up', '-x', '.'], 2, 'err', /Unknown option "-x"/],
  [
    'an option of the object prototype is unknown',
    ['up', '--constructor', '.'],
    2,
    'err',
    /Unknown option "--constructor"/,
  ],
  ['wrong arguments print the usage', ['up'], 2, 'err', /^Usage: fourways up PATH/m],
  ['a needed value is asked for', ['up', '.', '--bind'], 2, 'err', /Option --bind needs a value: --bind ADDR/],
  [
    'an option is not the value of another',
    ['up', '.', '--bind', '--takeover'],
    2,
    'err',
    /Option --bind needs a value/,
  ],
  ['a needless value is refused', ['up', '.', '--takeover=yes'], 2, 'err', /Option --takeover takes no value/],
  ['a repetition is refused', ['up', '.', '--bind=::1', '--bind=::1'], 2, 'err', /Option --bind is given twice/],
  ['a choice is checked', ['up', '.', '--log-level=warm'], 2, 'err', /must be one of .*did you mean "warn"\?/],
];

for (const [rule, argv, exit, stream, want] of ROWS) {
  test(`runCommand: ${rule}`, async () => {
    const io = fakeIo();
    assert.equal(await runCommand(argv, io), exit);
    assert.match((stream === 'out' ? io.outLines : io.errLines).join('\n'), want);
    assert.deepEqual(stream === 'out' ? io.errLines : io.outLines, []);
  });
}

test('runCommand: no colour unless the terminal takes it', async () => {
  const [plain, coloured] = [fakeIo(), fakeIo({ colour: true })];
  await runCommand(['help'], plain);
  await runCommand(['help'], coloured);
  assert.doesNotMatch(plain.outLines.join(), /\u001B/);
  assert.match(coloured.outLines.join(), /\u001B\[1m/);
});

test('commands: the list and each command say the same, and every command says how it is used', async () => {
  assert.ok(COMMANDS.length > 2);
  for (const { name, summary, load } of COMMANDS) {
    const command = await load();
    assert.equal(command.name, name);
    assert.equal(command.summary, summary);
    assert.match(command.usage, new RegExp(`^fourways ${name}`));
    assert.match(summary, /^[A-Z][^.]*$/);
    for (const [option, { description, type, value }] of Object.entries(command.options)) {
      assert.match(description, /^[A-Z`].*[^.]$/, `${name} --${option}`);
      assert.equal(type === 'string', value !== undefined, `${name} --${option}: a string option names its value`);
    }
  }
});
