/** The clusters that routes need, counted, so that a change of one route costs no walk over all of them. */
import type { ClusterNeed } from './cluster.ts';
import type { ListDelta } from './memo.ts';

/** Whatever needs clusters: the result of a route of any kind. */
interface Needing {
  readonly needs: readonly ClusterNeed[];
}

interface Counted {
  need: ClusterNeed;
  routes: number;
}

export class ClusterCensus {
  readonly #counted = new Map<string, Counted>();

  /** Whether clusters came, went, or are of another resource. */
  update({ added, removed }: ListDelta<Needing>): 'same' | 'changed' {
    let outcome: 'same' | 'changed' = 'same';
    // What came is counted before what went: a need that both have never falls to zero.
    for (const { needs } of added) for (const need of needs) if (this.#add(need)) outcome = 'changed';
    for (const { needs } of removed) for (const { key } of needs) if (this.#drop(key)) outcome = 'changed';
    return outcome;
  }

  *needs(): Generator<ClusterNeed> {
    for (const { need } of this.#counted.values()) yield need;
  }

  #add(need: ClusterNeed): boolean {
    const known = this.#counted.get(need.key);
    if (known === undefined) {
      this.#counted.set(need.key, { need, routes: 1 });
      return true;
    }
    const isOther = known.need.target.resource !== need.target.resource;
    known.need = need;
    known.routes++;
    return isOther;
  }

  #drop(key: string): boolean {
    const known = this.#counted.get(key);
    if (known === undefined || --known.routes > 0) return false;
    this.#counted.delete(key);
    return true;
  }
}
