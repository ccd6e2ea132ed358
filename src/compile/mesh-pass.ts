/**
 * The passes over the mesh. Before routes: which Mesh counts, which Services
 * have sidecars, and what routes see of Services. After them: which route is
 * followed by whom, and the plans of sidecars, made when they are asked for.
 */
import { isIP } from 'node:net';
import { canonicalJson } from '../base/canonical.ts';
import type { PlanBundle, PlanCluster, PlanSecret } from '../ir/plan.ts';
import {
  describe,
  describeKey,
  type Gateway,
  keyOf,
  resourceKey,
  type Service,
  type Workload,
} from '../resource/resource.ts';
import type { BackendTarget } from './backend.ts';
import { clusterKey } from './backend.ts';
import { type ClusterNeed, type ClusterResult, lowerCluster } from './cluster.ts';
import { type Finding, warning } from './finding.ts';
import { type ParentView, serversOf } from './gateways.ts';
import { diffLists, Memo, sameItems } from './memo.ts';
import { type Federated, MESH, type MeshView, type OwnTrust, readMesh } from './mesh.ts';
import { Egress } from './mesh-egress.ts';
import { addressName, clusterName, type MeshChanges, ownName } from './mesh-changes.ts';
import { type MeshWorkload, ownParts, type OwnParts } from './mesh-inbound.ts';
import { serviceKeyOf, type ServiceView, viewNamespace, viewOf } from './mesh-outbound.ts';
import { hasPeers, peerFindings } from './mesh-peers.ts';
import { serviceView, speechOf } from './mesh-port.ts';
import { onlyTo, type WorkloadView, workloadView } from './mesh-workload.ts';
import { groupMeshRoutes, type MeshRoutes } from './mesh-route.ts';
import type { RouteResult } from './route.ts';
import { bundleOf, type MeshConsumer, type ServiceParts } from './sidecar-plan.ts';
import { NONE } from './settled.ts';
import { type Sidecars, sidecarsOf } from './sidecars.ts';
import type { StreamResult } from './stream-route.ts';
import { type CompileTables, type Inventory, type Look, lookIn } from './tables.ts';

/** Good until the next compile. */
export interface CompiledMesh {
  readonly trustDomain: string;
  /** How long certificates of workloads are good for. */
  readonly leafMs: number;
  /** Identities that nothing is done for; the same array as long as they are the same. */
  readonly denied: readonly string[];
  /** Other meshes whose workloads may connect. */
  readonly federation: readonly Federated[];
  /**
   * Key of the Service that a host stands for, by one of its names or its virtual address; or those of the Workloads at
   * this address, of which no two have a port in common; or that of a host outside. Empty for a host that is unknown.
   *
   * @param namespace  of who calls
   */
  keysOf(host: string, namespace: string): readonly string[];
  /** @param key  of a Service or a Workload; undefined when it does not exist */
  partsOf(key: string, namespace: string): ServiceParts | undefined;
  /** @param before  the bundle that the sidecar had: given again when nothing changed */
  planOf(consumer: MeshConsumer, before?: PlanBundle): PlanBundle;
  /** Counts the compiles. */
  readonly number: number;
  /** @param number  of an earlier compile */
  changesSince(number: number): MeshChanges;
  /**
   * What the plan of a sidecar is made of, by the names that {@link changesSince} gives. Hosts that are addresses are
   * besides, as `addressName` gives them.
   */
  dependsOn(consumer: MeshConsumer): readonly string[];
}

/** What the passes leave for problems and statuses. */
export interface MeshFound {
  readonly view: MeshView;
  /** Of Services that have Workloads or peers, by key in the plan. */
  readonly clusters: ReadonlyMap<string, ClusterResult>;
  readonly findings: readonly Finding[];
}

export class MeshPass {
  readonly #ownTrust: () => OwnTrust;
  readonly #parents = new Memo<CompileTables, ParentView>();
  readonly #sidecars = new Memo<CompileTables, Sidecars | undefined>();
  readonly #views = new Memo<CompileTables, ServiceView>();
  readonly #workloadViews = new Memo<CompileTables, WorkloadView>();
  readonly #clusters = new Memo<CompileTables, ClusterResult>();
  readonly #own = new Memo<CompileTables, OwnParts>();
  readonly #egress = new Egress();
  #meshInputs: readonly unknown[] = [];
  #view: MeshView | undefined;
  #denied: readonly string[] = [];
  #tables: CompileTables | undefined;
  #workloads: readonly Workload[] = [];
  /** Of Services that have Workloads, with the needs by the names of the clusters. */
  #found: ReadonlyMap<string, ClusterResult> = new Map();
  readonly #foundNeeds = new Map<string, ClusterNeed>();
  #served: CompileTables['workloads'] = new Map();
  /** Keys of {@link #parts} by the cluster that they are made of. */
  readonly #partsByCluster = new Map<string, Set<string>>();
  #meshRoutes: ReadonlyMap<string, readonly MeshRoutes[]> = new Map();
  #parts = new Map<string, ServiceParts>();
  readonly #straight = new WeakMap<Service, Straight>();
  #compiles = 0;

