import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

interface Locked {
  readonly version?: string;
  readonly resolved?: string;
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
  readonly dev?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

function read<T>(file: string): T {
  return JSON.parse(readFileSync(new URL(`../${file}`, import.meta.url), 'utf8')) as T;
}

const { packages } = read<{ packages: Readonly<Record<string, Locked>> }>('package-lock.json');

test('lock: names every optional package too, for without one "npm ci" refuses the file', () => {
  const missing = Object.values(packages).flatMap(({ dependencies = {}, optionalDependencies = {} }) =>
    Object.keys({ ...dependencies, ...optionalDependencies }).filter(
      (name) => packages[`node_modules/${name}`] === undefined,
    ),
  );
  assert.deepEqual(missing, []);
});

test('lock: names no registry', () => {
  const named = Object.entries(packages).filter(([, { resolved }]) => resolved !== undefined);
  assert.deepEqual(named, []);
});

test('lock: only the packages that package.json allows run a script when they are installed', () => {
  const { allowScripts } = read<{ allowScripts: Readonly<Record<string, boolean>> }>('package.json');
  const scripts = Object.entries(packages).flatMap(([path, { hasInstallScript }]) =>
    hasInstallScript === true ? [path] : [],
  );
  assert.deepEqual(
    scripts,
    Object.keys(allowScripts).map((name) => `node_modules/${name}`),
  );
});

test('lock: the product runs without native code', () => {
  const root = new URL('../', import.meta.url);
  const needed = Object.entries(packages).filter(([path, { dev }]) => path !== '' && dev !== true);
  assert.ok(needed.length > 20, 'there is something to look at');
  const native = needed.flatMap(([path, { os, cpu }]) => {
    const folder = new URL(`${path}/`, root);
    const files = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }) : [];
    const built = files.filter((file) => /(?:\.node|^binding\.gyp)$/.test(file));
    return os === undefined && cpu === undefined && built.length === 0 ? [] : [`${path} ${built.join(' ')}`];
  });
  assert.deepEqual(native, []);
});
