import type { Log } from '../base/log.ts';
import { formatProblem, type Problem } from '../base/problem.ts';

/** Problems that are written out of one reading. The number of the others follows. */
const LINES_MAX = 50;

/** Says every problem once: when it is new, and when it is gone. A line that moved in its file is no new problem. */
export class ProblemLog {
  readonly #log: Log;
  #known: ReadonlyMap<string, Problem> = new Map();

  constructor(log: Log) {
    this.#log = log;
  }

  /** @param problems  all problems of the newest reading */
  update(problems: readonly Problem[]): void {
    const now = new Map(problems.map((problem) => [identityOf(problem), problem]));
    const fresh = [...now].filter(([identity]) => !this.#known.has(identity)).map(([, problem]) => problem);
    const resolved = [...this.#known].filter(([identity]) => !now.has(identity)).map(([, problem]) => problem);
    this.#known = now;

    for (const problem of fresh.slice(0, LINES_MAX)) {
      this.#log[problem.level === 'error' ? 'error' : 'warn'](textOf(problem), { code: problem.code });
    }
    if (fresh.length > LINES_MAX) {
      this.#log.warn(`And ${fresh.length - LINES_MAX} more problems: "fourways check" and /problems list all of them`);
    }
    for (const { message, resource } of resolved.slice(0, LINES_MAX)) {
      this.#log.info(`Resolved: ${message}`, resource === undefined ? {} : { resource });
    }
    if (resolved.length > LINES_MAX) this.#log.info(`Resolved: ${resolved.length - LINES_MAX} more problems`);
  }
}

/** The level of the line says the level of the problem. */
function textOf(problem: Problem): string {
  return formatProblem(problem).replace(`${problem.level}: `, '');
}

function identityOf({ level, code, resource, at, field, message }: Problem): string {
  return [level, code, resource, at?.file, field, message].join('\n');
}
