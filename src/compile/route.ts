/** Routes: one HTTPRoute or GRPCRoute becomes one part of the plan, attached to its listeners. */
import type { PlanAttachment, PlanRoute, PlanValue } from '../ir/plan.ts';
import { keyOf } from '../resource/resource.ts';
import { type Attached, type Attachment, attachRoute } from './attach.ts';
import type { ClusterNeed } from './cluster.ts';
import { type Finding, warning } from './finding.ts';
import type { Reason } from './listener.ts';
import { sameItems } from './memo.ts';
import { withoutRivals } from './rivals.ts';
import {
  lowerRule,
  type MatchedRoute,
  type Places,
  readRule,
  type RuleFlaw,
  type RuleWork,
  type Treatment,
} from './rule.ts';
import { settled } from './settled.ts';
import { createdMs, type Look } from './tables.ts';

export interface RouteResult {
  readonly route: MatchedRoute;
  readonly attached: Attached;
  /** Parts of the plan by key: one, or one for each way in which its Gateways treat it. */
  readonly parts: readonly (readonly [key: string, part: PlanRoute])[];
  readonly needs: readonly ClusterNeed[];
  readonly values: ReadonlyMap<string, PlanValue>;
  /** The first reference that leads nowhere. */
  readonly unresolved: Reason | undefined;
  readonly flaws: readonly RuleFlaw[];
  readonly findings: readonly Finding[];
}

/** @param places  whether rules and filters say where they were written, which costs a parse of their documents */
export function lowerRoute(route: MatchedRoute, look: Look, places: Places = 'omit'): RouteResult {
  const attached = withoutRivals(route, attachRoute(route, look), look('rivals', keyOf(route)));
  const work: RuleWork = {
    route,
    look,
    places,
    findings: [...attached.findings],
    unresolved: [],
    flaws: [],
    needs: new Map(),
    values: new Map(),
  };
  const rules = route.spec.rules.map((rule, index) => readRule(rule, index, work));
  const parts: [string, PlanRoute][] = [];
  for (const group of groupsOf(attached, route)) {
    const attach = planAttachments(group.attachments);
    if (attach.length === 0) continue;
    const key = parts.length === 0 ? keyOf(route) : `${keyOf(route)}@${attach[0]!.listener}`;
    parts.push([
      key,
      {
        createdMs: createdMs(route),
        attach,
        rules: settled(rules.flatMap((rule) => lowerRule(rule, group, work) ?? [])),
      },
    ]);
  }
  warnOfNoBackend(parts, work);
  return {
    route,
    attached,
    parts,
    needs: settled([...work.needs.values()]),
    values: work.values,
    unresolved: work.unresolved[0],
    flaws: settled(work.flaws),
    findings: settled(work.findings),
  };
}

interface Group extends Treatment {
  readonly attachments: Attachment[];
}

/** Attachments whose Gateways and listeners treat the route in the same way. Nearly always one group. */
function groupsOf({ outcomes }: Attached, { kind }: MatchedRoute): Group[] {
  const groups: Group[] = [];
  // gRPC needs HTTP/2, whatever a backend says of itself.
  const spoken = kind === 'GRPCRoute' ? ({ protocol: 'h2' } as const) : {};
  for (const attachment of outcomes.flatMap(({ attachments }) => attachments)) {
    const { listener, parent } = attachment;
    const certificateOf = parent.clientCertificate === undefined ? undefined : parent.gatewayKey;
    const same = groups.find(
      (group) => group.certificateOf === certificateOf && sameItems(group.filters, listener.filters),
    );
    if (same !== undefined) same.attachments.push(attachment);
    else groups.push({ filters: listener.filters, certificateOf, ...spoken, attachments: [attachment] });
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

function warnOfNoBackend(parts: readonly (readonly [string, PlanRoute])[], { route, findings }: RuleWork): void {
  for (const [i, { backendRefs }] of route.spec.rules.entries()) {
    const planned = parts[0]?.[1].rules.find(
      ({ name }) => name === `${keyOf(route)}/${route.spec.rules[i]!.name ?? i}`,
    );
    if (backendRefs.length > 0 || planned?.backends.length === 0 || planned === undefined) continue;
    const message = 'The rule names no backend and no redirect: its requests answer 500';
    findings.push(warning('route.no-backend', route, { field: `/spec/rules/${i}`, message }));
  }
}
