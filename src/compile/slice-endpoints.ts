/** Endpoints of a Service as Kubernetes has them: from its EndpointSlices, or the one name that it stands for. */
import type { PlanEndpoint } from '../ir/plan.ts';
import { describe, type EndpointSlice, keyOf, type Service } from '../resource/resource.ts';
import type { ServicePort } from './backend.ts';
import { type Finding, warning } from './finding.ts';
import { meshOf } from './mesh.ts';
import type { Look } from './tables.ts';

export interface EndpointWork {
  readonly transport: 'TCP' | 'UDP';
  readonly look: Look;
  readonly findings: Finding[];
}

/** A port of a Service. */
export interface PortTarget {
  readonly resource: Service;
  readonly port: ServicePort;
}

export function serviceEndpoints(
  { resource, port }: PortTarget,
  { look, findings, transport }: EndpointWork,
): PlanEndpoint[] {
  const { type, externalName } = resource.spec;
  if (type === 'ExternalName' && externalName !== undefined) {
    const number = typeof port.targetPort === 'number' ? port.targetPort : port.port;
    return [{ address: externalName, port: number, weight: 1 }];
  }
  const slices = look('slices', keyOf(resource));
  if (slices === undefined) {
    const isMesh = meshOf(look).mesh !== undefined;
    const message = isMesh
      ? `${describe(resource)} has no Workload yet, so requests to it answer 503 until an instance of it joins the mesh`
      : `${describe(resource)} has no EndpointSlice, so requests to it answer 503: without Kubernetes use a Backend, or type ExternalName`;
    findings.push(
      warning(isMesh ? 'service.no-workload' : 'service.no-endpoints', resource, { field: '/spec', message }),
    );
    return [];
  }
  const endpoints = new Map<string, PlanEndpoint>();
  const ending = new Map<string, PlanEndpoint>();
  const isHinted = slices.every((slice) => slice.endpoints.every(({ hints }) => (hints?.forZones.length ?? 0) > 0));
  const names = new Set<string>();
  let portFound = false;
  for (const slice of slices) {
    for (const { name } of slice.ports) names.add(name);
    const slicePort = slice.ports.find(({ name, protocol }) => name === (port.name ?? '') && protocol === transport);
    if (slicePort === undefined) continue;
    portFound = true;
    const number = slicePort.port ?? (typeof port.targetPort === 'number' ? port.targetPort : port.port);
    for (const { addresses, conditions, zone, hints } of slice.endpoints) {
      const address = addresses[0]!;
      const endpoint: PlanEndpoint = {
        address,
        port: number,
        weight: 1,
        ...(zone !== undefined && { zone }),
        ...(isHinted && { forZones: hints!.forZones.map(({ name }) => name) }),
      };
      // Absent means ready (EndpointSlice API).
      if (conditions.ready !== false) endpoints.set(`${address} ${number}`, endpoint);
      else if (conditions.serving === true && conditions.terminating === true)
        ending.set(`${address} ${number}`, endpoint);
    }
  }
  if (!portFound && names.size > 0) {
    const has = [...names].map((name) => `"${name}"`).join(', ');
    const message = `No EndpointSlice of ${describe(resource)} has a port named "${port.name ?? ''}", as port ${port.port} of the Service is: they have ${has}`;
    findings.push(
      warning('service.no-endpoints', resource, { field: '/spec/ports', message, related: slices.map(keyOf) }),
    );
  }
  // Where nobody is ready, those that still serve while they end are better than nobody (KEP-1669).
  return [...(endpoints.size > 0 ? endpoints : ending).values()];
}

/** All addresses, whatever their state. */
export function addressesOf(slices: readonly EndpointSlice[]): string[] {
  return slices.flatMap(({ endpoints }) => endpoints.map(({ addresses }) => addresses[0]!));
}
