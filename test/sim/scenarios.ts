/** Every scenario of the simulation. */
import { endpointChange } from './change.ts';
import { controlRestart } from './restart.ts';
import { replicaLost } from './replica.ts';
import { rootRotation } from './rotation.ts';
import type { Scenario } from './scenario.ts';

export const SCENARIOS: readonly Scenario[] = [
  { name: 'change', about: 'one endpoint comes or goes, with everybody connected', run: endpointChange },
  { name: 'restart', about: 'the only control plane is killed and comes back five seconds later', run: controlRestart },
  { name: 'replica', about: 'one of three control planes is killed, and does not come back', run: replicaLost },
  { name: 'rotation', about: 'the root is rotated at once, while one proxy is cut off for 20 s', run: rootRotation },
];
