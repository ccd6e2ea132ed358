import type { Clock } from '../base/clock.ts';
import type { Log } from '../base/log.ts';
import { formatProblem, type Problem } from '../base/problem.ts';

/** Problems that are written out of one reading. The number of the others follows. */
const LINES_MAX = 50;

/** What goes away by itself while a mesh starts: said only of what has not by then. */
const PASSING: ReadonlySet<string> = new Set(['service.no-workload']);
const PATIENCE_MS = 10_000;

/** Says every problem once: when it is new, and when it is gone. A line that moved in its file is no new problem. */
export class ProblemLog {
  readonly #log: Log;
  readonly #clock: Clock;
  #known: ReadonlyMap<string, Problem> = new Map();
  /** Of the known ones, those that were not said yet. */
  #unsaid = new Map<string, Problem>();
  #isWaiting = false;

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** @param problems  all problems of the newest reading */
  update(problems: readonly Problem[]): void {
    const now = new Map(problems.map((problem) => [identityOf(problem), problem]));
    const fresh = [...now].filter(([identity]) => !this.#known.has(identity));
    const gone = [...this.#known].filter(([identity]) => !now.has(identity));
    this.#known = now;
    this.#sayNew(fresh.flatMap(([, problem]) => (PASSING.has(problem.code) ? [] : problem)));
    this.#sayGone(gone.flatMap(([identity, problem]) => (this.#unsaid.delete(identity) ? [] : problem)));
    for (const [identity, problem] of fresh) if (PASSING.has(problem.code)) this.#sayLater(identity, problem);
  }

  #sayNew(problems: readonly Problem[]): void {
    for (const problem of problems.slice(0, LINES_MAX)) {
      this.#log[problem.level === 'error' ? 'error' : 'warn'](textOf(problem), { code: problem.code });
    }
    if (problems.length > LINES_MAX) {
      this.#log.warn(
        `And ${problems.length - LINES_MAX} more problems: "fourways check" and /problems list all of them`,
      );
    }
  }

  #sayGone(problems: readonly Problem[]): void {
    for (const { message, resource } of problems.slice(0, LINES_MAX)) {
      this.#log.info(`Resolved: ${message}`, resource === undefined ? {} : { resource });
    }
    if (problems.length > LINES_MAX) this.#log.info(`Resolved: ${problems.length - LINES_MAX} more problems`);
  }

  #sayLater(identity: string, problem: Problem): void {
    this.#unsaid.set(identity, problem);
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    this.#clock.after(PATIENCE_MS, () => {
      this.#isWaiting = false;
      const problems = [...this.#unsaid.values()];
      this.#unsaid.clear();
      this.#sayNew(problems);
    });
  }
}

/** The level of the line says the level of the problem. */
function textOf(problem: Problem): string {
  return formatProblem(problem).replace(`${problem.level}: `, '');
}

function identityOf({ level, code, resource, at, field, message }: Problem): string {
  return [level, code, resource, at?.file, field, message].join('\n');
}
