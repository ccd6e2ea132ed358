/** Routes below HTTP: one TLSRoute, TCPRoute or UDPRoute becomes one part of the plan, attached to its listeners. */
import type { PlanStream, PlanStreamAccess, PlanStreamBackend } from '../ir/plan.ts';
import { describe, keyOf, type StreamRoute } from '../resource/resource.ts';
import { type Attached, type Attachment, attachRoute, type ParentOutcome } from './attach.ts';
import { type BackendTarget, clusterKey, findBackend, type StreamProtocol } from './backend.ts';
import { type ClusterNeed, isTlsAsked } from './cluster.ts';
import { type Finding, warning } from './finding.ts';
import type { Reason } from './listener.ts';
import { type MeshStream, serviceAttachments } from './mesh-route.ts';
import { composeFilters, composeSettings, routeLevels } from './policies.ts';
import { brokenAt, toReference } from './reference.ts';
import { withoutRivals } from './rivals.ts';
import { planAttachments } from './route.ts';
import { backendReference } from './rule.ts';
import { NONE, settled } from './settled.ts';
import { tunnelLimits } from './settings.ts';
import { accessOf } from './stream-access.ts';
import { byAge, createdMs, type Look } from './tables.ts';

export interface StreamResult {
  readonly route: StreamRoute;
  readonly attached: Attached;
  /** Parts of the plan by key: one, or one for each way in which its listeners and Gateways reach backends. */
  readonly parts: readonly (readonly [key: string, part: PlanStream])[];
  /** Parts for sidecars, one for each Service that is a parent. */
  readonly mesh: readonly MeshStream[];
  readonly needs: readonly ClusterNeed[];
  /** The first reference that leads nowhere, for gateways. */
  readonly unresolved: Reason | undefined;
  /** The same for sidecars, who need no ReferenceGrant. */
  readonly unresolvedInMesh: Reason | undefined;
  readonly findings: readonly Finding[];
}

type ReadBackend = { readonly weight: number } & (
  | { readonly target: BackendTarget; readonly why?: undefined }
  | { readonly why: string }
);

export function lowerStream(route: StreamRoute, look: Look): StreamResult {
  const attached = withoutRivals(route, attachRoute(route, look), look('rivals', keyOf(route)));
  const services = attached.outcomes.filter(({ parent }) => parent.isService);
  const mesh = services.length === 0 ? undefined : lowerForSidecars(route, services, look);
  const isForGateways = mesh === undefined || services.length < attached.outcomes.length;
  const work: StreamWork = { route, look, findings: [], unresolved: [] };
  const { parts, needs } = isForGateways ? lowerForGateways(attached, work) : NOTHING;
  return {
    route,
    attached,
    parts,
    mesh: mesh?.parts ?? NONE,
    needs: settled(needs),
    unresolved: work.unresolved[0],
    unresolvedInMesh: mesh?.work.unresolved[0],
    findings: settled([...attached.findings, ...work.findings, ...(mesh?.work.findings ?? [])]),
  };
}

interface StreamWork {
  readonly route: StreamRoute;
  readonly look: Look;
  readonly findings: Finding[];
  readonly unresolved: Reason[];
}

const NOTHING: Pick<StreamResult, 'parts' | 'needs'> = { parts: NONE, needs: NONE };

function readBackends({ route, look, findings, unresolved }: StreamWork, grants: { grants?: 'free' }): ReadBackend[] {
  const transport = route.kind === 'UDPRoute' ? 'udp' : 'tcp';
  const backends = route.spec.rules[0]!.backendRefs.map((ref, i): ReadBackend => {
    const to = backendReference(toReference(ref, route), ref.port);
    const found = findBackend(route, to, { look, transport, ...grants });
    if (found.broken === undefined) return { target: found.target, weight: ref.weight };
    unresolved.push(found.broken);
    findings.push(brokenAt(route, `/spec/rules/0/backendRefs/${i}`, found.broken));
    return { why: found.broken.message, weight: ref.weight };
  });
  if (backends.every(({ weight }) => weight === 0)) {
    const message = 'Every backend has weight 0: connections are closed at once';
    findings.push(warning('route.no-backend', route, { field: '/spec/rules/0/backendRefs', message }));
  }
  return backends;
}

/** The backends as the plan has them; fills `needs`. */
function planBackends(
  backends: readonly ReadBackend[],
  { certificateOf, stream }: Pick<Group, 'certificateOf' | 'stream'>,
  { look, needs }: { readonly look: Look; readonly needs: Map<string, ClusterNeed> },
): readonly PlanStreamBackend[] {
  const planned = backends.map((backend): PlanStreamBackend => {
    const { weight, why } = backend;
    if (why !== undefined) return { weight, why };
    const { target } = backend;
    const shown = stream === 'tcp' && isTlsAsked(target, look) ? certificateOf : undefined;
    const variant = { certificateOf: shown, stream };
    const key = clusterKey(target, variant);
    needs.set(key, { key, target, ...variant });
    return { weight, cluster: key };
  });
  return settled(planned);
}

