/** Settings of listeners, from what policies ask for and the defaults. */
import {
  CONNECTION_LIMITS,
  CONNECTION_TIMEOUTS,
  type ConnectionLimits,
  type ConnectionTimeouts,
  type TunnelLimits,
  UDP_LIMITS,
  type UdpLimits,
} from '../base/limits.ts';
import type { AccessLogPolicy, PlanListenerSettings, PlanProxyProtocol, PlanRule, TlsPolicy } from '../ir/plan.ts';
import { durationOr, timeoutMs } from '../base/duration.ts';
import type { PolicyProxyProtocol } from '../resource/kinds/policy.ts';
import type { Policy } from '../resource/resource.ts';
import { parseSize } from '../resource/size.ts';
import { LISTENER_SETTINGS, TLS_POLICY } from './defaults.ts';
import { type AskedSetting, composeSettings, type Level } from './policies.ts';
import type { AskedTls } from './tls-policy.ts';

export interface ListenerSettings {
  readonly listener: PlanListenerSettings;
  readonly limits: ConnectionLimits;
  readonly timeouts: ConnectionTimeouts;
  readonly tls: AskedTls;
  /** Undefined: no header of it is read. */
  readonly proxyProtocol: PlanProxyProtocol | undefined;
  readonly udp: UdpLimits;
  /** Policies that say something of the port, which listeners of one port share. */
  readonly portPolicies: readonly Policy[];
}

/** @param levels  of the Gateway, the ListenerSet if any, and the listener; farthest first */
export function settingsFor(levels: readonly (Level | undefined)[]): ListenerSettings {
  const asked = composeSettings(levels);
  if (asked.size === 0) return NOTHING_ASKED;
  return {
    listener: listenerSettings(asked),
    limits: fill(CONNECTION_LIMITS, 'limits', { asked, read: (value) => parseSize(value as string | number) }),
    timeouts: timeouts(asked),
    tls: tlsAsked(asked),
    proxyProtocol: proxyProtocol(asked),
    udp: udpLimits(asked),
    portPolicies: [...asked.values()]
      .filter(({ path }) => /^(limits\/|timeouts\/|proxyProtocol)/.test(path))
      .map(({ policy }) => policy),
  };
}

const NOTHING_ASKED: ListenerSettings = {
  listener: LISTENER_SETTINGS,
  limits: CONNECTION_LIMITS,
  timeouts: CONNECTION_TIMEOUTS,
  tls: { values: {}, places: {} },
  proxyProtocol: undefined,
  udp: UDP_LIMITS,
  portPolicies: [],
};

export type Asked = ReadonlyMap<string, AskedSetting>;

function listenerSettings(asked: Asked): PlanListenerSettings {
  const { path, accessLog, tunnel } = LISTENER_SETTINGS;
  const top = fill(LISTENER_SETTINGS, undefined, { asked });
  return {
    ...top,
    path: fill(path, 'path', { asked }),
    httpVersions: fill({ versions: top.httpVersions }, 'http', { asked }).versions,
    accessLog: accessLogPolicy(accessLog, asked),
    tunnel: { ...tunnel, ...tunnelLimits(asked) },
  };
}

/** What was asked of tunnels, if anything: `idle` in the manifest, `idleMs` in the plan. */
export function tunnelLimits(asked: Asked): Partial<TunnelLimits> | undefined {
  const ms = (field: string): number | undefined =>
    durationOr(asked.get(`tunnel/${field}`)?.value as string | undefined, undefined);
  const [idleMs, maxMs, halfClosedMs] = [ms('idle'), ms('max'), ms('halfClosed')];
  if (idleMs === undefined && maxMs === undefined && halfClosedMs === undefined) return undefined;
  return {
    ...(idleMs !== undefined && { idleMs }),
    ...(maxMs !== undefined && { maxMs }),
    ...(halfClosedMs !== undefined && { halfClosedMs }),
  };
}

const NO_TIMEOUTS: PlanRule['timeouts'] = {};

interface AskedTimeouts {
  readonly request?: string | undefined;
  readonly backendRequest?: string | undefined;
}

/** Limits of the requests of a rule. */
export function routeTimeouts({ request, backendRequest }: AskedTimeouts): PlanRule['timeouts'] {
  const requestMs = timeoutMs(request);
  const backendRequestMs = timeoutMs(backendRequest);
  if (requestMs === undefined && backendRequestMs === undefined) return NO_TIMEOUTS;
  return { ...(requestMs !== undefined && { requestMs }), ...(backendRequestMs !== undefined && { backendRequestMs }) };
}

/** `samplePercent` in the manifest, a fraction in the plan; header names in lower case. */
function accessLogPolicy(defaults: AccessLogPolicy, asked: Asked): AccessLogPolicy {
  const percent = asked.get('accessLog/samplePercent')?.value as number | undefined;
  const filled = fill(defaults, 'accessLog', { asked });
  return {
    ...filled,
    headers: filled.headers.map((name) => name.toLowerCase()),
    ...(percent !== undefined && { sample: percent / 100 }),
  };
}

/** `head` in the manifest, `headMs` in the plan. */
function timeouts(asked: Asked): ConnectionTimeouts {
  const values = Object.entries(CONNECTION_TIMEOUTS).map(([name, ms]: [string, number]) => {
    const text = asked.get(`timeouts/${name.slice(0, -'Ms'.length)}`)?.value as string | undefined;
    return [name, durationOr(text, ms)];
  });
  return Object.fromEntries(values) as unknown as ConnectionTimeouts;
}

function tlsAsked(asked: Asked): AskedTls {
  const found = Object.keys(TLS_POLICY).flatMap((name) => {
    const setting = asked.get(`tls/${name}`);
    return setting === undefined ? [] : [{ name, ...setting }];
  });
  return {
    values: Object.fromEntries(found.map(({ name, value }) => [name, value])) as Partial<TlsPolicy>,
    places: Object.fromEntries(
      found.map(({ name, policy, path }) => [name, { owner: policy, field: `/spec/listener/${path}` }]),
    ),
  };
}

/** Said as a whole: peers that are trusted for one mode are not those for another. */
function proxyProtocol(asked: Asked): PlanProxyProtocol | undefined {
  const said = asked.get('proxyProtocol')?.value as PolicyProxyProtocol | undefined;
  if (said === undefined || said.mode === 'off') return undefined;
  return { mode: said.mode, trustedPeers: said.trustedPeers };
}

function udpLimits(asked: Asked): UdpLimits {
  const idle = asked.get('udp/idleTimeout')?.value as string | undefined;
  const sessionsMax = asked.get('udp/sessionsMax')?.value as number | undefined;
  return {
    idleMs: durationOr(idle, UDP_LIMITS.idleMs),
    sessionsMax: sessionsMax ?? UDP_LIMITS.sessionsMax,
  };
}

interface Source {
  readonly asked: Asked;
  readonly read?: (value: unknown) => unknown;
}

/** `defaults` with what was asked for under `area`, field by field. */
function fill<T extends object>(defaults: T, area: string | undefined, { asked, read = (value) => value }: Source): T {
  const filled = Object.keys(defaults).map((name) => {
    const setting = asked.get(area === undefined ? name : `${area}/${name}`);
    return [name, setting === undefined ? defaults[name as keyof T] : read(setting.value)];
  });
  return Object.fromEntries(filled) as T;
}
