/** A call through the mesh with the plans of both of its ends, for people who ask what would become of it. */
import type { Position } from '../base/problem.ts';
import type { LearnedSpeech, Plan, PlanRoute } from '../ir/plan.ts';
import type { Workload } from '../resource/resource.ts';
import { placeOf } from './finding.ts';
import { identityOf, meshOf, type MeshView } from './mesh.ts';
import { type MeshWorkload, ownParts } from './mesh-inbound.ts';
import type { CompiledMesh } from './mesh-pass.ts';
import { learnedOf } from './mesh-port.ts';
import { lowerRoute } from './route.ts';
import { findObject, type Inventory, lookIn } from './tables.ts';

export interface CallQuestion {
  /** Of a workload that calls; absent where a gateway does. */
  readonly from?: { readonly namespace: string; readonly host: string };
  /** Keys of Services that are asked about besides: `Service/shop/orders`. */
  readonly services: readonly string[];
}

export interface CallAnswer {
  readonly trustDomain: string;
  /** Present when `from` was asked: what the sidecar of the caller follows, with places. */
  readonly client?: {
    /** That the host stands for; absent when there is none. */
    readonly service?: string;
    readonly plan: Plan;
    /** Routes of the Service that are not for this client. */
    readonly passedOver: readonly PassedOver[];
  };
  /** Services that the caller's plan leads to, and those that were asked about. Those that do not exist are left out. */
  readonly callees: readonly Callee[];
}

export interface PassedOver {
  /** `HTTPRoute/shop/canary` */
  readonly route: string;
  readonly at: Position | undefined;
  /** In words. */
  readonly why: string;
}

export interface Callee {
  /** `Service/shop/orders` */
  readonly service: string;
  /** In the order of their names. */
  readonly instances: readonly Instance[];
  /** What the sidecar of one of them takes in, with places: they differ in their addresses only. Absent: none has one. */
  readonly inbound?: { readonly workload: string; readonly plan: Plan };
}

export interface Instance {
  /** `shop/orders-1` */
  readonly workload: string;
  /** Absent for one without a sidecar: nothing proves who it is. */
  readonly identity?: string;
  readonly address: string;
  /** Of its application, by name. */
  readonly ports: Readonly<Record<string, number>>;
  /** Where its sidecar takes mTLS. */
  readonly proxyPort?: number;
  readonly zone?: string;
  readonly health: Workload['spec']['health'];
  /** `registered` by its sidecar, or where it is written. */
  readonly source: 'registered' | { readonly file: string; readonly line: number };
}

interface CallWork {
  readonly mesh: CompiledMesh;
  readonly inventory: Inventory;
}

/** Where nobody is bound to: the port of a plan that is only looked at. */
const NOWHERE = { address: '127.0.0.1', port: 15_001 };

/** @throws {RangeError} when the roots of the mesh are not known, or a later compile was made */
export function answerCall({ from, services }: CallQuestion, work: CallWork): CallAnswer {
  const { mesh } = work;
  const client = from === undefined ? undefined : clientOf(from, work);
  const keys = new Set([
    ...services,
    ...Object.keys(client?.plan.clusters ?? {}).flatMap((key) => serviceOf(key) ?? []),
  ]);
  return {
    trustDomain: mesh.trustDomain,
    ...(client !== undefined && { client }),
    callees: [...keys].flatMap((key) => calleeOf(key, work) ?? []),
  };
}

/** The Service that a cluster leads to: `Service/shop/orders` of `Service/shop/orders/80+h2`. */
function serviceOf(cluster: string): string | undefined {
  return /^Service\/[^/]+\/[^/]+(?=\/)/.exec(cluster)?.[0];
}

function clientOf(
  { namespace, host }: NonNullable<CallQuestion['from']>,
  { mesh, inventory }: CallWork,
): NonNullable<CallAnswer['client']> {
  const services = mesh.keysOf(host, namespace);
  const [service] = services;
  const { plan } = mesh.planOf({ namespace, services, forward: NOWHERE });
  return {
    ...(service !== undefined && { service }),
    plan: { ...plan, routes: placedRoutes(plan.routes, inventory) },
    passedOver: service === undefined ? [] : passedOver(service, plan, inventory),
  };
}

