/**
 * The certificates on disk, sealed, beside the last good configuration: a process that
 * starts has them before its database is open, or while it is away, and one that takes
 * over has them while the other still holds the database.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Seal } from '../store/seal.ts';
import type { KeptCertificate } from './records.ts';

const FILE = 'certificates.sealed';
const PURPOSE = 'certificates of a process';

export class Keepsake {
  readonly #dir: string;
  readonly #seal: Seal;
  #writing: Promise<void> = Promise.resolve();

  constructor(dir: string, seal: Seal) {
    this.#dir = dir;
    this.#seal = seal;
  }

  /** What was kept; nothing when there is no file, or it cannot be opened with our key. */
  read(): KeptCertificate[] {
    try {
      const text = this.#seal.open(PURPOSE, readFileSync(join(this.#dir, FILE), 'utf8').trim());
      return text === undefined ? [] : (JSON.parse(text) as KeptCertificate[]);
    } catch {
      return [];
    }
  }

  /** One after the other; a file that cannot be written is given to `onFailed` in words. */
  write(certificates: readonly KeptCertificate[], onFailed: (why: string) => void): Promise<void> {
    const text = this.#seal.close(PURPOSE, JSON.stringify(certificates));
    this.#writing = this.#writing
      .then(() => this.#replace(text))
      .catch((error: unknown) => onFailed(error instanceof Error ? error.message : String(error)));
    return this.#writing;
  }

  /** Resolves when what was given is written. */
  flush(): Promise<void> {
    return this.#writing;
  }

  async #replace(text: string): Promise<void> {
    mkdirSync(this.#dir, { recursive: true, mode: 0o700 });
    const path = join(this.#dir, FILE);
    const beside = `${path}.${randomBytes(6).toString('hex')}`;
    const file = await open(beside, 'wx', 0o600);
    try {
      await file.writeFile(`${text}\n`);
      await file.sync();
      await file.close();
      await rename(beside, path);
    } catch (error) {
      await file.close().catch(() => undefined);
      await rm(beside, { force: true });
      throw error;
    }
  }
}
