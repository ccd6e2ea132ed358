/**
 * A start leaves as much garbage as it leaves things of use, and V8 collects it
 * when memory is short, which on a machine at rest is never. So it is collected
 * twice, soon after the start, in every thread.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** After the start, when those that waited for it have been served; and when what was read has been kept on disk. */
const COLLECT_MS = [1_000, 4_000] as const;

/** Makes `gc` known to all threads that are started from now on. Call it once, before the first. */
export function allowCollecting(): void {
  setFlagsFromString('--expose-gc');
}

/**
 * Collects soon, and only where {@link allowCollecting} was called: not inside the program of somebody else.
 *
 * @param isBusy  whether a pause of some 30 ms would be noticed: then nothing is collected
 */
export function collectSoon(isBusy: () => boolean): void {
  const collect = (): void => {
    if (isBusy()) return;
    // A thread that was started since has it; the main thread, which is older than the flag, finds it in a new context.
    const gc = globalThis.gc ?? (runInNewContext('globalThis.gc') as typeof globalThis.gc);
    gc?.({ type: 'major', flavor: 'last-resort', execution: 'sync' });
  };
  for (const delayMs of COLLECT_MS) setTimeout(collect, delayMs).unref();
}
