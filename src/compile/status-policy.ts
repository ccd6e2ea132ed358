/** Statuses of policies: one entry for each ancestor, that is what the policy acts through. */
import { GATEWAY_GROUP } from '../resource/fields.ts';
import {
  type BackendPolicy,
  type BackendTLSPolicy,
  describe,
  keyOf,
  type Policy,
  type Resource,
  resourceKey,
} from '../resource/resource.ts';
import { backendTargetKeys } from './backend.ts';
import type { Found } from './found.ts';
import { type Draft, fails, holds, holdsUnless } from './condition.ts';
import type { Reason } from './listener.ts';
import { type Stated, type StatusWork, subjectOf } from './status-item.ts';
import { acknowledged } from './status-proxies.ts';
import { targetKey } from './tables.ts';
import type { Target } from './targets.ts';

/** Gateway API: more ancestors than these are left out. */
const ANCESTORS_MAX = 16;

interface Ancestor {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly sectionName?: string;
}

/** Our own kinds whose TLS refers to something that leads nowhere. */
export function brokenOwners({ clusters }: Found): ReadonlyMap<Resource, Reason> {
  const owners = new Map<Resource, Reason>();
  for (const { broken } of clusters.values()) if (broken !== undefined) owners.set(broken.owner, broken.reason);
  return owners;
}

interface PolicyWork extends StatusWork {
  readonly broken: ReadonlyMap<Resource, Reason>;
}

export function policyStatuses(found: Found, work: PolicyWork): Stated[] {
  const gatewaysOf = gatewaysByTarget(found);
  return found.targets.map(({ policy, targets }) => {
    if (policy.kind === 'BackendTLSPolicy') return stateTrust(policy, { gatewaysOf, found }, work);
    const entries = targets.map(({ target, fault }) => {
      const refused = refusedAs(policy) ?? fault;
      return {
        ancestor: target,
        drafts: [
          holdsUnless('Accepted', refused ?? lostAt(policy, target, found)),
          ...refsOf(policy, target, { found, broken: work.broken }),
          ...(refused === undefined ? runs(policy, work) : []),
          ...(refused === undefined && policy.kind === 'Policy'
            ? acknowledged(placesOf(target, found), work.runtime)
            : []),
        ],
      };
    });
    return state(policy, entries, work);
  });
}

interface AncestorEntry {
  readonly ancestor: Ancestor;
  readonly drafts: readonly Draft[];
}

function state(
  policy: Policy | BackendPolicy | BackendTLSPolicy,
  entries: readonly AncestorEntry[],
  work: StatusWork,
): Stated {
  const { memory, controllerName } = work;
  const ancestors = entries.slice(0, ANCESTORS_MAX).map(({ ancestor, drafts }) => {
    const { group, kind, namespace, name, sectionName } = ancestor;
    const part = targetKey(kind, namespace, { name, ...(sectionName !== undefined && { sectionName }) });
    return {
      ancestorRef: { group, kind, namespace, name, ...(sectionName !== undefined && { sectionName }) },
      controllerName,
      conditions: memory.stamp(subjectOf(policy, part), drafts),
    };
  });
  return { resource: policy, status: { ancestors } };
}

interface Known {
  readonly found: Found;
  readonly broken: ReadonlyMap<Resource, Reason>;
}

/** Whether what it refers to is there; a Policy whose filters refer to nothing has no word on it. */
function refsOf(
  policy: Policy | BackendPolicy,
  { kind, namespace, ...ref }: Target,
  { found, broken }: Known,
): Draft[] {
  if (policy.kind === 'BackendPolicy') return [holdsUnless('ResolvedRefs', broken.get(policy))];
  const level = found.inventory.tables.levels.get(targetKey(kind, namespace, ref));
  const own = level?.filters.filter((asked) => asked.policy === policy && asked.references !== undefined) ?? [];
  if (own.length === 0 || policy.spec.refusedFilters !== undefined) return [];
  return [holdsUnless('ResolvedRefs', own.flatMap(({ references }) => references!.broken)[0]?.why)];
}

/** Of a Policy in running proxies: whether its filters do their work there. */
function runs(policy: Policy | BackendPolicy, { runtime }: StatusWork): Draft[] {
  if (policy.kind !== 'Policy' || runtime.failing === undefined) return [];
  const owner = describe(policy);
  const failing = runtime.failing.find((one) => one.owner === owner);
  if (failing === undefined) return [holds('Programmed')];
  const message = `Filter "${failing.filter}" cannot do its work: ${failing.why}`;
  return [fails('Programmed', { reason: 'FilterFailed', message })];
}

