/** The report that is checked in, and what a run is held against. */
import type { Excluded } from './excluded.ts';
import { OVER_HTTP1 } from './excluded.ts';
import type { Mode, Outcome } from './shards.ts';

export interface SetResult {
  readonly name: string;
  readonly about: string;
  readonly mode: Mode;
  readonly outcomes: readonly Outcome[];
  readonly excluded: readonly Excluded[];
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
  for (const { name, outcomes } of results) {
    for (const { test, state } of outcomes) {
      const want = expected[name]?.[test] ?? 'pass';
      const line = `${name} ${test}: ${state}, expected ${want}`;
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
    `Fourways ${version}, profile GATEWAY-HTTP (core and extended features, standard and experimental channel).`,
    '',
    '| data set | cases from | process | core tests | extended tests | cases |',
    '|---|---|---|---|---|---|',
    ...results.map(summaryLine),
    '',
    '## Left out',
    '',
    '| test | why |',
    '|---|---|',
    ...namesOf(results.flatMap(({ excluded }) => excluded)),
    '',
    'Changed:',
    '',
    '| test | how and why |',
    '|---|---|',
    ...namesOf(OVER_HTTP1),
    '',
    '## Every test',
    '',
    `| test | level | ${results.map(({ name }) => name).join(' | ')} |`,
    `|---|---|${results.map(() => '---|').join('')}`,
    ...testLines(results),
    ...failureLines(results),
    '',
  ];
  return lines.join('\n');
}

function summaryLine({ name, about, mode, outcomes }: SetResult): string {
  const passed = (level: string): string => {
    const all = outcomes.filter((one) => one.level === level);
    return `${all.filter(({ state }) => state !== 'fail').length} of ${all.length}`;
  };
  const cases = outcomes.reduce((sum, one) => sum + one.passed, 0);
  const all = outcomes.reduce((sum, one) => sum + one.passed + one.failed + one.skipped, 0);
  return `| ${name} | ${about} | ${mode === 'fresh' ? 'one for each test' : 'one for many tests'} | ${passed('core')} | ${passed('extended')} | ${cases} of ${all} |`;
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
      return `| ${test} | ${level} | ${cells.join(' | ')} |`;
    });
}

function cell(outcome: Outcome | undefined): string {
  if (outcome === undefined) return '–';
  const { state, passed, failed, skipped } = outcome;
  return state === 'pass' ? `pass (${passed})` : `**${state}** (${passed} of ${passed + failed + skipped})`;
}

function failureLines(results: readonly SetResult[]): string[] {
  const lines = results.flatMap(({ name, outcomes }) =>
    outcomes.flatMap(({ messages }) => messages.map((message) => `- ${name} ${message.replaceAll('\n', ' ')}`)),
  );
  return lines.length === 0 ? [] : ['', '## What did not pass', '', ...lines];
}
