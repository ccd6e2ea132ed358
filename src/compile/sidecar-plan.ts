/** Puts the plan of one sidecar together from parts that others share. */
import { canonicalJson } from '../base/canonical.ts';
import { CONNECTION_LIMITS, CONNECTION_TIMEOUTS } from '../base/limits.ts';
import { portKey } from '../ir/key.ts';
import type { PlanBundle, PlanCluster, PlanListener, PlanPort, PlanSecret } from '../ir/plan.ts';
import { type PlanParts, versionOf } from '../ir/version.ts';
import type { ClusterResult } from './cluster.ts';
import { sameItems } from './memo.ts';
import type { MeshWorkload, OwnParts } from './mesh-inbound.ts';
import { forwardListener, type ServiceView } from './mesh-outbound.ts';

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
  /** Keys of the Services that it calls, or of Workloads by their address. Those that do not exist are left out. */
  readonly services: readonly string[];
}

/** What clients of one namespace need of a Service. The same object as before as long as nothing of it changed. */
export interface ServiceParts {
  readonly view: ServiceView;
  readonly clusters: Readonly<Record<string, PlanCluster>>;
  readonly secrets: Readonly<Record<string, PlanSecret>>;
}

interface BundleParts {
  readonly own: OwnParts | undefined;
  /** Clusters of filters that act for the application. */
  readonly needed: readonly ClusterResult[];
  readonly services: readonly ServiceParts[];
}

/** What each bundle was made of: of thousands of sidecars most have nothing new after a change. */
const madeOf = new WeakMap<PlanBundle, readonly unknown[]>();

/** @param before  the bundle that the sidecar had: given again when nothing changed */
export function bundleOf(consumer: MeshConsumer, made: BundleParts, before: PlanBundle | undefined): PlanBundle {
  const { forward } = consumer;
  const { own, needed, services } = made;
  const inputs = [own, ...needed, ...services, canonicalJson({ forward })];
  if (before !== undefined && sameItems(madeOf.get(before) ?? [], inputs)) return before;
  const fresh = assembled(consumer, made, before);
  const bundle = before?.plan.version === fresh.plan.version ? before : fresh;
  madeOf.set(bundle, inputs);
  return bundle;
}

function assembled(
  { forward }: MeshConsumer,
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
  for (const [i, { cluster, secrets: named }] of needed.entries()) {
    parts.clusters[own!.needs[i]!.key] = cluster;
    for (const { ref, secret } of named) secrets[ref.secret] = secret;
  }
  const forwardKey = forward === undefined ? undefined : portKey(forward.address, forward.port);
  if (forward !== undefined) parts.ports[forwardKey!] = forwardPort(forward);
  for (const service of services) {
    const { view } = service;
    Object.assign(parts.clusters, service.clusters);
    Object.assign(secrets, service.secrets);
    if (forwardKey !== undefined) {
      for (const [key, listener] of listenersOf(view, forwardKey)) parts.listeners[key] = listener;
      for (const [key, route] of view.routes) parts.routes[key] = route;
      for (const [key, stream] of view.streams) parts.streams[key] = stream;
    }
  }
  const plan = before === undefined ? parts : keepingRecords(parts, before.plan);
  return { plan: { version: versionOf(plan), ...plan }, secrets };
}

/** Kinds of which nothing changed are the same records as before: their hash and their difference cost nothing then. */
function keepingRecords(parts: PlanParts, before: PlanParts): PlanParts {
  return {
    ports: sameRecord(before.ports, parts.ports),
    listeners: sameRecord(before.listeners, parts.listeners),
    routes: sameRecord(before.routes, parts.routes),
    streams: sameRecord(before.streams, parts.streams),
    clusters: sameRecord(before.clusters, parts.clusters),
  };
}

function sameRecord<T>(was: Readonly<Record<string, T>>, is: Readonly<Record<string, T>>): Readonly<Record<string, T>> {
  let size = 0;
  for (const name in is) {
    if (was[name] !== is[name]) return is;
    size++;
  }
  return Object.keys(was).length === size ? was : is;
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

function forwardPort({ address, port }: MeshAddress): PlanPort {
  return { address, port, protocol: 'proxy', limits: CONNECTION_LIMITS, timeouts: CONNECTION_TIMEOUTS };
}
