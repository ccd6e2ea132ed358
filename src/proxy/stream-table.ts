/** The routes below HTTP of a snapshot, by listener. Immutable, like everything in one. */
import type { PlanDelta, PlanStream } from '../ir/plan.ts';
import { HostMap } from './host-map.ts';
import type { StreamTarget } from './stream-target.ts';

export class StreamTable {
  readonly #targets: ReadonlyMap<string, StreamTarget>;
  readonly #byListener: ReadonlyMap<string, HostMap<StreamTarget>>;

  private constructor(targets: ReadonlyMap<string, StreamTarget>) {
    this.#targets = targets;
    const rows = new Map<string, [string, StreamTarget][]>();
    // Later ones are written over by earlier ones.
    const lastFirst = [...targets].toSorted(([a, one], [b, other]) => compareStreams([b, other.plan], [a, one.plan]));
    for (const [, target] of lastFirst) {
      for (const { listener, hosts } of target.plan.attach) {
        const own = rows.get(listener) ?? [];
        for (const host of hosts) own.push([host, target]);
        rows.set(listener, own);
      }
    }
    this.#byListener = new Map([...rows].map(([listener, own]) => [listener, HostMap.of(own)]));
  }

  static empty(): StreamTable {
    return new StreamTable(new Map());
  }

  /** The routes of a listener by server name; the same object as long as nothing of any route changed. */
  listener(key: string): HostMap<StreamTarget> | undefined {
    return this.#byListener.get(key);
  }

  with(
    { set, remove }: Pick<PlanDelta, 'set' | 'remove'>,
    make: (plan: PlanStream) => StreamTarget,
  ): { readonly table: StreamTable; readonly retired: readonly StreamTarget[] } {
    const changes = Object.entries(set.streams);
    if (changes.length === 0 && remove.streams.length === 0) return { table: this, retired: [] };
    const targets = new Map(this.#targets);
    const retired: StreamTarget[] = [];
    for (const key of [...remove.streams, ...changes.map(([key]) => key)]) {
      const target = targets.get(key);
      if (target !== undefined) retired.push(target);
      targets.delete(key);
    }
    for (const [key, plan] of changes) targets.set(key, make(plan));
    return { table: new StreamTable(targets), retired };
  }
}

/** Of several routes for one name the oldest counts, then the first by key: the one that counts comes first. */
export function compareStreams(
  [aKey, a]: readonly [string, PlanStream],
  [bKey, b]: readonly [string, PlanStream],
): number {
  return a.createdMs - b.createdMs || (aKey < bKey ? -1 : 1);
}
