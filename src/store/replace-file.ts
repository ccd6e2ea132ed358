/** Files that are replaced as a whole: after a crash there is the old one or the new one. */
import { mkdir, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Writes these pieces beside the file, flushes them to the disk, and renames. Makes its folder. Mode 0600: what is kept
 * holds secrets.
 *
 * @param owner  tells what two processes write at the same time apart
 * @throws {Error} when it could not be written; the old file is there and nothing beside it
 */
export async function replaceFile(
  { path, owner }: { readonly path: string; readonly owner: string },
  pieces: AsyncIterable<string | Uint8Array> | Iterable<string | Uint8Array>,
): Promise<void> {
  const dir = dirname(path);
  const draft = `${path}.${owner}`;
  try {
    await mkdir(dir, { recursive: true, mode: 0o700 });
    await rm(draft, { force: true });
    await using file = await open(draft, 'wx', 0o600);
    for await (const piece of pieces) await file.appendFile(piece);
    await file.sync();
    await rename(draft, path);
    await syncFolder(dir);
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined);
    throw error;
  }
}

/** A rename is on the disk when its folder is. */
async function syncFolder(dir: string): Promise<void> {
  await using folder = await open(dir, 'r');
  await folder.sync();
}
