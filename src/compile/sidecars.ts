/** Which endpoints of a Service have a sidecar: what decides where its policies act, and how it is reached. */
import { keyOf, type Service, type Workload } from '../resource/resource.ts';
import { meshOf, type MeshPlace, type MeshView, settingsAt } from './mesh.ts';
import { hasPeers } from './mesh-peers.ts';
import { appPortOf } from './mesh-port.ts';
import { addressesOf } from './slice-endpoints.ts';
import type { Look } from './tables.ts';

/** `all`: every endpoint that is spoken to. `some`: others are reached in clear text. */
export type Sidecars = 'all' | 'some';

/** Undefined for a Service without any: it is reached as if there were no mesh. */
export function sidecarsOf(service: Service, look: Look): Sidecars | undefined {
  const key = keyOf(service);
  const workloads = look('workloads', key) ?? [];
  const mesh = meshOf(look);
  if (!workloads.some(({ spec }) => spec.proxyPort !== undefined) && !hasPeers(mesh, service)) return undefined;
  const { namespace, name } = service.metadata;
  if (service.spec.ports.every(({ port }) => isStrict(mesh, { namespace, service: name, port }))) return 'all';
  if (workloads.some(({ spec }) => spec.proxyPort === undefined)) return 'some';
  // What a workload does not say it serves, its sidecar does not take in.
  const isWhole = ({ spec: { ports } }: Workload): boolean =>
    service.spec.ports.every((port) => port.protocol !== 'TCP' || appPortOf(port, service, ports) !== undefined);
  const known = new Set(workloads.filter(isWhole).map(({ spec }) => spec.address));
  return addressesOf(look('slices', key) ?? []).every((address) => known.has(address)) ? 'all' : 'some';
}

/** Whether a Mesh says that nothing is spoken to in clear text there. Without a Mesh nobody has said so. */
export function isStrict(view: MeshView, place: MeshPlace): boolean {
  return view.mesh !== undefined && settingsAt(view, place).mtls === 'strict';
}
