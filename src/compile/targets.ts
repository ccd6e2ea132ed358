/** Targets of policies: whether they exist, and whether the policy has a meaning there. */
import { nearest } from '../base/problem.ts';
import { TARGET_GROUPS } from '../resource/fields.ts';
import {
  type BackendPolicy,
  type BackendTLSPolicy,
  describe,
  keyOf,
  type Policy,
  type Resource,
} from '../resource/resource.ts';
import { error, type Finding } from './finding.ts';
import type { Reason } from './listener.ts';
import { isKind, type Look, lookUp, targetKey } from './tables.ts';

export type AnyPolicy = Policy | BackendPolicy | BackendTLSPolicy;

export interface Target {
  readonly group: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly sectionName?: string;
}

export interface PolicyTargets {
  readonly policy: AnyPolicy;
  readonly targets: readonly { readonly target: Target; readonly fault: Reason | undefined }[];
  readonly findings: readonly Finding[];
}

export function readTargets(policy: AnyPolicy, look: Look): PolicyTargets {
  const { namespace } = policy.metadata;
  const findings: Finding[] = [];
  const targets = policy.spec.targetRefs.map((ref, i) => {
    const target: Target = { ...ref, group: ref.group ?? TARGET_GROUPS[ref.kind] ?? '', namespace };
    const field = `/spec/targetRefs/${i}`;
    const resource = isKind(ref.kind) ? lookUp(look, ref.kind, { namespace, name: ref.name }) : undefined;
    if (resource === undefined || target.group !== TARGET_GROUPS[ref.kind]) {
      const message = `${ref.kind} ${namespace}/${ref.name} does not exist, so the policy has no target`;
      findings.push(error('policy.no-target', policy, { field, message, absent: target }));
      return { target, fault: { reason: 'TargetNotFound', message } };
    }
    const fault = foreignFault(resource, look) ?? sectionFault(resource, ref.sectionName);
    const related = [keyOf(resource)];
    if (fault !== undefined)
      findings.push(error('policy.no-target', policy, { field, message: fault.message, related }));
    const older = olderTrust(policy, target, look);
    if (older !== undefined) findings.push(error('policy.conflict', policy, { field, ...older }));
    return { target, fault };
  });
  return { policy, targets, findings };
}

/** A Gateway that another controller serves does not read our policies. */
function foreignFault(resource: Resource, look: Look): Reason | undefined {
  if (resource.kind !== 'Gateway' && resource.kind !== 'ListenerSet') return undefined;
  if (look('parents', keyOf(resource)) !== undefined) return undefined;
  const message = `${describe(resource)} is not served here, so the policy has no effect on it`;
  return { reason: 'TargetNotFound', message };
}

function sectionFault(resource: Resource, sectionName: string | undefined): Reason | undefined {
  if (sectionName === undefined) return undefined;
  const { names, what } = sectionsOf(resource);
  if (names.includes(sectionName)) return undefined;
  const near = nearest(sectionName, names);
  const has = names.length === 0 ? 'it has none with a name' : `it has ${names.map((name) => `"${name}"`).join(', ')}`;
  const hint = near === undefined ? has : `did you mean "${near}"`;
  const { kind, metadata } = resource;
  const message = `${kind} ${metadata.namespace}/${metadata.name} has no ${what} named "${sectionName}": ${hint}`;
  return { reason: 'TargetNotFound', message };
}

function sectionsOf(resource: Resource): { names: string[]; what: string } {
  const named = (items: readonly { readonly name?: string }[]): string[] => items.flatMap(({ name }) => name ?? []);
  switch (resource.kind) {
    case 'Gateway':
    case 'ListenerSet':
      return { names: named(resource.spec.listeners), what: 'listener' };
    case 'HTTPRoute':
    case 'GRPCRoute':
    case 'TCPRoute':
    case 'TLSRoute':
      return { names: named(resource.spec.rules), what: 'rule' };
    case 'Service':
      return { names: named(resource.spec.ports), what: 'port' };
    default:
      return { names: [], what: 'section' };
  }
}

/** Of two BackendTLSPolicies on one target the older counts, whole. */
function olderTrust(
  policy: AnyPolicy,
  { kind, namespace, ...ref }: Target,
  look: Look,
): { message: string; related: string[] } | undefined {
  if (policy.kind !== 'BackendTLSPolicy') return undefined;
  const first = look('tlsPolicies', targetKey(kind, namespace, ref))?.[0];
  if (first === undefined || first === policy) return undefined;
  const message = `${describe(first)} has the same target and comes first: it counts, this one does not`;
  return { message, related: [keyOf(first)] };
}
