/** Puts the parts of all passes together into one plan. */
import type { PlanBundle, PlanCluster, PlanRoute, PlanSecret, PlanStream } from '../ir/plan.ts';
import { hashPart, hashSecret, type PlanPart, type PlanParts, versionOf } from '../ir/version.ts';
import type { Found } from './found.ts';
import { lowerRoute } from './route.ts';
import { lookIn } from './tables.ts';

/** @param before  the bundle of the last compile: a part with the same content stays the same object, also where it was made again */
export function assemble(
  { gateways, acme, routes, streams, passages, clusters }: Found,
  before: PlanBundle | undefined,
): PlanBundle {
  const planRoutes: Record<string, PlanRoute> = {};
  for (const { parts } of routes)
    for (const [key, part] of parts) planRoutes[key] = kept(before?.plan.routes[key], part);
  for (const [key, part] of acme.routes) planRoutes[key] = kept(before?.plan.routes[key], part);
  const planStreams: Record<string, PlanStream> = {};
  for (const { parts } of [...streams, ...passages])
    for (const [key, part] of parts) planStreams[key] = kept(before?.plan.streams[key], part);
  const secrets: Record<string, PlanSecret> = { ...gateways.secrets };
  for (const { values } of routes) for (const [key, value] of values) secrets[key] = value;
  for (const result of clusters.values()) for (const { ref, secret } of result.secrets) secrets[ref.secret] = secret;
  const parts: PlanParts = {
    ports: keptAll(before?.plan.ports, gateways.planPorts),
    listeners: keptAll(before?.plan.listeners, gateways.planListeners),
    routes: planRoutes,
    streams: planStreams,
    clusters: planClusters(clusters, before),
  };
  const version = versionOf(parts);
  // Parts name secrets by hash, so equal parts have equal secrets.
  if (before?.plan.version === version) return before;
  for (const [key, secret] of Object.entries(secrets)) {
    const was = before?.secrets[key];
    if (was !== undefined && hashSecret(was) === hashSecret(secret)) secrets[key] = was;
  }
  return { plan: { version, ...parts }, secrets };
}

const madeFrom = new WeakMap<PlanBundle['plan']['clusters'], Found['clusters']>();

function planClusters(clusters: Found['clusters'], before: PlanBundle | undefined): PlanBundle['plan']['clusters'] {
  if (before !== undefined && madeFrom.get(before.plan.clusters) === clusters) return before.plan.clusters;
  const planned: Record<string, PlanCluster> = {};
  for (const [key, { cluster }] of clusters) planned[key] = kept(before?.plan.clusters[key], cluster);
  madeFrom.set(planned, clusters);
  return planned;
}

/** The routes of the plan made once more, with the places where rules and filters were written. */
export function placedRoutes({ routes, acme, inventory }: Found): PlanBundle['plan']['routes'] {
  const look = lookIn(inventory.tables);
  return Object.fromEntries([...routes.flatMap(({ route }) => lowerRoute(route, look, 'keep').parts), ...acme.routes]);
}

function kept<T extends PlanPart>(was: T | undefined, is: T): T {
  return was === is || (was !== undefined && hashPart(was) === hashPart(is)) ? was : is;
}

function keptAll<T extends PlanPart>(
  was: Readonly<Record<string, T>> | undefined,
  is: Readonly<Record<string, T>>,
): Record<string, T> {
  return Object.fromEntries(Object.entries(is).map(([key, part]) => [key, kept(was?.[key], part)]));
}
