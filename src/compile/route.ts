/** Routes: one HTTPRoute or GRPCRoute becomes one part of the plan, attached to its listeners. */
import type { PlanAttachment, PlanRoute, PlanValue } from '../ir/plan.ts';
import { keyOf } from '../resource/resource.ts';
import { type Attached, type Attachment, attachRoute, type ParentOutcome } from './attach.ts';
import type { ClusterNeed } from './cluster.ts';
import { type Finding, warning } from './finding.ts';
import type { Reason } from './listener.ts';
import { sameItems } from './memo.ts';
import { clientSideFindings, type MeshRoute, serviceAttachments } from './mesh-route.ts';
import { withoutRivals } from './rivals.ts';
import {
  lowerRule,
  type MatchedRoute,
  type Places,
  readRule,
  type RuleFlaw,
  ruleWork,
  type RuleWork,
  type Treatment,
} from './rule.ts';
import { NONE, settled } from './settled.ts';
import { createdMs, type Look } from './tables.ts';

export interface RouteResult {
  readonly route: MatchedRoute;
  readonly attached: Attached;
  /** Parts of the plan by key: one, or one for each way in which its Gateways treat it. */
  readonly parts: readonly (readonly [key: string, part: PlanRoute])[];
  /** Parts for sidecars, one for each Service that is a parent. */
  readonly mesh: readonly MeshRoute[];
  readonly needs: readonly ClusterNeed[];
  readonly values: ReadonlyMap<string, PlanValue>;
  /** The first reference that leads nowhere, for gateways. */
  readonly unresolved: Reason | undefined;
  /** The same for sidecars, who need no ReferenceGrant. */
  readonly unresolvedInMesh: Reason | undefined;
  readonly flaws: readonly RuleFlaw[];
  readonly findings: readonly Finding[];
}

/** @param places  whether rules and filters say where they were written, which costs a parse of their documents */
export function lowerRoute(route: MatchedRoute, look: Look, places: Places = 'omit'): RouteResult {
  const attached = withoutRivals(route, attachRoute(route, look), look('rivals', keyOf(route)));
  const services = attached.outcomes.filter(({ parent }) => parent.isService);
  // Rules are read twice when both gateways and sidecars follow them: what one may refer to the other may not.
  const mesh = services.length === 0 ? undefined : lowerForSidecars(route, services, { look, places });
  const work = ruleWork(route, look, { places });
  const isForGateways = mesh === undefined || services.length < attached.outcomes.length;
  const parts = isForGateways ? lowerForGateways(attached, work) : [];
  const read = isForGateways ? work : mesh!.work;
  return {
    route,
    attached,
    parts,
    mesh: mesh?.parts ?? NONE,
    needs: settled([...work.needs.values()]),
    values: work.values,
    unresolved: work.unresolved[0],
    unresolvedInMesh: mesh?.work.unresolved[0],
    flaws: settled(read.flaws),
    findings: settled([...attached.findings, ...work.findings, ...(mesh?.work.findings ?? [])]),
  };
}

function lowerForGateways({ outcomes }: Attached, work: RuleWork): RouteResult['parts'] {
  const { route } = work;
  const rules = route.spec.rules.map((rule, index) => readRule(rule, index, work));
  const parts: [string, PlanRoute][] = [];
  for (const group of groupsOf(outcomes, route)) {
    const attach = planAttachments(group.attachments);
    if (attach.length === 0) continue;
    const key = parts.length === 0 ? keyOf(route) : `${keyOf(route)}@${attach[0]!.listener}`;
    const lowered = rules.flatMap((rule) => lowerRule(rule, group, work) ?? []);
    parts.push([key, { createdMs: createdMs(route), attach, rules: settled(lowered) }]);
  }
  warnOfNoBackend(parts[0]?.[1], work);
  return parts;
}

function lowerForSidecars(
  route: MatchedRoute,
  outcomes: readonly ParentOutcome[],
  { look, places }: Pick<RuleWork, 'look' | 'places'>,
): { readonly parts: readonly MeshRoute[]; readonly work: RuleWork } {
  const work = ruleWork(route, look, { readers: 'sidecars', places });
  const read = route.spec.rules.map((rule, index) => readRule(rule, index, work));
  const treatment: Treatment = { filters: NONE, certificateOf: undefined, ...spokenBy(route) };
  const rules = settled(read.flatMap((rule) => lowerRule(rule, treatment, work) ?? []));
  const needs = settled([...work.needs.values()]);
  const { values } = work;
  const parts = serviceAttachments(route, outcomes).map(({ attach, ...rest }): MeshRoute => {
    const part: PlanRoute = { createdMs: createdMs(route), attach, rules };
    return { kind: 'http', ...rest, part, needs, values };
  });
  work.findings.push(...clientSideFindings(route, read));
  warnOfNoBackend(parts[0]?.part, work);
  return { parts, work };
}

/** gRPC needs HTTP/2, whatever a backend says of itself. */
function spokenBy({ kind }: MatchedRoute): Pick<Treatment, 'protocol'> {
  return kind === 'GRPCRoute' ? { protocol: 'h2' } : {};
}

interface Group extends Treatment {
  readonly attachments: Attachment[];
}

/** Attachments whose Gateways and listeners treat the route in the same way. Nearly always one group. */
function groupsOf(outcomes: readonly ParentOutcome[], route: MatchedRoute): Group[] {
  const groups: Group[] = [];
  for (const attachment of outcomes.flatMap(({ attachments }) => attachments)) {
    const { listener, parent } = attachment;
    if (parent.isService) continue;
    const certificateOf = parent.clientCertificate === undefined ? undefined : parent.gatewayKey;
    const same = groups.find(
      (group) => group.certificateOf === certificateOf && sameItems(group.filters, listener.filters),
    );
    if (same !== undefined) same.attachments.push(attachment);
    else groups.push({ filters: listener.filters, certificateOf, ...spokenBy(route), attachments: [attachment] });
  }
  return groups;
}

/** The listeners of the plan that attachments stand for, each once, with all of its hosts. */
export function planAttachments(attachments: readonly Attachment[]): PlanAttachment[] {
  const hosts = new Map<string, readonly string[]>();
  for (const { listener, hosts: names } of attachments) {
    for (const key of listener.keys) {
      const known = hosts.get(key);
      hosts.set(key, known === undefined ? names : [...new Set([...known, ...names])]);
    }
  }
  return [...hosts].map(([listener, names]) => ({ listener, hosts: names }));
}

function warnOfNoBackend(part: PlanRoute | undefined, { route, findings }: RuleWork): void {
  for (const [i, { backendRefs }] of route.spec.rules.entries()) {
    const planned = part?.rules.find(({ name }) => name === `${keyOf(route)}/${route.spec.rules[i]!.name ?? i}`);
    if (backendRefs.length > 0 || planned?.backends.length === 0 || planned === undefined) continue;
    const message = 'The rule names no backend and no redirect: its requests answer 500';
    findings.push(warning('route.no-backend', route, { field: `/spec/rules/${i}`, message }));
  }
}
