/**
 * What a sidecar takes in for its application: mTLS on one port, where the
 * server name says which port is meant, and in clear text what is permissive.
 * Policies on the Service act here, where nobody can go around them.
 */
import { CONNECTION_LIMITS, CONNECTION_TIMEOUTS } from '../base/limits.ts';
import { FILTERS_BY_NAME } from '../filters/list.ts';
import { portKey } from '../ir/key.ts';
import type {
  PlanCluster,
  PlanFilter,
  PlanListener,
  PlanPort,
  PlanRoute,
  PlanRule,
  PlanStream,
  PlanValue,
} from '../ir/plan.ts';
import { describe, keyOf, type Service, type Workload } from '../resource/resource.ts';
import type { BackendTarget, ServicePort } from './backend.ts';
import { appProtocolOf, type ClusterNeed } from './cluster.ts';
import { CLUSTER_SETTINGS, LISTENER_SETTINGS } from './defaults.ts';
import { placeOf } from './finding.ts';
import { MESH_TLS, meshOf, type MeshPlace, type MeshView, SELF, serverNameOf, settingsAt } from './mesh.ts';
import { everythingTo } from './mesh-outbound.ts';
import { workloadsOnly } from './mesh-egress.ts';
import { believedUsers } from './mesh-user.ts';
import { appPortOf, learnedOf, type PortKind, speechOf } from './mesh-port.ts';
import { type AskedFilter, composeFilters } from './policies.ts';
import { backendLevels, brokenFilter, lowerFilter, type Places, refusal, type Treatment } from './rule.ts';
import { NONE, settled } from './settled.ts';
import { accessOf } from './stream-access.ts';
import type { Look } from './tables.ts';
import { servicesOf } from './workloads.ts';

/** A workload as its sidecar announces it, before or after there is a Workload of it. */
export interface MeshWorkload {
  readonly namespace: string;
  readonly service: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly address: string;
  /** Ports of the application by name; it is there on loopback. */
  readonly ports: Workload['spec']['ports'];
  /** Where mTLS is taken. */
  readonly proxyPort: number;
}

export interface OwnParts {
  readonly ports: Record<string, PlanPort>;
  readonly listeners: Record<string, PlanListener>;
  readonly routes: Record<string, PlanRoute>;
  readonly streams: Record<string, PlanStream>;
  readonly clusters: Record<string, PlanCluster>;
  readonly needs: readonly ClusterNeed[];
  readonly values: ReadonlyMap<string, PlanValue>;
}

/** Where applications are that have a sidecar. */
const APPLICATION = '127.0.0.1';

/** The peer is a proxy of the mesh, and its certificate says which: what it says of the client is believed. */
const INBOUND_SETTINGS = { ...LISTENER_SETTINGS, trustedHops: { count: 1, cidrs: [] } };

const TREATMENT: Treatment = { filters: NONE, certificateOf: undefined };

/** @param places  whether filters say where they were written, which costs a parse of their documents */
export function ownParts(workload: MeshWorkload, look: Look, places: Places = 'omit'): OwnParts {
  const mesh = meshOf(look);
  const { address, proxyPort, namespace } = workload;
  const key = portKey(address, proxyPort);
  const work: InboundWork = {
    workload,
    look,
    mesh,
    places,
    securePort: key,
    parts: { ports: { [key]: securePort(workload, mesh) }, listeners: {}, routes: {}, streams: {}, clusters: {} },
    needs: new Map(),
    values: new Map(),
  };
  const selecting = new Map([[namespace, look('selecting', namespace) ?? []]]);
  const asWorkload = {
    metadata: { namespace, labels: workload.labels },
    spec: { service: workload.service } as Workload['spec'],
  };
  for (const service of servicesOf(asWorkload, selecting)) {
    const resource = look('Service', service);
    for (const port of resource?.spec.ports ?? []) addPort(resource!, port, work);
  }
  return { ...work.parts, needs: settled([...work.needs.values()]), values: work.values };
}

interface InboundWork {
  readonly workload: MeshWorkload;
  readonly look: Look;
  readonly mesh: MeshView;
  readonly places: Places;
  readonly securePort: string;
  readonly parts: Omit<OwnParts, 'needs' | 'values'>;
  readonly needs: Map<string, ClusterNeed>;
  readonly values: Map<string, PlanValue>;
}

function securePort({ address, proxyPort }: MeshWorkload, mesh: MeshView): PlanPort {
  return {
    address,
    port: proxyPort,
    protocol: 'tls',
    limits: CONNECTION_LIMITS,
    timeouts: CONNECTION_TIMEOUTS,
    clientValidation: workloadsOnly(mesh),
  };
}

