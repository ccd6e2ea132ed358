/** Rules of our own kinds and of BackendTLSPolicy. */
import { isIP } from 'node:net';
import { isCidr } from '../../base/cidr.ts';
import { parseDuration } from '../../base/duration.ts';
import { FILTERS_BY_NAME } from '../../filters/list.ts';
import { TARGET_GROUPS } from '../fields.ts';
import type { Finding } from '../kind.ts';
import { distinctReferences, finding, isAddress } from '../rules.ts';
import type { BackendPolicySpec } from './backend-policy.ts';
import type { BackendTLSPolicySpec } from './backend-tls-policy.ts';
import type { BackendSpec, UpstreamTLS } from './backend.ts';
import { check } from '../../schema/schema.ts';
import { type PolicyProxyProtocol, PolicySpec } from './policy.ts';

export function policyRules({ spec }: { readonly spec: PolicySpec }): Finding[] {
  const { targetRefs, filters = {}, listener, grpc, tunnel } = spec;
  const findings = [...distinctReferences(targetRefs, '/spec/targetRefs'), ...groupRules(targetRefs)];
  if (Object.keys(filters).length === 0 && listener === undefined && grpc === undefined && tunnel === undefined) {
    findings.push(finding('/spec', 'Policy without effect: set filters, listener, grpc or tunnel'));
  }
  targetRefs.forEach(({ kind }, i) => {
    if (grpc === undefined || kind === 'GRPCRoute') return;
    const message = `Expected a GRPCRoute, got ${kind}: settings of gRPC are for calls that a GRPCRoute takes`;
    findings.push(finding(`/spec/targetRefs/${i}/kind`, message));
  });
  if (tunnel !== undefined) findings.push(...tunnelRules(targetRefs));
  findings.push(...filterRules(spec));
  targetRefs.forEach(({ kind }, i) => {
    if (Object.keys(filters).length === 0 || (kind !== 'TCPRoute' && kind !== 'TLSRoute')) return;
    const message = `Expected no filters for a ${kind}: nothing is read of what passes`;
    findings.push(finding(`/spec/targetRefs/${i}/kind`, message));
  });
  if (listener === undefined) return findings;

  targetRefs.forEach(({ kind }, i) => {
    if (kind === 'Gateway' || kind === 'ListenerSet') return;
    const message = `Expected a Gateway or ListenerSet, got ${kind}: settings of a listener need a target that has listeners`;
    findings.push(finding(`/spec/targetRefs/${i}/kind`, message));
  });
  return [
    ...findings,
    ...rangeRules(listener.trustedHops?.cidrs, '/spec/listener/trustedHops/cidrs'),
    ...proxyProtocolRules(listener.proxyProtocol),
  ];
}

/** Stands in for a policy with mistakes that may protect its targets, as far as they can be read. */
export function refusedPolicy({ spec }: Readonly<Record<string, unknown>>): { readonly spec: PolicySpec } | undefined {
  if (spec === null || typeof spec !== 'object') return undefined;
  const { targetRefs, filters } = spec as Readonly<Record<string, unknown>>;
  if (filters === null || typeof filters !== 'object') return undefined;
  const protecting = Object.keys(filters).filter((name) => {
    const declaration = FILTERS_BY_NAME.get(name);
    // A name that is not known may be a slip in one that protects.
    return declaration === undefined || declaration.composition === 'narrows';
  });
  const { value } = check(PolicySpec.properties.targetRefs, targetRefs);
  if (value === undefined || protecting.length === 0) return undefined;
  return { spec: { targetRefs: value, refusedFilters: protecting } };
}

