/**
 * The passes over the mesh. Before routes: which Mesh counts, which Services
 * have sidecars, and what routes see of Services. After them: which route is
 * followed by whom, and the plans of sidecars, made when they are asked for.
 */
import { isIP } from 'node:net';
import { CONNECTION_LIMITS, CONNECTION_TIMEOUTS } from '../base/limits.ts';
import { canonicalJson } from '../base/canonical.ts';
import { portKey } from '../ir/key.ts';
import type { PlanBundle, PlanCluster, PlanListener, PlanPort, PlanSecret } from '../ir/plan.ts';
import { type PlanParts, versionOf } from '../ir/version.ts';
import { describe, describeKey, keyOf, resourceKey, type Service, type Workload } from '../resource/resource.ts';
import type { BackendTarget } from './backend.ts';
import { clusterKey } from './backend.ts';
import { type ClusterNeed, type ClusterResult, lowerCluster } from './cluster.ts';
import { type Finding, warning } from './finding.ts';
import type { ParentView } from './gateways.ts';
import { Memo, sameItems } from './memo.ts';
import { MESH, type MeshView, readMesh } from './mesh.ts';
import { type MeshWorkload, ownParts, type OwnParts } from './mesh-inbound.ts';
import {
  forwardListener,
  localKey,
  localListener,
  localParts,
  type OutboundPort,
  serviceKeyOf,
  type ServiceView,
  viewNamespace,
  viewOf,
} from './mesh-outbound.ts';
import { serviceView, speechOf } from './mesh-port.ts';
import { groupMeshRoutes, type MeshRoutes } from './mesh-route.ts';
import type { RouteResult } from './route.ts';
import { type Sidecars, sidecarsOf } from './sidecars.ts';
import type { StreamResult } from './stream-route.ts';
import { type CompileTables, type Inventory, lookIn } from './tables.ts';

export interface MeshAddress {
  readonly address: string;
  readonly port: number;
}

/** A sidecar, as far as its plan goes. Who it is stands in its certificate. */
export interface MeshConsumer {
  readonly namespace: string;
  /** What it takes in; absent for one that serves nothing. */
  readonly inbound?: Omit<MeshWorkload, 'namespace'>;
  /** Port of its forward proxy; absent for one without. */
  readonly forward?: MeshAddress;
  /** Keys of the Services that it calls. Those that do not exist are left out. */
  readonly services: readonly string[];
  /** Ports of loopback by listener: `Service/shop/orders/80`. Only of the services above. */
  readonly localPorts?: Readonly<Record<string, MeshAddress>>;
}

/** What clients of one namespace need of a Service. The same object as before as long as nothing of it changed. */
export interface ServiceParts {
  readonly view: ServiceView;
  readonly clusters: Readonly<Record<string, PlanCluster>>;
  readonly secrets: Readonly<Record<string, PlanSecret>>;
}

/** Good until the next compile. */
export interface CompiledMesh {
  readonly trustDomain: string;
  /** How long certificates of workloads are good for. */
  readonly leafMs: number;
  /** Identities that nothing is done for. */
  readonly denied: readonly string[];
  /** Key of the Service that a host stands for: one of its names, or its virtual address. @param namespace  of who calls */
  serviceOf(host: string, namespace: string): string | undefined;
  /** Undefined for a Service that does not exist. */
  partsOf(service: string, namespace: string): ServiceParts | undefined;
  /** @param before  the bundle that the sidecar had: given again when nothing changed */
  planOf(consumer: MeshConsumer, before?: PlanBundle): PlanBundle;
}

/** What the passes leave for problems and statuses. */
export interface MeshFound {
  readonly view: MeshView;
  /** Of Services that have Workloads, by key in the plan. */
  readonly clusters: ReadonlyMap<string, ClusterResult>;
  readonly findings: readonly Finding[];
}

export class MeshPass {
  readonly #rootsOf: () => readonly string[];
  readonly #parents = new Memo<CompileTables, ParentView>();
  readonly #sidecars = new Memo<CompileTables, Sidecars | undefined>();
  readonly #views = new Memo<CompileTables, ServiceView>();
  readonly #clusters = new Memo<CompileTables, ClusterResult>();
  readonly #own = new Memo<CompileTables, OwnParts>();
  #meshInputs: readonly unknown[] = [];
  #view: MeshView | undefined;
  #meshRoutes: ReadonlyMap<string, readonly MeshRoutes[]> = new Map();
  #parts = new Map<string, ServiceParts>();
  #compiles = 0;