/** Where it acts: in Gateways, in the instances of a Service, in whoever follows a route. */
function placesOf({ kind, namespace, name }: Target, { inventory }: Found): string[] {
  switch (kind) {
    case 'Gateway':
      return [resourceKey(kind, namespace, name)];
    case 'Service':
      return [`Inbound/${namespace}/${name}`];
    case 'HTTPRoute':
    case 'GRPCRoute':
    case 'TLSRoute':
    case 'TCPRoute':
    case 'UDPRoute': {
      const route = inventory.tables[kind].get(resourceKey(kind, namespace, name));
      return (route?.spec.parentRefs ?? []).map((ref) => resourceKey(ref.kind, ref.namespace ?? namespace, ref.name));
    }
    default:
      return [];
  }
}

/** Why a policy counts nowhere: it could not be read, and its targets are closed. */
function refusedAs(policy: Policy | BackendPolicy): Reason | undefined {
  if (policy.kind !== 'Policy' || policy.spec.refusedFilters === undefined) return undefined;
  return { reason: 'Invalid', message: 'The policy has mistakes: the rules that it is for answer 500' };
}

/** Why a policy does not count at a target, in whole or in part: an older one says the same thing. */
function lostAt(
  policy: Policy | BackendPolicy,
  { kind, namespace, ...ref }: Target,
  { inventory }: Found,
): Reason | undefined {
  const { tables } = inventory;
  const key = targetKey(kind, namespace, ref);
  const losers = policy.kind === 'Policy' ? tables.levels.get(key)?.losers : tables.backendLevels.get(key)?.losers;
  const lost = losers?.find((loser) => loser.policy === policy);
  return lost === undefined ? undefined : { reason: 'Conflicted', message: lost.message };
}

/** Ancestors of a BackendTLSPolicy are the Gateways that reach its targets. */
function stateTrust(
  policy: BackendTLSPolicy,
  { gatewaysOf, found }: { readonly gatewaysOf: ReadonlyMap<string, ReadonlySet<string>>; readonly found: Found },
  work: StatusWork,
): Stated {
  const { tables } = found.inventory;
  const trust = tables.trusts.get(keyOf(policy));
  const keys = policy.spec.targetRefs.map((ref) => targetKey(ref.kind, policy.metadata.namespace, ref));
  const winners = keys.map((key) => tables.tlsPolicies.get(key)?.[0]);
  const conflict: Reason | undefined = winners.includes(policy)
    ? undefined
    : { reason: 'Conflicted', message: `${describe(winners[0] ?? policy)} has the same target and comes first` };
  const drafts = [
    holdsUnless('Accepted', conflict ?? trust?.notAccepted),
    holdsUnless('ResolvedRefs', trust?.unresolved),
  ];
  const gateways = new Set(keys.flatMap((key) => [...(gatewaysOf.get(key) ?? [])]));
  const entries = [...gateways].toSorted().map((key) => ({ ancestor: gatewayAncestor(key), drafts }));
  return state(policy, entries, work);
}

function gatewayAncestor(key: string): Ancestor {
  const [kind = '', namespace = '', name = ''] = key.split('/');
  return { group: GATEWAY_GROUP, kind, namespace, name };
}

/** Keys of the Gateways whose routes reach a target of a BackendTLSPolicy. */
function gatewaysByTarget({ routes, streams, inventory: { tables } }: Found): ReadonlyMap<string, ReadonlySet<string>> {
  const gateways = new Map<string, Set<string>>();
  if (tables.tlsPolicies.size === 0) return gateways;
  for (const { needs, attached } of [...routes, ...streams]) {
    const reached = attached.outcomes
      .filter(({ parent, attachments }) => attachments.length > 0 && !parent.isService)
      .map(({ parent }) => parent.gatewayKey);
    for (const { target } of needs) {
      for (const key of backendTargetKeys(target)) {
        if (!tables.tlsPolicies.has(key)) continue;
        const known = gateways.get(key);
        if (known === undefined) gateways.set(key, new Set(reached));
        else for (const gateway of reached) known.add(gateway);
      }
    }
  }
  return gateways;
}
