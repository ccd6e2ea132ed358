/** All resources of one compile as tables, so that every pass finds by key and no pass walks them all. */
import {
  type BackendPolicy,
  type BackendTLSPolicy,
  type EndpointSlice,
  type Gateway,
  keyOf,
  type LaterRoute,
  type Policy,
  type ReferenceGrant,
  type Resource,
  type ResourceKind,
  resourceKey,
  type ResourceOf,
} from '../resource/resource.ts';
import type { TrustView } from './backend-tls.ts';
import type { BackendLevel } from './cluster.ts';
import { error, type Finding } from './finding.ts';
import type { ParentView } from './gateways.ts';
import { groupBy, type Look as LookIn, type Tables } from './memo.ts';
import type { Level } from './policies.ts';

/** Label of an EndpointSlice that names its Service. */
const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';

export interface CompileTables extends Tables {
  /** By {@link resourceKey}. */
  readonly objects: ReadonlyMap<string, Resource>;
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
  /** What the policies on one target come to, by {@link targetKey}. */
  readonly levels: Map<string, Level>;
  readonly backendLevels: Map<string, BackendLevel>;
  /** Gateways and ListenerSets as routes see them, by {@link resourceKey}. */
  readonly parents: Map<string, ParentView>;
  /** What the BackendTLSPolicies say, by {@link resourceKey}. */
  readonly trusts: Map<string, TrustView>;
}

export type Look = LookIn<CompileTables>;

/** Looks up without a trace, for passes that run anew with each compile. */
export function lookIn(tables: CompileTables): Look {
  return (table, key) => (tables[table] as ReadonlyMap<string, unknown> | undefined)?.get(key) as never;
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
  return look('objects', resourceKey(kind, namespace, name)) as ResourceOf<K> | undefined;
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

export type ByKind = { readonly [K in Exclude<ResourceKind, LaterRoute['kind']>]?: readonly ResourceOf<K>[] } & {
  readonly [K in LaterRoute['kind']]?: readonly LaterRoute[];
};

/** Resources of one compile by kind, without duplicates, and the tables made of them. */
export interface Inventory {
  readonly tables: CompileTables;
  readonly byKind: ByKind;
  readonly findings: readonly Finding[];
}

export function takeInventory(resources: readonly Resource[], before: CompileTables | undefined): Inventory {
  const objects = new Map<string, Resource>();
  const byKind: Partial<Record<ResourceKind, Resource[]>> = {};
  const findings: Finding[] = [];
  for (const resource of resources) {
    const key = keyOf(resource);
    const first = objects.get(key);
    if (first !== undefined) {
      if (first !== resource) findings.push(duplicate(resource, first));
      continue;
    }
    objects.set(key, resource);
    (byKind[resource.kind] ??= []).push(resource);
  }
  const kinds = byKind as unknown as ByKind;
  return { tables: { ...groups(kinds, before), objects, ...fresh() }, byKind: kinds, findings };
}

function fresh(): Pick<CompileTables, 'levels' | 'backendLevels' | 'parents' | 'trusts'> {
  return { levels: new Map(), backendLevels: new Map(), parents: new Map(), trusts: new Map() };
}

function groups(
  kinds: ByKind,
  before: CompileTables | undefined,
): Pick<CompileTables, 'grants' | 'slices' | 'policies' | 'backendPolicies' | 'tlsPolicies' | 'defaultGateways'> {
  return {
    grants: groupBy(sorted(kinds.ReferenceGrant), ({ metadata }) => [metadata.namespace], before?.grants),
    defaultGateways: groupBy(
      sorted(kinds.Gateway),
      ({ spec: { defaultScope } }) => (defaultScope === 'All' ? ['All'] : []),
      before?.defaultGateways,
    ),
    slices: groupBy(sorted(kinds.EndpointSlice), serviceOf, before?.slices),
    policies: groupBy(sorted(kinds.Policy), targetsOf, before?.policies),
    backendPolicies: groupBy(sorted(kinds.BackendPolicy), targetsOf, before?.backendPolicies),
    tlsPolicies: groupBy(sorted(kinds.BackendTLSPolicy), targetsOf, before?.tlsPolicies),
  };
}

function sorted<R extends Resource>(resources: readonly R[] = []): readonly R[] {
  return resources.length < 2 ? resources : resources.toSorted(byAge);
}

function serviceOf({ metadata: { namespace, labels } }: EndpointSlice): string[] {
  const name = labels[SERVICE_NAME_LABEL];
  return name === undefined ? [] : [resourceKey('Service', namespace, name)];
}

/** Keys of the targets, each once. Targets are in the namespace of their policy. */
function targetsOf({ spec, metadata }: Policy | BackendPolicy | BackendTLSPolicy): Set<string> {
  return new Set(spec.targetRefs.map((ref) => targetKey(ref.kind, metadata.namespace, ref)));
}

function duplicate(resource: Resource, first: Resource): Finding {
  return error('resource.duplicate', resource, {
    field: '/metadata/name',
    message: `Duplicate ${resource.kind} "${resource.metadata.name}": the first one counts, this one is left out`,
    related: [keyOf(first)],
  });
}
