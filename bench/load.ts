/** Rounds of load over several proxies in turn, so that a slow minute of the machine hits all of them. */
import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DOOR_HOST, freePort, pause } from '../test/client/fourways.ts';
import { exchangeOnce, get } from '../test/client/raw-client.ts';
import { type Address, writeCertificate, type Peer, startOrigin } from './peer.ts';
import { type Bound, coreTicks, cpuSeconds, rssBytes } from './process.ts';
import { type LoadRow, median, round } from './row.ts';
import { pathOf, type Scenario } from './scenario.ts';

export const CONNECTIONS = 64;
const PROXY_CORE = 0;
const LOAD_CORE = 1;
const START_MS_MAX = 60_000;
/** Long enough for a JIT to settle. */
const WARM_SECONDS = 2;

const run = promisify(execFile);
const WRK_SCRIPT = fileURLToPath(new URL('peers/wrk.lua', import.meta.url));

export interface LoadOptions {
  readonly dir: string;
  readonly seconds: number;
  readonly rounds: number;
  readonly say: (line: string) => void;
}

interface Entrant {
  readonly peer: Peer;
  readonly version: string;
  readonly process: Bound;
  readonly url: string;
  readonly samples: Sample[];
}

interface Sample {
  readonly cpuUs: number;
  readonly rps: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly rssMb: number;
  readonly errors: number;
  readonly busyPercent: number;
  readonly strangersPercent: number;
}

/** Starts all peers, loads them in turn `rounds` times, stops them. One row for each. */
export async function runScenario(
  scenario: Scenario,
  peers: readonly Peer[],
  options: LoadOptions,
): Promise<readonly LoadRow[]> {
  const dir = join(options.dir, scenario.name);
  mkdirSync(dir, { recursive: true });
  const origin = await freeAddress();
  const started: Bound[] = [startOrigin({ dir, core: LOAD_CORE, origin }, scenario.bodyBytes)];
  try {
    await untilAnswers(started[0]!, origin, { path: '/', tls: undefined });
    const entrants: Entrant[] = [];
    for (const peer of peers) {
      const entrant = await enter(peer, scenario, { dir: join(dir, peer.name), origin, started });
      if (entrant === undefined) options.say(`  ${peer.name}: absent`);
      else entrants.push(entrant);
    }
    for (const { url } of entrants) await wrk(url, scenario, WARM_SECONDS);
    for (let nth = 0; nth < options.rounds; nth++) {
      for (const entrant of entrants) entrant.samples.push(await sample(entrant, scenario, options.seconds));
    }
    const nginx = entrants.find(({ peer }) => peer.name === 'nginx')?.samples;
    return entrants.map((entrant) => rowOf(scenario, entrant, nginx));
  } finally {
    for (const process of started.toReversed()) await process.stop();
  }
}

async function enter(
  peer: Peer,
  scenario: Scenario,
  { dir, origin, started }: { dir: string; origin: Address; started: Bound[] },
): Promise<Entrant | undefined> {
  const version = peer.version();
  if (version === undefined) return undefined;
  mkdirSync(dir, { recursive: true });
  const listen = await freeAddress();
  const tls = scenario.tls ? writeCertificate(dir) : undefined;
  const process = peer.start({ dir, core: PROXY_CORE, listen, origin, tls, routes: scenario.routes });
  started.push(process);
  try {
    await untilAnswers(process, listen, { path: pathOf(scenario), tls });
  } catch (error) {
    throw new Error(`${peer.name} did not answer; its output is in ${dir}/${peer.name}.log`, { cause: error });
  }
  const url = `${scenario.tls ? 'https' : 'http'}://${listen.host}:${listen.port}${pathOf(scenario)}`;
  return { peer, version, process, url, samples: [] };
}

