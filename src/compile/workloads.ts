/** Workloads by the Services that they are instances of: the one that they name, and those that select them. */
import { keyOf, resourceKey, type Service, type Workload } from '../resource/resource.ts';
import { diffLists, groupBy } from './memo.ts';

/** By key of the Service, in the order of their names. */
export type WorkloadGroups = ReadonlyMap<string, readonly Workload[]>;

/** Services with a selector, by namespace. */
export type SelectingServices = ReadonlyMap<string, readonly Service[]>;

/** What two groupings in a row need of the one before. */
export interface Grouped {
  readonly list: readonly Workload[];
  readonly selecting: SelectingServices;
  readonly groups: WorkloadGroups;
}

/**
 * Groups all workloads, or moves only those that came, went or changed: instances come and go all day, and there are
 * tens of thousands.
 */
export function groupWorkloads(
  list: readonly Workload[],
  selecting: SelectingServices,
  before: Grouped | undefined,
): WorkloadGroups {
  if (before === undefined || before.selecting !== selecting) {
    return groupBy(list.toSorted(byName), (one) => servicesOf(one, selecting), before?.groups);
  }
  const { added, removed } = diffLists(before.list, list);
  if (added.length === 0 && removed.length === 0) return before.groups;
  const gone = new Set(removed);
  const came = Map.groupBy(
    added.flatMap((one) => servicesOf(one, selecting).map((key) => ({ key, one }))),
    ({ key }) => key,
  );
  const touched = new Set([...came.keys(), ...removed.flatMap((one) => servicesOf(one, selecting))]);
  const groups = new Map(before.groups);
  for (const key of touched) {
    const kept = (before.groups.get(key) ?? []).filter((one) => !gone.has(one));
    const all = [...kept, ...(came.get(key) ?? []).map(({ one }) => one)].toSorted(byName);
    if (all.length === 0) groups.delete(key);
    else groups.set(key, all);
  }
  return groups;
}

/**
 * Keys of the Services, each once; the one that it names first. An instance of a Service has the labels that the Service
 * selects, whether anybody wrote them or not: so one that registered itself is found by wider selectors too, and only by
 * what operators have said of its own Service.
 */
export function servicesOf(
  {
    metadata: { namespace, labels },
    spec: { service },
  }: Pick<Workload, 'spec'> & {
    readonly metadata: { readonly namespace: string; readonly labels: Readonly<Record<string, string>> };
  },
  selecting: SelectingServices,
): string[] {
  const own = resourceKey('Service', namespace, service);
  const near = selecting.get(namespace) ?? [];
  const implied = near.find((one) => keyOf(one) === own)?.spec.selector;
  const known = implied === undefined ? labels : { ...implied, ...labels };
  const others = near.filter(({ spec }) => selects(spec.selector ?? {}, known));
  return [...new Set([own, ...others.map(keyOf)])];
}

/** A Service without a selector selects nothing: its endpoints are somebody else's work. */
export function hasSelector({ spec: { selector } }: Service): boolean {
  return selector !== undefined && Object.keys(selector).length > 0;
}

function selects(selector: Readonly<Record<string, string>>, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(selector).every(([name, value]) => labels[name] === value);
}

function byName(a: Workload, b: Workload): number {
  return keyOf(a) < keyOf(b) ? -1 : 1;
}
