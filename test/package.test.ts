/**
 * The package as users get it: built, packed, installed into an empty folder, and run there.
 *
 * Installed from files only (the package and its dependencies, packed from node_modules), so that the test needs no
 * registry.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { build } from '../tools/build.ts';
import { freePort, pause } from './client/fourways.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const READY_MS_MAX = 20_000;

let scratch = '';
/** The folder of a user, with the package installed. */
let home = '';
let fourways = '';

before(() => {
  scratch = mkdtempSync(join(tmpdir(), 'fourways-package-'));
  const pack = join(scratch, 'pack');
  mkdirSync(pack);
  build(pack);
  home = join(scratch, 'home');
  mkdirSync(home);
  npm(['pack', pack, '--ignore-scripts', '--pack-destination', scratch], scratch);
  const packed = readdirSync(scratch).filter((name) => name.endsWith('.tgz'));
  // What it depends on is laid beside it, as npm would: npm itself would ask a registry about each.
  for (const path of dependencyPaths()) cpSync(join(ROOT, path), join(home, path), { recursive: true });
  writeFileSync(join(home, 'package.json'), '{ "name": "home", "private": true, "type": "module" }\n');
  const own = join(home, 'node_modules/fourways');
  mkdirSync(own);
  execFileSync('tar', ['-xzf', join(scratch, packed[0]!), '-C', own, '--strip-components=1']);
  const { bin } = JSON.parse(readFileSync(join(own, 'package.json'), 'utf8')) as { bin: { fourways: string } };
  mkdirSync(join(home, 'node_modules/.bin'));
  chmodSync(join(own, bin.fourways), 0o755);
  symlinkSync(join('../fourways', bin.fourways), join(home, 'node_modules/.bin/fourways'));
  fourways = join(home, 'node_modules/.bin/fourways');
});

after(() => {
  if (scratch !== '') rmSync(scratch, { recursive: true, force: true });
});

/** Folders of everything that the package depends on, also by way of others: `node_modules/pg`. */
function dependencyPaths(): string[] {
  const lock = JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')) as {
    packages: Readonly<Record<string, { readonly dev?: boolean; readonly devOptional?: boolean }>>;
  };
  return Object.entries(lock.packages).flatMap(([path, { dev, devOptional }]) =>
    path === '' || dev === true || devOptional === true || !existsSync(join(ROOT, path)) ? [] : [path],
  );
}

