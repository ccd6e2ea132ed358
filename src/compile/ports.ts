/**
 * Ports: listeners of all Gateways and ListenerSets that share an address and a
 * port are served together when their protocol is the same and their host names
 * differ. Else the first counts: the older Gateway before the newer, a Gateway
 * before its ListenerSets, an older ListenerSet before a newer one.
 */
import { portKey } from '../ir/key.ts';
import { describe, keyOf } from '../resource/resource.ts';
import { error, type Finding, warning } from './finding.ts';
import { covers } from './hostname.ts';
import { endsTls, isServable, type ListenerBase, type Reason } from './listener.ts';

/** A listener whose Gateway and ListenerSet are accepted, with the addresses that it binds. */
export interface Candidate {
  readonly listener: ListenerBase;
  readonly addresses: readonly string[];
}

/** What its neighbours mean for a listener. */
export interface Verdict {
  readonly conflict?: Reason;
  readonly overlap?: Reason;
  /** Served: in the plan. */
  readonly served: boolean;
}

export interface SharedPort {
  readonly address: string;
  readonly port: number;
  /** Served listeners, the first of which speaks for the port. */
  readonly listeners: readonly ListenerBase[];
}

export interface PortsResult {
  readonly verdicts: ReadonlyMap<ListenerBase, Verdict>;
  readonly ports: ReadonlyMap<string, SharedPort>;
  readonly findings: readonly Finding[];
}

/** Key in the plan of the port that a listener has on an address. */
export function listenerPort({ port, protocol }: ListenerBase['spec'], address: string): string {
  return portKey(address, port, protocol === 'UDP' ? 'udp' : 'tcp');
}

/** Listeners of one family share a port: HTTPS and TLS are told apart by server name, before anything is decrypted. */
function familyOf({ spec: { protocol }, isEgress }: ListenerBase): string {
  if (isEgress) return 'mTLS of the mesh';
  return protocol === 'HTTPS' ? 'TLS' : protocol;
}

/** Protocols without a name that could choose among listeners of one port. */
const NAMELESS: ReadonlySet<string> = new Set(['TCP', 'UDP']);

interface Group {
  readonly address: string;
  readonly port: number;
  readonly claims: Map<string, ListenerBase>;
  readonly served: ListenerBase[];
}

/** @param candidates  in order of precedence */
export function sharePorts(candidates: readonly Candidate[]): PortsResult {
  const groups = new Map<string, Group>();
  const conflicts = new Map<ListenerBase, Reason>();
  const findings: Finding[] = [];
  for (const candidate of candidates) {
    const conflict = claim(candidate, groups);
    if (conflict === undefined) continue;
    const { listener } = candidate;
    conflicts.set(listener, conflict);
    findings.push(
      error('listener.conflict', listener.owner, {
        field: listener.field,
        message: conflict.message,
        ...(conflict.with.owner !== listener.owner && { related: [keyOf(conflict.with.owner)] }),
      }),
    );
  }
  const overlaps = new Map<ListenerBase, Reason>();
  for (const group of groups.values()) {
    markOverlaps(group, overlaps);
    findings.push(...portSettingFindings(group));
  }
  return { verdicts: verdictsOf(candidates, conflicts, overlaps), ports: portsOf(groups), findings };
}

function verdictsOf(
  candidates: readonly Candidate[],
  conflicts: ReadonlyMap<ListenerBase, Reason>,
  overlaps: ReadonlyMap<ListenerBase, Reason>,
): Map<ListenerBase, Verdict> {
  const verdicts = new Map<ListenerBase, Verdict>();
  for (const { listener } of candidates) {
    const conflict = conflicts.get(listener);
    const overlap = overlaps.get(listener);
    verdicts.set(listener, {
      served: conflict === undefined && isServable(listener),
      ...(conflict !== undefined && { conflict }),
      ...(overlap !== undefined && { overlap }),
    });
  }
  return verdicts;
}

function portsOf(groups: ReadonlyMap<string, Group>): Map<string, SharedPort> {
  const ports = new Map<string, SharedPort>();
  for (const [key, { address, port, served }] of groups) {
    if (served.length > 0) ports.set(key, { address, port, listeners: served });
  }
  return ports;
}

interface Conflict extends Reason {
  readonly with: ListenerBase;
}

/** Takes the place of a listener on each of its ports, all or none. */
function claim({ listener, addresses }: Candidate, groups: Map<string, Group>): Conflict | undefined {
  const { port } = listener.spec;
  const keys = addresses.map((address) => listenerPort(listener.spec, address));
  for (const key of keys) {
    const group = groups.get(key);
    const conflict = group === undefined ? undefined : conflictIn(group, listener);
    if (conflict !== undefined) return conflict;
  }
  // A protocol that is not served takes no port: the next one that is served may have it.
  if (listener.notAccepted?.reason === 'UnsupportedProtocol') return undefined;
  for (const [i, key] of keys.entries()) {
    let group = groups.get(key);
    if (group === undefined) {
      groups.set(key, (group = { address: addresses[i]!, port, claims: new Map(), served: [] }));
    }
    group.claims.set(listener.hostname, listener);
    if (isServable(listener)) group.served.push(listener);
  }
  return undefined;
}

