import type { AdminView, About, MeshView, StatusList } from '../api/admin/view.ts';
import type { Clock } from '../base/clock.ts';
import type { Compiled } from '../compile/compile.ts';
import type { ServingProxy } from '../compile/status-item.ts';
import type { OwnProxies } from '../control/no-proxies.ts';
import type { FleetStats } from '../control/fleet.ts';
import type { EndpointStats } from '../ir/node-stats.ts';
import type { Pipeline, Published } from '../control/pipeline.ts';
import { askablesOf } from './askables.ts';
import { certificateReport } from './certificate-report.ts';
import type { Issuing } from './issuing.ts';
import type { MeshControl } from './mesh-control.ts';
import type { Metering } from './metering.ts';
import { readinessOf } from './readiness.ts';

export interface AdminViewParts {
  readonly fleet: OwnProxies;
  /** Whether it serves Gateways at all. */
  readonly serves: 'gateways' | 'nothing';
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
export function adminView(parts: AdminViewParts): AdminView {
  const { fleet, pipeline, metering, about, issuing, mesh } = parts;
  let shown: { readonly published: Published; readonly list: StatusList } | undefined;
  return {
    readiness: () => readinessOf(fleet, pipeline.published?.compiled.bundle.plan.version),
    async metrics(accept) {
      await fleet.measure();
      mesh()?.measure(metering.metrics);
      return metering.expose(fleet.health(), accept);
    },
    status() {
      const { published } = pipeline;
      if (published === undefined) return EMPTY;
      // Made when somebody asks, and once: a list of thousands of objects is read far more rarely than it changes.
      if (shown?.published !== published) shown = { published, list: statusList(published, parts) };
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
    stats: async () => withSources(await fleet.stats(), pipeline.published?.compiled),
    order: (filter, order) => fleet.order(filter, order),
    proxiesToAsk: askablesOf(parts),
    async certificates() {
      const report = certificateReport(pipeline.published?.compiled, issuing);
      const control = mesh();
      return control === undefined ? report : { ...report, mesh: await control.desk.certificates() };
    },
    member: undefined,
    get mesh() {
      const control = mesh();
      return control === undefined ? undefined : meshView(control);
    },
  };
}

/** Where each endpoint comes from stands in no plan: the compiler knows it. */
function withSources({ workers, endpoints }: FleetStats, compiled: Compiled | undefined): FleetStats {
  if (compiled === undefined) return { workers, endpoints };
  const sourced = Object.entries(endpoints).map(([cluster, list]): [string, EndpointStats[]] => [
    cluster,
    list.map((one) => {
      const source = compiled.sourceOf({ ...one, cluster });
      return source === undefined ? one : { ...one, source };
    }),
  ]);
  return { workers, endpoints: Object.fromEntries(sourced) };
}

const EMPTY: StatusList = { apiVersion: 'v1', kind: 'List', items: [] };

type StatusBasis = Pick<AdminViewParts, 'fleet' | 'serves' | 'bind' | 'issuing' | 'mesh'>;

function statusList({ compiled, ports }: Published, { fleet, serves, bind, issuing, mesh }: StatusBasis): StatusList {
  const control = mesh();
  const { version: wanted } = compiled.bundle.plan;
  const own: ServingProxy[] =
    serves === 'gateways' ? [{ name: 'the gateway of this process', state: 'current', wanted, ports, bind }] : [];
  const elsewhere = control?.servingProxies();
  const runtime = {
    bind,
    ports,
    appliedVersion: compiled.bundle.plan.version,
    failing: fleet.failing,
    ...(elsewhere !== undefined && {
      proxiesOf: (key: string) => [...(key.startsWith('Gateway/') ? own : []), ...(elsewhere.get(key) ?? [])],
    }),
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

function meshView(control: MeshControl): MeshView {
  return {
    trust: control.desk,
    recorder: control.recorder,
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