function partOf({ route, look }: StreamWork): Omit<PlanStream, 'attach' | 'backends'> {
  const rule = route.spec.rules[0]!;
  const tunnel = tunnelLimits(composeSettings(routeLevels(route, rule.name, look)));
  return {
    name: `${keyOf(route)}/${rule.name ?? 0}`,
    createdMs: createdMs(route),
    ...(tunnel !== undefined && { tunnel }),
  };
}

function lowerForGateways(attached: Attached, work: StreamWork): Pick<StreamResult, 'parts' | 'needs'> {
  const { route, look } = work;
  const backends = readBackends(work, {});
  const common = partOf(work);
  const needs = new Map<string, ClusterNeed>();
  const parts: [string, PlanStream][] = [];
  for (const group of groupsOf(attached, route.kind)) {
    const attach = planAttachments(group.attachments);
    if (attach.length === 0) continue;
    const key = parts.length === 0 ? keyOf(route) : `${keyOf(route)}@${attach[0]!.listener}`;
    const access = group.access.length > 0 && { access: group.access };
    parts.push([key, { ...common, attach, backends: planBackends(backends, group, { look, needs }), ...access }]);
  }
  return { parts, needs: [...needs.values()] };
}

function lowerForSidecars(
  route: StreamRoute,
  outcomes: readonly ParentOutcome[],
  look: Look,
): { readonly parts: readonly MeshStream[]; readonly work: StreamWork } {
  const work: StreamWork = { route, look, findings: [], unresolved: [] };
  const needs = new Map<string, ClusterNeed>();
  const group = { certificateOf: undefined, stream: 'tcp' } as const;
  const backends = planBackends(readBackends(work, { grants: 'free' }), group, { look, needs });
  const common = { ...partOf(work), backends };
  const all = settled([...needs.values()]);
  const parts = serviceAttachments(route, outcomes).map(({ attach, ...rest }): MeshStream => {
    return { kind: 'tcp', ...rest, part: { ...common, attach }, needs: all };
  });
  return { parts, work };
}

interface Group {
  /** Key of the Gateway whose client certificate backends are shown. */
  readonly certificateOf: string | undefined;
  readonly stream: StreamProtocol;
  readonly access: readonly PlanStreamAccess[];
  readonly attachments: Attachment[];
}

/** Attachments whose Gateways and listeners ask for the same clusters and let the same in. Nearly always one group. */
function groupsOf({ outcomes }: Attached, kind: StreamRoute['kind']): Group[] {
  const groups = new Map<string, Group>();
  for (const attachment of outcomes.flatMap(({ attachments }) => attachments)) {
    const { parent, listener } = attachment;
    if (parent.isService) continue;
    const stream = kind === 'UDPRoute' ? 'udp' : listener.encrypted ? 'tls' : 'tcp';
    const certificateOf = parent.clientCertificate === undefined ? undefined : parent.gatewayKey;
    const access = listener.isEgress ? accessOf(composeFilters(listener.filters)) : NONE;
    const key = `${stream} ${certificateOf ?? ''} ${JSON.stringify(access)}`;
    const group = groups.get(key) ?? { certificateOf, stream, access, attachments: [] };
    groups.set(key, group);
    group.attachments.push(attachment);
  }
  return [...groups.values()];
}

/**
 * Routes that get nothing: another one has the same listener, and with TLS the same server name, and comes first.
 * Both stay attached and accepted (Gateway API), so that the next one takes over when the first goes.
 */
export function streamShadows(results: readonly StreamResult[]): Finding[] {
  const first = new Map<string, StreamRoute>();
  const findings: Finding[] = [];
  for (const { route, parts, mesh } of results.toSorted((a, b) => byAge(a.route, b.route))) {
    // The first place that was lost to each: one is enough to say.
    const lost = new Map<StreamRoute, string>();
    // Routes for clients of one namespace are not in the way of those of another.
    const places = [
      ...parts.map(([, { attach }]) => ({ attach, namespace: '' })),
      ...mesh.map(({ part: { attach } }) => ({ attach, namespace: route.metadata.namespace })),
    ];
    for (const { attach, namespace } of places) {
      for (const { listener, hosts } of attach) {
        for (const host of hosts) {
          const claim = `${namespace} ${listener} ${host}`;
          const winner = first.get(claim);
          if (winner === undefined) first.set(claim, route);
          else if (winner !== route && !lost.has(winner)) lost.set(winner, said(listener, host));
        }
      }
    }
    for (const [winner, place] of lost) {
      const message = `The route gets nothing of ${place}: ${describe(winner)} has it and comes first`;
      findings.push(warning('route.shadowed', route, { field: '/spec/parentRefs', message, related: [keyOf(winner)] }));
    }
  }
  return findings;
}

function said(listener: string, host: string): string {
  const place = `listener "${listener.slice(listener.lastIndexOf('/') + 1)}"`;
  return host === '*' ? place : `host "${host}" on ${place}`;
}