/** What the declarations of the filters say, and whether the modes of the policy have a meaning for them. */
function filterRules({ filters = {}, mode, authentication }: PolicySpec): Finding[] {
  const findings: Finding[] = [];
  let authenticates = false;
  for (const [name, config] of Object.entries(filters)) {
    const declaration = FILTERS_BY_NAME.get(name);
    if (declaration === undefined || config === undefined) continue;
    const at = `/spec/filters/${name}`;
    for (const { pointer, message } of declaration.check(config as never))
      findings.push(finding(at + pointer, message));
    if (declaration.phase === 'authenticate') authenticates = true;
    if (mode === 'audit' && declaration.decides === 'no') {
      findings.push(
        finding(at, `Expected a filter that decides, got "${name}": with mode "audit" it would do nothing`),
      );
    }
  }
  if (authentication !== undefined && !authenticates) {
    findings.push(finding('/spec/authentication', 'Policy has no filter that authenticates: expected one in filters'));
  }
  return findings;
}

function rangeRules(ranges: readonly string[] = [], pointer: string): Finding[] {
  return ranges.flatMap((range, i) =>
    isCidr(range) ? [] : [finding(`${pointer}/${i}`, `Expected a range such as "10.0.0.0/8", got "${range}"`)],
  );
}

function proxyProtocolRules(said: PolicyProxyProtocol | undefined): Finding[] {
  if (said === undefined) return [];
  const pointer = '/spec/listener/proxyProtocol/trustedPeers';
  const nobody = said.mode !== 'off' && said.trustedPeers.length === 0;
  const message = 'Missing field "trustedPeers": with nobody in it every header is refused';
  return [...(nobody ? [finding(pointer, message)] : []), ...rangeRules(said.trustedPeers, pointer)];
}

export function backendPolicyRules({ spec }: { readonly spec: BackendPolicySpec }): Finding[] {
  const { targetRefs, tls, healthCheck } = spec;
  return [
    ...distinctReferences(targetRefs, '/spec/targetRefs'),
    ...groupRules(targetRefs),
    ...targetRefs.flatMap(({ kind, sectionName }, i) =>
      kind === 'Backend' && sectionName !== undefined
        ? [
            finding(
              `/spec/targetRefs/${i}/sectionName`,
              'Expected no sectionName with kind Backend: it has no named ports',
            ),
          ]
        : [],
    ),
    ...upstreamTLSRules(tls),
    ...healthRules(healthCheck),
  ];
}

function healthRules(check: BackendPolicySpec['healthCheck']): Finding[] {
  if (check === undefined) return [];
  const findings = (['grpc', 'http'] as const).flatMap((field) =>
    check[field] === undefined || check.type === field
      ? []
      : [finding(`/spec/healthCheck/${field}`, `Expected no "${field}" with type ${check.type}: remove it`)],
  );
  if (isZero(check.interval)) {
    findings.push(finding('/spec/healthCheck/interval', 'Expected a pause, got "0s"'));
  }
  if (isZero(check.timeout)) {
    findings.push(finding('/spec/healthCheck/timeout', 'Expected the time for an answer, got "0s"'));
  }
  return findings;
}

function isZero(text: string | undefined): boolean {
  return text !== undefined && parseDuration(text) === 0;
}

/** Labels of an SRV name begin with `_` (RFC 2782), which host names do not. */
const SERVICE_NAME = /^_[a-z0-9-]{1,62}\._(?:tcp|udp|tls|sctp)\.(.+)$/i;

/** Endpoints come from one source. */
function sourceFindings({ endpoints, dns, consul }: BackendSpec): Finding[] {
  const said = [endpoints.length > 0 && 'endpoints', dns && 'dns', consul && 'consul'].filter(Boolean);
  if (said.length === 0) return [finding('/spec/endpoints', 'Missing field "endpoints": set it, or dns, or consul')];
  const [first, second] = said;
  const findings =
    second === undefined
      ? []
      : [
          finding(
            `/spec/${String(second)}`,
            `Endpoints come from one source: remove "${String(second)}" or "${String(first)}"`,
          ),
        ];
  if (dns === undefined) return findings;
  const { name, type, port } = dns;
  const host = type === 'SRV' ? (SERVICE_NAME.exec(name)?.[1] ?? '') : name;
  if (isIP(host) !== 0 || !isAddress(host)) {
    const expected = type === 'SRV' ? 'a name such as "_http._tcp.orders.example"' : 'a DNS name';
    findings.push(finding('/spec/dns/name', `Expected ${expected}, got "${name}"`));
  }
  if (type === 'SRV' && port !== undefined) {
    findings.push(finding('/spec/dns/port', 'Expected no "port" with type SRV: the records say it'));
  }
  if (type !== 'SRV' && port === undefined) {
    findings.push(finding('/spec/dns/port', 'Missing field "port": only SRV records say it'));
  }
  return findings;
}

