/**
 * `npm run build`: makes `dist/`, the package that users install, and checks it.
 *
 * Plain `tsc` emit, no bundler: one source file, one emitted file, so a stack
 * trace of a user names the file of the repository.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, globSync, mkdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

const ROOT = new URL('..', import.meta.url).pathname;

/** What the program reads at run time besides modules. */
const ASSETS = 'src/**/*.{json,html,css,svg}';

interface PackageJson {
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
}

/** Builds and checks. @throws {Error} with what is wrong */
export function build(): void {
  rmSync(join(ROOT, 'dist'), { recursive: true, force: true });
  runTool('tsc', ['-p', 'tsconfig.build.json']);
  for (const asset of globSync(ASSETS, { cwd: ROOT, exclude: ['**/testdata/**', '**/testing/**'] })) {
    const target = join(ROOT, 'dist', asset.slice('src/'.length));
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(join(ROOT, asset), target);
  }
  const pack = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as PackageJson;
  checkExports(pack);
  checkBins(pack);
  runTool('publint', ['--strict']);
}

function checkExports({ exports }: PackageJson): void {
  const files = Object.values(exports).flatMap((entry) => (typeof entry === 'string' ? [entry] : Object.values(entry)));
  if (files.length === 0) throw new Error('Cannot check the exports: package.json has none');
  for (const file of files) {
    if (statSync(join(ROOT, file), { throwIfNoEntry: false }) === undefined) {
      throw new Error(`Cannot find an export: package.json names "${file}"`);
    }
  }
}

function checkBins({ bin }: PackageJson): void {
  for (const file of Object.values(bin)) {
    const path = join(ROOT, file);
    const first = readFileSync(path, 'utf8').split('\n', 1)[0];
    if (first !== '#!/usr/bin/env node') throw new Error(`Cannot run "${file}": its first line is "${first}"`);
    chmodSync(path, 0o755);
  }
}

function runTool(name: string, args: readonly string[]): void {
  const { status, error } = spawnSync(join(ROOT, 'node_modules/.bin', name), args, { cwd: ROOT, stdio: 'inherit' });
  if (error !== undefined) throw new Error(`Cannot run ${name}: ${error.message}`);
  if (status !== 0) throw new Error(`Cannot build: "${name} ${args.join(' ')}" ended with ${status}`);
}

if (import.meta.main) {
  try {
    build();
  } catch (error) {
    console.error((error as Error).message);
    process.exitCode = 1;
  }
}
