/** Puts the plan of one sidecar together from parts that others share. */
import { canonicalJson } from '../base/canonical.ts';
import { CONNECTION_LIMITS, CONNECTION_TIMEOUTS } from '../base/limits.ts';
import { portKey } from '../ir/key.ts';
import type { PlanBundle, PlanCluster, PlanListener, PlanPort, PlanSecret } from '../ir/plan.ts';
import { type PlanParts, versionOf } from '../ir/version.ts';
import type { ClusterResult } from './cluster.ts';
import { sameItems } from './memo.ts';
import type { MeshWorkload, OwnParts } from './mesh-inbound.ts';
import {
  forwardListener,
  localKey,
  localListener,
  localParts,
  type OutboundPort,
  type ServiceView,
} from './mesh-outbound.ts';

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
  /** Ports of loopback by listener: `Service/shop/orders/80`. Only of the services above. */
  readonly localPorts?: Readonly<Record<string, MeshAddress>>;
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
  const { forward, localPorts } = consumer;
  const { own, needed, services } = made;
  const inputs = [own, ...needed, ...services, canonicalJson({ forward, localPorts })];
  if (before !== undefined && sameItems(madeOf.get(before) ?? [], inputs)) return before;
  const fresh = assembled(consumer, made);
  const bundle = before?.plan.version === fresh.plan.version ? before : fresh;
  madeOf.set(bundle, inputs);
  return bundle;
}

function assembled({ forward, localPorts = {} }: MeshConsumer, { own, needed, services }: BundleParts): PlanBundle {
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
  return { plan: { version: versionOf(parts), ...parts }, secrets };
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
