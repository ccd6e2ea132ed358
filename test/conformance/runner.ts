/** What the runner of the suite is told, whoever starts it. */
import { join } from 'node:path';
import type { DataSet } from './cases.ts';

const CONTROLLER = 'fourways.io/gateway-controller';
/** As upstream demands. */
const CONSECUTIVE = 3;
const CASE_MS_MAX = 8_000;
/** The runner polls until an answer is right, so it need not wait for the start of the program. */
const SETTLE_MS = 50;

export interface Asked {
  readonly set: Pick<DataSet, 'suiteDir' | 'casesFile' | 'manifestsDir' | 'secretsFile'>;
  readonly tests: readonly string[];
  /** Where it writes manifests. */
  readonly config: string;
  /** File for what became of each case. */
  readonly results: string;
}

/** The words that start it. */
export function runnerCommand(
  { set, tests, config, results }: Asked,
  more: Readonly<Record<string, string>>,
): readonly string[] {
  const flags: Readonly<Record<string, string>> = {
    cases: set.casesFile,
    manifests: set.manifestsDir,
    secrets: `@${set.secretsFile}`,
    filter: `^(${tests.join('|')})$`,
    'config-dir': config,
    'gateway-class': 'fourways',
    'class-controller': CONTROLLER,
    controller: CONTROLLER,
    consecutive: String(CONSECUTIVE),
    settle: String(SETTLE_MS),
    'max-wait': String(CASE_MS_MAX),
    json: results,
    ...more,
  };
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
  return [process.execPath, join(set.suiteDir, 'run.mjs'), '--inject-addresses', ...args];
}
