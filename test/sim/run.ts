/**
 * Runs the mesh in memory, by the thousand: `npm run sim -- --seed N [--json] [--proxies 1000] [--services 5000] [--endpoints
 * 50000] [--uses 20] [--scenario NAME]`, and `--no-jitter` to see a herd found. The same seed gives the same figures; what differs from run to run, processor time
 * and memory, is apart. The last line says what held; it exits with 1 when something did not.
 */
import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import type { FleetSize } from './fleet.ts';
import { NO_JITTER, type Outcome } from './scenario.ts';
import { SCENARIOS } from './scenarios.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    proxies: { type: 'string', default: '1000' },
    services: { type: 'string', default: '5000' },
    endpoints: { type: 'string', default: '50000' },
    uses: { type: 'string', default: '20' },
    scenario: { type: 'string', multiple: true, default: [] },
    json: { type: 'boolean', default: false },
    'no-jitter': { type: 'boolean', default: false },
  },
});

function whole(name: 'seed' | 'proxies' | 'services' | 'endpoints' | 'uses'): number {
  const value = Number(values[name]);
  if (Number.isSafeInteger(value) && value >= 1) return value;
  process.stderr.write(`--${name} is a whole number from 1\n`);
  return process.exit(2);
}

const size: FleetSize = {
  seed: whole('seed'),
  proxies: whole('proxies'),
  services: whole('services'),
  endpoints: whole('endpoints'),
  uses: whole('uses'),
};
const unknown = values.scenario.filter((name) => !SCENARIOS.some((scenario) => scenario.name === name));
if (unknown.length > 0) {
  process.stderr.write(`No scenario "${unknown[0]}": there are ${SCENARIOS.map(({ name }) => name).join(', ')}\n`);
  process.exit(2);
}
const chosen = SCENARIOS.filter(({ name }) => values.scenario.length === 0 || values.scenario.includes(name));
const outcomes = new Map<string, Outcome>();
for (const scenario of chosen) {
  const { name, about } = scenario;
  if (!values.json) process.stdout.write(`${name}: ${about}\n`);
  const before = process.cpuUsage();
  // oxlint-disable-next-line no-await-in-loop -- one after the other
  const outcome = await scenario.run(size, values['no-jitter'] ? NO_JITTER : {});
  const { user, system } = process.cpuUsage(before);
  outcomes.set(name, {
    ...outcome,
    measured: { ...outcome.measured, 'simulation CPU (s)': Math.round((user + system) / 100_000) / 10 },
  });
  if (!values.json) say(outcomes.get(name)!);
}

function say({ figures, measured, broken }: Outcome): void {
  for (const [name, value] of Object.entries(figures)) process.stdout.write(`  ${name}: ${value}\n`);
  for (const [name, value] of Object.entries(measured)) process.stdout.write(`  ~ ${name}: ${value}\n`);
  for (const one of broken) process.stdout.write(`  ! ${one}\n`);
}

const entries = [...outcomes];
const broken = entries.flatMap(([name, one]) => one.broken.map((what) => `${name}: ${what}`));
const figures = { size, scenarios: Object.fromEntries(entries.map(([name, one]) => [name, one.figures])), broken };
const hash = createHash('sha256').update(JSON.stringify(figures)).digest('hex').slice(0, 16);
const held =
  broken.length === 0
    ? `held: ${chosen.map(({ name }) => name).join(', ')} (${hash})`
    : `BROKEN: ${broken.join('; ')} (${hash})`;
if (values.json) {
  const measured = Object.fromEntries(entries.map(([name, one]) => [name, one.measured]));
  process.stdout.write(`${JSON.stringify({ ...figures, hash, held, measured }, undefined, 2)}\n`);
} else process.stdout.write(`${held}\n`);
process.exitCode = broken.length === 0 ? 0 : 1;
