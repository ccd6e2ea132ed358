/** Endpoints of a Backend, from wherever it has them. Those of Consul were put there before (control/discovered.ts). */
import type { PlanEndpoint } from '../ir/plan.ts';
import { type Backend, keyOf } from '../resource/resource.ts';
import { error, type Finding } from './finding.ts';
import { brokenAt, missing, type Reference, resolveCa } from './reference.ts';
import { lookUp, type Look } from './tables.ts';

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

/** What is wrong with the references by which Consul is asked. With one of them broken it is not asked at all. */
export function consulFindings(backend: Backend, look: Look): Finding[] {
  const { consul } = backend.spec;
  if (consul === undefined) return [];
  const { namespace } = backend.metadata;
  const findings: Finding[] = [];
  if (consul.tokenRef !== undefined) {
    const { name, key } = consul.tokenRef;
    const to: Reference = { group: '', kind: 'Secret', namespace, name };
    const secret = lookUp(look, 'Secret', to);
    const field = '/spec/consul/tokenRef';
    if (secret === undefined) findings.push(brokenAt(backend, field, missing(to, 'RefNotFound')));
    else if (!secret.data.has(key)) {
      const message = `Secret ${namespace}/${name} has no key "${key}"`;
      findings.push(error('reference.missing', backend, { field, message, related: [keyOf(secret)] }));
    }
  }
  for (const [i, { kind, name }] of consul.caCertificateRefs.entries()) {
    const to: Reference = { group: '', kind, namespace, name };
    const found = resolveCa(backend, to, { look, reasons: { invalid: 'InvalidCACertificateRef' } });
    if (found.broken === undefined) continue;
    findings.push(brokenAt(backend, `/spec/consul/caCertificateRefs/${i}`, found.broken));
  }
  return findings;
}
