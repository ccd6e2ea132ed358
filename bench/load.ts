/** Rounds of load over several proxies in turn, so that a slow minute of the machine hits all of them. */
import { mkdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { DOOR_HOST, freePort, pause } from '../test/client/fourways.ts';
import { LOAD_TOOLS, type LoadResult } from './load-tool.ts';
import { type Address, writeCertificate, type Peer, startOrigin } from './peer.ts';
import { type Bound, coreTicks, cpuSeconds, rssBytes } from './process.ts';
import { type LoadRow, median, round } from './row.ts';
import type { Scenario } from './scenario.ts';

const PROXY_CORE = 0;
const LOAD_CORE = 1;
const START_MS_MAX = 60_000;
/** Long enough for a JIT to settle; two processes that share a core take longer. */
const WARM_SECONDS = { one: 2, pair: 5 };

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
  readonly listen: Address;
  readonly dir: string;
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
  // A sidecar takes its application to be on loopback.
  const origin = await freeAddress(scenario.isPair === true ? '127.0.0.1' : DOOR_HOST);
  const started: Bound[] = [startOrigin({ dir, core: LOAD_CORE, origin, wire: scenario.wire }, scenario.bodyBytes)];
  try {
    await untilBound(started[0]!, origin);
    const entrants: Entrant[] = [];
    for (const peer of peers) {
      const cannot = peer.cannot?.(scenario.wire);
      if (cannot !== undefined) {
        options.say(`  ${peer.name}: ${cannot}`);
        continue;
      }
      const entrant = await enter(peer, scenario, { dir: join(dir, peer.name), origin, started });
      if (entrant === undefined) options.say(`  ${peer.name}: absent`);
      else entrants.push(entrant);
    }
    for (const entrant of entrants) {
      await load(entrant, scenario, scenario.isPair === true ? WARM_SECONDS.pair : WARM_SECONDS.one);
    }
    for (let nth = 0; nth < options.rounds; nth++) {
      for (const entrant of entrants) entrant.samples.push(await sample(entrant, scenario, options.seconds));
    }
    const samplesOf = (name: string): readonly Sample[] | undefined =>
      entrants.find(({ peer }) => peer.name === name)?.samples;
    const others = { nginx: samplesOf('nginx'), haproxy: samplesOf('haproxy') };
    return entrants.map((entrant) => rowOf(scenario, entrant, others));
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
  const tls = scenario.tls ? writeCertificate(dir, scenario.clientCertificate?.caPem) : undefined;
  const { routes, wire, filter } = scenario;
  const process = await peer.start({ dir, core: PROXY_CORE, listen, origin, tls, routes, wire, filter });
  started.push(process);
  const entrant: Entrant = { peer, version, process, listen, dir, samples: [] };
  try {
    await untilBound(process, listen);
    await untilServes(entrant, scenario);
  } catch (error) {
    throw new Error(`${peer.name} did not answer; its output is in ${dir}/${peer.name}.log`, { cause: error });
  }
  return entrant;
}

async function sample(entrant: Entrant, scenario: Scenario, seconds: number): Promise<Sample> {
  const { process } = entrant;
  const cpuBefore = cpuSeconds(process.pids);
  const coreBefore = coreTicks(PROXY_CORE);
  const wallBefore = performance.now();
  const result = await load(entrant, scenario, seconds);
  const wallSeconds = (performance.now() - wallBefore) / 1_000;
  const cpu = cpuSeconds(process.pids) - cpuBefore;
  const coreAfter = coreTicks(PROXY_CORE);
  const coreBusy = (coreAfter.busy - coreBefore.busy) / Math.max(1, coreAfter.total - coreBefore.total);
  return {
    cpuUs: (cpu * 1e6) / Math.max(1, result.requests),
    rps: result.requests / (result.microseconds / 1e6),
    p50Ms: result.p50_us / 1e3,
    p99Ms: result.p99_us / 1e3,
    rssMb: rssBytes(process.pids) / 1e6,
    errors: result.errors,
    busyPercent: (100 * cpu) / wallSeconds,
    strangersPercent: Math.max(0, 100 * (coreBusy - cpu / wallSeconds)),
  };
}

function load({ listen, dir }: Entrant, scenario: Scenario, seconds: number): Promise<LoadResult> {
  return LOAD_TOOLS[scenario.load]({ target: listen, scenario, seconds, core: LOAD_CORE, dir });
}

/** Round by round, because the machine may be slow in one and fast in the next. */
function ratio(samples: readonly Sample[], others: readonly Sample[]): number {
  return round(median(samples.map(({ cpuUs }, i) => cpuUs / others[i]!.cpuUs)), 2);
}

function rowOf(
  scenario: Scenario,
  { peer, version, samples }: Entrant,
  { nginx, haproxy }: Readonly<Record<'nginx' | 'haproxy', readonly Sample[] | undefined>>,
): LoadRow {
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
    ...(nginx === undefined ? {} : { ratio_to_nginx: ratio(samples, nginx) }),
    ...(haproxy === undefined ? {} : { ratio_to_haproxy: ratio(samples, haproxy) }),
  };
}

export async function freeAddress(host = DOOR_HOST): Promise<Address> {
  return { host, port: await freePort(host) };
}

/** Waits until the process accepts connections. */
async function untilBound(process: Bound, { host, port }: Address): Promise<void> {
  const endMs = performance.now() + START_MS_MAX;
  for (;;) {
    const bound = await new Promise<boolean>((resolve) => {
      const socket = connect({ host, port });
      socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
      socket.once('connect', () => socket.destroy());
    });
    if (bound) return;
    if (!process.alive) throw new Error('It ended at once');
    if (performance.now() > endMs) throw new Error(`Nothing listens on ${host}:${port} after ${START_MS_MAX} ms`);
    await pause(50);
  }
}

/** Waits until a second of load is answered without an error: what was bound may still be without a route. */
async function untilServes(entrant: Entrant, scenario: Scenario): Promise<void> {
  const endMs = performance.now() + START_MS_MAX;
  for (let last: unknown; ; await pause(200)) {
    try {
      const { requests, errors } = await load(entrant, scenario, 1);
      if (requests > 0 && errors === 0) return;
      last = `${requests} answers, ${errors} errors`;
    } catch (error) {
      last = error;
    }
    if (!entrant.process.alive) throw new Error('It ended at once');
    if (performance.now() > endMs) throw new Error(`No good answer after ${START_MS_MAX} ms: ${String(last)}`);
  }
}
