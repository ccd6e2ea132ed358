/** What a worker asks the main thread for: services that its plan does not have. */
import type { FromWorker } from './worker-protocol.ts';

/** Names that are asked for at a time. Beyond: nobody is asked, and the request is told that there is no such service. */
const OPEN_MAX = 1_024;

export class ServiceQuestions {
  readonly #post: (message: FromWorker) => void;
  readonly #open = new Map<string, PromiseWithResolvers<void>>();

  constructor(post: (message: FromWorker) => void) {
    this.#post = post;
  }

  /** Resolves when it is sure whether a plan will have it. */
  ask(name: string): Promise<void> {
    const open = this.#open.get(name);
    if (open !== undefined) return open.promise;
    if (this.#open.size >= OPEN_MAX) return Promise.resolve();
    const asked = Promise.withResolvers<void>();
    this.#open.set(name, asked);
    this.#post({ kind: 'service-wanted', name });
    return asked.promise;
  }

  settled(name: string): void {
    this.#open.get(name)?.resolve();
    this.#open.delete(name);
  }
}
