import type { LaterRoute } from '../resource/resource.ts';
import type { Attached } from './attach.ts';
import type { ClusterResult } from './cluster.ts';
import type { GatewayPassResult } from './gateway-pass.ts';
import type { RouteResult } from './route.ts';
import type { Inventory } from './tables.ts';
import type { PolicyTargets } from './targets.ts';

/** Everything that one compile found out. */
export interface Found {
  readonly inventory: Inventory;
  readonly gateways: GatewayPassResult;
  readonly routes: readonly RouteResult[];
  /** Kinds of routes that are read but not served yet. */
  readonly laterRoutes: readonly { readonly route: LaterRoute; readonly attached: Attached }[];
  readonly clusters: ReadonlyMap<string, ClusterResult>;
  readonly targets: readonly PolicyTargets[];
}
