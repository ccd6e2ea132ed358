/**
 * A Service as sidecars of one namespace see it as its clients: a listener for
 * each of its ports, and what they follow there. That is the routes of their own
 * namespace if there are any, else those beside the Service, else straight to
 * its endpoints. Where routes are, a request that none of them matches is
 * answered 404, as at a Gateway (GEP-1294).
 */
import { isIP } from 'node:net';
import type { PlanListener, PlanRoute, PlanStream, PlanValue } from '../ir/plan.ts';
import { keyOf, resourceKey, type Service } from '../resource/resource.ts';
import type { BackendTarget, ServicePort } from './backend.ts';
import { clusterKey } from './backend.ts';
import type { ClusterNeed } from './cluster.ts';
import { LISTENER_SETTINGS } from './defaults.ts';
import { meshOf } from './mesh.ts';
import { portKeyOf, type PortKind, speechOf } from './mesh-port.ts';
import { type MeshRoutes, meshRoutesKey } from './mesh-route.ts';
import { NONE } from './settled.ts';
import type { Look } from './tables.ts';

/** One port of a Service as its clients have it. */
export interface OutboundPort {
  /** Of its listener: `Service/shop/orders/80`. */
  readonly key: string;
  readonly port: number;
  readonly kind: PortKind;
  /** What clients may call it, with the port: `orders:80`, `orders.shop:80`. */
  readonly names: readonly string[];
}

type Parts<P> = readonly (readonly [key: string, part: P])[];

/** Nothing of it is of one sidecar: all of a namespace share it. */
export interface ServiceView {
  readonly ports: readonly OutboundPort[];
  readonly routes: Parts<PlanRoute>;
  readonly streams: Parts<PlanStream>;
  readonly needs: readonly ClusterNeed[];
  readonly values: ReadonlyMap<string, PlanValue>;
}

/** Domain behind `svc` in the long names of Services. */
const CLUSTER_DOMAIN = 'cluster.local';

/** The application on the loopback of a sidecar is one with it: what it says of its own clients is believed. */
const OUTBOUND_SETTINGS = { ...LISTENER_SETTINGS, trustedHops: { count: 1, cidrs: [] } };

/**
 * The namespace whose view clients of `namespace` share: their own, where something holds for them alone; else that of
 * everybody.
 */
export function viewNamespace(service: string, namespace: string, look: Look): string {
  const [, own = ''] = service.split('/');
  return namespace === own || look('meshRoutes', meshRoutesKey(service, namespace)) !== undefined ? namespace : '';
}

/** @param namespace  empty for clients of all namespaces that nothing is said for */
export function viewOf(service: Service, namespace: string, look: Look): ServiceView {
  const key = keyOf(service);
  const own = service.metadata.namespace;
  const { defaultProtocol } = meshOf(look).spec;
  const consumers = namespace === own ? NONE : (look('meshRoutes', meshRoutesKey(key, namespace)) ?? NONE);
  const producers = look('meshRoutes', meshRoutesKey(key, own)) ?? NONE;
  const ports: OutboundPort[] = [];
  const followed = new Map<MeshRoutes, Set<number>>();
  const straight: Straight[] = [];
  for (const port of service.spec.ports) {
    if (port.protocol !== 'TCP') continue;
    const { kind } = speechOf(port, defaultProtocol);
    ports.push({ key: portKeyOf(service, port), port: port.port, kind, names: namesOf(service, port, namespace) });
    const isHere = (one: MeshRoutes): boolean => one.kind === kind && one.ports.includes(port.port);
    const nearest = consumers.some(isHere) ? consumers.filter(isHere) : producers.filter(isHere);
    if (nearest.length === 0) straight.push(straightTo(service, port, kind));
    for (const one of nearest) followed.set(one, (followed.get(one) ?? new Set()).add(port.port));
  }
  return { ports, ...partsOf(followed, straight) };
}

/** `orders` is known in its own namespace only. An address that is virtual is one more name. */
function namesOf({ metadata, spec }: Service, { port }: ServicePort, namespace: string): string[] {
  const long = `${metadata.name}.${metadata.namespace}`;
  const names = [
    ...(namespace === metadata.namespace ? [metadata.name] : []),
    long,
    `${long}.svc`,
    `${long}.svc.${CLUSTER_DOMAIN}`,
  ];
  const { clusterIP = '' } = spec;
  if (isIP(clusterIP) !== 0) names.push(clusterIP.includes(':') ? `[${clusterIP}]` : clusterIP);
  return names.map((name) => `${name}:${port}`);
}

