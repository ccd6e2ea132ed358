/** The plan that a command speaks of: compiled from a path, or the one that a running Fourways serves. */
import type { CallAnswer, CallQuestion } from '../compile/mesh-calls.ts';
import type { Plan } from '../ir/plan.ts';
import { ADMIN_OPTION, readAdmin } from './admin.ts';
import { type Io, type Options, UsageError } from './command.ts';

export const PLAN_OPTIONS = { admin: ADMIN_OPTION } as const satisfies Options;

export interface PlanRequest {
  readonly path: string | undefined;
  readonly admin: string | undefined;
  /** A positional argument too many. */
  readonly more?: string | undefined;
}

/**
 * @throws {UsageError} unless exactly one of `path` and `admin` is given
 * @throws {CommandFailure} when there is no plan
 */
export async function readPlan(request: PlanRequest, io: Io): Promise<Plan> {
  return (await openPlans(request, io)).plan();
}

export interface PlanSource {
  /** Of the gateways. */
  plan(): Promise<Plan>;
  /** Of who is on the way of a call. @throws {CommandFailure} where no mesh is run */
  calls(question: CallQuestion): Promise<CallAnswer>;
}

/** As {@link readPlan}. */
export async function openPlans({ path, admin, more }: PlanRequest, io: Io): Promise<PlanSource> {
  if (more !== undefined) throw new UsageError(`Unexpected argument "${more}"`);
  if ((path === undefined) === (admin === undefined)) {
    throw new UsageError('Name either a file or folder with the configuration, or a running Fourways with --admin');
  }
  if (admin !== undefined) {
    return {
      plan: async () => (await readAdmin(io, admin, '/plan')) as Plan,
      calls: async (question) => (await readAdmin(io, admin, { path: '/calls', body: question })) as CallAnswer,
    };
  }
  // Loaded late: a running Fourways is asked without the compiler.
  const { readUsable } = await import('./configuration.ts');
  const { compiled } = await readUsable(path!, io);
  return {
    plan: async () => compiled.withPlaces(compiled.bundle.plan),
    calls: async (question) => compiled.callsOf(question),
  };
}
