/**
 * `npm test`: makes sure that everything the tests need is there, then runs them all with Node's own runner.
 *
 * `npm test -- 'src/http/**\/*.test.ts'` runs some files; `npm test -- --name chunk` tests whose name matches.
 */
import { availableParallelism } from 'node:os';
import { run } from 'node:test';
import { spec } from 'node:test/reporters';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { ensureNeeds } from './need.ts';

const ALL = ['src', 'tools', 'test', 'bench', 'examples'].map((folder) => `${folder}/**/*.test.ts`);

const CODE = fileURLToPath(new URL('../node_modules/.cache/fourways/code', import.meta.url));

/** No file may hang the run. The slowest (the packed package, the load tests) take about a minute. */
const FILE_MS_MAX = 300_000;

/** The figures of the runner, in the order in which it prints them. */
const FIGURES = ['tests', 'suites', 'passed', 'failed', 'cancelled', 'skipped', 'todo'] as const;

interface Summary {
  readonly file?: string | undefined;
  readonly counts: Readonly<Record<(typeof FIGURES)[number], number>>;
  readonly success: boolean;
  readonly duration_ms: number;
}

async function main(): Promise<number> {
  // Each file is a process that loads much of what the others do: read once, it is compiled for all.
  process.env['NODE_COMPILE_CACHE'] ??= CODE;
  const { values, positionals } = parseArgs({ options: { name: { type: 'string' } }, allowPositionals: true });
  const missing = ensureNeeds();
  for (const line of missing) console.error(line);
  if (missing.length > 0) return 1;

  const summary = await runTests(positionals.length > 0 ? positionals : ALL, values.name);
  // A run that looked at nothing must not pass.
  if (summary === undefined || summary.counts.tests === 0) {
    console.error(`Cannot test: no test in ${positionals.join(' ') || 'the repository'}`);
    return 1;
  }
  // After failures the runner ends with their details; the figures go last all the same.
  if (!summary.success) printFigures(summary);
  return summary.success ? 0 : 1;
}

async function runTests(globPatterns: string[], namePattern: string | undefined): Promise<Summary | undefined> {
  let total: Summary | undefined;
  const stream = run({
    globPatterns,
    // Each file is a process of its own. More than the cores would make tests late that watch the time.
    concurrency: Math.min(availableParallelism(), 8),
    timeout: FILE_MS_MAX,
    ...(namePattern === undefined ? {} : { testNamePatterns: namePattern }),
  });
  stream.on('test:summary', (summary: Summary) => {
    if (summary.file === undefined) total = summary;
  });
  for await (const text of stream.compose(spec)) process.stdout.write(text as string);
  return total;
}

function printFigures({ counts, duration_ms: durationMs }: Summary): void {
  const names = { passed: 'pass', failed: 'fail' } as Readonly<Record<string, string>>;
  console.log();
  for (const figure of FIGURES) console.log(`ℹ ${names[figure] ?? figure} ${counts[figure]}`);
  console.log(`ℹ duration_ms ${durationMs}`);
}

process.exitCode = await main();
