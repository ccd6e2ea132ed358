/** Routes below HTTP: whole connections and datagrams go to backends, unread. */
import { backendObjectFields, hostname, parentRefs, sectionName, useDefaultGateways } from '../fields.ts';
import type { Finding } from '../kind.ts';
import { distinctReferences, servicePort } from '../rules.ts';
import { type Static, Type } from '../../schema/schema.ts';

const strict = { additionalProperties: false };

const StreamBackendRef = Type.Object(
  {
    ...backendObjectFields,
    weight: Type.Integer({
      minimum: 0,
      maximum: 1_000_000,
      default: 1,
      description: 'Share of the connections (UDP: sessions), relative to the sum of all weights of the rule.',
    }),
  },
  strict,
);
export type StreamBackendRef = Static<typeof StreamBackendRef>;

/** Nothing tells two rules of such a route apart, so there is one. */
const rules = Type.Array(
  Type.Object(
    {
      name: Type.Optional(sectionName({ description: 'Name of the rule.' })),
      backendRefs: Type.Array(StreamBackendRef, {
        minItems: 1,
        maxItems: 16,
        description: 'Where connections (UDP: sessions) go, by weight.',
      }),
    },
    strict,
  ),
  { minItems: 1, maxItems: 1, description: 'One rule: there is nothing that could choose between several.' },
);

export const TLSRouteSpec = Type.Object(
  {
    parentRefs,
    useDefaultGateways,
    hostnames: Type.Array(hostname({ description: 'Server name of the handshake, or `*.` and a name.' }), {
      maxItems: 16,
      default: [],
      description: 'Server names that the route serves. Empty: all of its listeners.',
    }),
    rules,
  },
  strict,
);
export type TLSRouteSpec = Static<typeof TLSRouteSpec>;

/** TCPRoute and UDPRoute. */
export const PortRouteSpec = Type.Object({ parentRefs, useDefaultGateways, rules }, strict);
export type PortRouteSpec = Static<typeof PortRouteSpec>;

export function streamRouteRules({ spec }: { readonly spec: PortRouteSpec }): Finding[] {
  return [
    ...distinctReferences(spec.parentRefs, '/spec/parentRefs'),
    ...spec.rules.flatMap((rule, i) =>
      rule.backendRefs.flatMap((backend, j) => servicePort(backend, `/spec/rules/${i}/backendRefs/${j}`)),
    ),
  ];
}
