/** Whether a connection below HTTP is let through, by the workload that it comes from: there is nothing else to go by. */
import type { PlanStreamAccess } from '../ir/plan.ts';

export interface StreamDecision {
  /** Why it is not let through; undefined when it is. */
  readonly refused: string | undefined;
  /** What would not have let it through, were it not only tried out; undefined for nothing. */
  readonly audited: string | undefined;
}

const LET_THROUGH: StreamDecision = { refused: undefined, audited: undefined };

/** @param caller  SPIFFE ID; undefined for one that has shown none */
export function decideAccess(accesses: readonly PlanStreamAccess[], caller: string | undefined): StreamDecision {
  if (accesses.length === 0) return LET_THROUGH;
  let refused: string | undefined;
  let audited: string | undefined;
  for (const access of accesses) {
    const why = refusalBy(access, caller);
    if (why === undefined) continue;
    if (access.audit === true) audited ??= why;
    else refused ??= why;
  }
  return { refused, audited };
}

function refusalBy(
  { owner, rules, default: otherwise }: PlanStreamAccess,
  caller: string | undefined,
): string | undefined {
  const matching = rules.filter(({ workloads }) => isAmong(workloads, caller));
  const denying = matching.find(({ effect }) => effect === 'deny');
  if (denying !== undefined) return `Rule "${denying.name}" of ${owner} denies it`;
  if (otherwise === 'allow' || matching.length > 0) return undefined;
  return `No rule of ${owner} allows ${caller === undefined ? 'a client without an identity' : `"${caller}"`}`;
}

/** @param workloads  absent: anybody */
function isAmong(workloads: readonly string[] | undefined, caller: string | undefined): boolean {
  if (workloads === undefined) return true;
  if (caller === undefined) return false;
  return workloads.some((one) => (one.endsWith('*') ? caller.startsWith(one.slice(0, -1)) : caller === one));
}
