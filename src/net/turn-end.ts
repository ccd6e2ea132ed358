/**
 * Runs what was put off until the event loop has handled everything that is readable now. One entry of the loop
 * serves all that asked, so that connections which write in one turn cost one call each, however many streams they
 * carry.
 */

export interface TurnEndTask {
  onTurnEnd(): void;
}

export class TurnEnd {
  #tasks: TurnEndTask[] = [];
  #spare: TurnEndTask[] = [];

  /** @param task  must not be added twice in one turn; it keeps a flag of its own for that */
  add(task: TurnEndTask): void {
    if (this.#tasks.push(task) === 1) setImmediate(this.#run);
  }

  readonly #run = (): void => {
    const tasks = this.#tasks;
    this.#tasks = this.#spare;
    // A task may write again, which is of the next turn.
    for (const task of tasks) task.onTurnEnd();
    tasks.length = 0;
    this.#spare = tasks;
  };
}

/** One per thread is enough, and all that is needed. */
export const turnEnd = new TurnEnd();
