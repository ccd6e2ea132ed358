/**
 * An empty database, kept beside the packages. To make one takes seconds of computing, to copy one takes half of one, and each
 * data folder, each test and each example begins with one.
 */
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PGlite } from '@electric-sql/pglite';
import { replaceFile } from './replace-file.ts';

/**
 * A new database, or the one that is there.
 *
 * @param dir  absolute, or `memory://`
 * @param template  file of the template; absent: beside the packages
 */
export async function openFromTemplate(dir: string, template?: string): Promise<PGlite> {
  if (existsSync(join(dir, 'PG_VERSION'))) return PGlite.create(dir);
  const path = template ?? (await templatePath());
  if (path === undefined) return PGlite.create(dir);
  const kept = await readFile(path).catch(() => undefined);
  if (kept === undefined) return PGlite.create(dir, { loadDataDir: await makeTemplate(path) });
  try {
    return await PGlite.create(dir, { loadDataDir: new Blob([kept]) });
  } catch {
    // Damaged. The folder had no database, so that nothing is lost with what was begun in it.
    await rm(path, { force: true });
    for (const part of ['PG_VERSION', 'base', 'global', 'pg_wal']) {
      // oxlint-disable-next-line no-await-in-loop
      await rm(join(dir, part), { recursive: true, force: true });
    }
    return PGlite.create(dir);
  }
}

/** Whoever may not write there goes without: as an unprivileged user of what root has installed. */
async function makeTemplate(path: string): Promise<Blob> {
  const made = await PGlite.create('memory://');
  const template = await made.dumpDataDir('none');
  await made.close();
  const bytes = new Uint8Array(await template.arrayBuffer());
  await replaceFile({ path, owner: randomUUID() }, [bytes]).catch(() => undefined);
  return template;
}

/**
 * In `node_modules/.cache`: who can write there could as well write what we load. One for each version, which may make
 * databases that are otherwise.
 */
async function templatePath(): Promise<string | undefined> {
  const module = fileURLToPath(import.meta.resolve('@electric-sql/pglite'));
  const inside = join('node_modules', '@electric-sql', 'pglite') + sep;
  const at = module.lastIndexOf(inside);
  if (at === -1) return undefined;
  const text = await readFile(join(module.slice(0, at + inside.length), 'package.json'), 'utf8').catch(() => '{}');
  const { version } = JSON.parse(text) as { readonly version?: string };
  if (version === undefined) return undefined;
  return join(module.slice(0, at), 'node_modules', '.cache', 'fourways', `pglite-${version}.tar`);
}
