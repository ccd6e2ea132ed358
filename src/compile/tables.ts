/** All resources of one compile as tables, so that every pass finds by key and no pass walks them all. */
import { TARGET_GROUPS } from '../resource/fields.ts';
import {
  type BackendPolicy,
  type BackendTLSPolicy,
  type EndpointSlice,
  type Gateway,
  keyOf,
  type Policy,
  type ReferenceGrant,
  type Resource,
  type ResourceKind,
  resourceKey,
  type ResourceOf,
  type Secret,
  type Service,
} from '../resource/resource.ts';
import type { TrustView } from './backend-tls.ts';
import type { BackendLevel } from './cluster.ts';
import { error, type Finding } from './finding.ts';
import type { ParentView } from './gateways.ts';
import { diffLists, groupBy, type Look as LookIn, sameItems } from './memo.ts';
import type { IssuerView } from './issuer.ts';
import type { MeshView } from './mesh.ts';
import type { MeshRoutes } from './mesh-route.ts';
import type { Level } from './policies.ts';
import type { Rival } from './rivals.ts';
import type { Sidecars } from './sidecars.ts';
import { groupWorkloads, hasSelector, type WorkloadGroups } from './workloads.ts';

/** Label of an EndpointSlice that names its Service. */
const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';

/** Resources of each kind by {@link resourceKey}. */
type KindTables = { readonly [K in ResourceKind]: ReadonlyMap<string, ResourceOf<K>> };

type GroupTables = {
  /** By namespace. */
  readonly grants: ReadonlyMap<string, readonly ReferenceGrant[]>;
  /** By `Service/NS/NAME`. */
  readonly slices: ReadonlyMap<string, readonly EndpointSlice[]>;
  /** By {@link targetKey}; oldest first, as the two below. */
  readonly policies: ReadonlyMap<string, readonly Policy[]>;
  readonly backendPolicies: ReadonlyMap<string, readonly BackendPolicy[]>;
  readonly tlsPolicies: ReadonlyMap<string, readonly BackendTLSPolicy[]>;
  /** Under `All`: Gateways that routes may attach to without naming them. */
  readonly defaultGateways: ReadonlyMap<string, readonly Gateway[]>;
  /** Services with a selector, by namespace. */
  readonly selecting: ReadonlyMap<string, readonly Service[]>;
  /** By `Service/NS/NAME`. */
  readonly workloads: WorkloadGroups;
};

/** Filled by the passes, each before the first one that looks into it. */
type PassTables = {
  /** What the policies on one target come to, by {@link targetKey}. */
  readonly levels: Map<string, Level>;
  readonly backendLevels: Map<string, BackendLevel>;
  /** Gateways and ListenerSets as routes see them, by {@link resourceKey}. */
  readonly parents: Map<string, ParentView>;
  /** What the BackendTLSPolicies say, by {@link resourceKey}. */
  readonly trusts: Map<string, TrustView>;
  /** Routes of the other kind that take hosts of a route away, by {@link resourceKey} of the loser. */
  readonly rivals: Map<string, readonly Rival[]>;
  /** What the AcmeIssuers say, by {@link resourceKey}. */
  readonly issuers: Map<string, IssuerView>;
  /** Its one entry is under {@link MESH}. */
  readonly meshes: Map<string, MeshView>;
  /** Services that routes have as a parent, by {@link resourceKey}. */
  readonly serviceParents: Map<string, ParentView>;
  /** Of Services that have Workloads with a sidecar, or peers, by {@link resourceKey}. */
  readonly sidecars: Map<string, Sidecars>;
  /** Routes with a Service as a parent, by {@link resourceKey} of that and, behind `@`, their own namespace. */
  readonly meshRoutes: Map<string, readonly MeshRoutes[]>;
};

/** Not written by the operator: what came of certificates that were ordered. */
type IssuedTables = {
  /** By {@link resourceKey}. */
  readonly issued: ReadonlyMap<string, Secret>;
};

// Aliases, not interfaces: only those fit the index of `Tables`.
export type CompileTables = KindTables & GroupTables & PassTables & IssuedTables;

export type Look = LookIn<CompileTables>;

/** Looks up without a trace, for passes that run anew with each compile. */
export function lookIn(tables: CompileTables): Look {
  return (table, key) => tables[table].get(key) as never;
}

