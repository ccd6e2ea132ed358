/** Endpoints of a Backend, from wherever it has them. Those of Consul were put there before (control/discovered.ts). */
import type { PlanEndpoint } from '../ir/plan.ts';
import type { Backend } from '../resource/resource.ts';

const RECORDS = { A: 'a', AAAA: 'aaaa', SRV: 'srv' } as const;

export function backendEndpoints({ spec: { endpoints, dns } }: Backend): readonly PlanEndpoint[] {
  if (dns === undefined) return endpoints;
  const { name, type, port = 0, zone } = dns;
  const endpoint: PlanEndpoint = {
    address: name,
    port,
    weight: 1,
    ...(type !== undefined && { records: RECORDS[type] }),
    ...(zone !== undefined && { zone }),
  };
  return [endpoint];
}
