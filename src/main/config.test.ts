/** `fourways.config.ts` from end to end: its types, and what a source makes of it. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import { FILTERS } from '../filters/list.ts';
import type { Problem } from '../base/problem.ts';
import { TempFolder } from '../source/testing/temp-folder.ts';
import { names, pathOf, route, Watched } from '../source/testing/watched.ts';
import type { Filters } from './config.ts';
import { runConfigModule } from './load-config.ts';

const CONFIG = 'fourways.config.ts';
const ROOT = fileURLToPath(new URL('../../', import.meta.url));

function config(body: string): string {
  return `import { defineConfig } from 'fourways/config';\n\nexport default defineConfig({\n${body}\n});\n`;
}

const USERS = config(`  services: { users: 'http://127.0.0.1:3001' },
  routes: [{ name: 'users', match: '/users', to: 'users' }],`);

function places({ problems }: { problems: readonly Problem[] }, folder: TempFolder): string[] {
  return problems.map(
    ({ at, message }) => `${at!.file.replace(`${folder.path}/`, '')}:${at!.line}:${at!.column} ${message}`,
  );
}

test('Filters: every filter has its type', () => {
  // A type error where one has none, or where there is one too many.
  type Names = (typeof FILTERS)[number]['name'];
  const same: [Names] extends [keyof Filters] ? ([keyof Filters] extends [Names] ? true : never) : never = true;
  const right: Filters = { jwt: { issuers: [] }, basic: { secret: { name: 'users', key: 'users' } }, cors: {} };
  // @ts-expect-error -- a name that no filter has
  const misspelt: Filters = { jwtt: {} };
  // @ts-expect-error -- a value that the schema refuses
  const wrong: Filters = { bodyLimit: { bytesMax: 'many' } };
  const names: ReadonlySet<string> = new Set(FILTERS.map(({ name }) => name));
  assert.ok(same && Object.keys(right).every((name) => names.has(name)));
  assert.deepEqual([Object.keys(misspelt), Object.keys(wrong)], [['jwtt'], ['bodyLimit']]);
});

test('a module expands like a short form, beside manifests', async () => {
  using folder = new TempFolder();
  folder.write(CONFIG, USERS);
  folder.write('a.yaml', route('a'));
  await using watched = await Watched.open(folder.path, { runModule: runConfigModule });
  assert.deepEqual(watched.newest.problems, []);
  assert.deepEqual(names(watched.newest), [
    'a',
    'GatewayClass fourways',
    'Gateway default/fourways',
    'Backend default/users',
    'users',
  ]);
  const { origin } = watched.newest.resources.at(-1)!;
  assert.deepEqual(origin.locate('/spec/rules/0/matches/0/path'), { file: folder.in(CONFIG), line: 5, column: 29 });
});

test('a module runs again when it changes, and when a file that it imports does', async () => {
  using folder = new TempFolder();
  folder.write('lib/path.ts', `export const path = '/one';`);
  folder.write(
    `config/${CONFIG}`,
    `import { path } from '../lib/path.ts';\nexport default { routes: [{ name: 'r', match: path, to: 'http://127.0.0.1:1' }] };`,
  );
  await using watched = await Watched.open(folder.in('config'), { runModule: runConfigModule });
  assert.equal(pathOf(watched.newest, 'r'), '/one');
  folder.write('lib/path.ts', `export const path = '/two';`);
  await watched.until((state) => pathOf(state, 'r') === '/two');
  folder.replace(
    `config/${CONFIG}`,
    `export default { routes: [{ name: 'r', match: '/three', to: 'http://127.0.0.1:1' }] };`,
  );
  await watched.until((state) => pathOf(state, 'r') === '/three');
});

test('a module that fails keeps what it gave, and says where', async () => {
  using folder = new TempFolder();
  folder.write(CONFIG, USERS);
  await using watched = await Watched.open(folder.in(CONFIG), { runModule: runConfigModule });
  folder.write(CONFIG, USERS.replace(`to: 'users'`, 'to: userz'));
  const broken = await watched.until((state) => state.broken === 'all');
  assert.equal(pathOf(broken, 'users'), '/users');
  const [first, second] = places(broken, folder);
  assert.equal(first, `${CONFIG}:5:50 Cannot run the configuration: userz is not defined`);
  assert.match(second!, /^fourways\.config\.ts:5:50 Still serving the 4 resources of the version read at /);
  folder.write(CONFIG, USERS.replace('/users', '/people'));
  await watched.until((state) => pathOf(state, 'users') === '/people' && state.problems.length === 0);
});

test('a mistake in what a module exports is located in its text', async () => {
  using folder = new TempFolder();
  folder.write(CONFIG, USERS.replace(`to: 'users'`, `to: 'userz'`).replace('routes:', 'listne: 80,\n  routes:'));
  await using watched = await Watched.open(folder.in(CONFIG), { runModule: runConfigModule });
  assert.deepEqual(places(watched.newest, folder), [
    `${CONFIG}:5:3 Unknown field "listne": did you mean "listen"`,
    `${CONFIG}:6:46 Unknown service "userz": did you mean "users"`,
  ]);
});

test('a module that never ends holds nobody up', async () => {
  using folder = new TempFolder();
  folder.write(CONFIG, USERS);
  folder.write('a.yaml', route('a', '/one'));
  const runModule = (path: string): ReturnType<typeof runConfigModule> =>
    runConfigModule(path, { runMs: 3_000, heapMegabytesMax: 64 });
  await using watched = await Watched.open(folder.path, { runModule });
  folder.write(CONFIG, 'for (;;);');
  folder.write('a.yaml', route('a', '/two'));
  const during = await watched.until((state) => pathOf(state, 'a') === '/two');
  assert.equal(during.broken, 'no');
  const after = await watched.until((state) => state.broken === 'some');
  assert.equal(pathOf(after, 'users'), '/users');
  assert.match(after.problems[0]!.message, /^Cannot run the configuration: it was still running after 3 s$/);
});

// Lines with `// !` must not compile; the error must be at that line and say this.
const TYPED = `import { defineConfig, type RouteNameOf, type ServiceNameOf } from 'fourways/config';

const config = defineConfig({
  listen: [8080, { port: 8443, tls: { cert: 'a.crt', key: 'a.key' } }, { port: 5432, protocol: 'tcp' }],
  services: {
    names: ['udp://10.0.0.1:53', 'udp://10.0.0.2:53'],
    users: 'http://127.0.0.1:3001',
    orders: { urls: ['http://10.0.0.1:1', { url: 'http://10.0.0.2:1', weight: 2 }], connectTimeout: '2s' },
  },
  policies: { stamp: { headers: { response: { set: [{ name: 'x-by', value: 'fourways' }] } } } },
  everywhere: ['stamp'],
  settings: { trustedHops: { count: 1 } },
  routes: [
    { name: 'users', match: '/users', to: 'users', retry: { attempts: 2, codes: [503] } },
    { name: 'orders', match: ['GET /a', { path: '/b' }], to: [{ to: 'orders', weight: 9 }, 'https://a.test'] },
    { tcp: 5432, to: ['tcp://127.0.0.1:5433', { to: 'tls://db.test:5433', weight: 2 }] },
    { tls: ['a.test', '*.b.test'], to: 'tcp://127.0.0.1:8443' },
    { udp: [53, 5353], to: 'names' },
  ],
  resources: [{ apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, stringData: { a: 'b' } }],
});
export default config;
export const routes: RouteNameOf<typeof config>[] = ['users', 'orders'];
export const services: ServiceNameOf<typeof config>[] = ['users', 'orders', 'names'];
export const strange: RouteNameOf<typeof config> = 'userz'; // ! Did you mean '"users"'

export const wrong = defineConfig({
  services: { users: 'http://127.0.0.1:3001' },
  policies: { stamp: { headers: {} } },
  routes: [
    { match: '/a', to: 'userz' }, // ! Did you mean '"users"'
    { match: '/b', to: ['users', { to: 'userz' }] }, // ! Did you mean '"users"'
    { match: '/c', to: 'users', mirror: 'userz' }, // ! Did you mean '"users"'
    { match: '/d', to: 'users', policies: ['stmp'] }, // ! Did you mean '"stamp"'
    { mach: '/e', to: 'users' }, // ! Did you mean to write 'match'
    { match: '/f', to: 'users', timeout: 5 }, // ! 'string
    { tcp: 5432, to: 'postgrez' }, // ! '"postgrez"' is not assignable
    { tcp: '5432', to: 'users' }, // ! 'string' is not assignable
    { dtls: 'a.test', to: 'users' }, // ! 'dtls' does not exist
  ],
});
export const quic = defineConfig({ listen: [{ port: 1, protocol: 'quic' }] }); // ! '"quic"' is not assignable
export const misspelt = defineConfig({ rutes: [] }); // ! Did you mean to write 'routes'
export const setting = defineConfig({ services: { a: { url: 'http://x', conectTimeout: '1s' } } }); // ! 'conectTimeout'
export const nowhere = defineConfig({ routes: [{ to: 'users' }] }); // ! '"users"' is not assignable
export const raw = defineConfig({
  resources: [{ apiVersion: 'v1', kind: 'HTTPRoute', metadata: { name: 'x' }, spec: { ruls: [] } }], // ! 'rules'
});
`;

test('defineConfig: wrong names do not compile, and the error is at their line', async () => {
  using folder = new TempFolder();
  folder.write(CONFIG, TYPED);
  const compilerOptions = {
    target: 'esnext',
    lib: ['es2025', 'esnext.disposable'],
    module: 'nodenext',
    types: ['node'],
    typeRoots: [`${ROOT}node_modules/@types`],
    paths: { 'fourways/config': [`${ROOT}src/main/config.ts`] },
    noEmit: true,
    strict: true,
    allowImportingTsExtensions: true,
    skipLibCheck: true,
  };
  folder.write('package.json', '{"type":"module"}');
  folder.write('tsconfig.json', JSON.stringify({ compilerOptions, files: [CONFIG] }));
  const output = await new Promise<string>((resolve) => {
    execFile(
      process.execPath,
      [`${ROOT}node_modules/typescript/bin/tsc`, '-p', folder.path, '--pretty', 'false'],
      (_, out) => resolve(out),
    );
  });
  const found = [...output.matchAll(/^\S*fourways\.config\.ts\((\d+),\d+\): error TS\d+: (.*)$/gm)];
  const want = TYPED.split('\n').flatMap((line, i) =>
    line.includes('// !') ? [[i + 1, line.split('// ! ')[1]!] as const] : [],
  );
  assert.deepEqual(
    found.map(([, line]) => Number(line)),
    want.map(([line]) => line),
    output,
  );
  want.forEach(([, words], i) => assert.ok(found[i]![2]!.includes(words), `${found[i]![2]} has "${words}"`));
  assert.equal(
    output
      .trim()
      .split('\n')
      .filter((line) => !line.startsWith(' ')).length,
    want.length,
    output,
  );
});
