/** One line of log for one change of the plan: what was added, changed and removed, by name. */
import type { Plan, PlanDelta } from '../ir/plan.ts';
import { PART_KINDS } from '../ir/version.ts';

/** Names that a line holds of each list. The number of the others follows. */
const NAMES_MAX = 10;

export interface ChangeLine {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

/**
 * Secrets are not named: whoever refers to one by its hash is changed with it.
 *
 * @param before  the plan that the delta starts from
 */
export function changeLine(before: Plan | undefined, { set, remove }: PlanDelta): ChangeLine {
  const added: string[] = [];
  const changed: string[] = [];
  const removed: string[] = [];
  for (const kind of PART_KINDS) {
    const was: Readonly<Record<string, unknown>> = before?.[kind] ?? {};
    for (const name of Object.keys(set[kind])) (was[name] === undefined ? added : changed).push(name);
    removed.push(...remove[kind]);
  }
  return { added: shortened(added), changed: shortened(changed), removed: shortened(removed) };
}

/** `['a', 'b', 'and 7 more']`. */
function shortened(names: readonly string[]): string[] {
  if (names.length <= NAMES_MAX) return [...names];
  return [...names.slice(0, NAMES_MAX), `and ${names.length - NAMES_MAX} more`];
}
