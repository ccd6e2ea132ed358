import type { AdminView, About, Readiness, StatusList } from '../api/admin/view.ts';
import type { Fleet } from '../control/fleet.ts';
import type { Compiled, Pipeline, Published, Reading } from '../control/pipeline.ts';
import type { PortStates } from '../ir/port-state.ts';
import type { Metering } from './metering.ts';

/** What a compiler gives back, with its statuses. */
export interface CompiledWithStatus extends Compiled {
  statusOf(runtime: { readonly ports: PortStates }): readonly object[];
}

export interface AdminViewParts<R extends Reading> {
  readonly fleet: Fleet;
  readonly pipeline: Pipeline<R, CompiledWithStatus>;
  readonly metering: Metering;
  readonly about: About;
}

/** What the admin API shows, gathered from the parts that know it. */
export function adminView<R extends Reading>({ fleet, pipeline, metering, about }: AdminViewParts<R>): AdminView {
  let shown: { readonly published: Published<R, CompiledWithStatus>; readonly list: StatusList } | undefined;
  return {
    readiness: () => readinessOf(fleet, pipeline.published?.bundle.plan.version),
    async metrics(accept) {
      await fleet.measure();
      return metering.expose(fleet.health(), accept);
    },
    status() {
      const { published } = pipeline;
      if (published === undefined) return EMPTY;
      // Made when somebody asks, and once: a list of thousands of objects is read far more rarely than it changes.
      if (shown?.published !== published) shown = { published, list: statusList(published) };
      return shown.list;
    },
    plan: () => pipeline.published?.bundle.plan,
    problems() {
      const { published, outcome, problems } = pipeline;
      const refused = outcome?.kind === 'refused' ? { refused: outcome.reason } : {};
      return { version: published?.bundle.plan.version, ...refused, problems };
    },
    about: () => about,
    stats: () => fleet.stats(),
  };
}

const EMPTY: StatusList = { apiVersion: 'v1', kind: 'List', items: [] };

function statusList<R>({ from, ports }: Published<R, CompiledWithStatus>): StatusList {
  // Of a plan that was kept from an earlier run only the plan is known, not the objects it came from.
  return from === undefined ? EMPTY : { ...EMPTY, items: from.compiled.statusOf({ ports }) };
}

function readinessOf(fleet: Fleet, version: string | undefined): Readiness {
  const workers = fleet.health();
  // While a change is on its way some are a plan ahead: they serve, and the fleet brings the others there or these back.
  const late = workers.filter(({ state }) => state !== 'ready');
  const reason = fleet.draining
    ? 'The process is shutting down'
    : version === undefined
      ? 'No plan is applied yet'
      : late.map(({ worker, state }) => `Worker ${worker} is ${state}`).join(', ');
  return { ready: reason === '', reason, version, workers };
}
