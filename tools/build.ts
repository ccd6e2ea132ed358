/**
 * `npm run build`: makes `dist/`, the package that users install, and checks it.
 *
 * Plain `tsc` emit, no bundler: one source file, one emitted file, so a stack
 * trace of a user names the file of the repository.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, globSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

const ROOT = new URL('..', import.meta.url).pathname;

/** What the program reads at run time besides modules. */
const ASSETS = 'src/**/*.{json,html,css,svg}';

interface PackageJson {
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
}

/** What goes into the package beside `dist/`. */
const BESIDE = ['package.json', 'README.md', 'LICENSE'] as const;

/**
 * Builds the package in `folder` and checks it.
 *
 * @param folder  the clone itself, or an empty folder that gets all of the package and nothing else
 * @throws {Error} with what is wrong
 */
export function build(folder: string): void {
  const dist = join(folder, 'dist');
  rmSync(dist, { recursive: true, force: true });
  runTool('tsc', ['-p', 'tsconfig.build.json', '--outDir', dist], ROOT);
  for (const asset of globSync(ASSETS, { cwd: ROOT, exclude: ['**/testdata/**', '**/testing/**'] })) {
    const target = join(dist, asset.slice('src/'.length));
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(join(ROOT, asset), target);
  }
  if (resolve(folder) !== resolve(ROOT)) for (const file of BESIDE) copyFileSync(join(ROOT, file), join(folder, file));
  const pack = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as PackageJson;
  checkExports(pack, folder);
  checkBins(pack, folder);
  runTool('publint', ['--strict'], folder);
}

function checkExports({ exports }: PackageJson, folder: string): void {
  const files = Object.values(exports).flatMap((entry) => (typeof entry === 'string' ? [entry] : Object.values(entry)));
  if (files.length === 0) throw new Error('Cannot check the exports: package.json has none');
  for (const file of files) {
    if (statSync(join(folder, file), { throwIfNoEntry: false }) === undefined) {
      throw new Error(`Cannot find an export: package.json names "${file}"`);
    }
  }
}

function checkBins({ bin }: PackageJson, folder: string): void {
  for (const file of Object.values(bin)) {
    const path = join(folder, file);
    const first = readFileSync(path, 'utf8').split('\n', 1)[0];
    if (first !== '#!/usr/bin/env node') throw new Error(`Cannot run "${file}": its first line is "${first}"`);
    chmodSync(path, 0o755);
  }
}

function runTool(name: string, args: readonly string[], cwd: string): void {
  // What a tool says goes to standard error: standard output may belong to a test runner.
  const { status, error } = spawnSync(join(ROOT, 'node_modules/.bin', name), args, { cwd, stdio: ['ignore', 2, 2] });
  if (error !== undefined) throw new Error(`Cannot run ${name}: ${error.message}`);
  if (status !== 0) throw new Error(`Cannot build: "${name} ${args.join(' ')}" ended with ${status}`);
}

if (import.meta.main) {
  try {
    build(ROOT);
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