function conflictIn(group: Group, listener: ListenerBase): Conflict | undefined {
  const { protocol, port, name } = listener.spec;
  const first = group.claims.values().next().value!;
  if (familyOf(first) !== familyOf(listener)) {
    const message = `Listener "${name}" asks for ${saidOf(listener)} on port ${port}, where ${nameOf(first)} serves ${saidOf(first)}`;
    return { reason: 'ProtocolConflict', message, with: first };
  }
  if (NAMELESS.has(protocol)) {
    const message = `Listener "${name}" asks for ${protocol} port ${port}, which ${nameOf(first)} has`;
    return { reason: 'ProtocolConflict', message, with: first };
  }
  const same = group.claims.get(listener.hostname);
  if (same !== undefined) {
    const host = listener.hostname === '*' ? 'every host' : `host "${listener.hostname}"`;
    const message = `Listener "${name}" asks for ${host} on port ${port}, which ${nameOf(same)} has`;
    return { reason: 'HostnameConflict', message, with: same };
  }
  const lead = group.served.find(({ spec }) => endsTls(spec));
  if (lead !== undefined && endsTls(listener.spec) && isServable(listener) && !sameValidation(lead, listener)) {
    const message = `Listener "${name}" treats client certificates on port ${port} differently from ${nameOf(lead)}, and a port can do it in one way only`;
    return { reason: 'ProtocolConflict', message, with: lead };
  }
  return undefined;
}

/** What it serves, in messages. */
function saidOf(listener: ListenerBase): string {
  return listener.isEgress ? familyOf(listener) : listener.spec.protocol;
}

function nameOf({ owner, spec }: ListenerBase): string {
  return `listener "${spec.name}" of ${describe(owner)}`;
}

function sameValidation({ validation: a }: ListenerBase, { validation: b }: ListenerBase): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.mode === b.mode && a.cas.length === b.cas.length && a.cas.every((pem, i) => pem === b.cas[i]);
}

/** Limits and timeouts are those of the port: say so when a listener asked for others than the first. */
function portSettingFindings({ served }: Group): Finding[] {
  const [lead, ...others] = served;
  if (lead === undefined) return [];
  return others.flatMap((listener) => {
    const policy = listener.settings.portPolicies.find((asked) => !lead.settings.portPolicies.includes(asked));
    if (policy === undefined || samePort(lead, listener)) return [];
    const message = `Limits, timeouts and the PROXY protocol belong to the port: those of ${nameOf(lead)} hold, not these for listener "${listener.spec.name}"`;
    return [
      warning('policy.port-settings', policy, { field: '/spec/listener', message, related: [keyOf(lead.owner)] }),
    ];
  });
}

function samePort({ settings: a }: ListenerBase, { settings: b }: ListenerBase): boolean {
  return (
    JSON.stringify([a.limits, a.timeouts, a.proxyProtocol]) === JSON.stringify([b.limits, b.timeouts, b.proxyProtocol])
  );
}

/**
 * Browsers send requests for one host over a connection that was made for
 * another when its certificate allows it (RFC 9110 section 7.4; RFC 9113 section
 * 9.1.1). We answer those with 421, and the condition says where they may come from.
 */
function markOverlaps({ served }: Group, overlaps: Map<ListenerBase, Reason>): void {
  const https = served.filter(({ spec }) => spec.protocol === 'HTTPS');
  if (https.length < 2) return;
  const byHost = new Map(https.map((listener) => [listener.hostname, listener]));
  for (const listener of https) {
    for (const wide of wider(listener.hostname)) {
      const other = byHost.get(wide);
      if (other === undefined || !covers(wide, listener.hostname)) continue;
      const reason = 'OverlappingHostnames';
      overlaps.set(listener, { reason, message: `The hostname overlaps with that of ${nameOf(other)}` });
      if (!overlaps.has(other)) {
        overlaps.set(other, { reason, message: `The hostname overlaps with that of ${nameOf(listener)}` });
      }
    }
  }
  markSharedCertificates(https, overlaps);
}

/** Names wider than this one: `*.b.test`, `*.test` and `*` for `a.b.test`. */
function* wider(hostname: string): Generator<string> {
  const start = hostname.startsWith('*.') ? 2 : 0;
  for (let dot = hostname.indexOf('.', start); dot >= 0; dot = hostname.indexOf('.', dot + 1))
    yield `*${hostname.slice(dot)}`;
  if (hostname !== '*') yield '*';
}

function markSharedCertificates(served: readonly ListenerBase[], overlaps: Map<ListenerBase, Reason>): void {
  const firstWith = new Map<unknown, ListenerBase>();
  for (const listener of served) {
    for (const { pair } of listener.certificates) {
      const first = firstWith.get(pair);
      if (first === undefined) {
        firstWith.set(pair, listener);
        continue;
      }
      for (const [one, other] of [
        [listener, first],
        [first, listener],
      ] as const) {
        if (overlaps.has(one)) continue;
        const message = `The certificate is also that of ${nameOf(other)}`;
        overlaps.set(one, { reason: 'OverlappingCertificates', message });
      }
    }
  }
}
