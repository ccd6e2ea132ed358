/** Conditions of Kubernetes objects. */
import { utcSeconds } from '../base/utc.ts';

export type ConditionStatus = 'True' | 'False' | 'Unknown';

/** A condition before it is known since when it holds. */
export interface Draft {
  readonly type: string;
  readonly status: ConditionStatus;
  readonly reason: string;
  readonly message: string;
}

export interface Condition extends Draft {
  readonly observedGeneration: number;
  /** RFC 3339, when `status` became what it is. */
  readonly lastTransitionTime: string;
}

interface Reason {
  readonly reason: string;
  readonly message: string;
}

export function holds(type: string, { reason = type, message = '' }: Partial<Reason> = {}): Draft {
  return { type, status: 'True', reason, message };
}

export function fails(type: string, { reason, message }: Reason): Draft {
  return { type, status: 'False', reason, message };
}

/** True unless there is a reason why not. */
export function holdsUnless(type: string, why: Reason | undefined, otherwise: Partial<Reason> = {}): Draft {
  return why === undefined ? holds(type, otherwise) : fails(type, why);
}

/** Something that has conditions: `Gateway/shop/edge` or `Gateway/shop/edge listener http`. */
export interface Subject {
  readonly path: string;
  readonly generation: number;
}

/**
 * What was said before, so that a condition keeps the time at which it became
 * so. Holds the conditions of the last two lists only.
 */
export class ConditionMemory {
  readonly #wallMs: () => number;
  #before: ReadonlyMap<string, Condition> = new Map();
  #now = new Map<string, Condition>();

  constructor(wallMs: () => number) {
    this.#wallMs = wallMs;
  }

  /** Begins a new list of statuses; what the last one did not say is forgotten. */
  begin(): void {
    this.#before = this.#now;
    this.#now = new Map();
  }

  /** What the last list said of this subject in the same generation. */
  recall({ path, generation }: Subject, type: string): Condition | undefined {
    const known = this.#before.get(`${path} ${type}`);
    return known?.observedGeneration === generation ? known : undefined;
  }

  stamp({ path, generation }: Subject, drafts: readonly Draft[]): Condition[] {
    return drafts.map((draft) => {
      const key = `${path} ${draft.type}`;
      const known = this.#before.get(key);
      const lastTransitionTime = known?.status === draft.status ? known.lastTransitionTime : utcSeconds(this.#wallMs());
      const condition: Condition = { ...draft, observedGeneration: generation, lastTransitionTime };
      this.#now.set(key, condition);
      return condition;
    });
  }
}
