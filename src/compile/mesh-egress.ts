/**
 * Hosts outside of the mesh, reached through the one Gateway that its Mesh names. The hosts of the routes that are attached
 * there are the list of what may be called: to sidecars each is what a Service is, with the Gateway as its only endpoint.
 */
import { isIP } from 'node:net';
import { canonicalJson } from '../base/canonical.ts';
import { USER_CONTEXT_FIELD } from '../filter/user-context.ts';
import type { HeadersConfig } from '../filters/headers/config.ts';
import type { PlanCluster, PlanPort, PlanRoute, PlanStream } from '../ir/plan.ts';
import { describe, type Gateway, type Mesh } from '../resource/resource.ts';
import { PEER_SETTINGS } from './defaults.ts';
import { error, type Finding, warning } from './finding.ts';
import { type ListenerView, serversOf } from './gateways.ts';
import { sameItems } from './memo.ts';
import { egressGateway, MESH_TLS, type MeshView, SELF } from './mesh.ts';
import { everythingTo, type OutboundPort } from './mesh-outbound.ts';
import type { PortKind } from './mesh-port.ts';
import { believedUsers, CONTROL_PLANE_GATEWAY } from './mesh-user.ts';
import type { AskedFilter } from './policies.ts';
import { brokenAt, missing } from './reference.ts';
import type { RouteResult } from './route.ts';
import type { ServiceParts } from './sidecar-plan.ts';
import { NONE } from './settled.ts';
import type { StreamResult } from './stream-route.ts';
import type { CompileTables } from './tables.ts';

interface Lowered {
  readonly routes: readonly RouteResult[];
  readonly streams: readonly StreamResult[];
}

/** A listener that carries a host, and what it carries. */
interface Way {
  readonly listener: ListenerView;
  readonly kind: PortKind;
}

/** Of hosts that are called without a port. */
const DEFAULT_PORTS: Readonly<Record<PortKind, number>> = { http: 80, tcp: 443 };

/** In the place of a star, in server names: it is only to find the listener, which has no other name. */
const ANY_HOST = 'any-host';

export class Egress {
  #inputs: readonly unknown[] = [];
  /** By {@link keyOfHost}. */
  #parts: ReadonlyMap<string, ServiceParts> = new Map();
  #findings: readonly Finding[] = NONE;

  get findings(): readonly Finding[] {
    return this.#findings;
  }

