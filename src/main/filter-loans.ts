/** What filters may use of the process: files, randomness, requests to addresses that are only known while it runs. */
import { randomBytes } from 'node:crypto';
import { readFileSync, statSync, unwatchFile, watchFile } from 'node:fs';
import type { FilterLoans } from '../proxy/filter-env.ts';

/** How often a file is looked at. Looking works on every file system; telling does not. */
const LOOK_MS = 2_000;

/** Readings of both clocks, of which the closest pair counts: a thread may be held up between the two. */
const CLOCK_READINGS = 16;

export function filterLoans(
  loans: Pick<FilterLoans, 'cells' | 'marks' | 'worker' | 'redis' | 'programs'>,
): FilterLoans {
  return {
    ...loans,
    fetch: (url, init) => fetch(url, init),
    clockOffsetMs: clockOffsetMs(),
    randomBytes,
    readFile: (path) => readFileSync(path),
    watchFile(path, onChange) {
      const listener = (now: Look, was: Look): void => {
        if (lookText(now) !== lookText(was)) onChange();
      };
      watchFile(path, { interval: LOOK_MS, persistent: false }, listener);
      // The watcher takes its first look some time later, and what changed until then is what it begins with.
      const first = lookAt(path);
      const second = setTimeout(() => {
        if (lookAt(path) !== first) onChange();
      }, LOOK_MS);
      second.unref();
      return () => {
        clearTimeout(second);
        unwatchFile(path, listener);
      };
    },
  };
}

/** What tells one version of a file from another. */
interface Look {
  readonly mtimeMs: number;
  readonly size: number;
  readonly ino: number;
}

function lookAt(path: string): string {
  try {
    return lookText(statSync(path));
  } catch {
    return 'none';
  }
}

function lookText({ mtimeMs, size, ino }: Look): string {
  return `${mtimeMs} ${size} ${ino}`;
}

/**
 * `performance.now()` begins anew in every thread, at a time that is only known by the wall clock, which may be set
 * meanwhile. `process.hrtime` is the monotonic clock of the system: one for all threads, never set, at the same pace.
 */
function clockOffsetMs(): number {
  let offsetMs = 0;
  let closestMs = Infinity;
  for (let i = 0; i < CLOCK_READINGS; i++) {
    const beforeMs = performance.now();
    const commonMs = Number(process.hrtime.bigint()) / 1e6;
    const afterMs = performance.now();
    if (afterMs - beforeMs >= closestMs) continue;
    closestMs = afterMs - beforeMs;
    offsetMs = commonMs - (beforeMs + afterMs) / 2;
  }
  return offsetMs;
}
