/**
 * The certificates on disk, sealed, beside the last good configuration: a process that
 * starts has them before its database is open, or while it is away, and one that takes
 * over has them while the other still holds the database.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile } from '../store/replace-file.ts';
import type { Seal } from '../store/seal.ts';
import type { KeptCertificate } from './records.ts';

const FILE = 'certificates.sealed';
const PURPOSE = 'certificates of a process';

export class Keepsake {
  readonly #path: string;
  readonly #owner = randomBytes(6).toString('hex');
  readonly #seal: Seal;
  #writing: Promise<void> = Promise.resolve();

  constructor(dir: string, seal: Seal) {
    this.#path = join(dir, FILE);
    this.#seal = seal;
  }

  /** What was kept; nothing when there is no file, or it cannot be opened with our key. */
  read(): KeptCertificate[] {
    try {
      const text = this.#seal.open(PURPOSE, readFileSync(this.#path, 'utf8').trim());
      return text === undefined ? [] : (JSON.parse(text) as KeptCertificate[]);
    } catch {
      return [];
    }
  }

  /** One after the other; a file that cannot be written is given to `onFailed` in words. */
  write(certificates: readonly KeptCertificate[], onFailed: (why: string) => void): Promise<void> {
    const text = this.#seal.close(PURPOSE, JSON.stringify(certificates));
    this.#writing = this.#writing
      .then(() => replaceFile({ path: this.#path, owner: this.#owner }, [`${text}\n`]))
      .catch((error: unknown) => onFailed(error instanceof Error ? error.message : String(error)));
    return this.#writing;
  }

  /** Resolves when what was given is written. */
  flush(): Promise<void> {
    return this.#writing;
  }
}