  /** @param rootsOf  the roots of our own trust domain; the same array as long as they are the same */
  constructor(rootsOf: () => readonly string[]) {
    this.#rootsOf = rootsOf;
  }

  /** Fills `tables.meshes`, `tables.sidecars` and `tables.serviceParents`. */
  begin({ tables, byKind }: Inventory): void {
    const roots = this.#rootsOf();
    const inputs = [...byKind.Mesh, roots];
    if (this.#view === undefined || !sameItems(this.#meshInputs, inputs)) this.#view = readMesh(byKind.Mesh, roots);
    this.#meshInputs = inputs;
    tables.meshes.set(MESH, this.#view);
    this.#sidecars.begin(tables);
    for (const key of tables.workloads.keys()) {
      const service = tables.Service.get(key);
      if (service === undefined) continue;
      const sidecars = this.#sidecars.get(key, [service], (look) => sidecarsOf(service, look));
      if (sidecars !== undefined) tables.sidecars.set(key, sidecars);
    }
    this.#parents.begin(tables);
    const { defaultProtocol } = this.#view.spec;
    for (const key of serviceParents(byKind)) {
      const service = tables.Service.get(key);
      if (service === undefined) continue;
      const view = this.#parents.get(key, [service, defaultProtocol], () => serviceView(service, defaultProtocol));
      tables.serviceParents.set(key, view);
    }
  }

  /** Fills `tables.meshRoutes`; after it every table is complete. */
  run(
    { tables, byKind }: Inventory,
    lowered: { readonly routes: readonly RouteResult[]; readonly streams: readonly StreamResult[] },
  ): MeshFound & { readonly mesh: CompiledMesh } {
    this.#compiles++;
    this.#meshRoutes = groupMeshRoutes(lowered, this.#meshRoutes);
    for (const [key, routes] of this.#meshRoutes) tables.meshRoutes.set(key, routes);
    for (const memo of [this.#views, this.#clusters, this.#own]) memo.begin(tables);
    const view = this.#view!;
    const clusters = new Map<string, ClusterResult>();
    // In the order of their files: that of the groups tells what came when, which is nothing that the resources say.
    for (const service of byKind.Service) {
      if (!tables.workloads.has(keyOf(service))) continue;
      for (const need of straightNeeds(service, view)) clusters.set(need.key, this.#cluster(need));
    }
    const findings = [...view.findings, ...orphanFindings(byKind.Workload, tables)];
    return { view, clusters, findings, mesh: this.#compiled(tables) };
  }

  #compiled(tables: CompileTables): CompiledMesh {
    const compile = this.#compiles;
    const look = lookIn(tables);
    const partsBefore = this.#parts;
    const partsNow = new Map<string, ServiceParts>();
    this.#parts = partsNow;
    const { spec, leafMs, roots } = this.#view!;
    const partsOf: CompiledMesh['partsOf'] = (key, namespace) => {
      this.#assertLast(compile);
      const service = tables.Service.get(key);
      if (service === undefined) return undefined;
      const viewKey = `${key}@${viewNamespace(key, namespace, look)}`;
      const known = partsNow.get(viewKey);
      if (known !== undefined) return known;
      const parts = this.#partsOf(service, viewKey, partsBefore.get(viewKey));
      partsNow.set(viewKey, parts);
      return parts;
    };
    return {
      trustDomain: spec.trustDomain,
      leafMs,
      denied: spec.denied,
      partsOf,
      serviceOf: (host, namespace) => serviceAt(host, namespace, tables),
      planOf: (consumer, before) => {
        this.#assertLast(compile);
        if (roots.length === 0) throw new RangeError('Cannot plan a sidecar: the roots of the mesh are not known');
        const own = consumer.inbound && this.#ownParts({ ...consumer.inbound, namespace: consumer.namespace });
        const needed = own?.needs.map((need) => [need.key, this.#cluster(need)] as const) ?? [];
        const services = consumer.services.flatMap((key) => partsOf(key, consumer.namespace) ?? []);
        return bundleOf(consumer, { own, needed, services }, before);
      },
    };
  }

  #assertLast(compile: number): void {
    if (compile !== this.#compiles) throw new RangeError('Cannot ask an earlier compile: there is a later one');
  }

  #partsOf(service: Service, viewKey: string, before: ServiceParts | undefined): ServiceParts {
    const namespace = viewKey.slice(viewKey.lastIndexOf('@') + 1);
    const view = this.#views.get(viewKey, [service], (look) => viewOf(service, namespace, look));
    const clusters: Record<string, PlanCluster> = {};
    const secrets: Record<string, PlanSecret> = {};
    for (const need of view.needs) {
      const result = this.#cluster(need);
      clusters[need.key] = result.cluster;
      for (const { ref, secret } of result.secrets) secrets[ref.secret] = secret;
    }
    for (const [key, value] of view.values) secrets[key] = value;
    const isSame =
      before !== undefined &&
      before.view === view &&
      view.needs.every(({ key }) => before.clusters[key] === clusters[key]);
    return isSame ? before : { view, clusters, secrets };
  }

  #cluster(need: ClusterNeed): ClusterResult {
    return this.#clusters.get(need.key, [need.target.resource, need.certificateOf], (look) => lowerCluster(need, look));
  }

  #ownParts(workload: MeshWorkload): OwnParts {
    return this.#own.get(canonicalJson(workload), [], (look) => ownParts(workload, look));
  }
}

/** Keys of the Services that routes name as parents. */
function serviceParents({ HTTPRoute, GRPCRoute, TCPRoute, TLSRoute, UDPRoute }: Inventory['byKind']): Set<string> {
  const keys = new Set<string>();
  for (const { spec, metadata } of [...HTTPRoute, ...GRPCRoute, ...TCPRoute, ...TLSRoute, ...UDPRoute]) {
    for (const { group, kind, namespace, name } of spec.parentRefs) {
      if (group === '' && kind === 'Service') keys.add(resourceKey(kind, namespace ?? metadata.namespace, name));
    }
  }
  return keys;
}

/** Workloads of Services that do not exist: the first of each. */
function orphanFindings(workloads: readonly Workload[], { Service: services }: CompileTables): Finding[] {
  const findings = new Map<string, Finding>();
  for (const workload of workloads) {
    const absent = { kind: 'Service', namespace: workload.metadata.namespace, name: workload.spec.service };
    const key = resourceKey(absent.kind, absent.namespace, absent.name);
    if (services.has(key) || findings.has(key)) continue;
    const message = `${describeKey(key)} does not exist, so nothing is sent to ${describe(workload)}`;
    findings.set(key, warning('workload.no-service', workload, { field: '/spec/service', message, absent }));
  }
  return [...findings.values()];
}

/** The clusters of a Service that nobody wrote a route for. */
function straightNeeds(resource: Service, { spec }: MeshView): ClusterNeed[] {
  return resource.spec.ports.flatMap((port): ClusterNeed[] => {
    if (port.protocol !== 'TCP') return [];
    const target: BackendTarget = { kind: 'Service', resource, port };
    const stream = speechOf(port, spec.defaultProtocol).kind === 'tcp' ? ({ stream: 'tcp' } as const) : {};
    const variant = { certificateOf: undefined, ...stream };
    return [{ key: clusterKey(target, variant), target, ...variant }];
  });
}

function serviceAt(host: string, namespace: string, tables: CompileTables): string | undefined {
  const key = serviceKeyOf(host, namespace);
  if (key !== undefined && tables.Service.has(key)) return key;
  const address = host.replace(/^\[(.*)\]$/, '$1');
  if (isIP(address) === 0) return undefined;
  // Nobody has to be asked often for an address: walking all Services is seldom.
  for (const [own, { spec }] of tables.Service) if (spec.clusterIP === address) return own;
  return undefined;
}

interface BundleParts {
  readonly own: OwnParts | undefined;
  readonly needed: readonly (readonly [key: string, result: ClusterResult])[];
  readonly services: readonly ServiceParts[];
}

function bundleOf(
  { forward, localPorts = {} }: MeshConsumer,
  { own, needed, services }: BundleParts,
  before: PlanBundle | undefined,
): PlanBundle {
  const parts = {
    ports: { ...own?.ports } as Record<string, PlanPort>,
    listeners: { ...own?.listeners } as Record<string, PlanListener>,
    routes: { ...own?.routes },
    streams: { ...own?.streams },
    clusters: { ...own?.clusters },
  } satisfies PlanParts;
  const secrets: Record<string, PlanSecret> = Object.fromEntries(own?.values ?? []);
  for (const [key, { cluster, secrets: named }] of needed) {
    parts.clusters[key] = cluster;
    for (const { ref, secret } of named) secrets[ref.secret] = secret;
  }
  const forwardKey = forward === undefined ? undefined : portKey(forward.address, forward.port);
  if (forward !== undefined) parts.ports[forwardKey!] = loopbackPort(forward, 'proxy');
  for (const service of services) {
    const { view } = service;
    Object.assign(parts.clusters, service.clusters);
    Object.assign(secrets, service.secrets);
    if (forwardKey !== undefined) {
      for (const [key, listener] of listenersOf(view, forwardKey)) parts.listeners[key] = listener;
      for (const [key, route] of view.routes) parts.routes[key] = route;
      for (const [key, stream] of view.streams) parts.streams[key] = stream;
    }
    addLocal(view, localPorts, parts);
  }
  const version = versionOf(parts);
  return before?.plan.version === version ? before : { plan: { version, ...parts }, secrets };
}

type Listeners = readonly (readonly [key: string, listener: PlanListener])[];

const forwardListeners = new WeakMap<ServiceView, Map<string, Listeners>>();

/** Sidecars whose forward proxy is at the same port share the listeners too. */
function listenersOf(view: ServiceView, planPort: string): Listeners {
  let byPort = forwardListeners.get(view);
  if (byPort === undefined) forwardListeners.set(view, (byPort = new Map()));
  let listeners = byPort.get(planPort);
  if (listeners === undefined) {
    listeners = view.ports.map((port) => [port.key, forwardListener(port, planPort)] as const);
    byPort.set(planPort, listeners);
  }
  return listeners;
}

type Followed = Pick<ServiceView, 'routes' | 'streams'>;

const localViews = new WeakMap<ServiceView, Map<string, Followed>>();

/** Sidecars with local ports for the same ports of a Service share what is followed there. */
function localViewOf(view: ServiceView, ports: readonly OutboundPort[]): Followed {
  let byPorts = localViews.get(view);
  if (byPorts === undefined) localViews.set(view, (byPorts = new Map()));
  const name = ports.map(({ port }) => port).join(' ');
  let local = byPorts.get(name);
  if (local === undefined) {
    const keys = new Set(ports.map(({ key }) => key));
    local = { routes: localParts(view.routes, keys), streams: localParts(view.streams, keys) };
    byPorts.set(name, local);
  }
  return local;
}

function addLocal(
  view: ServiceView,
  localPorts: NonNullable<MeshConsumer['localPorts']>,
  {
    ports,
    listeners,
    routes,
    streams,
  }: {
    ports: Record<string, PlanPort>;
    listeners: Record<string, PlanListener>;
    routes: Record<string, unknown>;
    streams: Record<string, unknown>;
  },
): void {
  const asked = view.ports.filter(({ key }) => localPorts[key] !== undefined);
  if (asked.length === 0) return;
  for (const port of asked) addLocalPort(port, localPorts[port.key]!, { ports, listeners });
  const local = localViewOf(view, asked);
  for (const [key, route] of local.routes) routes[key] = route;
  for (const [key, stream] of local.streams) streams[key] = stream;
}

function addLocalPort(
  port: OutboundPort,
  address: MeshAddress,
  { ports, listeners }: { ports: Record<string, PlanPort>; listeners: Record<string, PlanListener> },
): void {
  const planPort = portKey(address.address, address.port);
  ports[planPort] = loopbackPort(address, port.kind);
  listeners[localKey(port.key)] = localListener(port, planPort);
}

function loopbackPort({ address, port }: MeshAddress, protocol: PlanPort['protocol']): PlanPort {
  return { address, port, protocol, limits: CONNECTION_LIMITS, timeouts: CONNECTION_TIMEOUTS };
}
