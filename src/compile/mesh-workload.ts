/** One Workload as clients see it that call its address instead of a name: straight to it, and still by mTLS. */
import { canonicalJson } from '../base/canonical.ts';
import type { PlanCluster } from '../ir/plan.ts';
import { keyOf, resourceKey, type Workload } from '../resource/resource.ts';
import type { BackendTarget } from './backend.ts';
import { clusterKey } from './backend.ts';
import type { ClusterNeed } from './cluster.ts';
import { meshOf } from './mesh.ts';
import { everythingTo, type OutboundPort, type ServiceView } from './mesh-outbound.ts';
import { appPortOf, speechOf } from './mesh-port.ts';
import type { Look } from './tables.ts';

export interface WorkloadView extends ServiceView {
  readonly ports: readonly (OutboundPort & { readonly need: ClusterNeed })[];
}

export function workloadView(workload: Workload, look: Look): WorkloadView {
  const { metadata, spec } = workload;
  const service = look('Service', resourceKey('Service', metadata.namespace, spec.service));
  const host = spec.address.includes(':') ? `[${spec.address}]` : spec.address;
  const ports = new Map<number, WorkloadView['ports'][number]>();
  for (const port of service?.spec.ports ?? []) {
    const number = appPortOf(port, service!, spec.ports);
    if (number === undefined || port.protocol !== 'TCP' || ports.has(number)) continue;
    const { kind } = speechOf(port, meshOf(look).spec.defaultProtocol);
    const target: BackendTarget = { kind: 'Service', resource: service!, port };
    const variant = { certificateOf: undefined, ...(kind === 'tcp' && { stream: kind }) };
    ports.set(number, {
      key: `${keyOf(workload)}/${number}`,
      port: number,
      kind,
      names: [`${host}:${number}`],
      need: { key: clusterKey(target, variant), target, ...variant },
    });
  }
  const all = [...ports.values()];
  const attachOf = (key: string): { listener: string; hosts: string[] }[] => [{ listener: key, hosts: ['*'] }];
  return {
    ports: all,
    routes: all
      .filter(({ kind }) => kind === 'http')
      .map(({ key }) => [key, { createdMs: 0, attach: attachOf(key), rules: [everythingTo(key, key)] }]),
    streams: all
      .filter(({ kind }) => kind === 'tcp')
      .map(({ key }) => [
        key,
        { name: key, createdMs: 0, attach: attachOf(key), backends: [{ weight: 1, cluster: key }] },
      ]),
    needs: [],
    values: new Map(),
  };
}

/**
 * The cluster of a Service with one of its Workloads alone.
 *
 * @param before  given again when it is the same
 */
export function onlyTo(
  { spec: { address, proxyPort, ports } }: Workload,
  cluster: PlanCluster,
  before: PlanCluster | undefined,
): PlanCluster {
  const numbers = proxyPort === undefined ? Object.values(ports) : [proxyPort];
  const endpoints = cluster.endpoints.filter((one) => one.address === address && numbers.includes(one.port));
  const only = { ...cluster, endpoints };
  return before !== undefined && canonicalJson(before) === canonicalJson(only) ? before : only;
}
