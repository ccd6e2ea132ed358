/** The page of defaults: what holds where neither a policy nor a route says anything. */
import { CONNECTION_LIMITS, CONNECTION_TIMEOUTS } from '../src/base/limits.ts';
import {
  CLUSTER_SETTINGS,
  LISTENER_SETTINGS,
  PEER_SETTINGS,
  RETRY,
  RETRY_ATTEMPTS_MAX,
  TLS_POLICY,
} from '../src/compile/defaults.ts';

export function defaultsPage(): string {
  return [
    '# Defaults',
    '',
    'What holds where nobody said anything. Times and shares are written here as the plan has them; in manifests they are',
    'durations (`connectTimeout: 4s`) and percentages (`retryBudgetPercent: 20`).',
    '',
    '## Listeners',
    '',
    'Changed by `spec.listener` (tunnels: `spec.tunnel`) of a [Policy](kinds/policy.md) on a Gateway, a ListenerSet or one of their listeners. Limits',
    'and timeouts belong to the port: of listeners that share one, the first one speaks for it.',
    '',
    ...table({
      limits: CONNECTION_LIMITS,
      timeouts: CONNECTION_TIMEOUTS,
      ...LISTENER_SETTINGS,
      tls: TLS_POLICY,
    }),
    '',
    '## Backends',
    '',
    'Changed by a [BackendPolicy](kinds/backendpolicy.md). Connections and requests are counted per endpoint and worker.',
    '',
    ...table(CLUSTER_SETTINGS),
    '',
    'Where the other end is a proxy of a mesh, which answers a ping at once whatever its application does:',
    '',
    ...table({ http2: differing(PEER_SETTINGS.http2, CLUSTER_SETTINGS.http2) }),
    '',
    '## Routes',
    '',
    'A route without `timeouts` has none, and one without `retry` makes no second attempt but those that are always safe. A',
    `\`retry\` that says no more than its codes has these values; more than ${RETRY_ATTEMPTS_MAX} attempts are never made.`,
    '',
    ...table(RETRY),
  ].join('\n');
}

function differing(settings: object, others: object): object {
  const known = Object.entries(others);
  return Object.fromEntries(
    Object.entries(settings).filter(([name, value]) => !known.some(([n, v]) => n === name && v === value)),
  );
}

function table(settings: object): string[] {
  return ['| Setting | Default |', '|---|---|', ...rowsOf(settings, '')];
}

function rowsOf(settings: object, prefix: string): string[] {
  return Object.entries(settings).flatMap(([name, value]: [string, unknown]) => {
    const isGroup = typeof value === 'object' && value !== null && !Array.isArray(value);
    return isGroup ? rowsOf(value, `${prefix}${name}.`) : [`| \`${prefix}${name}\` | \`${JSON.stringify(value)}\` |`];
  });
}
