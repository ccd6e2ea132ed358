/** From the start of the process to ready, and what it holds at rest. */
import { join } from 'node:path';
import { Fourways } from '../test/client/fourways.ts';
import { freeAddress } from './load.ts';
import { restingRss } from './memory.ts';
import type { PartOptions } from './parts.ts';
import { writeFourwaysConfig } from './peer.ts';
import { median, round, type Row } from './row.ts';

export async function measureStart(
  options: PartOptions,
  { workers, rounds }: { readonly workers: number; readonly rounds: number },
): Promise<readonly Row[]> {
  const [listen, origin] = [await freeAddress(), await freeAddress()];
  const config = writeFourwaysConfig({ dir: options.dir, listen, origin, tls: undefined, routes: 1 });
  const readyMs: number[] = [];
  const rss: number[] = [];
  for (let nth = 0; nth <= rounds; nth++) {
    const startedMs = performance.now();
    await using program = await Fourways.start({
      config,
      entry: options.entry,
      workers,
      outputFile: join(options.dir, 'fourways.log'),
    });
    const tookMs = performance.now() - startedMs;
    // The first start fills the code cache and is what an installation does once.
    if (nth === 0) options.say(`first start ever: ${tookMs.toFixed(0)} ms`);
    else readyMs.push(tookMs);
    if (nth === rounds) rss.push(await restingRss(program));
  }
  const row = {
    scenario: 'start',
    proxy: 'fourways',
    version: options.version,
    ready_ms: round(median(readyMs), 0),
    ready_max_ms: round(Math.max(...readyMs), 0),
    rss_mb: round(median(rss) / 1e6, 1),
    workers,
  };
  options.say(`fourways ${row.version}: ready in ${row.ready_ms} ms (${rounds} starts), ${row.rss_mb} MB at rest`);
  return [row];
}