  constructor(ownTrust: () => OwnTrust) {
    this.#ownTrust = ownTrust;
  }

  /** Fills `tables.meshes`, `tables.sidecars` and `tables.serviceParents`. */
  begin({ tables, byKind }: Inventory): void {
    const own = this.#ownTrust();
    const gateways = gatewayIdentities(byKind.Gateway);
    const inputs = [...byKind.Mesh, own.roots, own.denied, gateways.join(' ')];
    if (this.#view === undefined || !sameItems(this.#meshInputs, inputs)) {
      this.#view = readMesh(byKind.Mesh, own, gateways);
      this.#denied = [...this.#view.denied];
    }
    this.#meshInputs = inputs;
    tables.meshes.set(MESH, this.#view);
    this.#sidecars.begin(tables);
    for (const key of this.#meshServices(byKind.Service, tables)) {
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
    this.#tables = tables;
    for (const memo of [this.#views, this.#workloadViews, this.#clusters, this.#own]) memo.begin(tables);
    const view = this.#view!;
    const changes = this.#own.changed(OTHER_TABLES) ? undefined : this.#endpointChanges(tables, byKind.Workload);
    this.#workloads = byKind.Workload;
    const clusters = this.#straightClusters(byKind.Service, tables, changes);
    this.#found = clusters;
    this.#egress.run(tables, view, lowered);
    const findings = [
      ...view.findings,
      ...peerFindings(view, tables),
      ...this.#egress.findings,
      ...orphanFindings(byKind.Workload, tables),
    ];
    return { view, clusters, findings, mesh: this.#compiled(tables, changes) };
  }

  /** Keys of Services that may have sidecars: here, or at a peer. */
  #meshServices(services: readonly Service[], { workloads }: CompileTables): Iterable<string> {
    const view = this.#view!;
    if (view.spec.peers.length === 0) return workloads.keys();
    return new Set([...workloads.keys(), ...services.filter((one) => hasPeers(view, one)).map(keyOf)]);
  }

  #straightClusters(
    services: readonly Service[],
    { workloads }: CompileTables,
    changes: ReadonlySet<string> | undefined,
  ): ReadonlyMap<string, ClusterResult> {
    const served = this.#served;
    this.#served = workloads;
    const view = this.#view!;
    // Which of them have Workloads is as before: only those that changed are looked at.
    if (changes !== undefined && workloads.size === served.size && workloads.keys().every((key) => served.has(key))) {
      const clusters = new Map(this.#found);
      for (const name of changes) {
        const need = this.#foundNeeds.get(name);
        if (need !== undefined) clusters.set(need.key, this.#cluster(need));
      }
      return clusters;
    }
    this.#foundNeeds.clear();
    const clusters = new Map<string, ClusterResult>();
    // In the order of their files: that of the groups tells what came when, which is nothing that the resources say.
    for (const service of services) {
      if (!workloads.has(keyOf(service)) && !hasPeers(view, service)) continue;
      for (const need of this.#straightNeeds(service, view)) {
        clusters.set(need.key, this.#cluster(need));
        this.#foundNeeds.set(clusterName(need.key), need);
      }
    }
    return clusters;
  }

  /**
   * Nothing but endpoints is another than before: what holds is kept, also what nobody asks for in this pass, because
   * the sidecars that it is for are not asked either.
   */
  #endpointChanges(tables: CompileTables, workloads: readonly Workload[]): ReadonlySet<string> {
    const changes = new Set<string>();
    const clusters = this.#clusters.keepHolding();
    for (const key of clusters) {
      changes.add(clusterName(key));
      for (const part of this.#partsByCluster.get(key) ?? []) changes.add(part);
    }
    for (const key of this.#views.keepHolding()) changes.add(key);
    const isWorkloadSame = (key: string, [workload]: readonly unknown[]): boolean =>
      tables.Workload.get(key) === workload;
    for (const key of this.#workloadViews.keepHolding(isWorkloadSame)) changes.add(key);
    for (const key of this.#own.keepHolding()) changes.add(ownName(key));
    // Instances come and go for weeks without another change.
    const instancesMax = KEPT_PER_INSTANCE * tables.Workload.size + KEPT_MIN;
    for (const memo of [this.#own, this.#workloadViews]) if (memo.size > instancesMax) memo.forget();
    const { added, removed } = diffLists(this.#workloads, workloads);
    for (const { spec } of [...added, ...removed]) changes.add(addressName(spec.address));
    return changes;
  }

  #compiled(tables: CompileTables, changes: ReadonlySet<string> | undefined): CompiledMesh {
    const compile = this.#compiles;
    const [partsNow, partsBefore] = this.#takeParts(changes);
    const { spec, leafMs, federation } = this.#view!;
    const partsOf = this.#partsOfIn(tables, { partsNow, partsBefore });
    return {
      trustDomain: spec.trustDomain,
      federation,
      leafMs,
      denied: this.#denied,
      partsOf,
      keysOf: (host, namespace) => this.#keysAt(host, namespace, tables),
      planOf: (consumer, before) => this.#planOf(consumer, before, partsOf),
      number: compile,
      changesSince: (number) => {
        if (number === compile) return NO_CHANGES;
        return number === compile - 1 && changes !== undefined ? changes : 'all';
      },
      dependsOn: (consumer) => this.#dependsOn(consumer, lookIn(tables)),
    };
  }

  /** What holds stays; of the rest what it was is there for who asks. */
  #takeParts(
    changes: ReadonlySet<string> | undefined,
  ): [now: Map<string, ServiceParts>, before: ReadonlyMap<string, ServiceParts>] {
    const parts = this.#parts;
    if (changes === undefined) {
      this.#parts = new Map();
      this.#partsByCluster.clear();
      return [this.#parts, parts];
    }
    const before = new Map<string, ServiceParts>();
    for (const key of changes) {
      const was = parts.get(key);
      if (was === undefined) continue;
      before.set(key, was);
      parts.delete(key);
    }
    return [parts, before];
  }

  #keepParts(key: string, parts: ServiceParts, needs: readonly ClusterNeed[]): void {
    this.#parts.set(key, parts);
    for (const need of needs) {
      const keys = this.#partsByCluster.get(need.key);
      if (keys === undefined) this.#partsByCluster.set(need.key, new Set([key]));
      else keys.add(key);
    }
  }

  #partsOfIn(
    tables: CompileTables,
    { partsNow, partsBefore }: PartsInTime,
  ): (key: string, namespace: string) => ServiceParts | undefined {
    const compile = this.#compiles;
    const look = lookIn(tables);
    return (key, namespace) => {
      this.#assertLast(compile);
      const service = tables.Service.get(key);
      if (service === undefined)
        return this.#egress.partsOf(key) ?? this.#workloadParts(key, { partsNow, partsBefore });
      const viewKey = viewKeyOf(key, namespace, look);
      const known = partsNow.get(viewKey);
      if (known !== undefined) return known;
      const parts = this.#partsOf(service, viewKey, partsBefore.get(viewKey));
      this.#keepParts(viewKey, parts, parts.view.needs);
      return parts;
    };
  }

  #planOf(consumer: MeshConsumer, before: PlanBundle | undefined, partsOf: CompiledMesh['partsOf']): PlanBundle {
    if (this.#view!.roots.length === 0) {
      throw new RangeError('Cannot plan a sidecar: the roots of the mesh are not known');
    }
    const own = this.#ownOf(consumer)?.parts;
    const needed = own?.needs.map((need) => this.#cluster(need)) ?? [];
    const services = consumer.services.flatMap((key) => partsOf(key, consumer.namespace) ?? []);
    return bundleOf(consumer, { own, needed, services }, before);
  }

  #dependsOn(consumer: MeshConsumer, look: Look): string[] {
    const own = this.#ownOf(consumer);
    return [
      ...(own === undefined ? [] : [ownName(own.key), ...own.parts.needs.map(({ key }) => clusterName(key))]),
      ...consumer.services.map((key) => viewKeyOf(key, consumer.namespace, look)),
    ];
  }

  #keysAt(host: string, namespace: string, tables: CompileTables): readonly string[] {
    const keys = keysAt(host, namespace, tables);
    const outside = keys.length > 0 ? undefined : this.#egress.keyOf(host);
    return outside === undefined ? keys : [outside];
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

  /** Of one Workload, for who calls it by its address: nothing that is said of its Service leads there (GEP-1324). */
  #workloadParts(key: string, { partsNow: now, partsBefore: before }: PartsInTime): ServiceParts | undefined {
    const workload = this.#tables?.Workload.get(key);
    if (workload === undefined) return undefined;
    const known = now.get(key);
    if (known !== undefined) return known;
    const view = this.#workloadViews.get(key, [workload], (look) => workloadView(workload, look));
    const clusters: Record<string, PlanCluster> = {};
    for (const { key: cluster, need } of view.ports) {
      clusters[cluster] = onlyTo(workload, this.#cluster(need).cluster, before.get(key)?.clusters[cluster]);
    }
    const was = before.get(key);
    const isSame = was?.view === view && view.ports.every((port) => was.clusters[port.key] === clusters[port.key]);
    const parts = isSame ? was : { view, clusters, secrets: {} };
    const needs = view.ports.map(({ need }) => need);
    this.#keepParts(key, parts, needs);
    return parts;
  }

  #cluster(need: ClusterNeed): ClusterResult {
    return this.#clusters.get(need.key, [need.target.resource, need.certificateOf], (look) => lowerCluster(need, look));
  }

  #ownOf({ inbound, namespace }: MeshConsumer): { readonly key: string; readonly parts: OwnParts } | undefined {
    if (inbound === undefined) return undefined;
    const workload: MeshWorkload = { ...inbound, namespace };
    const key = canonicalJson(workload);
    return { key, parts: this.#own.get(key, [], (look) => ownParts(workload, look)) };
  }

  /** Made once for each Service: there are thousands, and each compile goes through them. */
  #straightNeeds(service: Service, view: MeshView): readonly ClusterNeed[] {
    const known = this.#straight.get(service);
    if (known?.protocol === view.spec.defaultProtocol) return known.needs;
    const needs = straightNeeds(service, view);
    this.#straight.set(service, { protocol: view.spec.defaultProtocol, needs });
    return needs;
  }
}

/** Tables whose change may be one for everybody: all but those of endpoints. */
const OTHER_TABLES = [
  'AcmeIssuer',
  'Backend',
  'BackendPolicy',
  'BackendTLSPolicy',
  'ConfigMap',
  'Gateway',
  'GatewayClass',
  'GRPCRoute',
  'HTTPRoute',
  'ListenerSet',
  'Mesh',
  'Namespace',
  'Policy',
  'ReferenceGrant',
  'Secret',
  'Service',
  'TCPRoute',
  'TLSRoute',
  'UDPRoute',
  'backendLevels',
  'backendPolicies',
  'grants',
  'issued',
  'issuers',
  'levels',
  'meshes',
  'meshRoutes',
  'parents',
  'policies',
  'rivals',
  'selecting',
  'serviceParents',
  'tlsPolicies',
  'trusts',
] as const satisfies (keyof CompileTables)[];

/** What sidecars that are gone have left behind is forgotten when there is as much of it as of those that are here. */
const KEPT_PER_INSTANCE = 2;
const KEPT_MIN = 1_000;

const NO_CHANGES: ReadonlySet<string> = new Set();

interface PartsInTime {
  readonly partsNow: ReadonlyMap<string, ServiceParts>;
  readonly partsBefore: ReadonlyMap<string, ServiceParts>;
}

interface Straight {
  readonly protocol: MeshView['spec']['defaultProtocol'];
  readonly needs: readonly ClusterNeed[];
}

/** Of a Service as clients of a namespace see it; of a Workload its key. */
function viewKeyOf(key: string, namespace: string, look: Look): string {
  return key.startsWith('Service/') ? `${key}@${viewNamespace(key, namespace, look)}` : key;
}

function gatewayIdentities(gateways: readonly Gateway[]): string[] {
  const all = gateways.flatMap(serversOf).map(({ namespace, account }) => `ns/${namespace}/sa/${account}`);
  return [...new Set(all)].toSorted();
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
function orphanFindings(
  workloads: readonly Workload[],
  { Service: services, workloads: groups }: CompileTables,
): Finding[] {
  if (groups.keys().every((key) => services.has(key))) return [];
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

function keysAt(host: string, namespace: string, tables: CompileTables): readonly string[] {
  const key = serviceKeyOf(host, namespace);
  if (key !== undefined && tables.Service.has(key)) return [key];
  const address = host.replace(/^\[(.*)\]$/, '$1');
  if (isIP(address) === 0) return NONE;
  // Nobody has to be asked often for an address: walking all of them is seldom.
  for (const [own, { spec }] of tables.Service) if (spec.clusterIP === address) return [own];
  return workloadsAt([...tables.Workload.values()].filter(({ spec }) => spec.address === address));
}

/** A host may be home to several applications. Of two with the same port one has left: the one that is ready is there. */
function workloadsAt(here: readonly Workload[]): readonly string[] {
  const taken = new Set<number>();
  const isReady = ({ spec }: Workload): number => (spec.health === 'ready' ? 0 : 1);
  return here
    .toSorted((a, b) => isReady(a) - isReady(b))
    .flatMap((workload) => {
      const numbers = Object.values(workload.spec.ports);
      if (numbers.some((number) => taken.has(number))) return [];
      for (const number of numbers) taken.add(number);
      return [keyOf(workload)];
    });
}
