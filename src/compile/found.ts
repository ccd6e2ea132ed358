import type { AcmePassResult } from './acme-pass.ts';
import type { ClusterResult } from './cluster.ts';
import type { GatewayPassResult } from './gateway-pass.ts';
import type { MeshFound } from './mesh-pass.ts';
import type { Passage } from './passages.ts';
import type { RouteResult } from './route.ts';
import type { StreamResult } from './stream-route.ts';
import type { Inventory } from './tables.ts';
import type { PolicyTargets } from './targets.ts';

/** Everything that one compile found out. */
export interface Found {
  readonly inventory: Inventory;
  readonly gateways: GatewayPassResult;
  readonly acme: AcmePassResult;
  readonly routes: readonly RouteResult[];
  /** Routes below HTTP. */
  readonly streams: readonly StreamResult[];
  /** What east-west gateways pass on. */
  readonly passages: readonly Passage[];
  readonly clusters: ReadonlyMap<string, ClusterResult>;
  readonly targets: readonly PolicyTargets[];
  readonly mesh: MeshFound;
}
