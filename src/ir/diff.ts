/** The difference of two plans as a delta, and a delta put onto a plan. */
import type { Plan, PlanBundle, PlanDelta, PlanSecrets } from './plan.ts';
import { hashPart, hashSecret, PART_KINDS, type PlanPart } from './version.ts';

/**
 * What turns `before` into `after`; without `before`, all of `after`. Parts are
 * compared by identity first, so a plan that shares its parts with the plan
 * before costs one comparison for each; others are compared by hash.
 */
export function diffPlans(before: PlanBundle | undefined, after: PlanBundle): PlanDelta {
  const ports = diffParts(before?.plan.ports, after.plan.ports);
  const listeners = diffParts(before?.plan.listeners, after.plan.listeners);
  const routes = diffParts(before?.plan.routes, after.plan.routes);
  const streams = diffParts(before?.plan.streams, after.plan.streams);
  const clusters = diffParts(before?.plan.clusters, after.plan.clusters);
  const secrets = diffNamed(before?.secrets ?? {}, after.secrets, hashSecret);
  return {
    from: before?.plan.version,
    to: after.plan.version,
    set: {
      ports: ports.set,
      listeners: listeners.set,
      routes: routes.set,
      streams: streams.set,
      clusters: clusters.set,
      secrets: secrets.set,
    },
    remove: {
      ports: ports.remove,
      listeners: listeners.remove,
      routes: routes.remove,
      streams: streams.remove,
      clusters: clusters.remove,
      secrets: secrets.remove,
    },
  };
}

/**
 * `before` with the delta put onto it. Parts that the delta does not name stay the same objects.
 *
 * @throws {RangeError} when the delta starts from another version than that of `before`
 */
export function applyDelta(before: PlanBundle | undefined, delta: PlanDelta): PlanBundle {
  const { from, to, set, remove } = delta;
  if (from !== undefined && from !== before?.plan.version) {
    const held = before?.plan.version ?? 'nothing';
    throw new RangeError(`Cannot apply the delta: it starts at version "${from}", and held is "${held}"`);
  }
  const base = from === undefined ? undefined : before;
  const plan: Plan = {
    version: to,
    ports: merge(base?.plan.ports, set.ports, remove.ports),
    listeners: merge(base?.plan.listeners, set.listeners, remove.listeners),
    routes: merge(base?.plan.routes, set.routes, remove.routes),
    streams: merge(base?.plan.streams, set.streams, remove.streams),
    clusters: merge(base?.plan.clusters, set.clusters, remove.clusters),
  };
  return { plan, secrets: merge<PlanSecrets[string]>(base?.secrets, set.secrets, remove.secrets) };
}

/** Number of parts and secrets that a delta sets or removes. */
export function deltaSize({ set, remove }: PlanDelta): number {
  let size = Object.keys(set.secrets).length + remove.secrets.length;
  for (const kind of PART_KINDS) size += Object.keys(set[kind]).length + remove[kind].length;
  return size;
}

interface NamedDiff<T> {
  readonly set: Readonly<Record<string, T>>;
  readonly remove: readonly string[];
}

type Named<T> = Readonly<Record<string, T>>;

const NO_DIFFERENCE: NamedDiff<never> = { set: {}, remove: [] };

function diffParts<T extends PlanPart>(before: Named<T> | undefined, after: Named<T>): NamedDiff<T> {
  return diffNamed(before ?? {}, after, hashPart);
}

function diffNamed<T>(before: Named<T>, after: Named<T>, hash: (part: T) => string): NamedDiff<T> {
  if (before === after) return NO_DIFFERENCE;
  const set: Record<string, T> = {};
  for (const name of Object.keys(after)) {
    const was = before[name];
    const is = after[name]!;
    if (was === is || (was !== undefined && hash(was) === hash(is))) continue;
    set[name] = is;
  }
  return { set, remove: Object.keys(before).filter((name) => after[name] === undefined) };
}

function merge<T>(before: Named<T> = {}, set: Named<T>, remove: readonly string[]): Named<T> {
  const merged = { ...before, ...set };
  for (const name of remove) delete merged[name];
  return merged;
}
