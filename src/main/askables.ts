/** Proxies that can be asked from this process: its own, and those that are connected to it. */
import type { AskTo } from '../base/asking.ts';
import type { Askable, Askables } from '../control/survey.ts';
import type { MeshControl } from './mesh-control.ts';

export interface AskableParts {
  readonly fleet: { readonly askTo: AskTo };
  /** Whether the proxies of this process serve anything. */
  readonly serves: 'gateways' | 'nothing';
  readonly mesh: () => MeshControl | undefined;
}

/** Of a control plane. */
export function askablesOf({ fleet, serves, mesh }: AskableParts): Askables {
  const own = (): Askable[] => {
    if (serves === 'nothing') return [];
    const name = mesh()?.gatewayName ?? { instance: 'gateway', identity: '' };
    return [{ ...name, role: 'gateway', services: [], ask: fleet.askTo }];
  };
  return {
    list: () => [...own(), ...(mesh()?.askables.list() ?? [])],
    onJoined: (told) => mesh()?.askables.onJoined(told) ?? ignore,
  };
}

/** Of a proxy, for itself. */
export function onlyAskable(proxy: Askable): Askables {
  return { list: () => [proxy], onJoined: () => ignore };
}

const ignore = (): void => undefined;
