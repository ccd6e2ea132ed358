/**
 * Runs tests of one data set in several runners at a time. The cases name fixed
 * addresses and ports, so each runner gets a network of its own (`unshare -n`);
 * where that is not allowed, one runner does everything.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type DataSet, isOfMesh } from './cases.ts';
import type { Entry, MeshOrder } from './mesh-world.ts';
import { runnerCommand } from './runner.ts';

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

/**
 * `fresh`: a process of the program for each test. `live`: one process goes
 * through many tests, each of which is a change of its configuration.
 */
export type Mode = 'fresh' | 'live';

export interface ShardOptions {
  readonly scratch: string;
  /** Words that start the program: `bin/fourways`. */
  readonly program: string;
  readonly mode: Mode;
  readonly shards: number;
  readonly verbose: boolean;
  readonly say: (line: string) => void;
}

interface CaseResult {
  readonly id: string;
  readonly test: string;
  readonly name?: string;
  readonly state: 'pass' | 'fail' | 'skip';
  readonly message: string;
}

const ADMIN = '127.0.0.1:9900';
/** How long the runner may go on after the program ended. */
const AFTER_END_MS = 4_000;
const STRICT = JSON.stringify({
  apiVersion: 'fourways.io/v1alpha1',
  kind: 'Mesh',
  metadata: { name: 'mesh' },
  spec: { mtls: 'strict' },
});
const MESH_WORLD = fileURLToPath(new URL('mesh-world.ts', import.meta.url));
/** Tests that one runner is given at a time: its start costs as much as a test. Those of a mesh all have the same one. */
const CHUNK: Readonly<Record<Mode, number>> = { fresh: 6, live: 12 };

