/** Commands as processes: the launcher of a clone, exit codes, streams, and a running gateway that is asked. */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync, type SpawnSyncReturns } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Fourways, freePort } from './client/fourways.ts';

const LAUNCHER = fileURLToPath(new URL('../bin/fourways', import.meta.url));

let scratch = '';
before(() => (scratch = mkdtempSync(join(tmpdir(), 'fourways-cli-'))));
after(() => rmSync(scratch, { recursive: true, force: true }));

interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
}

function run(args: readonly string[], { env = {}, cwd = scratch }: RunOptions = {}): SpawnSyncReturns<string> {
  return spawnSync(LAUNCHER, args, { encoding: 'utf8', cwd, env: { ...process.env, ...env } });
}

test('launcher: runs through symbolic links, relative and absolute, from any folder', () => {
  mkdirSync(join(scratch, 'links/deep'), { recursive: true });
  symlinkSync(LAUNCHER, join(scratch, 'links/first'));
  symlinkSync('../first', join(scratch, 'links/deep/second'));
  const text = execFileSync(join(scratch, 'links/deep/second'), ['version'], { encoding: 'utf8', cwd: '/' });
  assert.match(text, /^fourways \d+\.\d+\.\d+ \(Node\.js v/);
});

test('launcher: without a Node.js that is new enough, says what to do', () => {
  // A clone without node_modules, and a PATH whose Node.js is old.
  const clone = join(scratch, 'clone');
  mkdirSync(join(clone, 'bin'), { recursive: true });
  mkdirSync(join(scratch, 'old'));
  writeFileSync(join(clone, 'bin/fourways'), execFileSync('cat', [LAUNCHER]), { mode: 0o755 });
  writeFileSync(join(scratch, 'old/node'), '#!/bin/sh\n[ "$1" = --version ] && echo v20.1.0\nexit 1\n', {
    mode: 0o755,
  });
  const { status, stderr } = spawnSync(join(clone, 'bin/fourways'), ['version'], {
    encoding: 'utf8',
    env: { PATH: `${scratch}/old:/usr/bin:/bin` },
  });
  assert.equal(status, 1);
  assert.match(stderr, /^Cannot start Fourways: Node\.js 24\.12 or newer is needed, found v20\.1\.0$/m);
  assert.match(stderr, /npm ci/);
});

/** A module with filters of users, and what check says of the policy that names it. */
const MODULES: [rule: string, text: string | undefined, want: RegExp | undefined][] = [
  [
    'loads',
    "import { defineFilter } from 'fourways/filter';\ndefineFilter({ name: 'a', make: () => ({}) });\n",
    undefined,
  ],
  ['is missing', undefined, /there is no such file$/],
  ['has a mistake', 'export const a = 1;\nabsent();\n', /absent is not defined at module\.ts:2:1$/],
  ['is not well-formed', 'export const a = 1;\nexport const = 1;\n', /Unexpected token `=`.* at module\.ts:2$/],
  ['defines no filter', 'export const a = 1;\n', /it defines no filter: expected one that defineFilter/],
  ['never ends', 'for (;;);\n', /it was still being loaded after 5 s$/],
];

for (const [rule, text, want] of MODULES) {
  test(`check: a filter whose module ${rule}`, () => {
    const folder = mkdtempSync(join(scratch, 'own-'));
    const routes = '  - { match: /, to: a, policies: [{ own: { use: [{ module: ./module.ts }] } }] }';
    writeFileSync(join(folder, 'fourways.yaml'), `services: { a: "http://127.0.0.1:9" }\nroutes:\n${routes}\n`);
    if (text !== undefined) writeFileSync(join(folder, 'module.ts'), text);
    const { status, stdout, stderr } = run(['check', 'fourways.yaml'], { cwd: folder });
    assert.equal(status, want === undefined ? 0 : 1, stderr);
    if (want === undefined) return;
    const [line = ''] = stdout.split(' (Policy default/root-policy, /spec/filters/own/use/0/module)\n');
    assert.match(line, /^fourways\.yaml:3:35: error: .*Cannot load the filter of "\.\/module\.ts": /);
    assert.match(line, want);
  });
}

test('check: a broken file that was written a moment ago, which is looked at twice', () => {
  const file = join(scratch, 'fresh.yaml');
  writeFileSync(file, 'listen: eighty\nroutes: []\n');
  const { status, stdout, stderr } = run(['check', file]);
  assert.equal(status, 1, stderr);
  assert.match(stdout, /fresh\.yaml:1:1: error: /);
});

const EXITS: [what: string, args: string[], exit: number, stream: 'stdout' | 'stderr', want: RegExp][] = [
  ['help', [], 0, 'stdout', /^Usage: fourways COMMAND/m],
  ['an unknown command', ['chekc'], 2, 'stderr', /did you mean "check"/],
  ['an unknown option', ['up', '.', '--prot=1'], 2, 'stderr', /Unknown option "--prot"/],
  ['a folder that is not there', ['check', 'nowhere'], 1, 'stdout', /nowhere/],
  ['an admin API that is not there', ['status', '--admin', '127.0.0.1:1'], 1, 'stderr', /connection refused/],
];

for (const [what, args, exit, stream, want] of EXITS) {
  test(`process: ${what} ends with ${exit}`, () => {
    const result = run(args);
    assert.equal(result.status, exit, result.stderr);
    assert.match(result[stream], want);
    assert.equal(result[stream === 'stdout' ? 'stderr' : 'stdout'], '');
  });
}

test('process: a pipe gets no colours', () => {
  assert.doesNotMatch(run(['help']).stdout, /\u001B/);
});

test('process: a reader that goes away is no failure', async () => {
  const child = spawn(LAUNCHER, ['completion', 'zsh'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const [code] = (await once(child, 'close')) as [number | null];
  assert.equal(code, 0, said);
  assert.equal(said, '');
});

test('process: a running gateway answers status, routes, show and explain', async () => {
  const port = await freePort('127.0.0.1');
  assert.equal(run(['init', 'edge', '--port', String(port)]).status, 0);
  await using gateway = await Fourways.start({ config: join(scratch, 'edge'), workers: 1 });
  const admin = ['--admin', gateway.admin.replace('http://', '')];

  const status = run(['status', ...admin]);
  assert.equal(status.status, 0, status.stdout);
  assert.match(status.stdout, /^Ready: plan [0-9a-f]{12} is applied on every worker$/m);
  assert.match(status.stdout, /^Gateway default\/fourways .*Programmed +True/m);

  assert.match(run(['routes', ...admin]).stdout, /GET \/fourways\/\*/);
  assert.equal((JSON.parse(run(['show', 'plan', ...admin]).stdout) as { version: string }).version.length, 64);

  const explained = run(['explain', 'GET', `http://127.0.0.1:${port}/fourways`, ...admin]);
  assert.equal(explained.status, 0, explained.stderr);
  assert.match(explained.stdout, /^ {2}filter {2}directResponse .* of Policy default\//m);
  const answer = await fetch(`http://127.0.0.1:${port}/fourways`);
  assert.match(await answer.text(), /^Fourways answers this itself/);
});

test('process: explain says of a path what its gateway would do', () => {
  const explained = run(['explain', 'GET', 'http://127.0.0.1:8080/fourways', '--config', 'short']);
  assert.equal(explained.status, 1);
  assert.equal(run(['init', 'short']).status, 0);
  assert.equal(run(['explain', 'GET', 'http://127.0.0.1:8080/fourways', '--config', 'short']).status, 0);
});
