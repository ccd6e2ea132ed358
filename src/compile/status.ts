/**
 * Statuses: every object with its conditions, as Gateway API words them. What
 * concerns configuration is from the compile; Programmed, addresses and
 * PortUnavailable are only what is true of the running proxies.
 */
import type { GatewayClass } from '../resource/resource.ts';
import { type Condition, type ConditionMemory, holds, holdsUnless } from './condition.ts';
import { FEATURES } from './features.ts';
import type { Found } from './found.ts';
import { classFault } from './gateways.ts';
import { gatewayStatus, listenerSetStatus } from './status-gateway.ts';
import { meshStatuses } from './status-mesh.ts';
import { brokenOwners, policyStatuses } from './status-policy.ts';
import { itemOf, type StatusItem, type StatusWork, subjectOf } from './status-item.ts';
import { attachedRoutes, routeStatuses } from './status-route.ts';

export function statusItems(found: Found, basis: Omit<StatusWork, 'attached'>): StatusItem[] {
  const work: StatusWork = { ...basis, attached: attachedRoutes(found) };
  const { gateways, sets, classes } = found.gateways;
  const { memory } = work;
  const broken = brokenOwners(found);
  memory.begin();
  return [
    ...classes.map((gatewayClass) => itemOf(gatewayClass, classStatus(gatewayClass, memory))),
    ...gateways.map((base) => itemOf(base.gateway, gatewayStatus(base, found, work))),
    ...sets.map((base) => itemOf(base.set, listenerSetStatus(base, found, work))),
    ...routeStatuses(found, work).map(({ resource, status }) => itemOf(resource, status)),
    ...policyStatuses(found, { ...work, broken }).map(({ resource, status }) => itemOf(resource, status)),
    ...issuerStatuses(found, work),
    ...meshStatuses(found, work),
    ...found.inventory.byKind.Backend.map((backend) => {
      const drafts = [holds('Accepted'), holdsUnless('ResolvedRefs', broken.get(backend))];
      return itemOf(backend, { conditions: memory.stamp(subjectOf(backend), drafts) });
    }),
  ];
}

function issuerStatuses({ inventory: { tables } }: Found, { memory }: StatusWork): StatusItem[] {
  return [...tables.issuers.values()].map(({ issuer, unresolved }) => {
    const drafts = [holds('Accepted'), holdsUnless('ResolvedRefs', unresolved)];
    return itemOf(issuer, { conditions: memory.stamp(subjectOf(issuer), drafts) });
  });
}

function classStatus(
  gatewayClass: GatewayClass,
  memory: ConditionMemory,
): { conditions: Condition[]; supportedFeatures: object[] } {
  return {
    conditions: memory.stamp(subjectOf(gatewayClass), [holdsUnless('Accepted', classFault(gatewayClass))]),
    supportedFeatures: FEATURES.map((name) => ({ name })),
  };
}