export async function runDataSet(set: DataSet, tests: readonly string[], options: ShardOptions): Promise<Outcome[]> {
  const network = ownNetwork();
  if (network === undefined) options.say('No network of its own for each runner here (unshare -n): one at a time');
  const shards = network === undefined ? 1 : options.shards;
  const [mesh = [], gateway = []] = [true, false].map((wanted) =>
    tests.filter((test) => isOfMesh(set, test) === wanted),
  );
  const size = Math.max(1, Math.min(CHUNK[options.mode]!, Math.ceil(gateway.length / shards)));
  const queue = Array.from({ length: Math.ceil(gateway.length / size) }, (_, i) =>
    gateway.slice(i * size, (i + 1) * size),
  );
  // It takes the longest, so it begins first.
  if (mesh.length > 0) queue.unshift(mesh);
  const outcomes: Outcome[] = [];
  const work = async (): Promise<void> => {
    for (let chunk = queue.shift(); chunk !== undefined; chunk = queue.shift()) {
      outcomes.push(...(await runChunk(set, chunk, { ...options, network: network ?? [] })));
    }
  };
  await Promise.all(Array.from({ length: shards }, work));
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

interface ChunkOptions extends ShardOptions {
  readonly network: readonly string[];
}

/** A test that fails in company is run once more, alone where a program is started for each: that tells a defect from a slow machine, and whose log it is. */
async function runChunk(set: DataSet, tests: readonly string[], options: ChunkOptions): Promise<Outcome[]> {
  const first = await runTests(set, tests, options);
  const failed = first.flatMap(({ state, test }) => (state === 'fail' ? [test] : []));
  const again: Outcome[] = [];
  // A mesh costs more than its tests.
  if (failed.length > 0 && isOfMesh(set, failed[0]!)) again.push(...(await runTests(set, failed, options)));
  else for (const test of failed) again.push(...(await runTests(set, [test], options)));
  return first.map((outcome) => {
    const last = again.find(({ test }) => test === outcome.test) ?? outcome;
    report(set, { first: outcome, last }, options);
    return last;
  });
}

function report(set: DataSet, { first, last }: { first: Outcome; last: Outcome }, options: ChunkOptions): void {
  const { say, verbose } = options;
  if (last.state === 'fail') say(`FAIL ${set.name} ${last.test}\n  ${last.messages.join('\n  ')}`);
  else if (first.state === 'fail')
    say(`PASS the second time: ${set.name} ${last.test}\n  ${first.messages.join('\n  ')}`);
  else if (verbose) say(`${last.state} ${set.name} ${last.test}`);
}

async function runTests(set: DataSet, tests: readonly string[], options: ChunkOptions): Promise<Outcome[]> {
  const dir = join(options.scratch, `${set.name}-${tests[0]}-${tests.length}`);
  const config = join(dir, 'config');
  mkdirSync(config, { recursive: true });
  // The program starts before the runner writes anything, and a folder without any manifest is a mistake.
  writeFileSync(join(config, 'keep.json'), '{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"keep"}}');
  const results = join(dir, 'results.json');
  const work = { ...options, dir, results };
  const { program, command } = isOfMesh(set, tests[0]!) ? meshCommand(set, tests, work) : commandOf(set, tests, work);
  const said = await runToEnd([...options.network, ...command], program.ended);
  const log = existsSync(program.log) ? readFileSync(program.log, 'utf8') : '';
  const cases = existsSync(results)
    ? (JSON.parse(readFileSync(results, 'utf8')) as { results: CaseResult[] }).results
    : [];
  // A program that is ending may still write there.
  rmSync(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  return tests.map((test) => {
    const own = cases.filter((one) => one.test === test);
    return outcomeOf(set, test, {
      cases: own,
      trace: own.length === 0 ? `${said.slice(-300)} ${lastOf(log)}` : lastOf(log),
    });
  });
}

interface Work extends ChunkOptions {
  readonly dir: string;
  readonly results: string;
}

interface Command {
  readonly program: { readonly log: string; readonly ended: string };
  readonly command: readonly string[];
}

/** The runner, which starts the program for each test (`fresh`) or finds it running (`live`). */
function commandOf(set: DataSet, tests: readonly string[], { dir, results, mode, program }: Work): Command {
  const [log, ended, config] = [join(dir, 'program.log'), join(dir, 'ended'), join(dir, 'config')];
  const start = `${program} up ${config} --bind 127.0.0.1 --admin ${ADMIN} --workers 1 --data ${dir}/data --drain 1s`;
  const fresh = { spawn: `rm -f ${ended}; ${start} >${log} 2>&1; echo $? >${ended}` };
  const more = { status: `http://${ADMIN}/status`, ...(mode === 'fresh' && fresh) };
  const runner = [...runnerCommand({ set, tests, config, results }, more), '--start-echo'];
  const live = `${start} >${log} 2>&1 & program=$!; "$@"; result=$?; kill $program; wait $program; exit $result`;
  return { program: { log, ended }, command: mode === 'fresh' ? runner : ['sh', '-c', live, 'sh', ...runner] };
}

/** A mesh that all of the tests go through. Clients of gRPC know no proxy but a tunnel. */
function meshCommand(set: DataSet, tests: readonly string[], { dir, results, mode }: Work): Command {
  const [log, file] = [join(dir, 'program.log'), join(dir, 'order.json')];
  const entryOf = (test: string): Entry =>
    mode === 'live' && !set.profilesOf(test).includes('MESH-GRPC') ? 'absolute' : 'connect';
  const order: MeshOrder = {
    set,
    tests,
    config: join(dir, 'config'),
    results,
    dir,
    log,
    entries: Object.fromEntries(tests.map((test) => [test, entryOf(test)])),
  };
  writeFileSync(file, JSON.stringify(order));
  // The runner leaves it there. Nothing goes past the sidecars, also where EndpointSlices would lead past them.
  writeFileSync(join(order.config, 'mesh.json'), STRICT);
  return { program: { log, ended: join(dir, 'ended') }, command: [process.execPath, MESH_WORLD, file] };
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
    // Between two tests the program has ended as well, but not for long.
    if (existsSync(ended)) timer ??= setTimeout(() => child.kill(), AFTER_END_MS);
    else {
      clearTimeout(timer);
      timer = undefined;
    }
  }, 300);
  await closed;
  clearInterval(watch);
  clearTimeout(timer);
  return said;
}

function outcomeOf(
  set: DataSet,
  test: string,
  { cases, trace }: { readonly cases: readonly CaseResult[]; readonly trace: string },
): Outcome {
  const count = (state: CaseResult['state']): number => cases.filter((one) => one.state === state).length;
  const [passed, failed, skipped] = [count('pass'), count('fail'), count('skip')];
  const messages = cases
    .filter(({ state }) => state !== 'pass')
    .map(({ id, name = '', message }) => `${id} ${name}: ${message}`);
  const state = failed > 0 || passed === 0 ? 'fail' : skipped > 0 ? 'partial' : 'pass';
  if (state === 'fail') messages.push(`program: ${trace}`);
  return { test, level: set.levelOf(test), state, passed, failed, skipped, messages };
}

function lastOf(log: string): string {
  return log.trim().split('\n').slice(-6).join('\n    ');
}
