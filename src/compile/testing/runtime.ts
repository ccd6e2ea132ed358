/** A runtime for statuses: proxies that have applied everything and bound every port. */
import type { PortState, PortStates } from '../../ir/port-state.ts';
import type { Compiled } from '../compile.ts';
import type { RuntimeState } from '../status-item.ts';

export const BIND = '0.0.0.0';

/** @param failures  error codes by key of the plan, for ports that cannot be bound */
export function runtimeOf(
  { bundle: { plan } }: Compiled,
  failures: Readonly<Record<string, string>> = {},
): RuntimeState {
  const ports: PortStates = Object.fromEntries(
    Object.entries(plan.ports).map(([key, port]): [string, PortState] => {
      const address = port.address === '*' ? BIND : port.address;
      const error = failures[key];
      if (error === undefined) return [key, { state: 'bound', address, port: port.port }];
      return [key, { state: 'failed', address, port: port.port, error, message: `Cannot bind ${key}: ${error}` }];
    }),
  );
  return { bind: BIND, ports, appliedVersion: plan.version };
}
