import type { AdminView, About, MeshView, Readiness, StatusList } from '../api/admin/view.ts';
import type { Clock } from '../base/clock.ts';
import type { Fleet } from '../control/fleet.ts';
import type { Pipeline, Published } from '../control/pipeline.ts';
import { certificateReport } from './certificate-report.ts';
import type { Issuing } from './issuing.ts';
import type { MeshControl } from './mesh-control.ts';
import type { Metering } from './metering.ts';

export interface AdminViewParts {
  readonly fleet: Fleet;
  readonly pipeline: Pipeline;
  readonly metering: Metering;
  readonly about: About;
  /** Address that `*` in the plan stands for. */
  readonly bind: string;
  readonly issuing: Issuing;
  /** Undefined as long as there is none. */
  readonly mesh: () => MeshControl | undefined;
}

/** What the admin API shows, gathered from the parts that know it. */
export function adminView({ fleet, pipeline, metering, about, bind, issuing, mesh }: AdminViewParts): AdminView {
  let shown: { readonly published: Published; readonly list: StatusList } | undefined;
  return {
    readiness: () => readinessOf(fleet, pipeline.published?.compiled.bundle.plan.version),
    async metrics(accept) {
      await fleet.measure();
      return metering.expose(fleet.health(), accept);
    },
    status() {
      const { published } = pipeline;
      if (published === undefined) return EMPTY;
      // Made when somebody asks, and once: a list of thousands of objects is read far more rarely than it changes.
      if (shown?.published !== published) shown = { published, list: statusList(published, { fleet, bind, issuing }) };
      return shown.list;
    },
    plan() {
      const compiled = pipeline.published?.compiled;
      return compiled?.withPlaces(compiled.bundle.plan);
    },
    problems() {
      const { published, refused, problems } = pipeline;
      const why = refused === undefined ? {} : { refused };
      return { version: published?.compiled.bundle.plan.version, ...why, problems };
    },
    about: () => about,
    stats: () => fleet.stats(),
    order: (filter, order) => fleet.order(filter, order),
    certificates: () => certificateReport(pipeline.published?.compiled, issuing),
    get mesh() {
      const control = mesh();
      return control === undefined ? undefined : meshView(control);
    },
  };
}

const EMPTY: StatusList = { apiVersion: 'v1', kind: 'List', items: [] };

interface StatusBasis {
  readonly fleet: Pick<Fleet, 'failing'>;
  readonly bind: string;
  readonly issuing: Issuing;
}

function statusList({ compiled, ports }: Published, { fleet, bind, issuing }: StatusBasis): StatusList {
  const runtime = {
    bind,
    ports,
    appliedVersion: compiled.bundle.plan.version,
    failing: fleet.failing,
    progressOf: (secret: string) => issuing.progressOf(secret),
  };
  return { ...EMPTY, items: compiled.statusOf(runtime) };
}

/** After a change: when nothing more urgent is left to do, and before anybody could take offence at the time. */
const STAMP_MS = 500;

/** Statuses are made when somebody asks, but a condition says when it last changed: so they are looked at after each change. */
export class ConditionStamper {
  readonly #clock: Clock;
  readonly #basis: StatusBasis;
  #newest: Published | undefined;

  constructor(clock: Clock, basis: StatusBasis) {
    this.#clock = clock;
    this.#basis = basis;
  }

  stampSoon(published: Published): void {
    if (this.#newest === undefined) this.#clock.after(STAMP_MS, () => this.#stamp());
    this.#newest = published;
  }

  #stamp(): void {
    if (this.#newest !== undefined) statusList(this.#newest, this.#basis);
    this.#newest = undefined;
  }
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

function meshView(control: MeshControl): MeshView {
  return {
    proxies: () => control.proxies(),
    summary: () => control.summary(),
    calls: (question) => control.calls(question),
    async createToken({ namespace, account, uses, lastsMs }) {
      const made = await control.authority.createToken({ namespace, account, usesMax: uses, lifeMs: lastsMs });
      return 'flaw' in made ? made.flaw : { id: made.id, token: made.text };
    },
    denied: () => control.authority.denials,
    deny: (identity, reason) => control.deny(identity, reason),
    allow: (identity) => control.allow(identity),
  };
}
