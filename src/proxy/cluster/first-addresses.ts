import { isIP } from 'node:net';
import type { Clock } from '../../base/clock.ts';
import type { PlanCluster } from '../../ir/plan.ts';
import type { Resolver } from '../../net/dns.ts';

/** A plan is not held up for longer by names that do not resolve: their clusters answer 503 until they do. */
const WAIT_MS_MAX = 1_000;

/** The DNS names among the endpoints of a cluster. */
export function namesOf({ endpoints }: PlanCluster): Set<string> {
  return new Set(endpoints.map(({ address }) => address).filter((address) => isIP(address) === 0));
}

/**
 * Waits until the names that these clusters bring are resolved for the first time, so that a request that comes right
 * after the change finds endpoints.
 *
 * @returns ends the watches that kept the answers; call it when the clusters watch for themselves
 */
export async function firstAddresses(
  clusters: Iterable<PlanCluster>,
  resolver: Pick<Resolver, 'watch' | 'state'>,
  clock: Clock,
): Promise<() => void> {
  const names = new Set<string>();
  for (const cluster of clusters) {
    for (const name of namesOf(cluster)) if (resolver.state(name)?.resolvedMs === undefined) names.add(name);
  }
  const stops: (() => void)[] = [];
  const answers = [...names].map(
    (name) => new Promise<void>((resolve) => stops.push(resolver.watch(name, () => resolve()))),
  );
  if (answers.length > 0) {
    const late = new Promise<void>((resolve) => stops.push(clock.after(WAIT_MS_MAX, resolve)));
    await Promise.race([Promise.all(answers), late]);
  }
  return () => {
    for (const stop of stops) stop();
  };
}
