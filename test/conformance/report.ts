/** The report that is checked in, and what a run is held against. */
import { type DataSet, GATEWAY_PROFILES, PROFILES } from './cases.ts';
import { type Excluded, UNLISTED } from './excluded.ts';
import type { Mode, Outcome } from './shards.ts';

export interface SetResult {
  readonly set: DataSet;
  readonly mode: Mode;
  readonly outcomes: readonly Outcome[];
}

/** State by data set and test. */
export type Expected = Readonly<Record<string, Readonly<Record<string, string>>>>;

const RANK: Readonly<Record<string, number>> = { fail: 0, partial: 1, pass: 2 };

/** What got worse and what got better. A test that nobody expected anything of must pass. */
export function compare(
  results: readonly SetResult[],
  expected: Expected,
): { regressed: string[]; improved: string[] } {
  const regressed: string[] = [];
  const improved: string[] = [];
  for (const { set, outcomes } of results) {
    for (const { test, state } of outcomes) {
      const want = expected[set.name]?.[test] ?? 'pass';
      const line = `${set.name} ${test}: ${state}, expected ${want}`;
      if (RANK[state]! < (RANK[want] ?? 2)) regressed.push(line);
      else if (RANK[state]! > (RANK[want] ?? 2)) improved.push(line);
    }
  }
  return { regressed, improved };
}

export function renderReport(results: readonly SetResult[], version: string): string {
  const lines = [
    '# Gateway API conformance',
    '',
    'Written by `npm run conformance`; do not edit. Every test runs against the real program, with real sockets and real',
    'backends: on one data set a fresh process for each test, on the other one process for many tests, each of which is a',
    'change of its configuration. A case counts when it holds three times in a row.',
    '',
    'Tests of a mesh share one, which is strict: a control plane, and for each workload of the suite an application and its',
    'sidecar, a process each. Calls enter the sidecar of the client as HTTP_PROXY makes them: on one data set inside of CONNECT,',
    'on the other with the whole URL in the request line, where the client can do so (gRPC: CONNECT on both).',
    '',
    `Fourways ${version}, every profile of a gateway and of a mesh (core and extended features, standard and experimental channel).`,
    '',
    '| data set | cases from | process |',
    '|---|---|---|',
    ...results.map(
      ({ set, mode }) =>
        `| ${set.name} | ${set.about} | ${mode === 'fresh' ? 'one for each test of a gateway' : 'one for many tests'} |`,
    ),
    '',
    '| profile | data set | core tests | extended tests | cases |',
    '|---|---|---|---|---|',
    ...PROFILES.flatMap((profile) => results.map((result) => summaryLine(profile, result))),
    '',
    'A test that is in several profiles is run once and counted in each. In no profile upstream, and counted here in that of',
    `their route: ${Object.keys(UNLISTED).join(', ')}.`,
    '',
    '## Left out',
    '',
    '| test | why |',
    '|---|---|',
    ...namesOf(results.flatMap(({ set }) => set.excludedOf(PROFILES))),
    '',
    '## Every test',
    '',
    `| test | profile | level | ${results.map(({ set }) => set.name).join(' | ')} |`,
    `|---|---|---|${results.map(() => '---|').join('')}`,
    ...testLines(results),
    ...failureLines(results),
    '',
  ];
  return lines.join('\n');
}

function summaryLine(profile: string, { set, outcomes }: SetResult): string {
  const own = outcomes.filter(({ test }) => set.profilesOf(test).includes(profile));
  const passed = (level: string): string => {
    const all = own.filter((one) => one.level === level);
    return `${all.filter(({ state }) => state !== 'fail').length} of ${all.length}`;
  };
  const cases = own.reduce((sum, one) => sum + one.passed, 0);
  const all = own.reduce((sum, one) => sum + one.passed + one.failed + one.skipped, 0);
  return `| ${profile} | ${set.name} | ${passed('core')} | ${passed('extended')} | ${cases} of ${all} |`;
}

function namesOf(rows: readonly Excluded[]): string[] {
  return [...new Map(rows.map((row) => [row.test, row])).values()].map(({ test, reason }) => `| ${test} | ${reason} |`);
}

function testLines(results: readonly SetResult[]): string[] {
  const levels = new Map(results.flatMap(({ outcomes }) => outcomes.map(({ test, level }) => [test, level] as const)));
  return [...levels]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([test, level]) => {
      const cells = results.map(({ outcomes }) => cell(outcomes.find((one) => one.test === test)));
      return `| ${test} | ${profileWord(results, test)} | ${level} | ${cells.join(' | ')} |`;
    });
}

function profileWord(results: readonly SetResult[], test: string): string {
  const profiles = new Set(results.flatMap(({ set }) => set.profilesOf(test)));
  return profiles.size === GATEWAY_PROFILES.length ? 'all of a gateway' : [...profiles].join(', ');
}

function cell(outcome: Outcome | undefined): string {
  if (outcome === undefined) return '–';
  const { state, passed, failed, skipped } = outcome;
  return state === 'pass' ? `pass (${passed})` : `**${state}** (${passed} of ${passed + failed + skipped})`;
}

function failureLines(results: readonly SetResult[]): string[] {
  const lines = results.flatMap(({ set, outcomes }) =>
    outcomes.flatMap(({ messages }) => messages.map((message) => `- ${set.name} ${message.replaceAll('\n', ' ')}`)),
  );
  return lines.length === 0 ? [] : ['', '## What did not pass', '', ...lines];
}
