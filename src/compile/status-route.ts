/** Statuses of routes: one entry for each parent of ours. */
import { resourceKey } from '../resource/resource.ts';
import type { Attached, ParentRef } from './attach.ts';
import type { Found } from './found.ts';
import { type Draft, holds, holdsUnless } from './condition.ts';
import type { Reason } from './listener.ts';
import type { RouteResult } from './route.ts';
import { flawText, type RuleFlaw } from './rule.ts';
import { type Stated, type StatusWork, subjectOf } from './status-item.ts';
import { acknowledged } from './status-proxies.ts';
import type { StreamResult } from './stream-route.ts';

export function routeStatuses({ routes, streams }: Found, work: StatusWork): Stated[] {
  return [
    ...routes.map((result) => stateRoute(result, { flaws: result.flaws, rules: result.route.spec.rules.length }, work)),
    ...streams.map((result) => stateRoute(result, { flaws: [], rules: 1 }, work)),
  ];
}

/**
 * Number of accepted routes by listener. Also of a listener that is not served:
 * it says what a repair would bring back.
 */
export function attachedRoutes({ routes, streams }: Found): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  const count = ({ outcomes }: Attached): void => {
    const own = new Set<string>();
    for (const { attachments } of outcomes) {
      for (const { parent, listener } of attachments) own.add(`${parent.key}/${listener.name}`);
    }
    for (const key of own) counts.set(key, (counts.get(key) ?? 0) + 1);
  };
  for (const { route, attached, flaws } of routes) {
    if (refusedWhole({ flaws, rules: route.spec.rules.length }) === undefined) count(attached);
  }
  for (const { attached } of streams) count(attached);
  return counts;
}

interface RouteState {
  readonly flaws: readonly RuleFlaw[];
  /** Number of rules. */
  readonly rules: number;
}

function stateRoute(
  { route, attached, unresolved, unresolvedInMesh }: RouteResult | StreamResult,
  state: RouteState,
  { memory, controllerName, runtime }: StatusWork,
): Stated {
  const refused = refusedWhole(state);
  const parents = attached.outcomes.map(({ ref, parent, notAccepted }) => {
    const drafts: Draft[] = [
      holdsUnless('Accepted', notAccepted ?? refused),
      holdsUnless('ResolvedRefs', parent.isService ? unresolvedInMesh : unresolved),
      ...(refused === undefined && state.flaws.length > 0 ? [partlyInvalid(state.flaws)] : []),
      ...((notAccepted ?? refused) === undefined
        ? acknowledged([resourceKey(ref.kind, ref.namespace, ref.name)], runtime)
        : []),
    ];
    return {
      parentRef: plainRef(ref),
      controllerName,
      conditions: memory.stamp(subjectOf(route, partOf(ref)), drafts),
    };
  });
  return { resource: route, status: { parents } };
}

function plainRef({ group, kind, namespace, name, sectionName, port }: ParentRef): object {
  return {
    group,
    kind,
    namespace,
    name,
    ...(sectionName !== undefined && { sectionName }),
    ...(port !== undefined && { port }),
  };
}

function partOf({ kind, namespace, name, sectionName, port }: ParentRef): string {
  return `${resourceKey(kind, namespace, name)} ${sectionName ?? ''} ${port ?? ''}`;
}

/** A route of which no rule can be kept is not accepted. Its requests answer 500, so that they reach nothing else. */
function refusedWhole({ flaws, rules }: Pick<RouteState, 'flaws' | 'rules'>): Reason | undefined {
  const whole = new Set(flaws.filter(({ effect }) => effect !== 'share').map(({ rule }) => rule));
  return whole.size === 0 || whole.size < rules ? undefined : flaws[0];
}

/** Flaws that one message names; the problems name all of them. */
const FLAWS_NAMED_MAX = 5;

/** The message must begin with `Dropped Rule` (Gateway API, `RouteConditionPartiallyInvalid`). */
function partlyInvalid(flaws: readonly RuleFlaw[]): Draft {
  const named = flaws.slice(0, FLAWS_NAMED_MAX).map((flaw) => `${flaw.rule}: ${flawText(flaw)}`);
  const rest = flaws.length - named.length;
  const message = `Dropped Rule(s): ${named.join('; ')}${rest > 0 ? `; and ${rest} more` : ''}`;
  return holds('PartiallyInvalid', { reason: 'UnsupportedValue', message });
}
