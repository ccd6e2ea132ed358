import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, renameSync, symlinkSync, utimesSync } from 'node:fs';
import { test } from 'node:test';
import { relative } from 'node:path';
import { sameStamp, stampOf, type Tree, walkTree } from './file-tree.ts';
import { TempFolder } from './testing/temp-folder.ts';

function names(folder: TempFolder, tree: Tree): string[] {
  return [...tree.files.keys()].map((path) => relative(folder.path, path));
}

test('walkTree: manifests of every depth are found, in the order of their names', async () => {
  using folder = new TempFolder();
  for (const name of ['b.yaml', 'a.yml', 'c/d/e.json', 'c/a.YAML', 'fourways.config.ts']) folder.write(name, '');
  const tree = await walkTree(folder.path);
  assert.deepEqual(names(folder, tree), ['a.yml', 'b.yaml', 'c/a.YAML', 'c/d/e.json', 'fourways.config.ts']);
  assert.deepEqual([...tree.folders.keys()].map((path) => relative(folder.path, path)).toSorted(), ['', 'c', 'c/d']);
  assert.equal(tree.root, 'folder');
});

test('walkTree: hidden files, node_modules and the files of other tools are left out', async () => {
  using folder = new TempFolder();
  for (const name of [
    '.a.yaml',
    '.git/b.yaml',
    'node_modules/x/c.yaml',
    'package.json',
    'tsconfig.json',
    'notes.md',
    'server.ts',
    'd.yaml.draft',
    'd.yaml~',
  ]) {
    folder.write(name, '');
  }
  assert.deepEqual(names(folder, await walkTree(folder.path)), []);
});

test('walkTree: a mounted Kubernetes volume is read once, through its links', async () => {
  using folder = new TempFolder();
  folder.write('..2026_01_01/a.yaml', '');
  folder.write('..2026_01_01/b.yaml', '');
  symlinkSync('..2026_01_01', folder.in('..data'));
  for (const name of ['a.yaml', 'b.yaml']) symlinkSync(`..data/${name}`, folder.in(name));
  assert.deepEqual(names(folder, await walkTree(folder.path)), ['a.yaml', 'b.yaml']);
});

test('walkTree: swapping ..data of a Kubernetes volume changes the stamps of its files', async () => {
  using folder = new TempFolder();
  folder.write('..1/a.yaml', 'x');
  folder.write('..2/a.yaml', 'x');
  symlinkSync('..1', folder.in('..data'));
  symlinkSync('..data/a.yaml', folder.in('a.yaml'));
  const before = stampOf(folder.in('a.yaml'))!;
  symlinkSync('..2', folder.in('..data_tmp'));
  renameSync(folder.in('..data_tmp'), folder.in('..data'));
  assert.ok(!sameStamp(before, stampOf(folder.in('a.yaml'))!));
});

test('walkTree: a link to a folder is followed, a loop ends', async () => {
  using folder = new TempFolder();
  using other = new TempFolder();
  other.write('x.yaml', '');
  symlinkSync(other.path, folder.in('linked'));
  mkdirSync(folder.in('deep/er'), { recursive: true });
  symlinkSync(folder.path, folder.in('deep/er/loop'));
  symlinkSync('nowhere', folder.in('dead.yaml'));
  assert.deepEqual(names(folder, await walkTree(folder.path)), ['linked/x.yaml']);
});

test('walkTree: a file under two names is read once, under the real one', async () => {
  using folder = new TempFolder();
  folder.write('z.yaml', '');
  symlinkSync('z.yaml', folder.in('a.yaml'));
  assert.deepEqual(names(folder, await walkTree(folder.path)), ['z.yaml']);
  linkSync(folder.in('z.yaml'), folder.in('b.yaml'));
  assert.deepEqual(names(folder, await walkTree(folder.path)), ['b.yaml']);
});

test('walkTree: a single file is found whatever its name', async () => {
  using folder = new TempFolder();
  const path = folder.write('gateway.conf', '');
  const tree = await walkTree(path);
  assert.deepEqual([tree.root, [...tree.files.keys()]], ['file', [path]]);
});

const AWAY: [rule: string, make: (folder: TempFolder) => string, reason: string][] = [
  ['what is not there', (folder) => folder.in('none'), 'no such file or directory'],
  ['what lies below a file', (folder) => `${folder.write('a.yaml', '')}/b`, 'no such file or directory'],
  [
    'a named pipe, without opening it',
    (folder) => {
      execFileSync('mkfifo', [folder.in('pipe.yaml')]);
      return folder.in('pipe.yaml');
    },
    'it is neither a file nor a folder',
  ],
];

for (const [rule, make, reason] of AWAY) {
  test(`walkTree: ${rule} is away, with a reason`, async () => {
    using folder = new TempFolder();
    const path = make(folder);
    const tree = await walkTree(path);
    assert.equal(tree.root, 'away');
    assert.deepEqual(
      tree.problems.map(({ code, message }) => [code, message]),
      [['source.away', `Cannot read "${path}": ${reason}`]],
    );
  });
}

test('walkTree: pipes and folders with the name of a manifest are no manifests', async () => {
  using folder = new TempFolder();
  execFileSync('mkfifo', [folder.in('pipe.yaml')]);
  mkdirSync(folder.in('folder.yaml'));
  assert.deepEqual(names(folder, await walkTree(folder.path)), []);
});

test('walkTree: more files than allowed are left out and said once', async () => {
  using folder = new TempFolder();
  for (let i = 0; i < 10; i++) folder.write(`${i}.yaml`, '');
  const tree = await walkTree(folder.path, { filesMax: 4, foldersMax: 4 });
  assert.deepEqual(names(folder, tree), ['0.yaml', '1.yaml', '2.yaml', '3.yaml']);
  assert.deepEqual(
    tree.problems.map(({ message }) => message),
    [`Cannot read more than 4 files: "${folder.in('4.yaml')}" and what comes after it is left out`],
  );
});

test('walkTree: more folders than allowed are left out and said once', async () => {
  using folder = new TempFolder();
  for (let i = 0; i < 10; i++) folder.write(`${i}/a.yaml`, '');
  const tree = await walkTree(folder.path, { filesMax: 100, foldersMax: 4 });
  assert.equal(tree.folders.size, 4);
  assert.equal(tree.problems.length, 1);
});

test('walkTree: the slices leave the loop its turn', async () => {
  using folder = new TempFolder();
  for (let i = 0; i < 2_000; i++) folder.write(`${i}.yaml`, '');
  let turns = 0;
  const ticker = setInterval(() => turns++, 0);
  assert.equal((await walkTree(folder.path)).files.size, 2_000);
  clearInterval(ticker);
  assert.ok(turns >= 2, `${turns} turns`);
});

test('sameStamp: an edit that keeps size and mtime is seen', () => {
  using folder = new TempFolder();
  const path = folder.write('a.yaml', 'one');
  const before = stampOf(path)!;
  folder.write('a.yaml', 'two');
  utimesSync(path, new Date(before.mtimeMs), new Date(before.mtimeMs));
  assert.ok(!sameStamp(before, stampOf(path)!));
});