export function backendRules({ spec }: { readonly spec: BackendSpec }): Finding[] {
  const { endpoints, dns, consul, tls } = spec;
  const findings = [
    ...sourceFindings(spec),
    ...endpoints.flatMap(({ address }, i) =>
      isAddress(address)
        ? []
        : [finding(`/spec/endpoints/${i}/address`, `Expected an IP address or a DNS name, got "${address}"`)],
    ),
  ];
  const names = new Set(endpoints.map(({ address }) => (isIP(address) === 0 ? address.toLowerCase() : '')));
  if (dns !== undefined) names.add(dns.type === 'SRV' ? '' : dns.name.toLowerCase());
  if (consul !== undefined) names.add('');
  // One certificate name for all endpoints: their own name will do only where there is exactly one.
  if (tls !== undefined && tls.serverName === undefined && (names.size !== 1 || names.has(''))) {
    const message = 'Missing field "serverName": the endpoints have no single DNS name that a certificate could carry';
    findings.push(finding('/spec/tls/serverName', message));
  }
  return [...findings, ...upstreamTLSRules(tls)];
}

export function backendTLSPolicyRules({ spec }: { readonly spec: BackendTLSPolicySpec }): Finding[] {
  const { targetRefs, validation } = spec;
  const findings = distinctReferences(targetRefs, '/spec/targetRefs');
  const refs = validation.caCertificateRefs.length > 0;
  const wellKnown = validation.wellKnownCACertificates !== undefined;
  if (refs && wellKnown) {
    const message = 'Cannot trust both caCertificateRefs and wellKnownCACertificates: remove one of them';
    findings.push(finding('/spec/validation/wellKnownCACertificates', message));
  }
  if (!refs && !wellKnown) {
    const message = 'Missing field "caCertificateRefs": set it, or set wellKnownCACertificates to "System"';
    findings.push(finding('/spec/validation/caCertificateRefs', message));
  }
  return findings;
}

function upstreamTLSRules(tls: UpstreamTLS | undefined): Finding[] {
  if (tls === undefined || tls.caCertificateRefs.length === 0 || tls.wellKnownCACertificates === undefined) return [];
  const message = 'Cannot trust both caCertificateRefs and wellKnownCACertificates: remove one of them';
  return [finding('/spec/tls/wellKnownCACertificates', message)];
}

/** Targets through which tunnels go. */
const CARRIES_TUNNELS: ReadonlySet<string> = new Set(['Gateway', 'ListenerSet', 'HTTPRoute', 'TCPRoute', 'TLSRoute']);

/** A tunnel has the limits of the route that it began on. */
function tunnelRules(targetRefs: PolicySpec['targetRefs']): Finding[] {
  return targetRefs.flatMap(({ kind }, i) => {
    if (CARRIES_TUNNELS.has(kind)) return [];
    const message = `Expected a Gateway, ListenerSet, HTTPRoute, TCPRoute or TLSRoute, got ${kind}: limits of tunnels are for routes that carry them`;
    return [finding(`/spec/targetRefs/${i}/kind`, message)];
  });
}

/** The kind of a target says its group; one that is written must be that one. */
function groupRules(targets: readonly { readonly group?: string; readonly kind: string }[]): Finding[] {
  return targets.flatMap(({ group, kind }, i) => {
    const wanted = TARGET_GROUPS[kind];
    if (group === undefined || wanted === undefined || group === wanted) return [];
    return [finding(`/spec/targetRefs/${i}/group`, `Expected "${wanted}" with kind ${kind}, got "${group}"`)];
  });
}
