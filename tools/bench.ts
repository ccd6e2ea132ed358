/**
 * Micro benchmark: prints one JSON line per case. The best of the rounds counts,
 * because noise only ever adds.
 */

const ROUNDS = 20;
const ROUND_MS = 25;

let sink: unknown;

/** Keeps a result alive, so that the compiler cannot leave out the work that made it. */
export function keep(value: unknown): void {
  sink = value;
}

/** Measures `action`, which is run in a loop. */
export function bench(name: string, action: () => void): void {
  const loops = calibrate(action);
  let bestNs = Infinity;
  for (let round = 0; round < ROUNDS; round++) bestNs = Math.min(bestNs, timeNs(action, loops) / loops);
  const nsPerOp = Math.round(bestNs * 10) / 10;
  console.log(JSON.stringify({ name, nsPerOp, rounds: ROUNDS, loops, node: process.version, kept: typeof sink }));
}

/** Number of loops that take about one round; running them also warms the code up. */
function calibrate(action: () => void): number {
  let loops = 1;
  while (timeNs(action, loops) < ROUND_MS * 1e6) loops *= 2;
  return loops;
}

function timeNs(action: () => void, loops: number): number {
  const start = process.hrtime.bigint();
  for (let i = 0; i < loops; i++) action();
  return Number(process.hrtime.bigint() - start);
}
