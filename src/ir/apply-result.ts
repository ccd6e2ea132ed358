import type { PortStates } from './port-state.ts';

/** Answer of a proxy to a delta. `nack` leaves the proxy on the plan it had. */
export type ApplyResult =
  | { readonly kind: 'ack'; readonly version: string; readonly ports: PortStates }
  | { readonly kind: 'nack'; readonly version: string; readonly reason: string };
