/** Every scenario of the simulation. */
import { endpointChange } from './change.ts';
import type { Scenario } from './scenario.ts';

export const SCENARIOS: readonly Scenario[] = [
  { name: 'change', about: 'one endpoint comes or goes, with everybody connected', run: endpointChange },
];
