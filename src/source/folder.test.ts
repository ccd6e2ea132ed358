/** Real folders, real events. Nothing sleeps: each test waits for what must come. */
import assert from 'node:assert/strict';
import { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Loaded } from './source.ts';
import { TempFolder } from './testing/temp-folder.ts';
import { names, pathOf, route, Watched } from './testing/watched.ts';

function codes({ problems }: Loaded): string[] {
  return problems.map(({ code }) => code);
}

test('FolderSource: a folder is read in the order of its names', async () => {
  using folder = new TempFolder();
  folder.write('b.yaml', `${route('b1')}---\n${route('b2')}`);
  folder.write('a/c.yaml', route('c'));
  await using watched = await Watched.open(folder.path);
  const { files, broken, problems } = watched.newest;
  assert.deepEqual(names(watched.newest), ['c', 'b1', 'b2']);
  assert.deepEqual(files, [folder.in('a/c.yaml'), folder.in('b.yaml')]);
  assert.deepEqual([broken, problems], ['no', []]);
});

// What is done to a folder that has a.yaml and b.yaml, and what must be there then.
const CHANGES: [rule: string, act: (folder: TempFolder) => void, want: string[]][] = [
  ['a new file', (folder) => folder.write('c.yaml', route('c')), ['a', 'b', 'c']],
  ['an edit in place', (folder) => folder.write('a.yaml', route('a2')), ['a2', 'b']],
  ['an atomic edit', (folder) => folder.replace('a.yaml', route('a2')), ['a2', 'b']],
  ['a deleted file', (folder) => folder.remove('a.yaml'), ['b']],
  ['a renamed file', (folder) => renameSync(folder.in('a.yaml'), folder.in('z.yaml')), ['b', 'a']],
  [
    'a document added to a file',
    (folder) => appendFileSync(folder.in('a.yaml'), `---\n${route('a2')}`),
    ['a', 'a2', 'b'],
  ],
  ['a file that is emptied', (folder) => folder.write('a.yaml', ''), ['b']],
  ['a new folder with files', (folder) => folder.write('d/e/f.yaml', route('f')), ['a', 'b', 'f']],
  [
    'a folder moved in',
    (folder) => {
      folder.write('.staging/x.yaml', route('x'));
      renameSync(folder.in('.staging'), folder.in('x'));
    },
    ['a', 'b', 'x'],
  ],
  [
    'a file replaced by a folder of its name',
    (folder) => {
      folder.remove('a.yaml');
      folder.write('a.yaml/x.yaml', route('x'));
    },
    ['x', 'b'],
  ],
  [
    'a file deleted and made again at once',
    (folder) => {
      folder.remove('a.yaml');
      folder.write('a.yaml', route('a2'));
    },
    ['a2', 'b'],
  ],
];

for (const [rule, act, want] of CHANGES) {
  test(`FolderSource: ${rule} is seen`, async () => {
    using folder = new TempFolder();
    folder.write('a.yaml', route('a'));
    folder.write('b.yaml', route('b'));
    await using watched = await Watched.open(folder.path);
    act(folder);
    const loaded = await watched.until((state) => names(state).join() === want.join());
    assert.deepEqual([loaded.broken, loaded.problems], ['no', []]);
  });
}

test('FolderSource: a folder made under watch is watched itself', async () => {
  using folder = new TempFolder();
  await using watched = await Watched.open(folder.path);
  folder.write('d/a.yaml', route('a'));
  await watched.until((state) => names(state).join() === 'a');
  folder.write('d/a.yaml', route('b'));
  folder.write('d/e/c.yaml', route('c'));
  await watched.until((state) => names(state).join() === 'b,c');
  folder.remove('d');
  await watched.until((state) => names(state).join() === '');
});

