/**
 * From the end of a write to the moment at which the change is told, and what
 * watching costs when nothing happens. Run: `node src/source/folder.bench.ts`.
 * Budget: 15 ms for one file of 3,000, 40 ms for one document of 3,000 in a file
 * (medians on a quiet machine); 4 ms of each are the wait for the rest of a write.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { TempFolder } from './testing/temp-folder.ts';
import { pathOf, route, Watched } from './testing/watched.ts';

const EDITS = 50;
const IDLE_MS = 6_000;

async function measure(name: string, files: number, documents: number): Promise<void> {
  using folder = new TempFolder();
  const textOf = (file: number, edit?: number): string =>
    Array.from({ length: documents }, (_, i) => {
      const own = `r${file}-${i}`;
      return route(own, i === 0 && edit !== undefined ? `/edit/${edit}` : undefined);
    }).join('---\n');
  for (let file = 0; file < files; file++) folder.write(`${file}.yaml`, textOf(file));

  const startMs = performance.now();
  await using watched = await Watched.open(folder.path);
  const loadMs = performance.now() - startMs;
  await pause(500);
  const times: number[] = [];
  for (let edit = 0; edit < EDITS; edit++) {
    const file = (edit * 7) % files;
    folder.write(`${file}.yaml`, textOf(file, edit));
    const writtenMs = performance.now();
    await watched.until((state) => pathOf(state, `r${file}-0`) === `/edit/${edit}`);
    times.push(performance.now() - writtenMs);
    await pause(30);
  }
  const before = process.cpuUsage();
  await pause(IDLE_MS);
  const { user, system } = process.cpuUsage(before);
  times.sort((a, b) => a - b);
  const at = (share: number): number => Math.round(times[Math.floor(times.length * share)]! * 10) / 10;
  const idlePercent = Math.round((user + system) / IDLE_MS) / 10;
  const row = { name, loadMs: Math.round(loadMs), p50Ms: at(0.5), p90Ms: at(0.9), idlePercent, node: process.version };
  console.log(JSON.stringify(row));
}

await measure('one file of 3,000', 3_000, 1);
await measure('one document of 3,000 in a file', 1, 3_000);
