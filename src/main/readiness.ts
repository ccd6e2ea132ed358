import type { Readiness } from '../api/admin/view.ts';
import type { OwnProxies } from '../control/no-proxies.ts';

/** @param version  of the plan that is served; undefined before the first */
export function readinessOf(fleet: Pick<OwnProxies, 'health' | 'draining'>, version: string | undefined): Readiness {
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