test('FolderSource: unchanged resources stay the identical objects', async () => {
  using folder = new TempFolder();
  folder.write('a.yaml', `${route('a1')}---\n${route('a2')}`);
  folder.write('b.yaml', route('b'));
  await using watched = await Watched.open(folder.path);
  const before = watched.newest.resources;
  folder.write('a.yaml', `# a comment\n---\n${route('a1')}---\n${route('a2', '/other')}`);
  const after = (await watched.until((state) => pathOf(state, 'a2') === '/other')).resources;
  assert.deepEqual(
    after.map((resource, i) => resource === before[i]),
    [true, false, true],
  );
  assert.equal(after[0]!.origin.line, 3);
  assert.deepEqual(
    after.map(({ metadata }) => metadata.generation),
    [1, 2, 1],
  );
});

test('FolderSource: touching a file without changing it tells nothing', async () => {
  using folder = new TempFolder();
  folder.write('a.yaml', route('a'));
  await using watched = await Watched.open(folder.path);
  folder.write('a.yaml', route('a'));
  folder.replace('a.yaml', route('a'));
  folder.write('b.yaml', route('b'));
  await watched.until((state) => names(state).join() === 'a,b');
  assert.equal(watched.seen.length, 1);
});

test('FolderSource: many changes at once are told at once', async () => {
  using folder = new TempFolder();
  await using watched = await Watched.open(folder.path);
  for (let i = 0; i < 50; i++) folder.write(`${i}.yaml`, route(`r${i}`));
  await watched.until(({ resources }) => resources.length === 50);
  assert.ok(watched.seen.length <= 3, `${watched.seen.length} times`);
});

test('FolderSource: a broken edit keeps the last good version, and says so until it is mended', async () => {
  using folder = new TempFolder();
  folder.write('a.yaml', `${route('a1')}---\n${route('a2')}`);
  folder.write('b.yaml', route('b'));
  await using watched = await Watched.open(folder.path);
  const [a1, a2, b] = watched.newest.resources;

  folder.write('a.yaml', `${route('a1', '/new')}---\n${route('a2', 'wrong')}`);
  const broken = await watched.until((state) => state.broken === 'some');
  assert.equal(pathOf(broken, 'a1'), '/new');
  assert.equal(broken.resources[1], a2);
  assert.equal(broken.resources[2], b);
  assert.deepEqual(codes(broken), ['field.rule', 'source.last-good']);

  folder.write('a.yaml', `${route('a1')}---\n${route('a2')}`);
  const mended = await watched.until((state) => state.broken === 'no');
  assert.deepEqual(names(mended), ['a1', 'a2', 'b']);
  assert.deepEqual(mended.problems, []);
  assert.notEqual(mended.resources[0], a1);
});

test('FolderSource: a file that becomes unreadable keeps its resources', async () => {
  using folder = new TempFolder();
  folder.write('a.yaml', route('a'));
  await using watched = await Watched.open(folder.path);
  // As root, permissions stop nobody; bytes that are no text stop everybody.
  folder.write('a.yaml', Uint8Array.of(0xff, 0xfe, 0x00));
  const broken = await watched.until((state) => state.broken === 'all');
  assert.deepEqual(names(broken), ['a']);
  assert.deepEqual(codes(broken), ['file.unreadable', 'source.last-good']);
  folder.write('a.yaml', route('a'));
  assert.deepEqual(names(await watched.until((state) => state.broken === 'no')), ['a']);
});

test('FolderSource: a file that is written in two halves is believed when it is whole', async () => {
  using folder = new TempFolder();
  folder.write('a.yaml', `${route('a1')}---\n${route('a2')}`);
  await using watched = await Watched.open(folder.path);
  writeFileSync(folder.in('a.yaml'), route('a1', '/new'));
  await new Promise((resolve) => setTimeout(resolve, 15));
  appendFileSync(folder.in('a.yaml'), `---\n${route('a2').slice(0, 40)}`);
  await new Promise((resolve) => setTimeout(resolve, 15));
  appendFileSync(folder.in('a.yaml'), route('a2').slice(40));
  await watched.until((state) => pathOf(state, 'a1') === '/new');
  for (const state of watched.seen) assert.deepEqual([names(state), state.broken], [['a1', 'a2'], 'no']);
});

