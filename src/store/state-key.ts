/** The key that secret values are sealed with: given by the operator, or made once and kept beside the state. */
import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { STATE_KEY_BYTES } from './seal.ts';

export interface StateKeyOptions {
  /** Value of `FOURWAYS_STATE_KEY`: the key in base64, or 64 hex digits. */
  readonly value: string | undefined;
  /** Value of `FOURWAYS_STATE_KEY_FILE`: a file that holds it in the same form. */
  readonly file: string | undefined;
  /** Folder in which one is made when none is given. */
  readonly dir: string;
}

const FILE_NAME = 'state.key';

/** @throws {Error} with words for the operator when the key cannot be read */
export function readStateKey({ value, file, dir }: StateKeyOptions): Uint8Array {
  if (value !== undefined) return parsed(value, 'FOURWAYS_STATE_KEY');
  if (file !== undefined) return parsed(readFileSync(file, 'utf8'), file);
  const path = join(dir, FILE_NAME);
  try {
    return parsed(readFileSync(path, 'utf8'), path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  make(path, dir);
  return parsed(readFileSync(path, 'utf8'), path);
}

/** Written beside, then linked: of two processes that make one at the same time, both read the one that came first. */
function make(path: string, dir: string): void {
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const beside = `${path}.${randomBytes(6).toString('hex')}`;
  writeFileSync(beside, `${randomBytes(STATE_KEY_BYTES).toString('base64')}\n`, {
    mode: 0o600,
    flag: 'wx',
    flush: true,
  });
  try {
    linkSync(beside, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(beside, { force: true });
  }
}

function parsed(text: string, where: string): Uint8Array {
  const clean = text.trim();
  const bytes = /^[0-9a-fA-F]{64}$/.test(clean) ? Buffer.from(clean, 'hex') : Buffer.from(clean, 'base64');
  if (bytes.length === STATE_KEY_BYTES) return bytes;
  throw new Error(
    `Cannot read the state key in ${where}: expected ${STATE_KEY_BYTES} bytes in base64 or hex, got ${bytes.length}`,
  );
}
