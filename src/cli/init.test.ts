import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { runCommand } from './main.ts';
import { fakeIo } from './testing/fake-io.ts';

let folder = '';
beforeEach(() => (folder = mkdtempSync(join(tmpdir(), 'init-'))));
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const FORMS: [form: string, flags: string[], files: string[]][] = [
  ['the short form', [], ['fourways.yaml']],
  ['Gateway API manifests', ['--gateway-api'], ['gateway.yaml', 'routes.yaml']],
  ['TypeScript', ['--typescript'], ['fourways.config.ts']],
];

for (const [form, flags, files] of FORMS) {
  test(`init: writes ${form}`, async () => {
    const io = fakeIo({ cwd: folder });
    assert.equal(await runCommand(['init', 'edge', '--to', 'http://10.0.0.1:3001', '--port', '8123', ...flags], io), 0);
    assert.deepEqual(readdirSync(join(folder, 'edge')).toSorted(), files);
    const text = files.map((file) => readFileSync(join(folder, 'edge', file), 'utf8')).join('\n');
    assert.match(text, /8123/);
    assert.match(text, /10\.0\.0\.1/);
    assert.match(text, /3001/);
    assert.match(io.outLines.join('\n'), /fourways up edge/);
  });

  test(`init: overwrites no file of ${form} unless told so`, async () => {
    const last = join(folder, files.at(-1)!);
    writeFileSync(last, 'mine');
    const io = fakeIo({ cwd: folder });
    assert.equal(await runCommand(['init', ...flags], io), 1);
    assert.match(io.errLines.join('\n'), /Cannot write .*: already there\. --force overwrites/);
    assert.deepEqual(readdirSync(folder), [files.at(-1)], 'nothing else was written either');
    assert.equal(readFileSync(last, 'utf8'), 'mine');

    assert.equal(await runCommand(['init', '--force', ...flags], io), 0);
    assert.notEqual(readFileSync(last, 'utf8'), 'mine');
  });
}

test('init: --json names what was written', async () => {
  const io = fakeIo({ cwd: folder });
  assert.equal(await runCommand(['init', '--json'], io), 0);
  assert.deepEqual(JSON.parse(io.outLines.join('\n')), { files: [join(folder, 'fourways.yaml')] });
});

const WRONG: [what: string, argv: string[], want: RegExp][] = [
  ['two forms', ['--gateway-api', '--typescript'], /Choose one of --gateway-api and --typescript/],
  ['two folders', ['a', 'b'], /Unexpected argument "b"/],
  ['a target without scheme', ['--to', '127.0.0.1:3000'], /Option --to is "127.0.0.1:3000": must be like http:/],
  ['a target with a path', ['--to', 'http://a/b'], /must be like .* without a path/],
  ['another scheme', ['--to', 'ftp://a'], /must be like/],
  ['port 0', ['--port', '0'], /Option --port is "0": must be a whole number from 1 to 65535/],
];

for (const [what, argv, want] of WRONG) {
  test(`init: refuses ${what}`, async () => {
    const io = fakeIo({ cwd: folder });
    assert.equal(await runCommand(['init', ...argv], io), 2);
    assert.match(io.errLines.join('\n'), want);
    assert.deepEqual(readdirSync(folder), []);
  });
}

test('init: a folder that cannot be made', async () => {
  writeFileSync(join(folder, 'file'), '');
  const io = fakeIo({ cwd: folder });
  assert.equal(await runCommand(['init', 'file/edge'], io), 1);
  assert.match(io.errLines.join('\n'), /^Cannot write into .*file\/edge: not a directory$/);
});