test('FolderSource: the swap of a Kubernetes volume is seen', async () => {
  using folder = new TempFolder();
  folder.write('..1/a.yaml', route('a', '/1'));
  symlinkSync('..1', folder.in('..data'));
  symlinkSync('..data/a.yaml', folder.in('a.yaml'));
  await using watched = await Watched.open(folder.path);
  folder.write('..2/a.yaml', route('a', '/2'));
  symlinkSync('..2', folder.in('..data_tmp'));
  renameSync(folder.in('..data_tmp'), folder.in('..data'));
  rmSync(folder.in('..1'), { recursive: true });
  await watched.until((state) => pathOf(state, 'a') === '/2');
  for (const state of watched.seen) assert.deepEqual(names(state), ['a']);
});

test('FolderSource: a single file behind a Kubernetes volume is followed', async () => {
  using folder = new TempFolder();
  folder.write('..1/a.yaml', route('a', '/1'));
  symlinkSync('..1', folder.in('..data'));
  symlinkSync('..data/a.yaml', folder.in('a.yaml'));
  await using watched = await Watched.open(folder.in('a.yaml'));
  folder.write('..2/a.yaml', route('a', '/2'));
  symlinkSync('..2', folder.in('..data_tmp'));
  renameSync(folder.in('..data_tmp'), folder.in('..data'));
  await watched.until((state) => pathOf(state, 'a') === '/2');
});

test('FolderSource: a folder that goes away takes nothing with it, and comes back', async () => {
  using parent = new TempFolder();
  parent.write('config/a.yaml', route('a'));
  await using watched = await Watched.open(parent.in('config'));
  renameSync(parent.in('config'), parent.in('elsewhere'));
  const away = await watched.until((state) => state.broken === 'all');
  assert.deepEqual(names(away), ['a']);
  assert.deepEqual(codes(away), ['source.away', 'source.last-good']);

  parent.write('elsewhere/b.yaml', route('b'));
  renameSync(parent.in('elsewhere'), parent.in('config'));
  const back = await watched.until((state) => state.broken === 'no');
  assert.deepEqual(names(back), ['a', 'b']);
  assert.deepEqual(back.problems, []);

  parent.write('config/c.yaml', route('c'));
  await watched.until((state) => names(state).join() === 'a,b,c');
});

test('FolderSource: a folder that is deleted file by file is away, not empty', async () => {
  using parent = new TempFolder();
  for (let i = 0; i < 200; i++) parent.write(`config/${i}.yaml`, route(`r${i}`));
  await using watched = await Watched.open(parent.in('config'));
  parent.remove('config');
  const away = await watched.until((state) => state.broken === 'all');
  assert.equal(away.resources.length, 200);
  for (const state of watched.seen) assert.equal(state.resources.length, 200);
});

