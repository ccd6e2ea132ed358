/** What all rules of a worker share, and what a change of the plan must not lose. */
import type { RemoteKeys } from './remote-keys.ts';
import { SeenProofs } from './seen-proofs.ts';

export interface Shared {
  /** By what they are asked for. Each is there as long as a rule uses it. */
  readonly keySets: Map<string, RemoteKeys>;
  /** By how long each is remembered. */
  readonly proofs: Map<number, SeenProofs>;
}

export function makeShared(): Shared {
  return { keySets: new Map(), proofs: new Map() };
}

/** Operators have one or two windows; more are forgotten, the oldest first. */
const WINDOWS_MAX = 16;

/** Proofs that all rules with this window have seen: a plan that changes does not make a used one new again. */
export function proofsOf({ proofs }: Shared, keepMs: number): SeenProofs {
  let seen = proofs.get(keepMs);
  if (seen === undefined) {
    seen = new SeenProofs(keepMs);
    proofs.set(keepMs, seen);
    if (proofs.size > WINDOWS_MAX) proofs.delete(proofs.keys().next().value!);
  }
  return seen;
}
