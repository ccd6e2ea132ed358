/** Endpoints of a Service of the mesh: its Workloads, at their sidecars where they have one. */
import type { PlanClusterTls, PlanEndpoint } from '../ir/plan.ts';
import { describe, keyOf, type Workload } from '../resource/resource.ts';
import { warning } from './finding.ts';
import { identityOf, MESH_TLS, meshOf, type MeshPlace, SELF, serverNameOf } from './mesh.ts';
import { type ServicePeer, peersOf } from './mesh-peers.ts';
import { appPortOf } from './mesh-port.ts';
import { NONE } from './settled.ts';
import { isStrict } from './sidecars.ts';
import { type EndpointWork, type PortTarget, serviceEndpoints } from './slice-endpoints.ts';
import type { Look } from './tables.ts';

/** How a port of a Service is reached. */
export interface Reached {
  readonly endpoints: readonly PlanEndpoint[];
  /** Between proxies; absent where no endpoint has a sidecar. */
  readonly tls?: PlanClusterTls;
}

export function reachPort(target: PortTarget, work: EndpointWork): Reached {
  const { look, transport } = work;
  const workloads = look('workloads', keyOf(target.resource)) ?? NONE;
  const peers = peersOf(meshOf(look), target.resource);
  // Datagrams are nothing that sidecars take.
  const isOutside = (workloads.length === 0 && peers.length === 0) || target.resource.spec.type === 'ExternalName';
  if (isOutside || transport === 'UDP') return { endpoints: serviceEndpoints(target, work) };
  const { metadata } = target.resource;
  const place: MeshPlace = { namespace: metadata.namespace, service: metadata.name, port: target.port.port };
  const instances = readInstances(workloads, target, work);
  const clear = [...instances.clear, ...sliceEndpoints(target, instances.known, work)];
  const sidecars = [...instances.sidecars.values()];
  const open = isStrict(meshOf(look), place) ? refused(target, clear, work) : clear;
  if (instances.identities.size === 0 && peers.length === 0) return { endpoints: open };
  const identities = new Set([...instances.identities, ...peers.flatMap((peer) => peer.identities)]);
  return {
    endpoints: [
      ...sidecars,
      ...open.map((endpoint): PlanEndpoint => ({ ...endpoint, clear: true })),
      ...peers.flatMap(({ endpoints }) => endpoints),
    ],
    tls: meshTls(place, { identities: [...identities].toSorted(), peers }, work),
  };
}

/**
 * Sidecars of our own that take in a port: what an east-west gateway passes bytes on to. Never a gateway of a peer, so that
 * nothing goes in a circle.
 */
export function passPort(target: PortTarget, look: Look): readonly PlanEndpoint[] {
  const workloads = look('workloads', keyOf(target.resource)) ?? NONE;
  // What is wrong with them is said of the clusters that lead to them straight.
  return [...readInstances(workloads, target, { look, findings: [], transport: 'TCP' }).sidecars.values()];
}

interface Instances {
  readonly sidecars: ReadonlyMap<string, PlanEndpoint>;
  readonly clear: readonly PlanEndpoint[];
  /** Address and port of every application, so that an EndpointSlice does not name it a second time. */
  readonly known: ReadonlySet<string>;
  /** Also of those that are not ready: connections to them may be under way. */
  readonly identities: ReadonlySet<string>;
}

function readInstances(
  workloads: readonly Workload[],
  { resource, port }: PortTarget,
  { look, findings }: EndpointWork,
): Instances {
  const mesh = meshOf(look);
  const sidecars = new Map<string, PlanEndpoint>();
  const clear = new Map<string, PlanEndpoint>();
  const known = new Set<string>();
  const identities = new Set<string>();
  let isServed = false;
  for (const workload of workloads) {
    const { address, ports, proxyPort, weight, zone, health } = workload.spec;
    const number = appPortOf(port, resource, ports);
    if (number === undefined) continue;
    isServed = true;
    known.add(`${address} ${number}`);
    if (proxyPort !== undefined) {
      const identity = identityOf(mesh, workload);
      // Its sidecar may still be there: nobody is to speak to it.
      if (mesh.denied.has(identity)) continue;
      identities.add(identity);
    }
    if (health !== 'ready') continue;
    const endpoint = { address, port: proxyPort ?? number, weight, ...(zone !== undefined && { zone }) };
    (proxyPort === undefined ? clear : sidecars).set(`${address} ${endpoint.port}`, endpoint);
  }
  if (!isServed && workloads.length > 0) {
    const names = new Set(workloads.flatMap(({ spec }) => Object.keys(spec.ports)));
    const has = [...names].map((name) => `"${name}"`).join(', ');
    const message = `No Workload of ${describe(resource)} has a port for port ${port.port}${port.name === undefined ? '' : ` "${port.name}"`}: they have ${has}`;
    const related = workloads.map(keyOf);
    findings.push(warning('service.no-endpoints', resource, { field: '/spec/ports', message, related }));
  }
  return { sidecars, clear: [...clear.values()], known, identities };
}

/** What EndpointSlices name that is no Workload. */
function sliceEndpoints(target: PortTarget, known: ReadonlySet<string>, work: EndpointWork): PlanEndpoint[] {
  if (work.look('slices', keyOf(target.resource)) === undefined) return [];
  return serviceEndpoints(target, work).filter(({ address, port }) => !known.has(`${address} ${port}`));
}

/** Endpoints without a sidecar where the mesh is strict. */
function refused({ resource, port }: PortTarget, clear: readonly PlanEndpoint[], { findings }: EndpointWork): never[] {
  if (clear.length === 0) return [];
  const named = clear.slice(0, NAMED_MAX).map(({ address }) => address);
  const rest = clear.length - named.length;
  const who = `${named.join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
  const message = `The mesh is strict for port ${port.port} of ${describe(resource)}, so endpoints without a sidecar get nothing: ${who}`;
  findings.push(warning('mesh.clear-text', resource, { field: '/spec', message }));
  return [];
}

/** Endpoints that a message names. */
const NAMED_MAX = 3;

interface Trusted {
  readonly identities: readonly string[];
  readonly peers: readonly ServicePeer[];
}

/** A peer must be one of the service's own identities: another workload of the mesh cannot stand in for it. */
function meshTls(place: MeshPlace, { identities, peers }: Trusted, { look }: EndpointWork): PlanClusterTls {
  const { roots, federation } = meshOf(look);
  const federated = federation.filter((one) => peers.some((peer) => peer.trustDomain === one.trustDomain));
  const common = {
    serverName: serverNameOf(place),
    cas: roots,
    ...(federated.length > 0 && { federated }),
    subjectAltNames: identities.map((value) => ({ kind: 'uri', value }) as const),
    policy: MESH_TLS,
  };
  // Without roots nobody could be verified, and nothing goes out unverified.
  return roots.length === 0 ? { ...common, state: 'invalid' } : { ...common, clientCertificate: SELF, state: 'ok' };
}