type Straight = { readonly need: ClusterNeed } & (
  | { readonly kind: 'http'; readonly key: string; readonly part: PlanRoute }
  | { readonly kind: 'tcp'; readonly key: string; readonly part: PlanStream }
);

/** What is followed where nobody wrote a route. */
function straightTo(resource: Service, port: ServicePort, kind: PortKind): Straight {
  const target: BackendTarget = { kind: 'Service', resource, port };
  const key = portKeyOf(resource, port);
  const attach = [{ listener: key, hosts: ['*'] }];
  if (kind === 'tcp') {
    const variant = { certificateOf: undefined, stream: 'tcp' } as const;
    const cluster = clusterKey(target, variant);
    return {
      kind,
      key,
      need: { key: cluster, target, ...variant },
      part: { name: key, createdMs: 0, attach, backends: [{ weight: 1, cluster }] },
    };
  }
  const cluster = clusterKey(target, { certificateOf: undefined });
  const part: PlanRoute = { createdMs: 0, attach, rules: [everythingTo(key, cluster)] };
  return { kind, key, need: { key: cluster, target, certificateOf: undefined }, part };
}

/** The one rule that there is where nobody wrote one. */
export function everythingTo(name: string, cluster: string): PlanRoute['rules'][number] {
  return {
    name,
    matches: [{ path: { kind: 'prefix', value: '/' }, headers: NONE, query: NONE }],
    filters: NONE,
    backends: [{ target: { kind: 'cluster', cluster }, weight: 1, filters: NONE }],
    mirrors: NONE,
    timeouts: {},
  };
}

function partsOf(
  followed: ReadonlyMap<MeshRoutes, ReadonlySet<number>>,
  straight: readonly Straight[],
): Omit<ServiceView, 'ports'> {
  const routes: [string, PlanRoute][] = [];
  const streams: [string, PlanStream][] = [];
  const needs = new Map<string, ClusterNeed>();
  const values = new Map<string, PlanValue>();
  for (const [one, ports] of followed) {
    if (one.kind === 'http') routes.push([one.key, attachedTo(one.part, ports)]);
    else streams.push([one.key, attachedTo(one.part, ports)]);
    for (const need of one.needs) needs.set(need.key, need);
    if (one.kind === 'http') for (const [key, value] of one.values) values.set(key, value);
  }
  for (const one of straight) {
    if (one.kind === 'http') routes.push([one.key, one.part]);
    else streams.push([one.key, one.part]);
    needs.set(one.need.key, one.need);
  }
  return { routes, streams, needs: [...needs.values()], values };
}

/** A route of a Service that another one keeps off some of its ports. Nearly always all of it. */
function attachedTo<P extends PlanRoute | PlanStream>(part: P, ports: ReadonlySet<number>): P {
  const attach = part.attach.filter(({ listener }) => ports.has(Number(listener.slice(listener.lastIndexOf('/') + 1))));
  return attach.length === part.attach.length ? part : { ...part, attach };
}

/** On the port of the forward proxy, where what a client calls it chooses. */
export function forwardListener({ names, port, kind }: OutboundPort, planPort: string): PlanListener {
  const [hostname = '', ...alsoNamed] = names;
  return { port: planPort, hostname, alsoNamed, chosenBy: 'authority', publicPort: port, ...carried(kind) };
}

function carried(kind: PortKind): Pick<PlanListener, 'settings' | 'stream'> {
  return { ...(kind === 'tcp' && { stream: { kind } }), settings: OUTBOUND_SETTINGS };
}

/**
 * Key of the Service that a host stands for: `orders`, `orders.shop`, `orders.shop.svc` or `orders.shop.svc.cluster.local`.
 *
 * @param namespace  of who calls
 */
export function serviceKeyOf(host: string, namespace: string): string | undefined {
  const [name = '', ...rest] = host.toLowerCase().split('.');
  const [own = namespace, ...behind] = rest;
  const domain = behind.join('.');
  if (name === '' || own === '' || !['', 'svc', `svc.${CLUSTER_DOMAIN}`].includes(domain)) return undefined;
  return resourceKey('Service', own, name);
}
