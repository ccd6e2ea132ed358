/** Resident memory of the whole process with many routes, after garbage of the start was collected or not: as it is. */
import { join } from 'node:path';
import { Fourways, pause } from '../test/client/fourways.ts';
import { exchangeOnce, get } from '../test/client/raw-client.ts';
import { freeAddress } from './load.ts';
import type { PartOptions } from './parts.ts';
import { writeFourwaysConfig } from './peer.ts';
import { round, type Row } from './row.ts';

/** Memory is at rest when it moved less than this over {@link REST_MS}. */
const REST_BYTES = 1_000_000;
const REST_MS = 2_000;
const REST_MS_MAX = 30_000;

export async function measureMemory(
  options: PartOptions,
  { routes, workers }: { readonly routes: number; readonly workers: number },
): Promise<readonly Row[]> {
  const [listen, origin] = [await freeAddress(), await freeAddress()];
  const config = writeFourwaysConfig({ dir: options.dir, listen, origin, tls: undefined, routes });
  await using program = await Fourways.start({
    config,
    entry: options.entry,
    workers,
    outputFile: join(options.dir, 'fourways.log'),
  });
  // No origin listens: that the last route is known is seen by the 503.
  const { status } = await exchangeOnce(listen, get(`/r/${routes - 1}`, 'bench.test'));
  if (status !== 503) throw new Error(`The last route answers ${status}, expected 503`);
  const rss = await restingRss(program);
  options.say(
    `fourways ${options.version}: ${(rss / 1e6).toFixed(0)} MB with ${routes} routes and ${workers} worker(s)`,
  );
  return [
    {
      scenario: `memory-${routes}`,
      proxy: 'fourways',
      version: options.version,
      rss_mb: round(rss / 1e6, 1),
      routes,
      workers,
    },
  ];
}

/** Memory once it stands still. */
export function restingRss(program: Fourways): Promise<number> {
  return settled(() => program.rssBytes());
}

/** Bytes once they stand still. */
export async function settled(look: () => number): Promise<number> {
  let last = look();
  for (let waitedMs = 0; waitedMs < REST_MS_MAX; waitedMs += REST_MS) {
    await pause(REST_MS);
    const now = look();
    if (Math.abs(now - last) < REST_BYTES) return now;
    last = now;
  }
  return last;
}
