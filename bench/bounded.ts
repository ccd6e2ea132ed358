/**
 * `node bench/bounded.ts`: what load that wants to exhaust memory does to it.
 * Writes docs/memory.md. test/bounded.test.ts holds smaller loads against bounds.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DOOR_HOST, Fourways, freePort, pause } from '../test/client/fourways.ts';
import { openFilesMax } from '../test/client/load.ts';
import { gateway, gatewayClass, httpRoute, prefixRule, service, writeManifests } from '../test/client/manifests.ts';
import {
  type BulkOrigin,
  download,
  floodHeaders,
  MemoryWatch,
  openIdle,
  openSlowReaders,
  startBulkOrigin,
  upload,
} from '../test/client/pressure.ts';
import { restingRss } from './memory.ts';
import { fourwaysProgram } from './peer.ts';

const MB = 1_000_000;
const GB = 1_000 * MB;
const HOST = 'bulk.test';
const REPORT = fileURLToPath(new URL('../docs/memory.md', import.meta.url));

interface Stage {
  readonly door: { readonly host: string; readonly port: number };
  readonly origin: BulkOrigin;
}

interface Load {
  readonly name: string;
  /** Runs the load; what it says goes into the table. */
  run(stage: Stage): Promise<string>;
}

const LOADS: readonly Load[] = [
  {
    name: '10,000 idle connections',
    async run({ door }) {
      const count = Math.min(10_000, (await openFilesMax()) - 1_000);
      const sockets = await openIdle(door, count);
      await pause(1_000);
      close(sockets);
      return count === 10_000 ? '' : `${count} connections: the limit of open files allows no more`;
    },
  },
  {
    name: '10,000 connections, each after one request',
    async run({ door }) {
      const count = Math.min(10_000, (await openFilesMax()) - 1_000);
      const sockets = await openIdle(door, count);
      for (const socket of sockets) {
        socket.write(`GET /down/10 HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`);
        await new Promise<void>((resolve) => socket.once('data', () => resolve()).once('close', resolve));
      }
      close(sockets);
      return '';
    },
  },
  {
    name: 'an answer of 1 GB',
    run: async ({ door }) => inTime(GB, () => download(door, HOST, GB)),
  },
  {
    name: 'a request of 1 GB',
    run: async ({ door }) => inTime(GB, () => upload(door, HOST, GB)),
  },
  {
    name: '10 answers and 10 requests of 100 MB at once',
    async run({ door }) {
      const down = Array.from({ length: 10 }, () => download(door, HOST, 100 * MB));
      const up = Array.from({ length: 10 }, () => upload(door, HOST, 100 * MB));
      return inTime(2 * GB, async () => (await Promise.all([...down, ...up])).reduce((sum, bytes) => sum + bytes, 0));
    },
  },
  {
    name: '100 clients that do not read an answer of 1 GB',
    async run({ door, origin }) {
      const before = origin.sentBytes;
      const readers = await openSlowReaders(door, HOST, { count: 100, bytes: GB });
      await pause(5_000);
      const underWay = origin.sentBytes - before;
      close(readers);
      return `${(underWay / 100 / MB).toFixed(1)} MB for each are under way, most of it in the kernel`;
    },
  },
  {
    name: '500 heads without end',
    async run({ door }) {
      const answers = await Promise.all(Array.from({ length: 500 }, () => floodHeaders(door, HOST)));
      const refused = answers.filter((answer) => answer.startsWith('HTTP/1.1 431 ')).length;
      return `${refused} saw their 431`;
    },
  },
  {
    name: '5,000 heads that stop half-way',
    async run({ door }) {
      const sockets = await openIdle(door, Math.min(5_000, (await openFilesMax()) - 1_000));
      for (const socket of sockets) socket.write(`GET /${'x'.repeat(1_000)} HTTP/1.1\r\nHost: ${HOST}\r\nX-Half:`);
      await pause(1_000);
      close(sockets);
      return '';
    },
  },
];

async function main(): Promise<void> {
  const config = mkdtempSync(join(tmpdir(), 'fourways-bounded-'));
  await using origin = await startBulkOrigin();
  const door = { host: DOOR_HOST, port: await freePort(DOOR_HOST) };
  writeManifests(config, 'all.yaml', [
    gatewayClass(),
    gateway({ port: door.port }),
    httpRoute({ name: 'bulk', hostnames: [HOST], rules: [prefixRule('/', 'bulk')] }),
    ...service('bulk', [origin]),
  ]);
  const lines: string[] = [];
  for (const load of LOADS) {
    // A process of its own for each, so that what one leaves behind is not counted for the next.
    await using program = await Fourways.start({ config, workers: 1, entry: fourwaysProgram()?.from ?? 'source' });
    const atRest = await restingRss(program);
    const watch = new MemoryWatch(program.pid);
    const note = await load.run({ door, origin });
    const peak = watch.stop();
    await pause(2_000);
    const line = `| ${load.name} | ${mb(atRest)} | ${mb(peak)} | ${mb(program.rssBytes())} | ${note} |`;
    console.log(line);
    lines.push(line);
  }
  writeFileSync(REPORT, report(lines));
  rmSync(config, { recursive: true, force: true });
}

function report(lines: readonly string[]): string {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return [
    '# Memory',
    '',
    'Written by `node bench/bounded.ts`; do not edit. Resident memory of the whole process (one worker, shipped defaults), in MB:',
    'before the load, at its highest, and two seconds after it. Each load meets a fresh process.',
    '',
    `Fourways ${version} (${fourwaysProgram()?.from ?? 'source'}), Node ${process.versions.node}, Linux ${release()}, ${cpus()[0]?.model ?? ''}`,
    '',
    '| load | at rest | peak | after | |',
    '|---|---|---|---|---|',
    ...lines,
    '',
    'Bodies are passed on as they come: nothing is kept but what lies in socket buffers, and a source is paused while more than',
    '64 KB wait for its reader. `test/bounded.test.ts` holds smaller loads of the same kinds against bounds.',
    '',
  ].join('\n');
}

async function inTime(want: number, run: () => Promise<number>): Promise<string> {
  const startedMs = performance.now();
  const got = await run();
  const seconds = (performance.now() - startedMs) / 1_000;
  return got === want ? `${(got / MB / seconds).toFixed(0)} MB/s` : `only ${got} bytes arrived`;
}

function close(sockets: readonly Socket[]): void {
  for (const socket of sockets) socket.destroy();
}

function mb(bytes: number): string {
  return (bytes / MB).toFixed(0);
}

await main();