test('FolderSource: a folder that is copied back piece by piece loses nothing on the way', async () => {
  using parent = new TempFolder();
  for (let i = 0; i < 20; i++) parent.write(`config/${i}.yaml`, route(`r${i}`));
  await using watched = await Watched.open(parent.in('config'));
  renameSync(parent.in('config'), parent.in('elsewhere'));
  await watched.until((state) => state.broken === 'all');
  for (let i = 0; i < 20; i++) {
    parent.write(`config/${i}.yaml`, route(`r${i}`, i === 19 ? '/new' : undefined));
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await watched.until((state) => pathOf(state, 'r19') === '/new' && state.broken === 'no');
  for (const state of watched.seen) assert.equal(state.resources.length, 20);
});

test('FolderSource: a single file that goes away goes on, and comes back', async () => {
  using folder = new TempFolder();
  const path = folder.write('a.yaml', route('a'));
  await using watched = await Watched.open(path);
  folder.remove('a.yaml');
  assert.deepEqual(names(await watched.until((state) => state.broken === 'all')), ['a']);
  folder.write('b.yaml', route('b'));
  folder.replace('a.yaml', route('c'));
  assert.deepEqual(names(await watched.until((state) => state.broken === 'no')), ['c']);
});

test('FolderSource: a path that is not there is a problem that names it', async () => {
  using folder = new TempFolder();
  await using watched = await Watched.open(folder.in('none'));
  const { broken, resources, problems } = watched.newest;
  assert.deepEqual([broken, resources], ['all', []]);
  assert.deepEqual(
    problems.map(({ message }) => message),
    [`Cannot read "${folder.in('none')}": no such file or directory`],
  );
  mkdirSync(folder.in('none'));
  await watched.until((state) => state.broken === 'no');
});

test('FolderSource: an empty folder is no problem', async () => {
  using folder = new TempFolder();
  await using watched = await Watched.open(folder.path);
  assert.deepEqual(
    { ...watched.newest, seenMs: 0 },
    { resources: [], problems: [], files: [], broken: 'no', seenMs: 0 },
  );
});

test('FolderSource: a short form beside manifests gives way where they say the same', async () => {
  using folder = new TempFolder();
  folder.write(
    'class.yaml',
    'apiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: { name: fourways }\nspec: { controllerName: fourways.io/gateway-controller }\n',
  );
  folder.write('fourways.yaml', 'services: { a: http://127.0.0.1:1 }\nroutes: [{ match: /a, to: a }]\n');
  await using watched = await Watched.open(folder.path);
  const classes = watched.newest.resources.filter(({ kind }) => kind === 'GatewayClass');
  assert.deepEqual(
    classes.map(({ origin }) => origin.file),
    [folder.in('class.yaml')],
  );
  assert.deepEqual(watched.newest.problems, []);
});

test('FolderSource: files of other tools are not taken for a short form', async () => {
  using folder = new TempFolder();
  folder.write('last-good.json', '{"resources":[]}');
  folder.write('settings.json', '{"settings":{}}');
  folder.write('compose.yaml', 'services: { web: { image: web } }\n');
  await using watched = await Watched.open(folder.path);
  const { problems, resources } = watched.newest;
  assert.deepEqual(resources, []);
  assert.deepEqual(
    problems.map(({ code, at }) => `${at!.file.replace(`${folder.path}/`, '')} ${code}`),
    ['compose.yaml manifest.kind', 'settings.json manifest.kind'],
  );
});

test('FolderSource: a certificate that a short form names is followed', async () => {
  using folder = new TempFolder();
  using certificates = new TempFolder();
  const pem = (what: string, body: string): string => `-----BEGIN ${what}-----\n${body}\n-----END ${what}-----\n`;
  certificates.write('tls.crt', pem('CERTIFICATE', 'one'));
  certificates.write('tls.key', pem('PRIVATE KEY', 'one'));
  const tls = `{ cert: ${certificates.in('tls.crt')}, key: ${certificates.in('tls.key')} }`;
  folder.write('fourways.yaml', `listen: { port: 8443, tls: ${tls} }\nroutes: [{ to: 'http://127.0.0.1:1' }]\n`);
  await using watched = await Watched.open(folder.path);
  const secretIn = ({ resources }: Loaded): string | undefined => {
    const secret = resources.find(({ kind }) => kind === 'Secret');
    return secret?.kind === 'Secret' ? secret.data.get('tls.crt') : undefined;
  };
  assert.match(secretIn(watched.newest)!, /one/);

  certificates.write('tls.crt', pem('CERTIFICATE', 'two'));
  await watched.until((state) => /two/.test(secretIn(state)!));
  certificates.remove('tls.crt');
  const broken = await watched.until((state) => state.broken !== 'no');
  assert.match(secretIn(broken)!, /two/);
  certificates.replace('tls.crt', pem('CERTIFICATE', 'three'));
  await watched.until((state) => /three/.test(secretIn(state)!) && state.broken === 'no');
});

test('FolderSource: after stopping, nothing is told', async () => {
  using folder = new TempFolder();
  const watched = await Watched.open(folder.path);
  await watched[Symbol.asyncDispose]();
  await using other = await Watched.open(folder.path);
  folder.write('a.yaml', route('a'));
  await other.until((state) => names(state).join() === 'a');
  assert.deepEqual(watched.seen, []);
});

test('FolderSource: reading again finds what changed meanwhile', async () => {
  using folder = new TempFolder();
  folder.write('a.yaml', route('a'));
  const watched = await Watched.open(folder.path);
  await watched[Symbol.asyncDispose]();
  folder.write('a.yaml', route('b'));
  assert.deepEqual(names(await watched.source.load()), ['b']);
});
