/**
 * Runs tests of one data set in several runners at a time. The cases name fixed
 * addresses and ports, so each runner gets a network of its own (`unshare -n`);
 * where that is not allowed, one runner does everything.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DataSet } from './cases.ts';

export interface Outcome {
  readonly test: string;
  readonly level: 'core' | 'extended';
  readonly state: 'pass' | 'partial' | 'fail';
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** What went wrong, a line for each failed case. */
  readonly messages: readonly string[];
}

export interface ShardOptions {
  readonly scratch: string;
  readonly program: string;
  readonly shards: number;
  readonly verbose: boolean;
  readonly say: (line: string) => void;
}

interface CaseResult {
  readonly id: string;
  readonly test: string;
  readonly name: string;
  readonly state: 'pass' | 'fail' | 'skip';
  readonly message: string;
  readonly ms: number;
}

const CONTROLLER = 'fourways.io/gateway-controller';
/** As upstream demands; polling stops at the first failure after it. */
const CONSECUTIVE = 3;
const CASE_MS_MAX = 8_000;
/** How long the runner may go on after the program ended. */
const AFTER_END_MS = 4_000;
/** The runner polls until an answer is right, so it need not wait for the start of the program. */
const SETTLE_MS = 50;

export async function runDataSet(set: DataSet, tests: readonly string[], options: ShardOptions): Promise<Outcome[]> {
  const network = ownNetwork();
  if (network === undefined) options.say('No network of its own for each runner here (unshare -n): one at a time');
  const shards = network === undefined ? 1 : Math.min(options.shards, tests.length);
  const queue = [...tests];
  const outcomes: Outcome[] = [];
  // Tests are handed out one by one: they take from 0.5 to 20 seconds.
  const work = async (nth: number): Promise<void> => {
    for (let test = queue.shift(); test !== undefined; test = queue.shift()) {
      const outcome = await runTest(set, test, { ...options, network: network ?? [], nth });
      outcomes.push(outcome);
      if (outcome.state === 'fail') options.say(`FAIL ${set.name} ${test}\n  ${outcome.messages.join('\n  ')}`);
      else if (options.verbose) options.say(`${outcome.state} ${set.name} ${test}`);
    }
  };
  await Promise.all(Array.from({ length: shards }, (_, nth) => work(nth)));
  return outcomes.toSorted((a, b) => (a.test < b.test ? -1 : 1));
}

/** The words before a command that give it a network with a loopback interface, or undefined. */
function ownNetwork(): readonly string[] | undefined {
  const words = ['unshare', '--user', '--map-root-user', '--net', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh'];
  try {
    execFileSync(words[0]!, [...words.slice(1), 'true'], { stdio: 'ignore' });
    return words;
  } catch {
    return undefined;
  }
}

interface TestOptions extends ShardOptions {
  readonly network: readonly string[];
  readonly nth: number;
}

async function runTest(set: DataSet, test: string, options: TestOptions): Promise<Outcome> {
  const dir = join(options.scratch, `${set.name}-${test}`);
  mkdirSync(dir, { recursive: true });
  const results = join(dir, 'results.json');
  const ended = join(dir, 'ended');
  const admin = '127.0.0.1:9900';
  const program = `${options.program} up {config} --bind 127.0.0.1 --admin ${admin} --workers 1 --data ${dir}/data`;
  const flags: Readonly<Record<string, string>> = {
    cases: set.casesFile,
    manifests: set.manifestsDir,
    filter: `^${test}$`,
    'config-dir': join(dir, 'config'),
    spawn: `${program} --drain 1s >${dir}/program.log 2>&1; echo $? >${ended}`,
    status: `http://${admin}/status`,
    'gateway-class': 'fourways',
    'class-controller': CONTROLLER,
    controller: CONTROLLER,
    consecutive: String(CONSECUTIVE),
    settle: String(SETTLE_MS),
    'max-wait': String(CASE_MS_MAX),
    json: results,
  };
  const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
  const runner = [process.execPath, join(set.suiteDir, 'run.mjs'), '--inject-addresses', '--start-echo', ...args];
  const said = await runToEnd([...options.network, ...runner], ended);
  const log = existsSync(join(dir, 'program.log')) ? readFileSync(join(dir, 'program.log'), 'utf8') : '';
  if (!existsSync(results)) return { ...empty(set, test), messages: [`No result: ${said.slice(-300)} ${lastOf(log)}`] };
  const cases = (JSON.parse(readFileSync(results, 'utf8')) as { results: CaseResult[] }).results;
  return outcomeOf(set, test, { cases, log });
}

/**
 * Everything that the runner printed. The runner asks a program that ended on
 * its own over and over: the file `ended` tells, and stops it.
 */
async function runToEnd(command: readonly string[], ended: string): Promise<string> {
  const child = spawn(command[0]!, command.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text: Buffer) => (said += text.toString()));
  const closed = new Promise((resolve) => child.once('close', resolve));
  let timer: NodeJS.Timeout | undefined;
  const watch = setInterval(() => {
    // Every run ends its program, so the runner gets the time to finish on its own.
    if (existsSync(ended)) timer ??= setTimeout(() => child.kill(), AFTER_END_MS);
  }, 500);
  await closed;
  clearInterval(watch);
  clearTimeout(timer);
  return said;
}

function outcomeOf(
  set: DataSet,
  test: string,
  { cases, log }: { readonly cases: readonly CaseResult[]; readonly log: string },
): Outcome {
  const count = (state: CaseResult['state']): number => cases.filter((one) => one.state === state).length;
  const [passed, failed, skipped] = [count('pass'), count('fail'), count('skip')];
  const messages = cases
    .filter(({ state }) => state !== 'pass')
    .map(({ id, name, message }) => `${id} ${name}: ${message}`);
  if (failed > 0) messages.push(`program: ${lastOf(log)}`);
  const state = failed > 0 || passed === 0 ? 'fail' : skipped > 0 ? 'partial' : 'pass';
  return { test, level: set.levelOf(test), state, passed, failed, skipped, messages };
}

function empty(set: DataSet, test: string): Omit<Outcome, 'messages'> {
  return { test, level: set.levelOf(test), state: 'fail', passed: 0, failed: 0, skipped: 0 };
}

function lastOf(log: string): string {
  return log.trim().split('\n').slice(-6).join('\n    ');
}
