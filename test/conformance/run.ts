/**
 * `npm run conformance [-- --profile P] [--filter RE] [--data NAME] [--shards N] [--update] [--verbose]`
 *
 * Runs the Gateway API conformance cases of every profile, or of one,
 * against the real program, and compares with expected.json. A whole run writes
 * docs/conformance.md. `--update` expects from now on what was seen.
 * The cases live outside of this repository; FOURWAYS_CONFORMANCE says where.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type DataSet, prepareDataSets, PROFILES } from './cases.ts';
import { type Mode, runDataSet } from './shards.ts';
import { compare, type Expected, renderReport, type SetResult } from './report.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const EXPECTED_FILE = fileURLToPath(new URL('expected.json', import.meta.url));
const REPORT_FILE = join(ROOT, 'docs/conformance.md');
/** The two data sets are nearly the same tests: one proves a fresh start with each, the other the change to each. */
const MODES: Readonly<Record<string, Mode>> = { main: 'fresh', 'v1.6.1': 'live' };

const { values } = parseArgs({
  options: {
    profile: { type: 'string' },
    filter: { type: 'string' },
    data: { type: 'string' },
    shards: { type: 'string' },
    update: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
  },
});

async function main(): Promise<number> {
  const from = process.env['FOURWAYS_CONFORMANCE'] ?? join(ROOT, '../shared/conformance');
  if (!existsSync(join(from, 'run.mjs'))) {
    console.error(`Cannot run conformance: no cases in "${from}". Set FOURWAYS_CONFORMANCE to the folder with run.mjs`);
    return 1;
  }
  const scratch = mkdtempSync(join(tmpdir(), 'fourways-conformance-'));
  try {
    const sets = await prepareDataSets(from, join(ROOT, 'node_modules'), join(scratch, 'suite'));
    const wanted = sets.filter(({ name }) => values.data === undefined || name === values.data);
    const results: SetResult[] = [];
    for (const set of wanted) results.push(await runOne(set, scratch));
    return conclude(results);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

async function runOne(set: DataSet, scratch: string): Promise<SetResult> {
  const profiles = PROFILES.filter((profile) => values.profile === undefined || profile === values.profile);
  const filter = values.filter === undefined ? undefined : new RegExp(values.filter);
  const tests = set.testsOf(profiles).filter((test) => filter?.test(test) ?? true);
  const startedMs = performance.now();
  const outcomes = await runDataSet(set, tests, {
    scratch,
    program: join(ROOT, 'bin/fourways'),
    mode: MODES[set.name] ?? 'fresh',
    shards: values.shards === undefined ? availableParallelism() * 2 : Number(values.shards),
    verbose: values.verbose,
    say: (line) => console.log(line),
  });
  const seconds = (performance.now() - startedMs) / 1_000;
  const failed = outcomes.filter(({ state }) => state === 'fail').length;
  console.log(`${set.name}: ${outcomes.length - failed} of ${outcomes.length} tests pass (${seconds.toFixed(0)} s)`);
  return { set, mode: MODES[set.name] ?? 'fresh', outcomes };
}

/** A whole run writes the report; every run is held against what is checked in. */
function conclude(results: readonly SetResult[]): number {
  const expected = existsSync(EXPECTED_FILE) ? (JSON.parse(readFileSync(EXPECTED_FILE, 'utf8')) as Expected) : {};
  const whole = values.filter === undefined && values.data === undefined && values.profile === undefined;
  if (results.every(({ outcomes }) => outcomes.length === 0)) {
    console.error('Cannot run conformance: no test matches');
    return 1;
  }
  if (whole) writeFileSync(REPORT_FILE, renderReport(results, version()));
  const { regressed, improved } = compare(results, expected);
  for (const line of improved) console.log(`Passes now: ${line}`);
  for (const line of regressed) console.error(`Regression: ${line}`);
  if (values.update) writeFileSync(EXPECTED_FILE, expectedOf(results, whole ? {} : expected));
  else if (improved.length > 0) console.log('Run with --update to expect this from now on');
  return regressed.length === 0 || values.update ? 0 : 1;
}

/** Keeps what is expected of tests that were not run. */
function expectedOf(results: readonly SetResult[], kept: Expected): string {
  const all = { ...kept };
  for (const { set, outcomes } of results) {
    const states = Object.entries({
      ...kept[set.name],
      ...Object.fromEntries(outcomes.map(({ test, state }) => [test, state])),
    });
    all[set.name] = Object.fromEntries(states.toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }
  return `${JSON.stringify(all, undefined, 2)}\n`;
}

function version(): string {
  return (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }).version;
}

process.exitCode = await main();