/** A consumer route is for clients of its own namespace, and there it stands before those beside the Service. */
function passedOver(service: string, { routes, streams }: Plan, { tables }: Inventory): PassedOver[] {
  const [, own = ''] = service.split('/');
  return [...tables.meshRoutes].flatMap(([group, list]) => {
    const [parent, namespace = ''] = group.split('@');
    if (parent !== service) return [];
    return list.flatMap(({ key }): PassedOver[] => {
      if (key in routes || key in streams) return [];
      const [route = ''] = key.split('@', 1);
      const written = findObject(tables, route);
      const why =
        namespace === own
          ? 'routes of the namespace of the client come first'
          : `it is for clients of namespace ${namespace}`;
      return [{ route, at: written === undefined ? undefined : placeOf(written, ''), why }];
    });
  });
}

/** The rules of routes that have a Service as their parent, made once more with their places. */
function placedRoutes(routes: Plan['routes'], { tables }: Inventory): Plan['routes'] {
  const look = lookIn(tables);
  const placed = Object.entries(routes).map(([key, route]): [string, PlanRoute] => {
    const [own = ''] = key.split('@', 1);
    const written = tables.HTTPRoute.get(own) ?? tables.GRPCRoute.get(own);
    if (written === undefined) return [key, route];
    const again = lowerRoute(written, look, 'keep').mesh.find((one) => one.key === key);
    return [key, again === undefined ? route : { ...route, rules: again.part.rules }];
  });
  return Object.fromEntries(placed);
}

function calleeOf(service: string, { mesh, inventory }: CallWork): Callee | undefined {
  const look = lookIn(inventory.tables);
  if (look('Service', service) === undefined) return undefined;
  const workloads = look('workloads', service) ?? [];
  const view = meshOf(look);
  const instances = workloads.map((workload) => instanceOf(workload, identityOf(view, workload)));
  const withSidecar = workloads.filter(({ spec }) => spec.proxyPort !== undefined);
  const shown = withSidecar.find(({ spec }) => spec.health === 'ready') ?? withSidecar[0];
  if (shown === undefined) return { service, instances };
  const { metadata, spec } = shown;
  const { address, ports, proxyPort } = spec;
  const inbound: MeshWorkload = {
    namespace: metadata.namespace,
    service: spec.service,
    labels: metadata.labels,
    address,
    ports,
    proxyPort: proxyPort!,
  };
  const { plan } = mesh.planOf({ namespace: metadata.namespace, services: [], inbound });
  const { routes } = ownParts(inbound, look, 'keep');
  return { service, instances, inbound: { workload: nameOf(shown), plan: { ...plan, routes } } };
}

function instanceOf(workload: Workload, identity: string): Instance {
  const { address, ports, proxyPort, zone, health } = workload.spec;
  const { file, line } = workload.origin;
  return {
    workload: nameOf(workload),
    ...(proxyPort !== undefined && { identity, proxyPort }),
    address,
    ports,
    ...(zone !== undefined && { zone }),
    health,
    source: file === 'registered' ? 'registered' : { file, line },
  };
}

function nameOf({ metadata }: Workload): string {
  return `${metadata.namespace}/${metadata.name}`;
}

/** A Service of the mesh with its instances, counted. */
export interface ServiceRow {
  /** `shop/orders` */
  readonly service: string;
  readonly ready: number;
  /** That do not answer, or end: they get nothing new. */
  readonly notReady: number;
  readonly draining: number;
  /** How many of all have a sidecar. */
  readonly sidecars: number;
  /** Ports of which nobody has said what they speak, by number, and what they were found to speak. */
  readonly learned: Readonly<Record<string, LearnedSpeech | 'unknown'>>;
}

/** Those that have Workloads, in the order of their names. */
export function serviceRows({ tables }: Inventory, { spec }: MeshView): ServiceRow[] {
  const rows = [...tables.workloads].map(([key, workloads]): ServiceRow => {
    const count = (health: Workload['spec']['health']): number =>
      workloads.filter((one) => one.spec.health === health).length;
    return {
      service: key.slice(key.indexOf('/') + 1),
      ready: count('ready'),
      notReady: count('not-ready'),
      draining: count('draining'),
      sidecars: workloads.filter((one) => one.spec.proxyPort !== undefined).length,
      learned: Object.fromEntries(
        (tables.Service.get(key)?.spec.ports ?? []).flatMap((port) => {
          const learned = learnedOf(port, spec.defaultProtocol);
          return learned === undefined ? [] : [[port.port, learned]];
        }),
      ),
    };
  });
  return rows.toSorted((a, b) => (a.service < b.service ? -1 : 1));
}