/** `HTTPRoute/shop/web`, or `HTTPRoute/shop/web#checkout` for one section of it. */
export function targetKey(kind: string, namespace: string, ref: { name: string; sectionName?: string }): string {
  const key = resourceKey(kind, namespace, ref.name);
  return ref.sectionName === undefined ? key : `${key}#${ref.sectionName}`;
}

export function lookUp<K extends ResourceKind>(
  look: Look,
  kind: K,
  { namespace, name }: { readonly namespace: string; readonly name: string },
): ResourceOf<K> | undefined {
  return look(kind, resourceKey(kind, namespace, name)) as ResourceOf<K> | undefined;
}

/** The resource of a key, of whatever kind. */
export function findObject(tables: CompileTables, key: string): Resource | undefined {
  const kind = key.slice(0, key.indexOf('/'));
  return isKind(kind) ? tables[kind].get(key) : undefined;
}

export function isKind(kind: string): kind is ResourceKind {
  return (KINDS as readonly string[]).includes(kind);
}

/** Age decides conflicts: the older wins, then the name. A resource without a time stamp counts as oldest. */
export function byAge(a: Resource, b: Resource): number {
  return createdMs(a) - createdMs(b) || (ageName(a) < ageName(b) ? -1 : 1);
}

export function createdMs({ metadata: { creationMs, order } }: Resource): number {
  return creationMs ?? order ?? 0;
}

function ageName({ metadata: { namespace, name } }: Resource): string {
  return `${namespace}/${name}`;
}

export type ByKind = { readonly [K in ResourceKind]: readonly ResourceOf<K>[] };

/** Resources of one compile without duplicates, and the tables made of them. */
export interface Inventory {
  readonly tables: CompileTables;
  /** In the order of their files. */
  readonly byKind: ByKind;
  readonly findings: readonly Finding[];
  /** As they came, duplicates too, for the next compile. */
  readonly given: ReadonlyMap<ResourceKind, readonly Resource[]>;
}

/** Kinds whose resources did not change keep their lists and tables, down to the same objects. */
export function takeInventory(
  resources: readonly Resource[],
  issued: ReadonlyMap<string, Secret>,
  before: Inventory | undefined,
): Inventory {
  const given = new Map<ResourceKind, Resource[]>(KINDS.map((kind) => [kind, []]));
  for (const resource of resources) given.get(resource.kind)!.push(resource);

  const lists: Partial<Record<ResourceKind, readonly Resource[]>> = {};
  const tables: Partial<Record<ResourceKind, ReadonlyMap<string, Resource>>> = {};
  const findings: Finding[] = [];
  for (const [kind, list] of given) {
    if (before !== undefined && sameItems(before.given.get(kind)!, list)) {
      lists[kind] = before.byKind[kind];
      tables[kind] = before.tables[kind];
      if (list.length !== before.byKind[kind].length) takeKind(list, findings);
    } else {
      const table = changeKind(list, before?.tables[kind], before?.given.get(kind)) ?? takeKind(list, findings);
      lists[kind] = table.size === list.length ? list : [...table.values()];
      tables[kind] = table;
    }
  }
  const byKind = lists as unknown as ByKind;
  const passTables: PassTables = {
    levels: new Map(),
    backendLevels: new Map(),
    parents: new Map(),
    trusts: new Map(),
    rivals: new Map(),
    issuers: new Map(),
    meshes: new Map(),
    serviceParents: new Map(),
    sidecars: new Map(),
    meshRoutes: new Map(),
  };
  return {
    tables: { ...(tables as unknown as KindTables), ...groups(byKind, before), ...passTables, issued },
    byKind,
    findings,
    given,
  };
}

/**
 * The table before with what was edited in its place, without what went, and with what came behind it, when that is all
 * that changed: of tens of thousands of resources mostly one comes, goes or is another.
 */
function changeKind(
  list: readonly Resource[],
  tableBefore: ReadonlyMap<string, Resource> | undefined,
  listBefore: readonly Resource[] | undefined,
): ReadonlyMap<string, Resource> | undefined {
  if (tableBefore === undefined || listBefore === undefined || tableBefore.size !== listBefore.length) return undefined;
  const { added, removed } = diffLists(listBefore, list);
  if (added.length + removed.length > list.length / 2) return undefined;
  const table = new Map(tableBefore);
  const came = new Map(added.map((resource) => [keyOf(resource), resource]));
  for (const resource of removed) if (!came.has(keyOf(resource))) table.delete(keyOf(resource));
  for (const [key, resource] of came) table.set(key, resource);
  // Duplicates, and what changed its place, are for the long way.
  return hasValues(table, list) ? table : undefined;
}

