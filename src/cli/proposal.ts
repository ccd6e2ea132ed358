/** Policies for Services, made of calls that were seen and of the configuration that is there. Pure. */
import type { ObservedCall } from '../ir/observed.ts';
import type { Policy, Resource, Service } from '../resource/resource.ts';
import { type ProposedRules, proposeRules, type Standing, standingOf } from './least-privilege.ts';
import { type PolicyWish, rulesOf } from './policy-files.ts';

/** For which Services; what is not said is any. */
export interface Scope {
  readonly namespace: string | undefined;
  readonly service: string | undefined;
}

export interface ProposalWork {
  readonly scope: Scope;
  readonly resources: readonly Resource[];
  /** Of policies that are new; with `enforce` of all. */
  readonly mode: 'audit' | 'enforce';
  readonly unseen: 'keep' | 'drop';
}

export interface ProposedPolicy extends PolicyWish, ProposedRules {}

/** Calls that no policy is made of, by why. */
export type LeftOut = Readonly<Record<Exclude<Standing, 'wanted'> | 'unplaced', readonly ObservedCall[]>>;

export interface Proposal extends LeftOut {
  readonly policies: readonly ProposedPolicy[];
}

export function propose(calls: readonly ObservedCall[], work: ProposalWork): Proposal {
  const inScope = calls.filter(({ service }) => isMeant(service, work.scope));
  const by = Map.groupBy(inScope, standingOf);
  const services = Map.groupBy(by.get('wanted') ?? [], ({ service }) => service);
  const unplaced: ObservedCall[] = [];
  const policies = [...services].flatMap(([key, own]) => {
    const { placed, left } = portsOf(key, own, work.resources);
    unplaced.push(...left);
    return placed.map((one) => policyFor(one, work));
  });
  const left = (standing: Standing): readonly ObservedCall[] => by.get(standing) ?? [];
  return {
    policies,
    clear: left('clear'),
    refused: left('refused'),
    unwelcome: left('unwelcome'),
    unsayable: left('unsayable'),
    unplaced,
  };
}

function isMeant(key: string, { namespace, service }: Scope): boolean {
  const [own, name] = key.split('/');
  return (namespace ?? own) === own && (service ?? name) === name;
}

interface PortCalls {
  readonly namespace: string;
  readonly service: string;
  readonly port: string | undefined;
  readonly calls: readonly ObservedCall[];
}

/** One policy for each port of a Service that has several: what may be said to one is not for the other. */
function portsOf(
  key: string,
  calls: readonly ObservedCall[],
  resources: readonly Resource[],
): { readonly placed: PortCalls[]; readonly left: readonly ObservedCall[] } {
  const [namespace = '', name = ''] = key.split('/');
  const service = resources.find(
    (one): one is Service =>
      one.kind === 'Service' && one.metadata.namespace === namespace && one.metadata.name === name,
  );
  const byPort = Map.groupBy(calls, ({ port }) => port);
  const ports = service?.spec.ports ?? [];
  if (ports.length <= 1 && byPort.size === 1)
    return { placed: [{ namespace, service: name, port: undefined, calls }], left: [] };
  const left: ObservedCall[] = [];
  const placed = [...byPort].flatMap(([number, own]): PortCalls[] => {
    const port = ports.find((one) => one.port === number)?.name;
    if (port !== undefined) return [{ namespace, service: name, port, calls: own }];
    left.push(...own);
    return [];
  });
  return { placed, left };
}

function policyFor(
  { namespace, service, port, calls }: PortCalls,
  { resources, mode, unseen }: ProposalWork,
): ProposedPolicy {
  const name = `${service}-callers${port === undefined ? '' : `-${port}`}`;
  const before = resources.find(
    (one): one is Policy => one.kind === 'Policy' && one.metadata.namespace === namespace && one.metadata.name === name,
  );
  const proposed = proposeRules({ calls, before: rulesOf(before?.spec.filters?.['authorize']), unseen });
  const modeNow = before === undefined ? mode : mode === 'enforce' ? mode : (before.spec.mode ?? 'enforce');
  return { namespace, name, service, port, before, mode: modeNow, ...proposed };
}
