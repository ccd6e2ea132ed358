/** What filters may use of the process: files, randomness, requests to addresses that are only known while it runs. */
import { randomBytes } from 'node:crypto';
import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import type { FilterLoans } from '../proxy/filter-env.ts';

/** How often a file is looked at. Looking works on every file system; telling does not. */
const LOOK_MS = 2_000;

export function filterLoans({ cells, redis }: Pick<FilterLoans, 'cells' | 'redis'>): FilterLoans {
  return {
    fetch: (url, init) => fetch(url, init),
    cells,
    redis,
    randomBytes,
    readFile: (path) => readFileSync(path),
    watchFile(path, onChange) {
      const listener = (
        now: { readonly mtimeMs: number; readonly size: number; readonly ino: number },
        was: typeof now,
      ): void => {
        if (now.mtimeMs !== was.mtimeMs || now.size !== was.size || now.ino !== was.ino) onChange();
      };
      watchFile(path, { interval: LOOK_MS, persistent: false }, listener);
      return () => unwatchFile(path, listener);
    },
  };
}
