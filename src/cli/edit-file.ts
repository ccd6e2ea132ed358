import { chmod, chown, open, readFile, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { systemReason } from '../source/file-problem.ts';
import { CommandFailure } from './command.ts';

/**
 * Changes a file as a whole: whoever reads it sees what was before or what is after. A new file is for its owner only, unless it is said otherwise;
 * one that is there keeps its mode and its owner. Two commands at a time do not lose each other's change: the draft is the lock.
 *
 * @param mode  of a new one
 * @param edit  gets what is there, undefined for no file; what it throws leaves everything as it is
 * @throws {CommandFailure} when it cannot be read or written
 */
export async function editFile(
  path: string,
  edit: (before: Buffer | undefined) => Iterable<Buffer>,
  mode = 0o600,
): Promise<void> {
  const target = await realpath(path).catch(() => path);
  const draft = join(dirname(target), `.${basename(target)}.draft`);
  const file = await open(draft, 'wx', mode).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw failure(path, error);
    const advice = 'another command changes the file now, or was broken off; delete the draft in that case';
    throw new CommandFailure(`Cannot change ${path}: ${draft} is there: ${advice}`);
  });
  try {
    try {
      for (const piece of edit(await readIfThere(target))) await file.appendFile(piece);
      await file.sync();
    } finally {
      await file.close();
    }
    await keepOwner(target, draft);
    await rename(draft, target);
    await syncFolder(dirname(target));
  } catch (error) {
    await rm(draft, { force: true });
    throw error instanceof Error && 'code' in error ? failure(path, error) : error;
  }
}

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

async function keepOwner(target: string, draft: string): Promise<void> {
  const was = await stat(target).catch(() => undefined);
  if (was === undefined) return;
  const now = await stat(draft);
  if (was.uid !== now.uid || was.gid !== now.gid) await chown(draft, was.uid, was.gid);
  await chmod(draft, was.mode & 0o777);
}

/** A rename is on the disk when its folder is. */
async function syncFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r');
  await folder.sync();
}

function failure(path: string, error: unknown): CommandFailure {
  return new CommandFailure(`Cannot change ${path}: ${systemReason(error)}`);
}