function addPort(resource: Service, port: ServicePort, work: InboundWork): void {
  const number = appPortOf(port, resource, work.workload.ports);
  if (number === undefined || port.protocol !== 'TCP') return;
  const { namespace, name } = resource.metadata;
  const place: MeshPlace = { namespace, service: name, port: port.port };
  const { defaultProtocol } = work.mesh.spec;
  const { kind } = speechOf(port, defaultProtocol);
  const speech = learnedOf(port, defaultProtocol);
  const key = `Inbound/${namespace}/${name}/${port.port}`;
  const { listeners } = work.parts;
  listeners[key] = {
    port: work.securePort,
    hostname: serverNameOf(place),
    chosenBy: 'server-name',
    publicPort: port.port,
    tls: { certificates: [SELF], ...MESH_TLS },
    ...(kind === 'tcp' && { stream: { kind: 'tls' } }),
    ...(speech !== undefined && { speech }),
    settings: INBOUND_SETTINGS,
  };
  // Nobody is sent there before it is known what it speaks, and here nobody need be sent.
  const isClear = settingsAt(work.mesh, place).mtls === 'permissive' && speech !== 'unknown';
  const clear = isClear ? addClearPort(key, { number, kind, work }) : [];
  const attach = [key, ...clear].map((listener) => ({ listener, hosts: ['*'] }));
  const target: BackendTarget & { kind: 'Service' } = { kind: 'Service', resource, port };
  work.parts.clusters[key] = {
    protocol: kind === 'tcp' ? 'http1' : appProtocolOf(target, work.look),
    ...(kind === 'tcp' && { stream: kind }),
    endpoints: [{ address: APPLICATION, port: number, weight: 1 }],
    settings: CLUSTER_SETTINGS,
  };
  if (kind === 'http') {
    work.parts.routes[key] = { createdMs: 0, attach, rules: [ruleOf(key, target, { place, work })] };
    return;
  }
  const asked = askedFilters(target, { place, work });
  const access = accessOf(asked);
  const isClosed = speech !== undefined && asked.some(isHttpOnly);
  work.parts.streams[key] = {
    name: key,
    createdMs: 0,
    attach,
    backends: [isClosed ? { weight: 1, why: WHY_CLOSED } : { weight: 1, cluster: key }],
    ...(access.length > 0 && { access }),
  };
}

/** A port of the workload's own address, under its own number; of several Services that mean it the first has it. */
function addClearPort(
  key: string,
  { number, kind, work }: { readonly number: number; readonly kind: PortKind; readonly work: InboundWork },
): string[] {
  const { workload, parts } = work;
  const planPort = portKey(workload.address, number);
  // Where the application itself is, its port is taken, and open to all who are there.
  if (workload.address === APPLICATION || parts.ports[planPort] !== undefined) return [];
  parts.ports[planPort] = {
    address: workload.address,
    port: number,
    protocol: kind,
    limits: CONNECTION_LIMITS,
    timeouts: CONNECTION_TIMEOUTS,
  };
  const clear = `${key}@clear`;
  parts.listeners[clear] = {
    port: planPort,
    hostname: '*',
    publicPort: number,
    ...(kind === 'tcp' ? { stream: { kind } } : { callTree: 'begin' }),
    settings: LISTENER_SETTINGS,
  };
  return [clear];
}

interface PortWork {
  readonly place: MeshPlace;
  readonly work: InboundWork;
}

function ruleOf(key: string, target: BackendTarget, { place, work }: PortWork): PlanRule {
  const rule = everythingTo(key, key);
  const asked = composeFilters([[believedUsers(work.mesh)], askedFilters(target, { place, work })]);
  const broken = brokenFilter(asked);
  if (broken !== undefined) return { ...rule, backends: [refusal('route.filter-invalid', broken)] };
  return { ...rule, filters: settled(asked.map((filter) => placedFilter(filter, work))) };
}

function placedFilter(asked: AskedFilter, work: InboundWork): PlanFilter {
  const lowered = lowerFilter(asked, TREATMENT, work);
  const owner = asked.policy ?? work.mesh.mesh;
  return work.places === 'omit' || owner === undefined ? lowered : { ...lowered, at: placeOf(owner, asked.field) };
}

/** Those of policies on the Service: all where nobody else lets them act, else those that protect it. */
function askedFilters(target: BackendTarget, { place, work }: PortWork): readonly AskedFilter[] {
  const { look, mesh } = work;
  const isActingHere = look('sidecars', keyOf(target.resource)) !== 'some';
  const levels = backendLevels(target, look).map((level) =>
    isActingHere ? level : level.filter(({ filter }) => isProtecting(filter)),
  );
  const filters = composeFilters(levels);
  const { authorization } = settingsAt(mesh, place);
  if (authorization === 'allow' || mesh.mesh === undefined) return filters;
  // A policy that is only tried out allows nothing yet, but where both are.
  const isTriedOut = authorization === 'audit';
  const isSpokenOf = filters.some(
    ({ filter, policy }) => filter === 'authorize' && (isTriedOut || policy?.spec.mode !== 'audit'),
  );
  if (isSpokenOf) return filters;
  return composeFilters([...levels, [{ ...DENY_ALL, ...(isTriedOut && AUDITED), owner: describe(mesh.mesh) }]]);
}

function isProtecting(filter: string): boolean {
  return FILTERS_BY_NAME.get(filter)?.composition === 'narrows';
}

/** Whether it protects requests, and can do nothing about what is not read. */
function isHttpOnly({ filter }: AskedFilter): boolean {
  return filter !== 'authorize' && isProtecting(filter);
}

/** Who wrote the policy may have meant a port of HTTP, and nobody has said that this is none. */
const WHY_CLOSED =
  'A policy protects requests to the Service, and this port was found to speak no HTTP: set appProtocol of the port';

/** What `authorization: deny` of a mesh is, until a policy says who may. */
const DENY_ALL: Omit<AskedFilter, 'owner'> = {
  filter: 'authorize',
  config: { rules: [], default: 'deny', reveal: false },
  field: '/spec/authorization',
};

const AUDITED: Pick<AskedFilter, 'mode'> = { mode: 'audit' };
