/**
 * `npm run bench -- [--json FILE] [--scenario NAME]... [--proxy NAME]... [--seconds N] [--rounds N]`
 *
 * Everything in one pinned run: the proxy on core 0, load generator and origin on core 1.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runScenario } from './load.ts';
import { PAIRS } from './pair.ts';
import { PARTS } from './parts.ts';
import { fourwaysProgram, PEERS } from './peer.ts';
import { firstLineOf } from './process.ts';
import { loadTable, type Row } from './row.ts';
import { SCENARIOS } from './scenario.ts';

const OPTIONS = {
  json: { type: 'string' },
  scenario: { type: 'string', multiple: true },
  proxy: { type: 'string', multiple: true },
  seconds: { type: 'string', default: '5' },
  rounds: { type: 'string', default: '5' },
  help: { type: 'boolean', default: false },
} as const;

const say = (line: string): void => console.log(line);

async function main(): Promise<number> {
  const { values } = parseArgs({ options: OPTIONS });
  const known = [...SCENARIOS.map(({ name }) => name), ...PARTS.map(({ name }) => name)];
  if (values.help) {
    say('npm run bench -- [--json FILE] [--scenario NAME]... [--proxy NAME]... [--seconds N] [--rounds N]');
    say(`Scenarios: ${known.join(', ')}`);
    say(`Proxies: ${PEERS.map(({ name }) => name).join(', ')}`);
    return 0;
  }
  const wanted = values.scenario ?? known;
  const unknown = wanted.find((name) => !known.includes(name));
  const proxies = values.proxy ?? PEERS.map(({ name }) => name);
  const stranger = proxies.find((name) => PEERS.every((peer) => peer.name !== name));
  if (unknown !== undefined || stranger !== undefined) {
    say(unknown === undefined ? `Unknown proxy "${stranger}"` : `Unknown scenario "${unknown}"`);
    say(`Scenarios: ${known.join(', ')}`);
    return 2;
  }
  const missing = missingTools();
  if (missing !== undefined) {
    say(missing);
    return 1;
  }
  const rows = await measure(new Set(wanted), new Set(proxies), {
    seconds: Number(values.seconds),
    rounds: Number(values.rounds),
  });
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(rows, undefined, 1)}\n`);
  return rows.length === 0 ? 1 : 0;
}

async function measure(
  wanted: ReadonlySet<string>,
  proxies: ReadonlySet<string>,
  counts: { readonly seconds: number; readonly rounds: number },
): Promise<Row[]> {
  const dir = mkdtempSync(join(tmpdir(), 'fourways-bench-'));
  const rows: Row[] = [];
  say(`${cpus()[0]?.model ?? 'unknown CPU'}, Linux ${release()}, Node ${process.versions.node}`);
  say(`Proxy on core 0, load and origin on core 1; ${counts.rounds} rounds of ${counts.seconds} s`);
  for (const scenario of SCENARIOS.filter(({ name }) => wanted.has(name))) {
    say(`\n${scenario.name}: ${scenario.about}`);
    const peers = (scenario.isPair === true ? PAIRS : PEERS).filter(
      ({ name, needsFilter = false }) =>
        proxies.has(name) && (scenario.only?.includes(name) ?? true) && (!needsFilter || scenario.filter !== undefined),
    );
    const found = await runScenario(scenario, peers, { dir, say, ...counts });
    rows.push(...found);
    say(loadTable(found));
    const strangers = Math.max(...found.map((row) => row.strangers_percent), 0);
    if (strangers > 5) say(`The machine was not quiet: others took up to ${strangers} % of the core of the proxy`);
    if (found.some((row) => row.core_busy_percent < 90)) {
      say('!: the proxy was not saturated; its latency and req/s are those of the load side, its CPU time holds');
    }
  }
  const program = fourwaysProgram();
  const version = PEERS.find(({ name }) => name === 'fourways')?.version();
  for (const part of PARTS.filter(({ name }) => wanted.has(name) && proxies.has('fourways'))) {
    say(`\n${part.name}: ${part.about}`);
    if (program === undefined || version === undefined) {
      say('  fourways: absent');
      continue;
    }
    mkdirSync(join(dir, part.name), { recursive: true });
    rows.push(...(await part.run({ dir: join(dir, part.name), version, entry: program.from, say })));
  }
  rmSync(dir, { recursive: true, force: true });
  return rows;
}

/** What a run cannot do without, with the package that has it. */
function missingTools(): string | undefined {
  if (process.platform !== 'linux') return 'Cannot run the bench: it reads /proc, so it needs Linux';
  if (availableParallelism() < 2)
    return 'Cannot run the bench: it needs two cores, one for the proxy, one for the load';
  const packages = { wrk: 'wrk', h2load: 'nghttp2-client', taskset: 'util-linux' };
  const missing = Object.entries(packages).filter(
    ([tool]) => firstLineOf('sh', '-c', `command -v ${tool}`) === undefined,
  );
  if (missing.length === 0) return undefined;
  const names = missing.map(([, name]) => name).join(' ');
  return `Cannot run the bench: ${missing.map(([tool]) => tool).join(', ')} not found. On Debian: apt-get install ${names} nginx libnginx-mod-stream haproxy caddy`;
}

process.exitCode = await main();