function hasValues(table: ReadonlyMap<string, Resource>, list: readonly Resource[]): boolean {
  if (table.size !== list.length) return false;
  let i = 0;
  for (const resource of table.values()) if (resource !== list[i++]) return false;
  return true;
}

/** By key; of two with the same name the first counts. */
function takeKind(list: readonly Resource[], findings: Finding[]): Map<string, Resource> {
  const table = new Map<string, Resource>();
  for (const resource of list) {
    const key = keyOf(resource);
    const first = table.get(key);
    if (first === undefined) table.set(key, resource);
    else if (first !== resource) findings.push(duplicate(resource, first));
  }
  return table;
}

const KINDS = [
  'AcmeIssuer',
  'Backend',
  'BackendPolicy',
  'BackendTLSPolicy',
  'ConfigMap',
  'EndpointSlice',
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
  'Workload',
] as const satisfies readonly ResourceKind[];

/** The tables of groups, or those before when no resource of the kind changed. */
function groups(kinds: ByKind, before: Inventory | undefined): GroupTables {
  const was = before?.byKind;
  const group = <R extends Resource, G extends keyof GroupTables>(
    table: G,
    {
      list,
      listBefore,
      keysOf,
    }: { list: readonly R[]; listBefore: readonly R[] | undefined; keysOf: (one: R) => Iterable<string> },
  ): ReadonlyMap<string, readonly R[]> => {
    const tableBefore = before?.tables[table] as ReadonlyMap<string, readonly R[]> | undefined;
    if (tableBefore !== undefined && list === listBefore) return tableBefore;
    return groupBy(list.length < 2 ? list : list.toSorted(byAge), keysOf, tableBefore);
  };
  const selecting = group('selecting', {
    list: kinds.Service,
    listBefore: was?.Service,
    keysOf: (service) => (hasSelector(service) ? [service.metadata.namespace] : []),
  });
  const grouped = before && {
    list: before.byKind.Workload,
    selecting: before.tables.selecting,
    groups: before.tables.workloads,
  };
  return {
    selecting,
    workloads: groupWorkloads(kinds.Workload, selecting, grouped),
    grants: group('grants', {
      list: kinds.ReferenceGrant,
      listBefore: was?.ReferenceGrant,
      keysOf: ({ metadata }) => [metadata.namespace],
    }),
    slices: group('slices', { list: kinds.EndpointSlice, listBefore: was?.EndpointSlice, keysOf: serviceOf }),
    policies: group('policies', { list: kinds.Policy, listBefore: was?.Policy, keysOf: targetsOf }),
    backendPolicies: group('backendPolicies', {
      list: kinds.BackendPolicy,
      listBefore: was?.BackendPolicy,
      keysOf: targetsOf,
    }),
    tlsPolicies: group('tlsPolicies', {
      list: kinds.BackendTLSPolicy,
      listBefore: was?.BackendTLSPolicy,
      keysOf: targetsOf,
    }),
    defaultGateways: group('defaultGateways', {
      list: kinds.Gateway,
      listBefore: was?.Gateway,
      keysOf: ({ spec: { defaultScope } }) => (defaultScope === 'All' ? ['All'] : []),
    }),
  };
}

function serviceOf({ metadata: { namespace, labels } }: EndpointSlice): string[] {
  const name = labels[SERVICE_NAME_LABEL];
  return name === undefined ? [] : [resourceKey('Service', namespace, name)];
}

/** Keys of the targets, each once. Targets are in the namespace of their policy. */
function targetsOf<P extends Policy | BackendPolicy | BackendTLSPolicy>({ spec, metadata }: P): Set<string> {
  const known = spec.targetRefs.filter(({ kind, group }) => group === undefined || group === TARGET_GROUPS[kind]);
  return new Set(known.map((ref) => targetKey(ref.kind, metadata.namespace, ref)));
}

function duplicate(resource: Resource, first: Resource): Finding {
  return error('resource.duplicate', resource, {
    field: '/metadata/name',
    message: `Duplicate ${resource.kind} "${resource.metadata.name}": the first one counts, this one is left out`,
    related: [keyOf(first)],
  });
}
