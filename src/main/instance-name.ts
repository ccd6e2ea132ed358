/** What tells instances of one identity apart: the same after a restart on the same disk. */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { replaceFile } from '../store/replace-file.ts';

/** @param dir  where it is kept; undefined for a process that leaves nothing behind */
export async function instanceName(dir: string | undefined): Promise<string> {
  if (dir === undefined) return randomUUID();
  const path = join(dir, 'instance');
  const kept = await readFile(path, 'utf8').catch(() => '');
  if (/^[0-9a-f-]{36}$/.test(kept)) return kept;
  const made = randomUUID();
  await replaceFile({ path, owner: 'new' }, [made]);
  return made;
}