  /** Parts are the same objects as before as long as they say the same. */
  run(tables: CompileTables, view: MeshView, lowered: Lowered): void {
    const gateway = egressGateway(view);
    const parents = [...tables.parents.values()].filter(({ gatewayKey }) => gatewayKey === gateway);
    const listeners = new Map(parents.flatMap((parent) => parent.listeners.flatMap(byKey)));
    const object = gateway === undefined ? undefined : tables.Gateway.get(gateway);
    const attached = gateway === undefined ? [] : attachedTo(listeners, lowered);
    const inputs = [view, object, ...parents, ...attached.map(({ part }) => part)];
    if (sameItems(inputs, this.#inputs)) return;
    this.#inputs = inputs;
    this.#findings = view.mesh === undefined ? NONE : findingsOf(view.mesh, object, attached);
    const before = this.#parts;
    const now = new Map<string, ServiceParts>();
    if (object !== undefined) {
      for (const [host, ways] of waysOf(attached)) {
        const key = keyOfHost(host);
        const fresh = partsOf(host, ways, { view, gateway: object });
        const was = before.get(key);
        now.set(key, was !== undefined && canonicalJson(was) === canonicalJson(fresh) ? was : fresh);
      }
    }
    this.#parts = now;
  }

  partsOf(key: string): ServiceParts | undefined {
    return this.#parts.get(key);
  }

  /** Key of what takes a host: of its own name, else of the closest with a star. Undefined where it may not be called. */
  keyOf(host: string): string | undefined {
    const exact = keyOfHost(host.toLowerCase());
    if (this.#parts.has(exact)) return exact;
    for (let dot = host.indexOf('.', 1); dot > 0; dot = host.indexOf('.', dot + 1)) {
      const wide = keyOfHost(`*${host.slice(dot).toLowerCase()}`);
      if (this.#parts.has(wide)) return wide;
    }
    return undefined;
  }
}

/** `Egress/api.partner.test`: no kind of resource has this name. */
function keyOfHost(host: string): string {
  return `Egress/${host}`;
}

/** Who may connect to a listener of the mesh: workloads of its trust domains that are not denied. */
export function workloadsOnly({ spec, roots, denied, federation }: MeshView): PlanPort['clientValidation'] & {} {
  return {
    cas: roots,
    mode: 'required',
    workloads: {
      trustDomains: [spec.trustDomain],
      ...(federation.length > 0 && { federated: federation }),
      denied: [...denied],
    },
  };
}

const levels = new WeakMap<MeshView, readonly AskedFilter[]>();

/** What is said of the user is read, so that policies can ask for it, and goes no farther. */
export function egressFilters(mesh: MeshView): readonly AskedFilter[] {
  let level = levels.get(mesh);
  if (level === undefined) {
    const users = { ...believedUsers(mesh), ...(mesh.mesh !== undefined && { from: mesh.mesh }) };
    const config: HeadersConfig = { request: { set: [], add: [], remove: [USER_CONTEXT_FIELD] } };
    levels.set(mesh, (level = [users, { ...users, filter: 'headers', config, field: '/spec/egress' }]));
  }
  return level;
}

function byKey(listener: ListenerView): (readonly [key: string, listener: ListenerView])[] {
  return listener.keys.map((key) => [key, listener]);
}

interface Attached extends Way {
  readonly part: PlanRoute | PlanStream;
  readonly hosts: readonly string[];
  readonly owner: RouteResult['route'] | StreamResult['route'];
}

function attachedTo(listeners: ReadonlyMap<string, ListenerView>, { routes, streams }: Lowered): Attached[] {
  const attached: Attached[] = [];
  const seen = new Set<string>();
  for (const { route: owner, parts } of [...routes, ...streams]) {
    for (const [key, part] of parts) {
      for (const { listener: name, hosts } of part.attach) {
        const listener = listeners.get(name);
        // With several addresses a listener is there several times: it is one way all the same.
        const once = `${key} ${listener?.keys[0] ?? ''}`;
        if (listener === undefined || seen.has(once)) continue;
        seen.add(once);
        attached.push({ owner, part, hosts, listener, kind: 'rules' in part ? 'http' : 'tcp' });
      }
    }
  }
  return attached;
}

/** Ports at which each host is called: those of its listeners, and the usual one. */
function waysOf(attached: readonly Attached[]): Map<string, Map<number, Way>> {
  const ways = new Map<string, Map<number, Way>>();
  // Of two listeners that carry a host on one port the gateway takes the one that names it more closely.
  const closestFirst = attached.toSorted((a, b) => b.listener.hostname.length - a.listener.hostname.length);
  for (const { hosts, listener, kind } of closestFirst) {
    for (const host of hosts) {
      if (host === '*') continue;
      const own = ways.get(host) ?? new Map<number, Way>();
      ways.set(host, own);
      if (!own.has(listener.port)) own.set(listener.port, { listener, kind });
    }
  }
  for (const own of ways.values()) {
    for (const way of own.values()) {
      const usual = DEFAULT_PORTS[way.kind];
      if (!own.has(usual)) own.set(usual, way);
    }
  }
  return ways;
}

interface PartsWork {
  readonly view: MeshView;
  readonly gateway: Gateway;
}

function partsOf(host: string, ways: ReadonlyMap<number, Way>, work: PartsWork): ServiceParts {
  const ports: OutboundPort[] = [];
  const routes: [string, PlanRoute][] = [];
  const streams: [string, PlanStream][] = [];
  const clusters: Record<string, PlanCluster> = {};
  for (const [port, { listener, kind }] of [...ways].toSorted(([a], [b]) => a - b)) {
    const key = `${keyOfHost(host)}/${port}`;
    const attach = [{ listener: key, hosts: ['*'] }];
    ports.push({ key, port, kind, names: [`${host}:${port}`] });
    // Requests for all hosts of a listener share their connections; what is not read is told apart by server name.
    const door = `Egress/${listener.keys[0]!.replace(/^Gateway\//, '')}`;
    const cluster = kind === 'http' ? door : `${door}/${host}`;
    clusters[cluster] = clusterTo({ listener, kind }, kind === 'http' ? listener.hostname : host, work);
    if (kind === 'http') routes.push([key, { createdMs: 0, attach, rules: [everythingTo(key, cluster)] }]);
    else streams.push([key, { name: key, createdMs: 0, attach, backends: [{ weight: 1, cluster }] }]);
  }
  return { view: { ports, routes, streams, needs: NONE, values: new Map() }, clusters, secrets: {} };
}

function clusterTo({ listener, kind }: Way, host: string, { view, gateway }: PartsWork): PlanCluster {
  const { trustDomain } = view.spec;
  const accounts = serversOf(gateway).map(({ namespace, account }) => `ns/${namespace}/sa/${account}`);
  const identities = [...new Set([CONTROL_PLANE_GATEWAY, ...accounts])].map(
    (path) => `spiffe://${trustDomain}/${path}`,
  );
  const tls = {
    serverName: host.replace(/^\*(?=$|\.)/, ANY_HOST),
    cas: view.roots,
    subjectAltNames: identities.filter((id) => !view.denied.has(id)).map((value) => ({ kind: 'uri', value }) as const),
    policy: MESH_TLS,
    clientCertificate: SELF,
    state: 'ok',
  } as const;
  return {
    protocol: kind === 'http' ? 'h2' : 'http1',
    ...(kind === 'tcp' && { stream: kind }),
    endpoints: addressesOf(view, gateway).map((address) => ({ address, port: listener.port, weight: 1 })),
    tls,
    settings: PEER_SETTINGS,
  };
}

/** Where sidecars find the Gateway. */
function addressesOf({ spec: { egress } }: MeshView, { spec }: Gateway): readonly string[] {
  const own = spec.addresses.flatMap(({ value = '' }) => (isIP(value) === 0 ? [] : [value]));
  return egress?.addresses ?? own;
}

function findingsOf(mesh: Mesh, gateway: Gateway | undefined, attached: readonly Attached[]): Finding[] {
  const { egress } = mesh.spec;
  if (egress === undefined) return [];
  if (gateway === undefined) {
    const to = { group: 'gateway.networking.k8s.io', kind: 'Gateway', ...egress.gateway };
    return [brokenAt(mesh, '/spec/egress/gateway', missing(to, ''))];
  }
  const findings: Finding[] = [];
  if (egress.addresses === undefined && gateway.spec.addresses.every(({ value = '' }) => isIP(value) === 0)) {
    const message = `Sidecars cannot find ${describe(gateway)}: it names no address to bind, so say here at which they reach it`;
    findings.push(error('mesh.egress', mesh, { field: '/spec/egress/addresses', message }));
  }
  const open = attached.find(({ hosts }) => hosts.includes('*'));
  if (open !== undefined) {
    const message = `${describe(open.owner)} names no host, and only hosts that are named can be called through ${describe(gateway)}`;
    findings.push(warning('mesh.egress', open.owner, { field: '/spec/hostnames', message }));
  }
  return findings;
}