function npm(args: readonly string[], cwd: string): string {
  const cache = ['--cache', join(scratch, 'npm-cache')];
  return execFileSync('npm', [...args, ...cache], { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

test('package: holds what it needs and no tests', () => {
  const files = readdirSync(join(home, 'node_modules/fourways'), { recursive: true, encoding: 'utf8' });
  assert.ok(files.includes('dist/main/fourways.js'));
  assert.ok(files.includes('LICENSE'));
  assert.deepEqual(
    files.filter((file) => /\.(test|bench|fuzz)\.|testdata/.test(file) || /^(src|test)\//.test(file)),
    [],
  );
});

test('package: fourways version', () => {
  const { version } = JSON.parse(execFileSync(fourways, ['version', '--json'], { encoding: 'utf8' })) as {
    version: string;
  };
  const pack = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string };
  assert.equal(version, pack.version);
});

test('package: an old Node.js gets a clear line', (t) => {
  const old = ['/usr/bin/node', '/usr/local/bin/node'].find((node) => /^v(1\d|2[0-3])\./.test(versionOf(node)));
  if (old === undefined) return t.skip('there is no old Node.js here');
  const { status, stderr } = spawnSync(old, [join(home, 'node_modules/fourways/dist/main/fourways.js'), 'version'], {
    encoding: 'utf8',
  });
  assert.equal(status, 1);
  assert.match(stderr, /^Cannot start Fourways: Node\.js 24\.12 or newer is needed, found v/);
});

function versionOf(node: string): string {
  return spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout ?? '';
}

test('package: init, check, up and a real request', async () => {
  const service = createServer((request, response) => response.end(`service saw ${request.url}`));
  await once(service.listen(0, '127.0.0.1'), 'listening');
  const to = `http://127.0.0.1:${(service.address() as AddressInfo).port}`;
  const [port, adminPort] = [await freePort('127.0.0.1'), await freePort('127.0.0.1')];
  const options = { cwd: home, encoding: 'utf8' } as const;

  execFileSync(fourways, ['init', 'edge', '--to', to, '--port', String(port)], options);
  assert.match(execFileSync(fourways, ['check', 'edge'], options), /Accepted/);

  const running = spawn(fourways, ['up', 'edge', '--admin', `127.0.0.1:${adminPort}`, '--workers', '1'], {
    cwd: home,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  for (const stream of [running.stdout, running.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (said += text));
  try {
    await ready(`http://127.0.0.1:${adminPort}/readyz`, () => said);
    const answer = await fetch(`http://127.0.0.1:${port}/hello?x=1`);
    assert.equal(answer.status, 200);
    assert.equal(await answer.text(), 'service saw /hello?x=1');
  } finally {
    running.kill('SIGTERM');
    if (running.exitCode === null) await once(running, 'exit');
    service.closeAllConnections();
    service.close();
  }
  assert.equal(running.exitCode, 0, said);
});

test('package: a TypeScript configuration finds "fourways/config" beside it, and elsewhere', () => {
  for (const cwd of [home, scratch]) {
    execFileSync(fourways, ['init', 'typed', '--typescript'], { cwd, encoding: 'utf8' });
    const checked = spawnSync(fourways, ['check', 'typed', '--strict'], { cwd, encoding: 'utf8' });
    assert.equal(checked.status, 0, checked.stdout + checked.stderr);
  }
});

async function ready(url: string, said: () => string): Promise<void> {
  const endMs = performance.now() + READY_MS_MAX;
  while (performance.now() < endMs) {
    const answer = await fetch(url).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.ok === true) return;
    await pause(20);
  }
  assert.fail(`not ready:\n${said()}`);
}

// What users would write first with each export; type-checked against the installed package.
const EXPORTS: readonly [entry: string, source: string][] = [
  [
    'fourways',
    `import { up, type Running } from 'fourways';\nexport const run: () => Promise<Running> = () => up({ path: 'x' });`,
  ],
  [
    'fourways/config',
    `import { defineConfig } from 'fourways/config';
export default defineConfig({
  services: { web: 'http://127.0.0.1:3000' },
  routes: [
    { name: 'good', to: 'web' },
    // @ts-expect-error -- no service has this name
    { name: 'bad', to: 'wbe' },
  ],
});`,
  ],
  [
    'fourways/filter',
    `import { defineFilter, refuse, Type } from 'fourways/filter';
export const own = defineFilter({
  name: 'own',
  options: Type.Object({ least: Type.Integer({ default: 1 }) }),
  make: ({ least }) => ({
    onRequest: (x) => (x.request.path.length < least ? refuse({ status: 400, code: 'short', title: 'Short' }) : undefined),
  }),
});`,
  ],
  [
    'fourways/testing',
    `import { startGateway, testFilter, type TestGateway } from 'fourways/testing';\nexport const filterOf = testFilter;\nexport const start: (path: string) => Promise<TestGateway> = (path) => startGateway({ path });`,
  ],
];

test('package: every export resolves, with types', () => {
  const files = EXPORTS.map(([, source], i) => {
    const file = join(home, `use-${i}.ts`);
    writeFileSync(file, `${source}\n`);
    return file;
  });
  const flags = [
    '--noEmit',
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'esnext',
    '--skipLibCheck',
    'false',
    '--types',
    'node',
  ];
  const roots = ['--typeRoots', join(ROOT, 'node_modules/@types')];
  const checked = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), [...flags, ...roots, ...files], {
    cwd: home,
    encoding: 'utf8',
  });
  assert.equal(checked.status, 0, checked.stdout);
  for (const [entry] of EXPORTS) {
    const loaded = spawnSync(process.execPath, ['--input-type=module', '-e', `await import('${entry}')`], {
      cwd: home,
      encoding: 'utf8',
    });
    assert.equal(loaded.status, 0, loaded.stderr);
  }
});
