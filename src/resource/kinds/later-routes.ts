import { hostname, parentRefs, useDefaultGateways } from '../fields.ts';
import { type Static, Type } from '../../schema/schema.ts';

/** Routes that are read but not served yet: what is needed to attach, count and name them. */
export const LaterRouteSpec = Type.Object({
  parentRefs,
  useDefaultGateways,
  hostnames: Type.Array(hostname({ description: 'Host name, or `*.` and a host name.' }), {
    maxItems: 16,
    default: [],
    description: 'Hosts that the route serves, for TLSRoute.',
  }),
});
export type LaterRouteSpec = Static<typeof LaterRouteSpec>;
