/** One running instance of a service. Written by hand, or by the control plane for each sidecar that is connected. */
import { isIP } from 'node:net';
import { objectName, portNumber, sectionName, zoneName } from '../fields.ts';
import type { Finding } from '../kind.ts';
import { finding } from '../rules.ts';
import { type Static, Type } from '../../schema/schema.ts';

/** Number of the port at which sidecars take mTLS, unless a Workload says another one. */
export const SIDECAR_PORT = 15_008;

export const WorkloadSpec = Type.Object(
  {
    service: objectName({ description: 'Name of the Service that it is an instance of, in the same namespace.' }),
    account: Type.Optional(sectionName({ description: 'Account in its identity. Default: the name of the service.' })),
    address: Type.String({
      minLength: 1,
      maxLength: 45,
      expected: 'an IP address',
      description: 'IP address that it is reached at.',
    }),
    ports: Type.Record(
      Type.String({
        pattern: '^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$',
        expected: 'the name of a port: lower-case letters, digits and "-"',
      }),
      Type.Integer({ minimum: 1, maximum: 65_535 }),
      {
        minProperties: 1,
        maxProperties: 64,
        description:
          'Numbers of the ports of the application, by name: that of a port of the Service, or of its target port.',
      },
    ),
    protocols: Type.Optional(
      Type.Record(Type.String(), Type.Enum(['http', 'h2c', 'tcp']), {
        maxProperties: 64,
        description: 'What its sidecar has found ports to speak that nobody has said it of, by their names.',
      }),
    ),
    proxyPort: Type.Optional(
      portNumber({
        description: `Port at which its sidecar takes mTLS, usually ${SIDECAR_PORT}. Absent: it has no sidecar, and its ports are reached as they are.`,
      }),
    ),
    zone: Type.Optional(
      zoneName({ description: 'Zone that it runs in: `eu/a`, the region before the slash, or `a`.' }),
    ),
    weight: Type.Integer({
      minimum: 0,
      maximum: 1_000_000,
      default: 1,
      description: 'Share of the requests, relative to the other instances.',
    }),
    health: Type.Enum(['ready', 'not-ready', 'draining'], {
      default: 'ready',
      description: 'Only what is ready gets requests. Those that are running end in peace.',
    }),
  },
  { additionalProperties: false },
);
export type WorkloadSpec = Static<typeof WorkloadSpec>;

export function workloadRules({ spec }: { readonly spec: WorkloadSpec }): Finding[] {
  const findings: Finding[] = [];
  if (isIP(spec.address) === 0) {
    findings.push(finding('/spec/address', `Expected an IP address, got "${spec.address}"`));
  }
  for (const [name, port] of Object.entries(spec.ports)) {
    if (port !== spec.proxyPort) continue;
    findings.push(finding(`/spec/ports/${name}`, `Expected another port than that of the sidecar, got ${port}`));
  }
  return findings;
}
