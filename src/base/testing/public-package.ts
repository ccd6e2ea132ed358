/**
 * Packages of npm that tests look at and that are no dependency of ours: fetched
 * once, checked, and kept beside what npm keeps.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const KEPT = join(import.meta.dirname, '../../../node_modules/.cache');

export interface PublicPackage {
  readonly name: string;
  readonly version: string;
  /** Of what is fetched, in base64. */
  readonly sha512: string;
  /** What of it is kept, by its paths in the package; all of it when left out. */
  readonly files?: readonly string[];
}

/** The registry is not there: nothing can be said of what the test looks at. */
export class NotFetched extends Error {
  override readonly name = 'NotFetched';
}

/** Where the files of the package are. @throws {NotFetched} when it cannot be had. @throws {Error} when it is not the one that it was */
export function folderOf({ name, version, sha512, files }: PublicPackage): string {
  const parts =
    files === undefined ? '' : `-${createHash('sha256').update(files.join('\n')).digest('hex').slice(0, 8)}`;
  const folder = join(KEPT, `${name}-${version}${parts}`);
  if (existsSync(folder)) return folder;
  mkdirSync(KEPT, { recursive: true });
  const work = mkdtempSync(join(KEPT, 'fetch-'));
  try {
    run(name, 'npm', ['pack', `${name}@${version}`, '--silent', '--pack-destination', work]);
    const file = join(work, `${name}-${version}.tgz`);
    if (createHash('sha512').update(readFileSync(file)).digest('base64') !== sha512) {
      throw new Error(`Cannot use ${name}: it is not what it was`);
    }
    run(name, 'tar', ['-xzf', file, '-C', work, ...(files ?? []).map((path) => `package/${path}`)]);
    renameSync(join(work, 'package'), folder);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return folder;
}

function run(name: string, program: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new NotFetched(`Cannot fetch ${name}: ${program} ended with ${status}: ${stderr}`);
}