async function sample({ process, url }: Entrant, scenario: Scenario, seconds: number): Promise<Sample> {
  const cpuBefore = cpuSeconds(process.pid);
  const coreBefore = coreTicks(PROXY_CORE);
  const wallBefore = performance.now();
  const result = await wrk(url, scenario, seconds);
  const wallSeconds = (performance.now() - wallBefore) / 1_000;
  const cpu = cpuSeconds(process.pid) - cpuBefore;
  const coreAfter = coreTicks(PROXY_CORE);
  const coreBusy = (coreAfter.busy - coreBefore.busy) / Math.max(1, coreAfter.total - coreBefore.total);
  return {
    cpuUs: (cpu * 1e6) / Math.max(1, result.requests),
    rps: result.requests / (result.microseconds / 1e6),
    p50Ms: result.p50_us / 1e3,
    p99Ms: result.p99_us / 1e3,
    rssMb: rssBytes(process.pid) / 1e6,
    errors: result.errors,
    busyPercent: (100 * cpu) / wallSeconds,
    strangersPercent: Math.max(0, 100 * (coreBusy - cpu / wallSeconds)),
  };
}

interface WrkResult {
  readonly requests: number;
  readonly microseconds: number;
  readonly p50_us: number;
  readonly p99_us: number;
  readonly errors: number;
}

async function wrk(url: string, scenario: Scenario, seconds: number): Promise<WrkResult> {
  const headers = ['Host: bench.test', ...scenario.headers].flatMap((line) => ['-H', line]);
  const load = ['wrk', '-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '-s', WRK_SCRIPT, ...headers, url];
  const { stdout } = await run('taskset', ['-c', String(LOAD_CORE), ...load]);
  const line = stdout.split('\n').find((text) => text.startsWith('{'));
  if (line === undefined) throw new Error(`Cannot read what wrk printed: ${stdout}`);
  return JSON.parse(line) as WrkResult;
}

function rowOf(scenario: Scenario, { peer, version, samples }: Entrant, nginx: readonly Sample[] | undefined): LoadRow {
  const of = (figure: keyof Sample): number[] => samples.map((one) => one[figure]);
  return {
    scenario: scenario.name,
    proxy: peer.name,
    version,
    cpu_us_per_request: round(median(of('cpuUs')), 2),
    rps: round(median(of('rps')), 0),
    p50_ms: round(median(of('p50Ms')), 3),
    p99_ms: round(median(of('p99Ms')), 3),
    rss_mb: round(median(of('rssMb')), 1),
    errors: of('errors').reduce((sum, value) => sum + value, 0),
    cpu_us_min: round(Math.min(...of('cpuUs')), 2),
    cpu_us_max: round(Math.max(...of('cpuUs')), 2),
    core_busy_percent: round(median(of('busyPercent')), 0),
    strangers_percent: round(median(of('strangersPercent')), 0),
    // Round by round, because the machine may be slow in one and fast in the next.
    ...(nginx === undefined
      ? {}
      : { ratio_to_nginx: round(median(samples.map(({ cpuUs }, i) => cpuUs / nginx[i]!.cpuUs)), 2) }),
  };
}

export async function freeAddress(): Promise<Address> {
  return { host: DOOR_HOST, port: await freePort(DOOR_HOST) };
}

/** Waits until a GET of `path` is answered with 200. */
export async function untilAnswers(
  process: Bound,
  address: Address,
  { path, tls }: { readonly path: string; readonly tls: object | undefined },
): Promise<void> {
  const endMs = performance.now() + START_MS_MAX;
  const target = {
    ...address,
    patienceMs: 5_000,
    ...(tls === undefined ? {} : { tls: { rejectUnauthorized: false, servername: 'bench.test' } }),
  };
  for (let last: unknown; ; await pause(50)) {
    try {
      const { status } = await exchangeOnce(target, get(path, 'bench.test'));
      if (status === 200) return;
      last = `status ${status}`;
    } catch (error) {
      last = error;
    }
    if (!process.alive) throw new Error('It ended at once');
    if (performance.now() > endMs) throw new Error(`No answer after ${START_MS_MAX} ms: ${String(last)}`);
  }
}
