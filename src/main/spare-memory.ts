/**
 * A start leaves as much garbage as it leaves things of use, and V8 collects it
 * when memory is short, which on a machine at rest is never. So it is collected
 * twice, soon after the start, in every thread; and beside an application, where many proxies share a host, whenever
 * the proxy comes to rest.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type Clock, systemClock } from '../base/clock.ts';

/** How often it is looked whether a time of work is over. */
const LOOK_MS = 5_000;
/** Of a core, in that time: at rest. */
const REST_SHARE = 0.02;
/** Less than that is not worth a pause. */
const GARBAGE_BYTES = 2_000_000;

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
  const collectUnlessBusy = (): void => {
    if (!isBusy()) collect();
  };
  for (const delayMs of COLLECT_MS) setTimeout(collectUnlessBusy, delayMs).unref();
}

/** What is known of a thread whose garbage is collected. */
export interface CollectedThread {
  readonly clock: Clock;
  /** Processor time of the thread so far. */
  cpuMs(): number;
  heapBytes(): number;
  collect(): void;
}

/** Collects each time that a time of work is over: garbage of a proxy that is called now and then would stay for days. */
export function collectAtRest(thread: CollectedThread = THIS_THREAD): () => void {
  let cpuMs = thread.cpuMs();
  let leanBytes = thread.heapBytes();
  return thread.clock.every(LOOK_MS, () => {
    const beforeMs = cpuMs;
    cpuMs = thread.cpuMs();
    if (cpuMs - beforeMs > LOOK_MS * REST_SHARE || thread.heapBytes() - leanBytes < GARBAGE_BYTES) return;
    thread.collect();
    cpuMs = thread.cpuMs();
    leanBytes = thread.heapBytes();
  });
}

const THIS_THREAD: CollectedThread = {
  clock: systemClock,
  cpuMs() {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1_000;
  },
  heapBytes: () => getHeapStatistics().used_heap_size,
  collect,
};

function collect(): void {
  // A thread that was started since has it; the main thread, which is older than the flag, finds it in a new context.
  const gc = globalThis.gc ?? (runInNewContext('globalThis.gc') as typeof globalThis.gc);
  gc?.({ type: 'major', flavor: 'last-resort', execution: 'sync' });
}
