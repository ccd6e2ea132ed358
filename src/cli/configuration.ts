/** The configuration that a command is about: read and compiled by the code that `fourways up` runs. */
import { resolve } from 'node:path';
import { formatProblem, type Problem, unreadOf } from '../base/problem.ts';
import { silentLog } from '../base/log.ts';
import { NOTHING_ISSUED } from '../compile/acme.ts';
import { type Compiled, Compiler } from '../compile/compile.ts';
import type { Resource } from '../resource/resource.ts';
import { openSource } from '../source/open-source.ts';
import { CommandFailure, type Io } from './command.ts';

/** Of a mesh that is not run here: nobody is verified with them, and what is trusted in a plan is not what people look at. */
const UNKNOWN_ROOTS = ['(the roots of the mesh)'];

const CONTROLLER_NAME = 'fourways.io/gateway-controller';

export interface Configuration {
  readonly resources: readonly Resource[];
  /** Of reading and of compiling, in that order. */
  readonly problems: readonly Problem[];
  readonly compiled: Compiled;
  /** `all`: nothing could be read at all. */
  readonly broken: 'no' | 'some' | 'all';
}

/** @param paths  files and folders, read as one configuration */
export async function readConfiguration(paths: readonly string[], io: Io): Promise<Configuration> {
  const loads = paths.map((path) => {
    const { clock, runModule } = io;
    return openSource({ path: resolve(io.cwd, path), clock, log: silentLog, runModule }).load();
  });
  const loaded = await Promise.all(loads);
  const resources = loaded.flatMap((one) => one.resources);
  const compiler = new Compiler({
    controllerName: CONTROLLER_NAME,
    // No address is bound here, so no Gateway can ask for the same one as `--bind`.
    bindDefault: '*',
    wallMs: () => io.clock.wallMs(),
    meshRoots: () => UNKNOWN_ROOTS,
  });
  const readProblems = loaded.flatMap((one) => one.problems);
  const compiled = compiler.compile(resources, NOTHING_ISSUED, unreadOf(readProblems));
  const problems = [...readProblems, ...compiled.problems];
  const isBroken = (level: Configuration['broken']): boolean => loaded.some(({ broken }) => broken === level);
  const broken = resources.length === 0 && isBroken('all') ? 'all' : isBroken('no') ? 'no' : 'some';
  return { resources, problems, compiled, broken };
}

/**
 * The same, for commands that need something to look at. That there are problems is said on standard error.
 *
 * @throws {CommandFailure} when nothing could be read
 */
export async function readUsable(path: string, io: Io): Promise<Configuration> {
  const configuration = await readConfiguration([path], io);
  const { problems, broken, resources } = configuration;
  if (broken === 'all') throw new CommandFailure(problems.map((problem) => formatProblem(problem)).join('\n'));
  if (resources.length === 0) throw new CommandFailure(`Cannot use ${path}: there is no configuration in it`);
  const errors = problems.filter(({ level }) => level === 'error').length;
  if (errors > 0)
    io.err(`${errors} ${errors === 1 ? 'error' : 'errors'} in ${path}: "fourways check ${path}" says which`);
  return configuration;
}
