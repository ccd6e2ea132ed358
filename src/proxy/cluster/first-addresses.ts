import type { Clock } from '../../base/clock.ts';
import type { PlanCluster } from '../../ir/plan.ts';
import type { SrvRecord } from '../../net/srv-query.ts';
import { type Names, namesOf } from './addresses.ts';

/** A plan is not held up for longer by names that do not resolve: their clusters answer 503 until they do. */
const WAIT_MS_MAX = 1_000;

/**
 * Waits until the names that these clusters bring are resolved for the first time, so that a request that comes right
 * after the change finds endpoints.
 *
 * @returns ends the watches that kept the answers; call it when the clusters watch for themselves
 */
export async function firstAddresses(
  clusters: Iterable<PlanCluster>,
  resolver: Names,
  clock: Clock,
): Promise<() => void> {
  const stops: (() => void)[] = [];
  let isOver = false;
  const addressesOf = async (name: string): Promise<void> => {
    if (resolver.state(name)?.resolvedMs !== undefined) return;
    await new Promise<void>((resolve) => stops.push(resolver.watch(name, () => resolve())));
  };
  const targetsOf = async (name: string): Promise<void> => {
    const records = await new Promise<readonly SrvRecord[]>((resolve) =>
      stops.push(resolver.watchService(name, resolve)),
    );
    // Whoever waited may be gone by now, and would not end another watch.
    if (!isOver) await Promise.all(records.map(({ name: target }) => addressesOf(target)));
  };
  const answers: Promise<void>[] = [];
  const asked = new Set<string>();
  for (const cluster of clusters) {
    const { hosts, services } = namesOf(cluster);
    for (const name of [...hosts, ...services]) {
      if (asked.has(name)) continue;
      asked.add(name);
      if (services.has(name)) {
        if (resolver.serviceState(name)?.resolvedMs === undefined) answers.push(targetsOf(name));
      } else if (resolver.state(name)?.resolvedMs === undefined) answers.push(addressesOf(name));
    }
  }
  if (answers.length > 0) {
    const late = new Promise<void>((resolve) => stops.push(clock.after(WAIT_MS_MAX, resolve)));
    await Promise.race([Promise.all(answers), late]);
  }
  return () => {
    isOver = true;
    for (const stop of stops) stop();
  };
}
