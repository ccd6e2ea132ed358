import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { runCommand } from './main.ts';
import { fakeIo } from './testing/fake-io.ts';

async function scriptOf(shell: string): Promise<string> {
  const io = fakeIo();
  assert.equal(await runCommand(['completion', shell], io), 0);
  return io.outLines.join('\n');
}

/** What bash offers for the last of these words. */
function offered(script: string, words: string[]): string[] {
  const program = [
    script,
    `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})`,
    `COMP_CWORD=${words.length - 1}`,
    '_fourways',
    'printf "%s\\n" "${COMPREPLY[@]}"',
  ].join('\n');
  return execFileSync('bash', ['--norc', '-c', program], { encoding: 'utf8' }).trim().split('\n').toSorted();
}

const BASH: [rule: string, words: string[], want: string[]][] = [
  ['commands', ['fourways', 've'], ['verify', 'version']],
  ['help is a command', ['fourways', 'hel'], ['help']],
  ['commands after help', ['fourways', 'help', 'ver'], ['verify', 'version']],
  ['options of the command', ['fourways', 'up', '--b'], ['--bind']],
  ['common options', ['fourways', 'version', '--'], ['--help', '--json']],
  ['choices of an option', ['fourways', 'up', '--log-level', 'w'], ['warn']],
  ['words of a command', ['fourways', 'completion', ''], ['bash', 'fish', 'zsh']],
  ['actions of a command', ['fourways', 'keys', 're'], ['revoke']],
  ['files behind an action', ['fourways', 'keys', 'create', '/etc/hostnam'], ['/etc/hostname']],
  ['files elsewhere', ['fourways', 'up', '/etc/host'], ['/etc/host.conf', '/etc/hostname', '/etc/hosts']],
];

for (const [rule, words, want] of BASH) {
  test(`completion bash: ${rule}`, async () => {
    const got = offered(await scriptOf('bash'), words);
    if (rule === 'files elsewhere') assert.ok(got.includes('/etc/hosts'), got.join());
    else assert.deepEqual(got, want);
  });
}

test('completion: each script is accepted by its shell, where that shell is here', async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const script = await scriptOf(shell);
    assert.match(script, /log-level/);
    const { status, error, stderr } = spawnSync(shell, ['-n'], { input: script, encoding: 'utf8' });
    if (error === undefined) assert.equal(status, 0, stderr);
  }
});

test('completion: an unknown shell is refused with the nearest', async () => {
  const io = fakeIo();
  assert.equal(await runCommand(['completion', 'bsh'], io), 2);
  assert.match(io.errLines.join('\n'), /Unknown shell "bsh": did you mean "bash"\?/);
});

test('completion: --json holds the script', async () => {
  const io = fakeIo();
  assert.equal(await runCommand(['completion', 'bash', '--json'], io), 0);
  const { shell, script } = JSON.parse(io.outLines.join('\n')) as { shell: string; script: string };
  assert.equal(shell, 'bash');
  assert.match(script, /complete -F _fourways fourways/);
});
