/**
 * The rooms law: which room may import which, and which npm package belongs to
 * which room. Rows stand in layer order and name only rows above them, so the
 * graph has no cycles by construction.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

/** A room may import these rooms (and itself). `a/b.ts` names one file of a room; `a/*` in the middle is any folder. */
export const ROOMS: Readonly<Record<string, readonly string[]>> = {
  base: [],
  schema: ['base'],
  ir: ['base'],
  net: ['base'],
  http: ['base', 'net'],
  observe: ['base', 'net', 'http'],
  store: ['base'],
  identity: ['base', 'store/database.ts'],
  openapi: ['base'],
  filter: ['base', 'schema', 'http'],
  expr: ['base', 'schema', 'http', 'filter'],
  filters: ['base', 'schema', 'http', 'filter', 'expr', 'openapi'],
  proxy: ['base', 'net', 'http', 'ir', 'observe', 'filter'],
  resource: ['base', 'schema', 'filters/list.ts', 'filters/*/config.ts'],
  compile: ['base', 'schema', 'ir', 'resource', 'filter', 'filters/list.ts', 'filters/*/config.ts'],
  source: ['base', 'schema', 'net', 'http', 'resource', 'store/replace-file.ts'],
  acme: ['base', 'observe', 'store', 'resource', 'compile'],
  push: [
    'base',
    'ir',
    'net/certificate.ts',
    'store/replace-file.ts',
    'store/state-key.ts',
    'identity/spiffe.ts',
    'identity/join-token.ts',
  ],
  control: ['base', 'ir', 'observe', 'store/database.ts', 'resource', 'compile', 'source', 'identity', 'push'],
  sidecar: ['base', 'ir', 'identity', 'push', 'store/replace-file.ts'],
  capture: ['base', 'sidecar/asked-services.ts', 'sidecar/local-ports.ts', 'store/replace-file.ts'],
  api: [
    'base',
    'schema',
    'http',
    'ir',
    'observe',
    'resource',
    'compile',
    'control',
    'identity/renewal.ts',
    'identity/rotation.ts',
    'expr/ended.ts',
  ],
  cli: [
    'base',
    'schema',
    'net/workload-check.ts',
    'http',
    'ir',
    'resource',
    'compile',
    'source',
    'proxy',
    'capture/addresses.ts',
    'filter',
    'filters',
    'expr/ended.ts',
    'control',
    'api',
  ],
  main: ['*'],
};

/** The only npm packages that the product may load, and the room that may load each; two where both must. */
export const PACKAGES: Readonly<Record<string, string | readonly string[]>> = {
  typebox: 'schema',
  yaml: ['resource', 'openapi'],
  '@electric-sql/pglite': 'store',
  pg: 'store',
  '@redis/client': 'store',
  'acme-client': 'acme',
  ajv: 'filters',
  'ajv-formats': 'filters',
  jsonata: 'filters',
  '@marcbachmann/cel-js': 'expr',
  jose: 'filters',
  '@bufbuild/protobuf': ['filters', 'push'],
  '@grpc/grpc-js': 'push',
  'openid-client': 'filters',
  '@peculiar/x509': 'identity',
  'reflect-metadata': 'identity',
};

export interface Breach {
  readonly file: string;
  readonly rule: string;
}

/** One import of one file, as written. */
interface Import {
  readonly file: string;
  readonly specifier: string;
}

/**
 * Checks every `.ts` file under `root` against the law.
 *
 * @throws {Error} when no file was found: a check that looks at nothing must not pass
 */
export function checkRooms(root: string): Breach[] {
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  if (files.length === 0) throw new Error(`Cannot check the rooms: no file under "${root}"`);
  return files.flatMap((file) =>
    importsOf(join(root, file)).flatMap((specifier) => breachOf(root, { file, specifier }) ?? []),
  );
}

const IMPORT = /^\s*(?:import|export)\s(?:[^'"]*?\sfrom\s)?['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]\s*\)/gm;

function importsOf(path: string): string[] {
  return [...readFileSync(path, 'utf8').matchAll(IMPORT)].map((found) => (found[1] ?? found[2])!);
}

/**
 * What a module loads: static imports without those of types, which are erased.
 * `start`: before its first line runs. `ever`: also what it may import later.
 */
export function loadedBy(text: string, when: 'start' | 'ever'): string[] {
  return [...text.matchAll(IMPORT)].flatMap(([line, atStart, later]) => {
    if (atStart !== undefined) return /^\s*(?:import|export)\s+type\s/.test(line) ? [] : [atStart];
    return when === 'ever' && later !== undefined ? [later] : [];
  });
}

function breachOf(root: string, { file, specifier }: Import): Breach | undefined {
  const room = file.split('/')[0]!;
  const allowed = ROOMS[room];
  if (allowed === undefined) return { file, rule: `Room "${room}" is not in tools/rooms.ts` };
  if (specifier.startsWith('node:')) return undefined;
  if (!specifier.startsWith('.')) return packageBreach(file, room, specifier);

  const target = relative(root, resolve(root, dirname(file), specifier));
  const targetRoom = target.split('/')[0]!;
  if (target === '../tools/bench.ts' && file.endsWith('.bench.ts')) return undefined;
  if (target.startsWith('..')) return { file, rule: `Imports "${specifier}": outside src` };
  const fromTest = /\.(test|bench|fuzz)\.ts$/.test(file) || file.includes('/testing/');
  if (target.includes('/testing/') && !fromTest && room !== 'main') {
    return { file, rule: `Imports "${target}": testing/ is for tests only` };
  }
  const name = target.split('/').at(-1)!;
  if (name.startsWith('_') && targetRoom !== room) return { file, rule: `Imports "${target}": private to its room` };
  if (targetRoom === room) return filterBreach(file, target);
  if (fromTest || allowed.some((entry) => allows(entry, target))) return undefined;
  return { file, rule: `Imports "${target}": room "${room}" may use ${allowed.join(', ') || 'nothing'}` };
}

function packageBreach(file: string, room: string, specifier: string): Breach | undefined {
  const name = specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
  const fromTest = /\.(test|bench|fuzz)\.ts$/.test(file) || file.includes('/testing/');
  const rooms = [PACKAGES[name] ?? []].flat();
  if (rooms.includes(room) || fromTest) return undefined;
  return { file, rule: `Loads package "${name}": it belongs to room "${rooms.join('" or "') || '(none)'}"` };
}

/** Filter folders do not know each other. */
function filterBreach(file: string, target: string): Breach | undefined {
  const [room, folder] = file.split('/');
  if (room !== 'filters' || file.split('/').length < 3 || target.split('/').length < 3) return undefined;
  return target.split('/')[1] === folder ? undefined : { file, rule: `Imports "${target}": filter folders are apart` };
}

function allows(entry: string, target: string): boolean {
  if (entry === '*') return true;
  if (!entry.includes('/')) return target.startsWith(`${entry}/`);
  const want = entry.split('/');
  const have = target.split('/');
  return want.length === have.length && want.every((part, i) => part === '*' || part === have[i]);
}
