/**
 * What a Kubernetes API server remembers of an object and a file does not say:
 * how often its spec changed (`metadata.generation`) and when it came
 * (`metadata.creationTimestamp`).
 */
import { isDeepStrictEqual } from 'node:util';
import { keyOf, type Resource } from '../resource/resource.ts';

/** What is remembered of a resource from an earlier run. */
export interface Remembered {
  readonly generation: number;
  /** Undefined: it was there from the beginning. */
  readonly creationMs: number | undefined;
  readonly spec: unknown;
}

interface Known extends Remembered {
  /** As it was read. */
  readonly read: Resource;
  /** As it is handed out. */
  readonly stamped: Resource;
}

export class Identity {
  #known = new Map<string, Known>();
  #remembered: ReadonlyMap<string, Remembered>;
  /** Whether something came before: then what is new has a time. */
  #begun: boolean;

  /** @param remembered  by key, from an earlier run */
  constructor(remembered: ReadonlyMap<string, Remembered> = new Map()) {
    this.#remembered = remembered;
    this.#begun = remembered.size > 0;
  }

  /**
   * The resources with generation and time of creation filled in; the identical
   * objects for what did not change. What is seen in the first call has no time:
   * it was there from the beginning, so that two machines that start with the
   * same files agree on who is older.
   *
   * @param nowMs  milliseconds since the epoch
   */
  stamp(resources: readonly Resource[], nowMs: number): readonly Resource[] {
    const known = new Map<string, Known>();
    const stamped = resources.map((resource) => {
      const key = keyOf(resource);
      // A second resource of the same key is a mistake that the compiler names; it has no identity.
      if (known.has(key)) return resource;
      const one = this.#stampOne(key, resource, nowMs);
      known.set(key, one);
      return one.stamped;
    });
    this.#known = known;
    this.#begun = true;
    this.#remembered = new Map();
    return stamped;
  }

  /** What is to be remembered of a resource that was handed out. */
  of(key: string): Remembered | undefined {
    return this.#known.get(key);
  }

  #stampOne(key: string, read: Resource, nowMs: number): Known {
    const known = this.#known.get(key);
    if (known?.read === read) return known;
    const spec = specOf(read);
    const { metadata } = read;
    const before: Remembered | undefined = known ?? this.#remembered.get(key);
    const bump = before !== undefined && !isDeepStrictEqual(before.spec, spec) ? 1 : 0;
    const generation = Math.max(metadata.generation, before === undefined ? 0 : before.generation + bump);
    // Routes of a short form have their place in it instead of an age.
    const firstSeenMs = this.#begun && metadata.order === undefined ? nowMs : undefined;
    const creationMs = metadata.creationMs ?? (before === undefined ? firstSeenMs : before.creationMs);
    const same = generation === metadata.generation && creationMs === metadata.creationMs;
    const stamped = same ? read : { ...read, metadata: { ...metadata, generation, creationMs } };
    return { generation, creationMs, spec, read, stamped };
  }
}

function specOf(resource: Resource): unknown {
  return 'spec' in resource ? resource.spec : undefined;
}
