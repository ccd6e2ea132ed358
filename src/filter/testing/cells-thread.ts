/** A worker thread that counts in shared cells, as told by its workerData: for cells.test.ts. */
import { randomBytes } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import { type Demand, openCells } from '../cells.ts';

export interface CellsTask {
  readonly buffer: SharedArrayBuffer;
  readonly worker: number;
  /**
   * `spend`: asks `tries` times. `hold`: takes as many as it gets and keeps them. `stop-inside-spend`, `-hold`: stops
   * for ever while it holds a lock. `endless`: asks until it is ended.
   */
  readonly what: 'spend' | 'hold' | 'endless' | 'stop-inside-spend' | 'stop-inside-hold';
  readonly tries: number;
  /** Bursts of the limits, or how many may be held of each key. */
  readonly limits: readonly number[];
}

/** Names and keys are the same in every thread. */
export function demandsOf(
  cells: ReturnType<typeof openCells>,
  limits: readonly number[],
  key: string = 'client',
): Demand[] {
  return limits.map((burst, i) => {
    cells.hash.read(cells.space(`limit ${i}`), key);
    // So slow that nothing trickles away while the test runs.
    return { lo: cells.hash.lo, hi: cells.hash.hi, cost: 1, burst, perUnitMs: 1e9, used: 0, waitMs: 0 };
  });
}

if (parentPort !== null) run(workerData as CellsTask);

function run({ buffer, worker, what, tries, limits }: CellsTask): void {
  const cells = openCells(buffer, { worker, randomBytes });
  const demands = demandsOf(cells, limits);
  const stop = (): never => {
    parentPort!.postMessage('stopped');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    throw new Error('It was woken');
  };
  let got = 0;
  switch (what) {
    case 'spend':
      for (let i = 0; i < tries; i++) if (cells.spend(demands, demands.length, 1)) got++;
      break;
    case 'hold':
      for (let i = 0; i < tries; i++) if (cells.hold(demands[0]!, limits[0]!, 1) >= 0) got++;
      break;
    case 'endless':
      parentPort!.postMessage('running');
      for (;;) {
        cells.spend(demands, 1, 1);
        const held = cells.hold(demands[1]!, 1_000_000, 1);
        if (held >= 0 && tries > 0) cells.release(held);
      }
    // oxlint-disable-next-line no-fallthrough -- the loop has no end
    case 'stop-inside-spend':
      cells.spend([Object.defineProperty({ ...demands[0]! }, 'cost', { get: stop })], 1, 1);
      break;
    case 'stop-inside-hold':
      cells.hold(Object.defineProperty({ ...demands[0]! }, 'lo', { get: stop }), limits[0]!, 1);
      break;
  }
  parentPort!.postMessage(got);
}
