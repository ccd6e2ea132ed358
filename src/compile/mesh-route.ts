/** What routes with a Service as a parent say to its clients: parts for the plans of sidecars. */
import { FILTERS_BY_NAME } from '../filters/list.ts';
import type { PlanAttachment, PlanRoute, PlanStream, PlanValue } from '../ir/plan.ts';
import { describe, keyOf, type Resource } from '../resource/resource.ts';
import type { ParentOutcome } from './attach.ts';
import type { ClusterNeed } from './cluster.ts';
import { type Finding, warning } from './finding.ts';
import { groupBy } from './memo.ts';
import type { RouteResult } from './route.ts';
import type { ReadRule } from './rule.ts';
import type { StreamResult } from './stream-route.ts';

interface MeshPart {
  /** Key of the Service. */
  readonly service: string;
  /** Its ports that the route is for. */
  readonly ports: readonly number[];
  /** Of the part: `HTTPRoute/shop/web@Service/shop/orders`. */
  readonly key: string;
  readonly needs: readonly ClusterNeed[];
}

export interface MeshRoute extends MeshPart {
  readonly kind: 'http';
  readonly part: PlanRoute;
  readonly values: ReadonlyMap<string, PlanValue>;
}

export interface MeshStream extends MeshPart {
  readonly kind: 'tcp';
  readonly part: PlanStream;
}

export type MeshRoutes = MeshRoute | MeshStream;

/** A Service with what a route is attached to of it. */
export interface ServiceAttachment {
  readonly service: string;
  readonly ports: readonly number[];
  readonly key: string;
  readonly attach: readonly PlanAttachment[];
}

/** The Services among the parents, each once with all of its ports. */
export function serviceAttachments(route: Resource, outcomes: readonly ParentOutcome[]): ServiceAttachment[] {
  const listeners = new Map<string, Map<number, PlanAttachment>>();
  for (const { parent, attachments } of outcomes) {
    for (const { listener, hosts } of attachments) {
      const known = listeners.get(parent.key) ?? new Map<number, PlanAttachment>();
      listeners.set(parent.key, known.set(listener.port, { listener: listener.keys[0]!, hosts }));
    }
  }
  return [...listeners].map(([service, ports]) => ({
    service,
    ports: [...ports.keys()],
    key: `${keyOf(route)}@${service}`,
    attach: [...ports.values()],
  }));
}

/** By Service and namespace of the routes: those of its own are for everybody, others for clients of theirs. */
export function groupMeshRoutes(
  { routes, streams }: { readonly routes: readonly RouteResult[]; readonly streams: readonly StreamResult[] },
  before: ReadonlyMap<string, readonly MeshRoutes[]> | undefined,
): ReadonlyMap<string, readonly MeshRoutes[]> {
  const all: MeshRoutes[] = [];
  const namespaces = new Map<MeshRoutes, string>();
  for (const { route, mesh } of [...routes, ...streams]) {
    for (const one of mesh) {
      all.push(one);
      namespaces.set(one, route.metadata.namespace);
    }
  }
  return groupBy(all, (one) => [meshRoutesKey(one.service, namespaces.get(one)!)], before);
}

export function meshRoutesKey(service: string, namespace: string): string {
  return `${service}@${namespace}`;
}

/** Policies on such a route act in the proxy of whoever calls, who could leave it out: they protect nothing there. */
export function clientSideFindings(route: Resource, rules: readonly ReadRule[]): Finding[] {
  return rules.flatMap(({ filters }) =>
    filters.flat().flatMap(({ filter, policy, field }) => {
      if (policy === undefined || FILTERS_BY_NAME.get(filter)?.composition !== 'narrows') return [];
      const message = `Filter "${filter}" acts in the proxies of clients, because a Service is a parent of ${describe(route)}: to protect the Service make it the target`;
      return [warning('policy.client-side', policy, { field, message, related: [keyOf(route)] })];
    }),
  );
}
