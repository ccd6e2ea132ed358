/** Makes the plans of a document before requests need them, so that what is wrong in it is found early. */
import type { Env } from '../../filter/env.ts';
import { WrongPart } from '../../openapi/wrong.ts';
import type { Api } from './api.ts';

/** Between two operations, whatever the number of rules: requests go on meanwhile. */
const PAUSE_MS = 20;

/**
 * Operations of one document that are made beforehand. All of the eleven thousand of Microsoft Graph would take each worker a minute and a
 * third of a gigabyte, for a few that are ever asked; the others are made at their first request.
 */
const OPERATIONS_MAX = 2_000;

/** A rule, and which plans it asks for. */
export interface Preparer {
  readonly env: Env;
  readonly requests: boolean;
  readonly answers: boolean;
}

/** One of a document and worker; the first of its rules pays for it. */
export class Preparation {
  readonly #api: Api;
  readonly #preparers = new Set<Preparer>();
  /** How many operations are done. */
  readonly #done = { requests: 0, answers: 0 };
  #paying: Preparer | undefined;
  #stop: () => void = () => undefined;

  constructor(api: Api) {
    this.#api = api;
  }

  /** @returns how to stop */
  join(preparer: Preparer): () => void {
    this.#preparers.add(preparer);
    if (this.#paying === undefined) this.#wait();
    return () => {
      this.#preparers.delete(preparer);
      if (this.#paying !== preparer) return;
      this.#stop();
      this.#wait();
    };
  }

  #wait(): void {
    this.#paying = this.#hasMore() ? this.#preparers.values().next().value : undefined;
    if (this.#paying === undefined) return;
    const { env } = this.#paying;
    this.#stop = env.after(PAUSE_MS, () => {
      this.#one(env);
      this.#wait();
    });
  }

  #hasMore(): boolean {
    return this.#next('requests') !== undefined || this.#next('answers') !== undefined;
  }

  /** Index of the first operation of which a rule needs the plan, and there is none. */
  #next(direction: 'requests' | 'answers'): number | undefined {
    if (![...this.#preparers].some((preparer) => preparer[direction])) return undefined;
    const { operations, [direction]: plans } = this.#api;
    const done = this.#done;
    const end = Math.min(operations.length, OPERATIONS_MAX);
    while (done[direction] < end && plans.has(operations[done[direction]]!)) done[direction]++;
    return done[direction] < end ? done[direction] : undefined;
  }

  #one(env: Env): void {
    for (const direction of ['requests', 'answers'] as const) {
      const next = this.#next(direction);
      if (next === undefined) continue;
      const plan = this.#api[direction].of(this.#api.operations[next]!);
      if (plan instanceof WrongPart) this.#api.tell(env, plan);
      this.#api.tellUnchecked(env);
      return;
    }
  }
}
